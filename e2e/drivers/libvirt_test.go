//go:build e2e

package drivers

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
	"github.com/deskyard/deskyard/compute/libvirt"
)

// openedLibvirt are the drivers over each folder; the last are closed with the first.
var openedLibvirt = map[string][]*libvirt.Driver{}

// openLibvirt opens a driver over the libvirtd that libvirt-run started.
func openLibvirt(t *testing.T, h computetest.Host) compute.Driver {
	t.Helper()
	uri := "qemu+unix:///system?socket=" + filepath.Join(os.Getenv("DESKYARD_LIBVIRT_RUN"), "libvirt-sock")
	if err := os.Chmod(h.Folder, 0o711); err != nil { // QEMU runs as libvirt-qemu
		t.Fatal(err)
	}
	pool := filepath.Base(h.Folder)
	d, err := libvirt.New(libvirt.Options{URI: uri, Pool: pool, Folder: filepath.Join(h.Folder, "pool"), Owner: computetest.Owner, Log: h.Log})
	if err != nil {
		t.Fatal(err)
	}
	openedLibvirt[h.Folder] = append(openedLibvirt[h.Folder], d)
	if len(openedLibvirt[h.Folder]) == 1 {
		t.Cleanup(func() {
			for _, d := range openedLibvirt[h.Folder] {
				d.Close()
			}
			for _, verb := range []string{"pool-destroy", "pool-undefine"} {
				if out, err := exec.Command("virsh", "-q", "-c", uri, verb, pool).CombinedOutput(); err != nil {
					t.Errorf("%s %s: %v: %s", verb, pool, err, out)
				}
			}
		})
	}
	return d
}

func TestLibvirtBootsGuests(t *testing.T) {
	if os.Getenv("DESKYARD_LIBVIRT_RUN") == "" {
		t.Skip("no libvirtd of the test's own: run e2e/drivers/libvirt-run")
	}
	computetest.RunBooted(t, computetest.Options{New: openLibvirt, Image: testImage(t).Compute(), Network: subnet})
}
