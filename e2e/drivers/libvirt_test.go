//go:build e2e

package drivers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
	"github.com/deskyard/deskyard/compute/libvirt"
)

// openedLibvirt are the drivers over each folder; the last are closed with the first.
var openedLibvirt = map[string][]*libvirt.Driver{}

// libvirtRun is where the libvirtd that libvirt-run started has its sockets.
func libvirtRun(t *testing.T) string {
	t.Helper()
	run := os.Getenv("DESKYARD_LIBVIRT_RUN")
	if run == "" {
		t.Skip("no libvirtd of the test's own: run e2e/drivers/libvirt-run")
	}
	return run
}

func libvirtURI(t *testing.T) string {
	t.Helper()
	return "qemu+unix:///system?socket=" + filepath.Join(libvirtRun(t), "libvirt-sock")
}

// apartWithLibvirt runs a test where that libvirtd is, as another process: in its
// network namespace, with its bridges, and where qemu:///system is it.
func apartWithLibvirt(t *testing.T) (here bool) {
	t.Helper()
	run := libvirtRun(t)
	if os.Getenv(inside) != "" {
		return true
	}
	pid, err := os.ReadFile(filepath.Join(run, "libvirtd.test-pid"))
	if err != nil {
		t.Fatal(err)
	}
	again(t, nil, "nsenter", "--mount", "--net", "--wdns="+folderOf(t), "--target", strings.TrimSpace(string(pid)), "--")
	return false
}

func folderOf(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// openLibvirt opens a driver over that libvirtd.
func openLibvirt(t *testing.T, h computetest.Host) compute.Driver {
	t.Helper()
	return openLibvirtWith(t, h, libvirt.Options{})
}

func bridgedLibvirt(t *testing.T, h computetest.Host, b compute.Bridges) compute.Driver {
	t.Helper()
	return openLibvirtWith(t, h, libvirt.Options{Network: compute.NetworkBridge, Bridges: b, Grace: time.Second})
}

func openLibvirtWith(t *testing.T, h computetest.Host, o libvirt.Options) compute.Driver {
	t.Helper()
	if err := os.Chmod(h.Folder, 0o711); err != nil { // QEMU runs as libvirt-qemu
		t.Fatal(err)
	}
	if o.URI == "" {
		o.URI = libvirtURI(t)
	}
	o.Pool, o.Folder, o.Owner, o.Log = filepath.Base(h.Folder), filepath.Join(h.Folder, "pool"), computetest.Owner, h.Log
	d, err := libvirt.New(o)
	if err != nil {
		t.Fatal(err)
	}
	openedLibvirt[h.Folder] = append(openedLibvirt[h.Folder], d)
	if len(openedLibvirt[h.Folder]) == 1 {
		t.Cleanup(func() {
			for _, d := range openedLibvirt[h.Folder] {
				d.Close()
			}
			forgetPool(t, o.Pool)
		})
	}
	return d
}

// forgetPool has libvirtd forget a storage pool.
func forgetPool(t *testing.T, pool string) {
	t.Helper()
	for _, verb := range []string{"pool-destroy", "pool-undefine"} {
		if out, err := exec.Command("virsh", "-q", "-c", libvirtURI(t), verb, pool).CombinedOutput(); err != nil {
			t.Errorf("%s %s: %v: %s", verb, pool, err, out)
		}
	}
}

func TestLibvirtBootsGuests(t *testing.T) {
	libvirtRun(t)
	computetest.RunBooted(t, computetest.Options{New: openLibvirt, Image: testImage(t).Compute(), Network: subnet})
}

func TestLibvirtOnBridgesFiltersWhatGuestsSend(t *testing.T) {
	if apartWithLibvirt(t) {
		filtersWhatGuestsSend(t, onBridges(t, bridgedLibvirt))
	}
}

// TestLibvirtsMachinesAreInSecurityGroups is the whole service over qemu:///system.
func TestLibvirtsMachinesAreInSecurityGroups(t *testing.T) {
	if !apartWithLibvirt(t) {
		return
	}
	pool, err := os.MkdirTemp("", "dypool")
	if err == nil {
		err = os.Chmod(pool, 0o711) // QEMU runs as libvirt-qemu
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		forgetPool(t, "deskyard")
		os.RemoveAll(pool)
	})
	opensWhatGroupsAllow(t, fmt.Sprintf("{name: here, driver: libvirt, uri: %q, folder: %q, network: bridge}", "qemu:///system", filepath.Join(pool, "pool")))
}
