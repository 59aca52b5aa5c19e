//go:build e2e

package libvirt

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
)

// runFolder is where the test's own libvirtd has its sockets and process ids.
func runFolder(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("DESKYARD_LIBVIRT_RUN")
	if dir == "" {
		t.Skip("no libvirtd of the test's own: run e2e/drivers/libvirt-run")
	}
	return dir
}

var subnet = compute.Network{ID: "subnet", Prefix: netip.MustParsePrefix("10.82.0.0/24"), Gateway: netip.MustParseAddr("10.82.0.1")}

// probed is the accelerator of this host: one probe for all tests.
var probed *accelerator

// opened are the drivers over each folder; the last are closed with the first.
var opened = map[string][]*Driver{}

// openDriver opens a driver with a pool of its own in the host's folder.
func openDriver(t *testing.T, h computetest.Host, change func(*Options)) *Driver {
	t.Helper()
	run := runFolder(t)
	if err := os.Chmod(h.Folder, 0o711); err != nil { // QEMU runs as libvirt-qemu
		t.Fatal(err)
	}
	o := Options{
		URI: "qemu+unix:///system?socket=" + filepath.Join(run, "libvirt-sock"), Pool: filepath.Base(h.Folder), Folder: filepath.Join(h.Folder, "pool"),
		Owner: computetest.Owner, Log: h.Log, Grace: time.Second,
	}
	if change != nil {
		change(&o)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if probed == nil {
		a, err := d.accelerated(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		probed = &a
		t.Logf("%s %s", a.name, a.reason)
	}
	d.accel = probed
	opened[h.Folder] = append(opened[h.Folder], d)
	if len(opened[h.Folder]) == 1 {
		t.Cleanup(func() {
			for _, d := range opened[h.Folder] {
				d.Close()
			}
			dropPool(t, o)
		})
	}
	return d
}

// dropPool has libvirt forget the test's pool.
func dropPool(t *testing.T, o Options) {
	d, err := New(o)
	if err != nil {
		t.Error(err)
		return
	}
	defer d.Close()
	err = d.do(context.Background(), slow, func(l *golibvirt.Libvirt) error {
		p, err := l.StoragePoolLookupByName(o.Pool)
		if is(err, golibvirt.ErrNoStoragePool) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.StoragePoolDestroy(p); err != nil {
			return err
		}
		return l.StoragePoolUndefine(p)
	})
	if err != nil {
		t.Errorf("forget pool %s: %v", o.Pool, err)
	}
}

func emptyImage(t *testing.T) compute.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base.qcow2")
	if out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", path, "1G").CombinedOutput(); err != nil {
		t.Fatalf("make an image: %v: %s", err, out)
	}
	return compute.Image{ID: "empty", Path: path, Format: "qcow2", VirtualBytes: 1 << 30, OS: "linux", Firmware: "bios", Provisioning: "deskyard"}
}

// processID reads a process id that the daemon or the script wrote.
func processID(t *testing.T, pattern string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(runFolder(t), pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("process ids %s: %v, %v", pattern, files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func suite(t *testing.T, change func(*testing.T, *Options)) computetest.Options {
	return computetest.Options{
		New: func(t *testing.T, h computetest.Host) compute.Driver {
			return openDriver(t, h, func(o *Options) {
				if change != nil {
					change(t, o)
				}
			})
		},
		Image:   emptyImage(t),
		Network: subnet,
		Kill: func(t *testing.T, _ compute.Driver, _ computetest.Host, id string) {
			if err := syscall.Kill(processID(t, "qemu/deskyard-*-"+id[:8]+".pid"), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		},
		Cut: func(t *testing.T, _ compute.Driver, _ computetest.Host, _ string) func() {
			pid := processID(t, "libvirtd.test-pid")
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
					t.Error(err)
				}
			}
		},
	}
}

func TestDriverKeepsTheContract(t *testing.T) {
	runFolder(t)
	computetest.Run(t, suite(t, nil))
}

// TestOtherHostsAreAsThisOne runs the contract over TLS, as with another host, with
// filters of libvirt's on an existing bridge.
func TestOtherHostsAreAsThisOne(t *testing.T) {
	uri := "qemu+tls://localhost/system?pkipath=" + pki(t, "host")
	o := suite(t, func(_ *testing.T, o *Options) { o.URI, o.Network = uri, compute.NetworkBridge })
	o.Network.Bridge = "dytest0"
	computetest.Run(t, o)
}
