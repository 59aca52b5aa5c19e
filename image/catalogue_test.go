package image

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
)

func openCatalogue(t *testing.T) *Catalogue {
	t.Helper()
	c, err := Open(filepath.Join(t.TempDir(), "images"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// qemuImg runs qemu-img in a folder, or skips the test where there is none.
func qemuImg(t *testing.T, dir string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed: apt-get install qemu-utils")
	}
	cmd := exec.Command("qemu-img", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// tiny makes a raw disk of 64 KiB with something on it.
func tiny(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, append([]byte(content), make([]byte, 64<<10-len(content))...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func manifest(urn string) Manifest {
	ref, err := ParseURN(urn)
	if err != nil {
		panic(err)
	}
	return Manifest{Publisher: ref.Publisher, Offer: ref.Offer, SKU: ref.SKU, Version: ref.Version, OS: "linux", Firmware: "uefi", Provisioning: "cloud-init"}
}

func importTiny(t *testing.T, c *Catalogue, urn string, locations ...string) Entry {
	t.Helper()
	qemuImg(t, t.TempDir(), "--version")
	m := manifest(urn)
	m.Locations = locations
	e, err := c.Import(t.Context(), Import{Manifest: m, Disk: tiny(t, urn), Format: "raw"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func resolve(c *Catalogue, location, urn string) (string, error) {
	ref, err := ParseURN(urn)
	if err != nil {
		return "", err
	}
	i, err := c.Resolve(context.Background(), location, ref)
	return i.ID, err
}

func TestLatestIsTheHighestVersionAtTheLocation(t *testing.T) {
	c := openCatalogue(t)
	importTiny(t, c, "Deskyard:debian-12:desktop:2026.9.30")
	importTiny(t, c, "Deskyard:debian-12:desktop:2026.11.2")
	importTiny(t, c, "Deskyard:debian-12:desktop:2026.12.1", "West Europe")
	for _, q := range []struct{ location, urn, want string }{
		{"northeurope", "deskyard:DEBIAN-12:desktop:latest", "Deskyard:debian-12:desktop:2026.11.2"},
		{"westeurope", "Deskyard:debian-12:desktop:latest", "Deskyard:debian-12:desktop:2026.12.1"},
		{"", "Deskyard:debian-12:desktop", "Deskyard:debian-12:desktop:2026.12.1"},
		{"northeurope", "Deskyard:debian-12:desktop:2026.9.30", "Deskyard:debian-12:desktop:2026.9.30"},
	} {
		if got, err := resolve(c, q.location, q.urn); err != nil || got != q.want {
			t.Errorf("%s at %q: %s, %v; want %s", q.urn, q.location, got, err, q.want)
		}
	}
	_, err := resolve(c, "northeurope", "Deskyard:debian-12:desktop:2026.12.1")
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "Deskyard:debian-12:desktop:2026.11.2") {
		t.Errorf("an image of another location: %v; want ErrNotFound that lists what there is", err)
	}
	exact, err := c.Resolve(t.Context(), "", deskyard.ImageReference{Publisher: "Deskyard", Offer: "debian-12", SKU: "desktop", Version: "latest", Exact: "2026.9.30"})
	if err != nil || exact.ID != "Deskyard:debian-12:desktop:2026.9.30" {
		t.Errorf("a machine that was made from an older latest: %s, %v", exact.ID, err)
	}
	platform, err := c.Resolve(t.Context(), "", deskyard.ImageReference{ID: "/Subscriptions/s/Providers/Microsoft.Compute/locations/x/Publishers/Deskyard/ArtifactTypes/VMImage/Offers/debian-12/Skus/desktop/Versions/2026.9.30"})
	if err != nil || platform.ID != "Deskyard:debian-12:desktop:2026.9.30" {
		t.Errorf("by the id of a platform image: %s, %v", platform.ID, err)
	}
}

func TestAliasesLetMicrosoftsNamesMeanAnImage(t *testing.T) {
	c := openCatalogue(t)
	importTiny(t, c, "Deskyard:debian-12:desktop:1.0")
	importTiny(t, c, "Contoso:windows-11:office:3.1")
	const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/x/images/y"
	for _, a := range []Alias{
		{"MicrosoftWindowsDesktop:*:*", "Deskyard:debian-12:desktop"},
		{"MicrosoftWindowsDesktop:office-365:win11-24h2-avd-m365:latest", "Contoso:windows-11:office:latest"},
		{id, "Contoso:windows-11:office:3.1"},
		{"Gone:*:*", "Deskyard:debian-11:desktop"},
	} {
		if err := c.SetAlias(a); err != nil {
			t.Fatal(err)
		}
	}
	for urn, want := range map[string]string{
		"microsoftwindowsdesktop:office-365:win11-24h2-avd-m365:latest": "Contoso:windows-11:office:3.1",
		"MicrosoftWindowsDesktop:office-365:win11-24h2-avd-m365:26100":  "Deskyard:debian-12:desktop:1.0",
		"MicrosoftWindowsDesktop:windows-11:win11-24h2-avd":             "Deskyard:debian-12:desktop:1.0",
	} {
		if got, err := resolve(c, "x", urn); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", urn, got, err, want)
		}
	}
	if i, err := c.Resolve(t.Context(), "x", deskyard.ImageReference{ID: strings.ToUpper(id)}); err != nil || i.ID != "Contoso:windows-11:office:3.1" {
		t.Errorf("by an image resource's id: %s, %v", i.ID, err)
	}
	if _, err := resolve(c, "x", "Gone:a:b:1"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "stands for Deskyard:debian-11:desktop:latest") {
		t.Errorf("an alias to nothing: %v", err)
	}
	if err := c.RemoveAlias("MicrosoftWindowsDesktop:*:*"); err != nil {
		t.Fatal(err)
	}
	if _, err := resolve(c, "x", "MicrosoftWindowsDesktop:windows-11:win11-24h2-avd"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after the alias is gone: %v", err)
	}
	if err := c.RemoveAlias("MicrosoftWindowsDesktop:*:*"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	for _, bad := range []Alias{{"a:b", "a:b:c"}, {"a:b:c", "a:b"}, {"a:b:c", "a:*:c"}, {"a:b/c:d", "a:b:c"}, {"a:b:c", "a:b:c:x"}} {
		if err := c.SetAlias(bad); err == nil {
			t.Errorf("the alias %v was set", bad)
		}
	}
}

func TestACatalogueThatIsOpenSeesWhatAnotherProcessDoes(t *testing.T) {
	service := openCatalogue(t)
	past := time.Now().Add(-time.Hour) // long settled, so that the answer comes from memory
	if err := os.Chtimes(service.Dir(), past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := resolve(service, "", "a:b:c"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	operator, err := Open(service.Dir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	importTiny(t, operator, "a:b:c:1")
	if got, err := resolve(service, "", "a:b:c"); err != nil || got != "a:b:c:1" {
		t.Errorf("after an import: %s, %v", got, err)
	}
	if err := operator.Remove("a:b:c:1", func(string) ([]string, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if got, err := resolve(service, "", "a:b:c"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after its removal: %s, %v", got, err)
	}
}

func TestAFolderWithADamagedManifestHidesNoOtherImage(t *testing.T) {
	c := openCatalogue(t)
	good := importTiny(t, c, "a:b:c:1")
	bad := importTiny(t, c, "a:b:c:2")
	if err := errors.Join(os.Chmod(filepath.Join(bad.Folder, manifestName), 0o644), os.WriteFile(filepath.Join(bad.Folder, manifestName), []byte("{"), 0o644)); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(c.Dir(), "a+b+c+3") // a copy under another name is not another image
	if err := os.CopyFS(moved, os.DirFS(good.Folder)); err != nil {
		t.Fatal(err)
	}
	if got, err := resolve(c, "", "a:b:c"); err != nil || got != "a:b:c:1" {
		t.Errorf("latest is %s, %v", got, err)
	}
	faults, err := c.Faults()
	if err != nil || len(faults) != 2 {
		t.Errorf("faults %v, %v; want both folders", faults, err)
	}
}

func TestAnImageInUseStays(t *testing.T) {
	c := openCatalogue(t)
	e := importTiny(t, c, "a:b:c:1")
	disk := e.Image().Path
	clone := filepath.Join(t.TempDir(), "clone.qcow2")
	qemuImg(t, t.TempDir(), "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk, clone)
	users := func(of string) ([]string, error) {
		from, err := ClonedFrom(clone)
		if from != of {
			return nil, err
		}
		return []string{"sh-0"}, err
	}
	if err := c.Remove("a:b:c:1", users); err == nil || !strings.Contains(err.Error(), "sh-0") {
		t.Errorf("removing what sh-0 runs on: %v", err)
	}
	if err := c.Verify(t.Context(), e, nil); err != nil {
		t.Error(err)
	}
	if err := c.Remove("a:b:c", users); err == nil {
		t.Error("an image was to be removed without its version")
	}
	if err := os.Remove(clone); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove("a:b:c:1", func(string) ([]string, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(c.Dir()); err != nil || len(left) != 1 || left[0].Name() != ".lock" {
		t.Errorf("left: %v, %v", left, err)
	}
}
