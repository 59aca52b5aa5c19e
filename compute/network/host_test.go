package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/compute"
)

// inside says that this process is in a network namespace of its own.
const inside = "DESKYARD_NETWORK_TEST"

// TestMain runs the tests again in namespaces of their own, where root may do to the
// network what it likes.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "network tests in a namespace of their own:", err)
		os.Exit(1)
	}
}

const one, two, three = "6a6f1c9e-0000-4000-8000-000000000001", "6a6f1c9e-0000-4000-8000-000000000002", "6a6f1c9e-0000-4000-8000-000000000003"

var subnet = compute.Network{
	ID: "vnet/subnets/a", Prefix: netip.MustParsePrefix("10.90.1.0/24"), Gateway: netip.MustParseAddr("10.90.1.1"),
	DNS: []netip.Addr{netip.MustParseAddr("10.90.1.53")},
}

func nic(last byte, n compute.Network) compute.NIC {
	a := n.Prefix.Addr().As4()
	a[3] = last
	return compute.NIC{MAC: fmt.Sprintf("02:00:5e:%02x:00:%02x", a[2], last), Network: n, Address: netip.AddrFrom4(a)}
}

func needNetwork(t *testing.T) {
	t.Helper()
	if os.Getenv(inside) == "" {
		t.Skip("needs root, for a network namespace")
	}
	if _, err := os.Stat(nftPath()); err != nil {
		t.Skip("needs nft (apt-get install nftables)")
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o Options) *Host {
	t.Helper()
	needNetwork(t)
	if o.Folder == "" {
		o.Folder = t.TempDir()
	}
	o.Owner = "test"
	o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	h, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if !h.closed {
			for _, id := range []string{one, two, three} {
				if err := h.Detach(ctx, id); err != nil {
					t.Error(err)
				}
			}
		}
		h.Close()
	})
	return h
}

func attach(t *testing.T, h *Host, id string, n compute.NIC) string {
	t.Helper()
	device, err := h.Attach(t.Context(), id, 0, n)
	if err != nil {
		t.Fatal(err)
	}
	return device
}

// guest is a network namespace behind a tap: what is sent there comes out of the tap,
// as from a machine that QEMU runs.
type guest struct {
	t    *testing.T
	ns   int // the namespace's descriptor
	name string
}

// plug makes a guest and puts it behind a tap.
func plug(t *testing.T, tap, mac string) *guest {
	t.Helper()
	g := &guest{t: t, name: "eth0"}
	outside, err := openTap(tap)
	if err != nil {
		t.Fatal(err)
	}
	var within *os.File
	ready := make(chan error)
	go func() { // on a thread of its own that ends with it
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			g.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		if err == nil {
			within, err = openTap(g.name)
		}
		var link netlink.Link
		if err == nil {
			link, err = netlink.LinkByName(g.name)
		}
		if err == nil {
			hw, _ := net.ParseMAC(mac)
			err = errors.Join(netlink.LinkSetHardwareAddr(link, hw), netlink.LinkSetUp(link))
		}
		ready <- err
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	relay := func(to, from *os.File) {
		frame := make([]byte, 65536)
		for {
			n, err := from.Read(frame)
			if err != nil {
				return
			}
			if _, err := to.Write(frame[:n]); err != nil && errors.Is(err, os.ErrClosed) {
				return
			}
		}
	}
	wg.Go(func() { relay(outside, within) })
	wg.Go(func() { relay(within, outside) })
	t.Cleanup(func() {
		outside.Close()
		within.Close()
		wg.Wait()
		unix.Close(g.ns)
	})
	return g
}

// openTap opens a tap device as QEMU does, making it if need be.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], name)
	request.flags = unix.IFF_TAP | unix.IFF_NO_PI
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request))); errno != 0 {
		unix.Close(fd)
		return nil, fmt.Errorf("open tap %s: %w", name, errno)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// in runs f on a thread that is in the guest's namespace.
func (g *guest) in(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(g.ns, unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err // the thread, which is in another namespace now, ends with the goroutine
	}()
	return <-done
}

// dhcp asks for an address and takes it.
func (g *guest) dhcp(mac string) (*dhcpv4.DHCPv4, error) {
	var ack *dhcpv4.DHCPv4
	err := g.in(func() error {
		hw, err := net.ParseMAC(mac)
		if err != nil {
			return err
		}
		client, err := nclient4.New(g.name, nclient4.WithHWAddr(hw), nclient4.WithTimeout(500*time.Millisecond), nclient4.WithRetry(3))
		if err != nil {
			return err
		}
		defer client.Close()
		lease, err := client.Request(context.WithoutCancel(g.t.Context()))
		if err == nil {
			ack = lease.ACK
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return ack, nil
}

// address gives the guest an address by hand.
func (g *guest) address(cidr string, gateway netip.Addr) {
	g.t.Helper()
	err := g.in(func() error {
		link, err := netlink.LinkByName(g.name)
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		if err := netlink.AddrReplace(link, a); err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil || !gateway.IsValid() {
			return err
		}
		return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()})
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// boot has the guest take its address by DHCP.
func (g *guest) boot(n compute.NIC) {
	g.t.Helper()
	ack, err := g.dhcp(n.MAC)
	if err != nil {
		g.t.Fatalf("no address by DHCP: %v", err)
	}
	ones, _ := ack.SubnetMask().Size()
	if got := ack.YourIPAddr.String(); got != n.Address.String() {
		g.t.Fatalf("DHCP gave %s, not %s", got, n.Address)
	}
	g.address(fmt.Sprintf("%s/%d", ack.YourIPAddr, ones), netip.MustParseAddr(ack.Router()[0].String()))
}

// listen answers "hello" and the caller's address to whoever connects.
func (g *guest) listen(addr string) {
	g.t.Helper()
	var l net.Listener
	err := g.in(func() (err error) {
		l, err = net.Listen("tcp4", addr)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	serve(g.t, l)
}

func serve(t *testing.T, l net.Listener) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "hello %s", c.RemoteAddr().(*net.TCPAddr).IP)
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
}

// call connects from the guest, and returns what it was told.
func (g *guest) call(addr string, within time.Duration) (said string, err error) {
	err = g.in(func() error { said, err = call(addr, within); return err })
	return said, err
}

const (
	connectFor = 5 * time.Second // what must succeed; it takes a millisecond on an idle host
	refusedIn  = 700 * time.Millisecond
)

func call(addr string, within time.Duration) (string, error) {
	c, err := net.DialTimeout("tcp4", addr, within)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	b, err := io.ReadAll(c)
	return string(b), err
}

func (g *guest) reaches(addr string) {
	g.t.Helper()
	if said, err := g.call(addr, connectFor); err != nil || !strings.HasPrefix(said, "hello") {
		g.t.Errorf("%s is not reached: %q, %v", addr, said, err)
	}
}

func (g *guest) isCutFrom(addr string) {
	g.t.Helper()
	if said, err := g.call(addr, refusedIn); err == nil {
		g.t.Errorf("%s is reached: %q", addr, said)
	}
}
