//go:build e2e

package drivers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
	"github.com/deskyard/deskyard/compute/network"
	"github.com/deskyard/deskyard/compute/qemu"
)

// inside says that this process is in a network namespace of its own.
const inside = "DESKYARD_DRIVERS_INSIDE"

// apart runs a test in a network namespace of its own, as another process.
func apart(t *testing.T) (here bool) {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a network namespace")
	}
	again(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	return false
}

// again runs this test as another process, which finds itself inside; through comes
// before its command line.
func again(t *testing.T, attr *syscall.SysProcAttr, through ...string) {
	t.Helper()
	image := testImage(t)
	line := append(through, os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "20m")
	cmd := exec.CommandContext(t.Context(), line[0], line[1:]...)
	cmd.Env = append(os.Environ(), inside+"="+image.Dir)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	t.Logf("in a network namespace:\n%s", out)
	if err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// onBridges opens a driver with the host's networks, anew for the same folder.
func onBridges(t *testing.T, driver func(*testing.T, computetest.Host, compute.Bridges) compute.Driver) func(t *testing.T, h computetest.Host) compute.Driver {
	open := map[string]*network.Host{}
	t.Cleanup(func() {
		for _, n := range open {
			n.Close()
		}
	})
	return func(t *testing.T, h computetest.Host) compute.Driver {
		t.Helper()
		if former := open[h.Folder]; former != nil {
			former.Close()
		}
		n, err := network.Open(t.Context(), network.Options{Folder: h.Folder + "/network", Owner: computetest.Owner, Log: h.Log})
		if err != nil {
			t.Fatal(err)
		}
		open[h.Folder] = n
		return driver(t, h, n)
	}
}

func bridgedQEMU(t *testing.T, h computetest.Host, b compute.Bridges) compute.Driver {
	t.Helper()
	d, err := qemu.New(qemu.Options{Folder: h.Folder, Owner: computetest.Owner, Network: compute.NetworkBridge, Bridges: b, Log: h.Log, Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestQEMUOnBridgesKeepsTheContract(t *testing.T) {
	if !apart(t) {
		return
	}
	computetest.Run(t, computetest.Options{New: onBridges(t, bridgedQEMU), Image: testImage(t).Compute(), Network: subnet})
}

func TestQEMUOnBridgesFiltersWhatGuestsSend(t *testing.T) {
	if apart(t) {
		filtersWhatGuestsSend(t, onBridges(t, bridgedQEMU))
	}
}

// filtersWhatGuestsSend boots guests that call the host behind their gateway's address,
// with and without a rule against it.
func filtersWhatGuestsSend(t *testing.T, open func(*testing.T, computetest.Host) compute.Driver) {
	dir, err := os.MkdirTemp("", "dybr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := open(t, computetest.Host{Folder: dir})
	ctx := context.WithoutCancel(t.Context())
	spec := func(name string, last byte, port int) compute.Spec {
		image := testImage(t).Compute()
		image.Arguments += fmt.Sprintf(" call=%s:%d", subnet.Gateway, port)
		address := subnet.Prefix.Addr().As4()
		address[3] = last
		s := compute.Spec{ID: uuid.NewString(), Owner: computetest.Owner, Name: name, CPUs: 2, MemoryMB: 256, Image: image, NICs: []compute.NIC{{
			MAC: fmt.Sprintf("02:00:5e:91:00:%02x", last), Network: subnet, Address: netip.AddrFrom4(address),
		}}}
		t.Cleanup(func() {
			if err := d.Remove(ctx, s.ID); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	free, barred := spec("free", 21, 8080), spec("barred", 22, 8080)
	barred.NICs[0].Rules = []compute.Rule{{Name: "DenyWeb", Priority: 100, Protocol: "tcp", DestPorts: []compute.PortRange{{From: 8080, To: 8080}}}}
	for _, s := range []compute.Spec{free, barred} {
		if err := d.Ensure(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	greet(t, subnet.Gateway.String()+":8080") // the bridge is there since Ensure
	for _, s := range []compute.Spec{free, barred} {
		if err := d.Power(ctx, s.ID, compute.Start); err != nil {
			t.Fatal(err)
		}
		report := awaitLine(t, d, s.ID, `"guest":"report"`)
		if !strings.Contains(report, `"address":"`+s.NICs[0].Address.String()+`"`) {
			t.Errorf("%s has not the address %s: %s", s.Name, s.NICs[0].Address, report)
		}
		if reached := strings.Contains(report, "hello "+s.NICs[0].Address.String()); reached != (s.Name == "free") {
			t.Errorf("%s reached the host: %t\n%s", s.Name, reached, report)
		}
		if err := d.Remove(ctx, s.ID); err != nil {
			t.Error(err)
		}
	}
	if items, err := d.Inventory(ctx, computetest.Owner); err != nil || len(items) > 0 {
		t.Errorf("left: %v, %v", items, err)
	}
}

// greet tells whoever connects to addr by which address it is seen.
func greet(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "hello %s", c.RemoteAddr().(*net.TCPAddr).IP)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}
