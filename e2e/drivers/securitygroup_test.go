//go:build e2e

package drivers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// ports are those that anybody would try first: SSH and RDP.
var ports = []int{22, 3389}

const securityGroup = "Microsoft.Network/networkSecurityGroups/desks"

// guarded is the whole service with machines on a bridge, in one security group.
type guarded struct{ *yard.Yard }

func TestSecurityGroupsOpenWhatTheyAllowAndNothingElse(t *testing.T) {
	if apart(t) {
		opensWhatGroupsAllow(t, "{name: here, driver: qemu, network: bridge}")
	}
}

// opensWhatGroupsAllow makes two machines through the management API, on a bridge of a
// hypervisor, and calls them from a network beyond their gateway. Their guest answers
// at every port of ports once it is up.
func opensWhatGroupsAllow(t *testing.T, hypervisor string) {
	ctx := yardtest.Deadline(t, 5*time.Minute)
	g := guard(ctx, t, hypervisor)
	machines := map[string]string{"nb-0": "10.0.2.21", "nb-1": "10.0.2.22"}
	for name, at := range machines {
		stand(ctx, t, g.Yard, wanted{name: name, address: at, group: securityGroup})
	}
	out := newOutside(t)
	calls := func(what string, open ...int) {
		t.Helper()
		for _, at := range machines { // all are in the group
			await(ctx, t, fmt.Sprintf("%s: %s has %v open", what, at, open), func() bool { return fmt.Sprint(out.reach(at)) == fmt.Sprint(open) })
		}
		t.Logf("%s: open from outside are %v", what, open)
	}
	calls("no rule")
	g.rule(ctx, t, "ssh", 300, "Allow", "22")
	calls("22 is allowed at 300", 22)
	g.rule(ctx, t, "no-ssh", 200, "Deny", "20-30")
	calls("and denied at 200")
	g.rule(ctx, t, "no-ssh", 400, "Deny", "20-30")
	calls("and denied at 400", 22)
	g.rule(ctx, t, "rdp", 310, "Allow", "3389")
	calls("3389 is allowed too", 22, 3389)
	g.delete(ctx, t, securityGroup+"/securityRules/ssh")
	calls("the rule for 22 is removed", 3389)
	g.delete(ctx, t, securityGroup+"/securityRules/rdp")
	calls("the rule for 3389 is removed") // as at first, when the guests may not have been up
	for name := range machines {
		g.delete(ctx, t, "Microsoft.Compute/virtualMachines/"+name)
		await(ctx, t, name+" is gone", func() bool {
			return service.IsStatus(g.Get(ctx, "Microsoft.Compute/virtualMachines/"+name, "2024-07-01", nil), http.StatusNotFound)
		})
		g.delete(ctx, t, "Microsoft.Network/networkInterfaces/"+name+"-nic")
	}
	if orphans, err := g.Orphans(ctx); err != nil || len(orphans) > 0 {
		t.Errorf("orphans: %s, %v", orphans, err)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Alias, "deskyard:") {
			t.Errorf("device %s is left", l.Attrs().Name)
		}
	}
}

// guard starts the service with a bridge, the test guest's image and an empty group.
func guard(ctx context.Context, t *testing.T, hypervisor string) guarded {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "dynsg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	image := testImage(t).Compute()
	image.Arguments += " listen=22,3389"
	binary := importImage(ctx, t, image, dir)
	hypervisors := filepath.Join(dir, "hypervisors.yaml")
	if err := os.WriteFile(hypervisors, []byte("hypervisors:\n- "+hypervisor+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	y, err := yard.Open(ctx, yard.Options{Binary: binary, Dir: dir, Arguments: []string{"--hypervisors", hypervisors}})
	if err != nil {
		t.Fatal(err)
	}
	g := guarded{y}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the service's log ends:\n%s", g.Service.Log(40))
		}
		if err := errors.Join(g.Clear(context.WithoutCancel(ctx)), g.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := g.Put(ctx, securityGroup, "2023-09-01", map[string]any{"location": "local", "properties": map[string]any{}}); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g guarded) delete(ctx context.Context, t *testing.T, resource string) {
	t.Helper()
	version := "2023-09-01"
	if strings.HasPrefix(resource, "Microsoft.Compute") {
		version = "2024-07-01"
	}
	if err := g.Client.Do(ctx, http.MethodDelete, g.ID(resource)+"?api-version="+version, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// rule writes a rule about calls to a port from anywhere.
func (g guarded) rule(ctx context.Context, t *testing.T, name string, priority int, access, port string) {
	t.Helper()
	err := g.Put(ctx, securityGroup+"/securityRules/"+name, "2023-09-01", map[string]any{"properties": map[string]any{
		"protocol": "Tcp", "direction": "Inbound", "access": access, "priority": priority,
		"sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": port,
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// outside is a network beyond the machines' gateway: a namespace with one wire to this
// one, entered by one thread.
type outside struct{ work chan func() }

// newOutside lays the wire and has this namespace forward, as a router does.
func newOutside(t *testing.T) outside {
	t.Helper()
	o := emptyOutside(t)
	err := errors.Join(o.wire(), address("router", "192.0.2.1/24"), os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0))
	if err != nil {
		t.Fatal(err)
	}
	o.do(func() {
		err = errors.Join(address("outside", "192.0.2.2/24"), netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(192, 0, 2, 1)}))
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// emptyOutside is a namespace with nothing in it.
func emptyOutside(t *testing.T) outside {
	t.Helper()
	o := outside{make(chan func())}
	ready, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range o.work {
			f()
		}
	}()
	t.Cleanup(func() { close(o.work); <-done })
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	return o
}

// wire makes a device here, "router", whose other end is "outside" there.
func (o outside) wire() error {
	var ns *os.File
	var err error
	o.do(func() { ns, err = os.Open("/proc/thread-self/ns/net") })
	if err != nil {
		return err
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "router"
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "outside", PeerNamespace: netlink.NsFd(ns.Fd())})
}

// do runs f on the thread that is outside.
func (o outside) do(f func()) {
	done := make(chan struct{})
	o.work <- func() { defer close(done); f() }
	<-done
}

// reach tells at which ports an address answers whoever is outside.
func (o outside) reach(at string) []int { return o.reachFrom("", at) }

// reachFrom is reach from one of several addresses that are outside.
func (o outside) reachFrom(from, at string) []int {
	open := []int{}
	dialer := net.Dialer{Timeout: time.Second}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	for _, p := range ports {
		o.do(func() {
			c, err := dialer.Dial("tcp4", net.JoinHostPort(at, strconv.Itoa(p)))
			if err != nil {
				return
			}
			defer c.Close()
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			if n, _ := c.Read(make([]byte, 16)); n > 0 {
				open = append(open, p)
			}
		})
	}
	return open
}

// address gives a device its address and brings it up.
func address(device, prefix string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(link, a), netlink.LinkSetUp(link))
}
