//go:build e2e

package drivers

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
)

// Where Debian has its boot loaders.
const (
	signedShim   = "/usr/lib/shim/shimx64.efi.signed"
	signedGRUB   = "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
	unsignedGRUB = "/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi"
)

const grubConfig = `set timeout=0
linux /vmlinuz ` + Arguments + `
initrd /initrd
boot
`

// bootable makes a disk that UEFI boots: a FAT file system with a loader at the path
// that firmware looks for on any disk.
func bootable(t *testing.T, loader, next string) compute.Image {
	t.Helper()
	dir, err := os.MkdirTemp(imageDir, "esp") // other users' hypervisors read it
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, config := filepath.Join(dir, "esp"), filepath.Join(dir, "grub.cfg")
	if err := os.WriteFile(config, []byte(grubConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	guest := testImage(t)
	steps := [][]string{
		{"truncate", "-s", "1G", raw}, {"mformat", "-i", raw, "-F", "-h", "64", "-s", "32", "-T", "1048576", "::"}, // 512 MiB: what follows is the guest's to count boots in
		{"mmd", "-i", raw, "::/EFI", "::/EFI/BOOT", "::/EFI/debian"},
		{"mcopy", "-i", raw, loader, "::/EFI/BOOT/BOOTX64.EFI"},
		{"mcopy", "-i", raw, config, "::/EFI/debian/grub.cfg"},
		{"mcopy", "-i", raw, filepath.Join(guest.Dir, "vmlinuz"), "::/vmlinuz"},
		{"mcopy", "-i", raw, filepath.Join(guest.Dir, "initrd"), "::/initrd"},
		{"qemu-img", "convert", "-q", "-O", "qcow2", raw, raw + ".qcow2"},
	}
	if next != "" {
		steps = append(steps[:4:4], append([][]string{{"mcopy", "-i", raw, next, "::/EFI/BOOT/grubx64.efi"}}, steps[4:]...)...)
	}
	for _, s := range steps {
		if err := run(t.Context(), "", s...); err != nil {
			t.Fatal(err)
		}
	}
	return compute.Image{ID: "uefi", Path: raw + ".qcow2", Format: "qcow2", VirtualBytes: 1 << 30, OS: "linux", Firmware: "uefi", Provisioning: "deskyard"}
}

// launch starts a trusted machine from an image and returns what it wrote once done
// is among it.
func launch(t *testing.T, d compute.Driver, image compute.Image, done ...string) string {
	t.Helper()
	s := compute.Spec{ID: uuid.NewString(), Owner: computetest.Owner, Name: "trusted", CPUs: 2, MemoryMB: 512, Image: image, SecureBoot: true, TPM: true}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := d.Remove(ctx, s.ID); err != nil {
			t.Error(err)
		}
	})
	if err := d.Ensure(ctx, s); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := d.Power(ctx, s.ID, compute.Start); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for deadline := start.Add(4 * time.Minute); ; <-tick.C {
		text, err := d.Console(ctx, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range done {
			if strings.Contains(string(text), what) {
				t.Logf("%q after %.1f s", what, time.Since(start).Seconds())
				return string(text)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("none of %q was written:\n%s", done, text)
		}
	}
}

func TestTrustedLaunch(t *testing.T) { trusts(t, openQEMU) }

func TestLibvirtTrustedLaunch(t *testing.T) {
	libvirtRun(t)
	trusts(t, openLibvirt)
}

// trusts boots what Microsoft's and Debian's keys signed, and nothing else.
func trusts(t *testing.T, open func(*testing.T, computetest.Host) compute.Driver) {
	for _, f := range []string{signedShim, signedGRUB, unsignedGRUB} {
		if _, err := os.Stat(f); err != nil {
			t.Fatalf("apt-get install shim-signed grub-efi-amd64-signed grub-efi-amd64-bin ovmf swtpm swtpm-tools mtools: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "dytl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := open(t, computetest.Host{Folder: dir})

	t.Run("SignedLoadersBootAndTheGuestKnows", func(t *testing.T) {
		text := launch(t, d, bootable(t, signedShim, signedGRUB), `"guest":"report"`, "Access Denied", "Security Violation")
		for _, want := range []string{`"secureBoot":true`, `"tpm":"2"`, `"guest":"report"`} {
			if !strings.Contains(text, want) {
				t.Errorf("the guest does not say %s:\n%s", want, text)
			}
		}
	})
	t.Run("AnUnsignedLoaderIsRefused", func(t *testing.T) {
		text := launch(t, d, bootable(t, unsignedGRUB, ""), "Access Denied", "Security Violation", `"guest":"report"`)
		if strings.Contains(text, `"guest":"report"`) {
			t.Error("an unsigned loader was started")
		}
	})
	t.Run("AnUnsignedSecondStageIsRefused", func(t *testing.T) {
		text := launch(t, d, bootable(t, signedShim, unsignedGRUB), "Security Violation", "Access Denied", "Verification failed", `"guest":"report"`)
		if strings.Contains(text, `"guest":"report"`) {
			t.Error("shim started a GRUB that nobody signed")
		}
	})
}
