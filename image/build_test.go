package image

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/images"
)

func TestASecondImageOfADayGetsANumber(t *testing.T) {
	m := Manifest{Publisher: "Deskyard", Offer: "debian-12", SKU: "desktop"}
	now := time.Date(2026, 11, 3, 23, 30, 0, 0, time.FixedZone("", 2*3600)) // 21:30 UTC
	var have []Entry
	for _, want := range []string{"2026.11.3", "2026.11.3.1", "2026.11.3.2"} {
		got := nextVersion(have, m, now)
		if got != want || !versionForm.MatchString(got) {
			t.Fatalf("with %d images of the day: %s, want %s", len(have), got, want)
		}
		e := Entry{Manifest: m}
		e.Version = got
		have = append(have, e, Entry{Manifest: Manifest{Publisher: "Other", Offer: "debian-12", SKU: "desktop", Version: "2026.11.3.7"}})
	}
}

func TestARecipesWordsBecomeProgressAndTheReasonOfItsError(t *testing.T) {
	var told []string
	l := &recipeLog{progress: func(step string, done, total int64) { told = append(told, fmt.Sprint(step, " ", done, "/", total)) }}
	for _, part := range []string{"progress: 12 1000 unpacks", " packages\nimage: tools are", " missing\nprogress: x y z\nprogress: 1\n", strings.Repeat("x", 70<<10)} {
		if _, err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(told, "; "); got != "unpacks packages 12/1000" {
		t.Errorf("told: %s", got)
	}
	if got := l.end(); got != ":\nimage: tools are missing" {
		t.Errorf("the error's end: %q", got)
	}
}

func TestTheEmbeddedRecipesAreCompleteAndTheirScriptsAreSound(t *testing.T) {
	dir := t.TempDir()
	if err := extract(images.Recipes, dir); err != nil {
		t.Fatal(err)
	}
	scripts := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(text), "#!") && d.Name() != "common.sh" {
			return err
		}
		scripts++
		shell := "sh"
		if !strings.HasPrefix(string(text), "#!/bin/sh") {
			shell = "bash"
		}
		if out, err := exec.Command(shell, "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", path, err, out)
		}
		return nil
	})
	if err != nil || scripts < 8 {
		t.Fatalf("%d scripts, %v", scripts, err)
	}
	for _, r := range Recipes {
		m := r.Image
		m.Version = "1"
		if err := errors.Join(m.checkName(), m.checkKind()); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		out, err := exec.Command("bash", filepath.Join(dir, r.Folder, "build")).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--bootloader-deb FILE is needed") {
			t.Errorf("%s without a boot loader: %v: %s", r.Name, err, out)
		}
	}
}

func TestABuildThatFailsTellsWhatTheRecipeSaid(t *testing.T) {
	c := openCatalogue(t)
	deb := filepath.Join(t.TempDir(), "deskyard-bootloader.deb")
	if err := os.WriteFile(deb, []byte("not a package"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Build(t.Context(), Build{Recipe: "debian-12-desktop", BootLoader: deb, Size: "1M"}); err == nil || !strings.Contains(err.Error(), "--size 1M is too small") {
		t.Errorf("a disk of 1 MiB: %v", err)
	}
	if _, _, err := c.Build(t.Context(), Build{Recipe: "debian-12-desktop", BootLoader: deb, Mirror: "file:/tmp x"}); err == nil || !strings.Contains(err.Error(), "no http or https URL") {
		t.Errorf("a mirror that is none: %v", err)
	}
	if _, _, err := c.Build(t.Context(), Build{Recipe: "windows-95", BootLoader: deb}); err == nil || !strings.Contains(err.Error(), "there is debian-12-desktop") {
		t.Errorf("a recipe that is not there: %v", err)
	}
	nothingLeft(t, c)
}
