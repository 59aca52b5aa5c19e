//go:build e2e

package drivers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
	"github.com/deskyard/deskyard/compute/libvirt"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// elsewhere is a network of another host's own, whose gateway is beyond its bridge.
var elsewhere = compute.Network{ID: "elsewhere", Prefix: netip.MustParsePrefix("10.83.0.0/24"), Gateway: netip.MustParseAddr("10.83.0.1"), Bridge: "nwf0"}

// Others in and beyond that network.
const (
	neighbour = "10.83.0.7"
	stranger  = "192.0.2.2"
)

// uplinked makes that network: a bridge with an uplink, and outside what is behind it.
func uplinked(t *testing.T) outside {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = elsewhere.Bridge
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(bridge); err != nil {
			t.Error(err)
		}
	})
	o := emptyOutside(t)
	if err := o.wire(); err != nil {
		t.Fatal(err)
	}
	port, err := netlink.LinkByName("router")
	if err == nil {
		err = errors.Join(netlink.LinkSetMaster(port, bridge), netlink.LinkSetUp(port), netlink.LinkSetUp(bridge))
	}
	if err != nil {
		t.Fatal(err)
	}
	o.do(func() {
		err = errors.Join(address("outside", elsewhere.Gateway.String()+"/24"), address("outside", neighbour+"/24"), address("outside", stranger+"/32"))
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestLibvirtOfAnotherHostFiltersWhatGuestsSendAndGet boots guests over TLS, on a
// bridge that was there, where libvirt's own filters stand for security groups.
func TestLibvirtOfAnotherHostFiltersWhatGuestsSendAndGet(t *testing.T) {
	if !apartWithLibvirt(t) {
		return
	}
	ctx := yardtest.Deadline(t, 4*time.Minute)
	dir, err := os.MkdirTemp("", "dyelse")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	uri := "qemu+tls://localhost/system?pkipath=" + filepath.Join(os.Getenv("DESKYARD_LIBVIRT_PKI"), "host")
	d := openLibvirtWith(t, computetest.Host{Folder: dir}, libvirt.Options{URI: uri, Network: compute.NetworkBridge, Grace: time.Second})
	out := uplinked(t)
	out.do(func() { greet(t, elsewhere.Gateway.String()+":8080") })
	boot := func(name string, last byte, rules ...compute.Rule) (id, report string) {
		t.Helper()
		address := elsewhere.Prefix.Addr().As4()
		address[3] = last
		nic := compute.NIC{MAC: fmt.Sprintf("02:00:5e:83:00:%02x", last), Network: elsewhere, Address: netip.AddrFrom4(address), Rules: rules}
		out.do(func() { lease(t, nic) })
		image := testImage(t).Compute()
		image.Arguments += fmt.Sprintf(" listen=22,3389 call=%s:8080", elsewhere.Gateway)
		s := compute.Spec{ID: uuid.NewString(), Owner: computetest.Owner, Name: name, CPUs: 2, MemoryMB: 256, Image: image, NICs: []compute.NIC{nic}}
		t.Cleanup(func() {
			if err := d.Remove(context.WithoutCancel(ctx), s.ID); err != nil {
				t.Error(err)
			}
		})
		if err := d.Ensure(ctx, s); err != nil {
			t.Fatal(err)
		}
		if err := d.Power(ctx, s.ID, compute.Start); err != nil {
			t.Fatal(err)
		}
		report = awaitLine(t, d, s.ID, `"guest":"report"`)
		if !strings.Contains(report, `"address":"`+nic.Address.String()+`"`) {
			t.Errorf("%s has not the address %s: %s", name, nic.Address, report)
		}
		return s.ID, report
	}
	tcp := func(priority int, in, allow bool, from, to uint16) compute.Rule {
		return compute.Rule{Name: "rule", Priority: priority, Inbound: in, Allow: allow, Protocol: "tcp", DestPorts: []compute.PortRange{{From: from, To: to}}}
	}

	// A rule against what comes from the gateway is none against what goes there.
	id, report := boot("free", 21)
	if !strings.Contains(report, "hello 10.83.0.21") {
		t.Errorf("a machine without rules does not get out: %s", report)
	}
	reaches := func(what, from string, open ...int) {
		t.Helper()
		await(ctx, t, fmt.Sprintf("%s: %s has %v open for %s", what, id, open, from), func() bool { return fmt.Sprint(out.reachFrom(from, "10.83.0.21")) == fmt.Sprint(open) })
		t.Logf("%s: open for %s are %v", what, from, open)
	}
	reaches("no rule", stranger)
	reaches("no rule", elsewhere.Gateway.String())
	reaches("no rule", neighbour, ports...)
	ssh := tcp(300, true, true, 22, 22)
	for _, step := range []struct {
		what  string
		rules []compute.Rule
		open  []int
	}{
		{"22 is allowed at 300", []compute.Rule{ssh}, []int{22}},
		{"and denied at 200", []compute.Rule{ssh, tcp(200, true, false, 20, 30)}, nil},
		{"and denied at 400", []compute.Rule{ssh, tcp(400, true, false, 20, 30)}, []int{22}},
		{"3389 is allowed too", []compute.Rule{ssh, tcp(310, true, true, 3389, 3389)}, ports},
		{"the rules are gone", nil, nil},
	} {
		if err := d.Filter(ctx, id, 0, step.rules); err != nil {
			t.Fatal(err)
		}
		reaches(step.what, stranger, step.open...)
	}
	reaches("the rules are gone", neighbour, ports...)
	if err := d.Remove(ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, report = boot("barred", 22, tcp(100, false, false, 8080, 8080)); strings.Contains(report, "hello") {
		t.Errorf("a machine reached what its rules deny: %s", report)
	}
}

// lease hands a machine its address, as the DHCP server of another host's network does.
func lease(t *testing.T, n compute.NIC) {
	t.Helper()
	gateway := net.IP(n.Network.Gateway.AsSlice())
	server, err := server4.NewServer("outside", &net.UDPAddr{IP: net.IPv4zero, Port: dhcpv4.ServerPort}, func(conn net.PacketConn, peer net.Addr, request *dhcpv4.DHCPv4) {
		kind := dhcpv4.MessageTypeOffer
		if request.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
		}
		if request.ClientHWAddr.String() != n.MAC {
			return
		}
		reply, err := dhcpv4.NewReplyFromRequest(request, dhcpv4.WithMessageType(kind), dhcpv4.WithServerIP(gateway), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(gateway)),
			dhcpv4.WithYourIP(n.Address.AsSlice()), dhcpv4.WithNetmask(net.CIDRMask(n.Network.Prefix.Bits(), 32)), dhcpv4.WithRouter(gateway), dhcpv4.WithLeaseTime(3600))
		if err == nil {
			_, err = conn.WriteTo(reply.ToBytes(), peer)
		}
		if err != nil {
			t.Errorf("lease %s: %v", n.Address, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve() }()
	t.Cleanup(func() { server.Close(); <-done })
}
