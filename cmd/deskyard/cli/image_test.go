package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/deskyard/deskyard/image"
)

// images runs image commands on a data folder of its own.
type images struct {
	t    *testing.T
	data string
}

func (i *images) run(args ...string) (stdout, stderr string, err error) {
	i.t.Helper()
	var out, errs bytes.Buffer
	parser := newParser(i.t, &program{}, kong.Writers(&out, &errs))
	line, err := parser.Parse(append(append([]string{"image"}, args...), "--data", i.data))
	if err == nil {
		err = line.Run()
	}
	return out.String(), errs.String(), err
}

func TestAnImportedImageIsListedShownAliasedAndRemoved(t *testing.T) {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed: apt-get install qemu-utils")
	}
	i := &images{t, filepath.Join(t.TempDir(), "data")}
	disk := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(disk, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := i.run("list"); err == nil || !strings.Contains(err.Error(), "there is no folder") {
		t.Errorf("listing where nothing is: %v", err)
	}
	add := []string{"import", disk, "--format", "raw", "--publisher", "Contoso", "--offer", "windows-11", "--sku", "avd", "--os", "windows", "-o", "json", "--version"}
	out, told, err := i.run(append(add, "1.10.0")...)
	if err != nil {
		t.Fatal(err)
	}
	var view struct{ URN, Provisioning, Folder string }
	if err := json.Unmarshal([]byte(out), &view); err != nil || view.URN != "Contoso:windows-11:avd:1.10.0" || view.Provisioning != "cloudbase-init" {
		t.Errorf("imported: %s, %v", out, err)
	}
	if !strings.Contains(told, "convert\n") {
		t.Errorf("progress told: %q", told)
	}
	if _, _, err := i.run(append(add, "1.9.0")...); err != nil {
		t.Fatal(err)
	}
	if _, _, err := i.run(append(add, "1.9.0")...); !errors.Is(err, image.ErrExists) {
		t.Errorf("the same version again: %v", err)
	}
	if _, _, err := i.run("alias", "set", "MicrosoftWindowsDesktop:*:*", "Contoso:windows-11:avd"); err != nil {
		t.Fatal(err)
	}
	if out, _, err := i.run("show", "microsoftwindowsdesktop:office-365:win11", "--query", "version", "-o", "tsv"); err != nil || strings.TrimSpace(out) != "1.10.0" {
		t.Errorf("through the alias: %q, %v", out, err)
	}
	if out, _, err := i.run("list", "-o", "table"); err != nil || !strings.Contains(out, "Contoso:windows-11:avd:1.9.0") {
		t.Errorf("list: %s, %v", out, err)
	}
	if _, told, err := i.run("verify"); err != nil || strings.Count(told, "is as it was imported") != 2 {
		t.Errorf("verify: %s, %v", told, err)
	}
	clone := filepath.Join(i.data, "machines", "here", "0f0e", "disk.qcow2")
	if err := os.MkdirAll(filepath.Dir(clone), 0o700); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", filepath.Join(view.Folder, "disk.qcow2"), clone).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if _, _, err := i.run("remove", view.URN, "--yes"); err == nil || !strings.Contains(err.Error(), "0f0e") {
		t.Errorf("removing what a machine runs on: %v", err)
	}
	if _, _, err := i.run("remove", "Contoso:windows-11:avd:1.9.0", "--yes"); err != nil {
		t.Error(err)
	}
	if _, _, err := i.run("remove", "Contoso:windows-11:avd:1.9.0", "--yes"); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("removing it twice: %v", err)
	}
	if _, _, err := i.run("alias", "remove", "MicrosoftWindowsDesktop:*:*"); err != nil {
		t.Error(err)
	}
	if out, _, err := i.run("alias", "list", "-o", "json"); err != nil || strings.TrimSpace(out) != "[]" {
		t.Errorf("aliases: %s, %v", out, err)
	}
}
