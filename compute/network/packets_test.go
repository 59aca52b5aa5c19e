package network

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/deskyard/deskyard/compute"
)

// The world beyond the host is another namespace, which knows of no subnet of ours.
const (
	worldAddress = "203.0.113.7"
	hostAddress  = "203.0.113.1" // the host's, in the world
)

func rule(priority int, in, allow bool, protocol, sources, targets string, ports ...uint16) compute.Rule {
	r := compute.Rule{Name: "rule", Priority: priority, Inbound: in, Allow: allow, Protocol: protocol}
	for _, s := range strings.Fields(sources) {
		r.Sources = append(r.Sources, netip.MustParsePrefix(s))
	}
	for _, s := range strings.Fields(targets) {
		r.Targets = append(r.Targets, netip.MustParsePrefix(s))
	}
	for _, p := range ports {
		r.DestPorts = append(r.DestPorts, compute.PortRange{From: p, To: p})
	}
	return r
}

func TestMachinesGetTheirReservedAddressAndReachEachOther(t *testing.T) {
	h := open(t, Options{})
	a, b := nic(10, subnet), nic(11, subnet)
	ga := plug(t, attach(t, h, one, a), a.MAC)
	gb := plug(t, attach(t, h, two, b), b.MAC)
	ack, err := ga.dhcp(a.MAC)
	if err != nil {
		t.Fatal(err)
	}
	if ack.YourIPAddr.String() != "10.90.1.10" || ack.Router()[0].String() != "10.90.1.1" || ack.DNS()[0].String() != "10.90.1.53" ||
		net.IP(ack.SubnetMask()).String() != "255.255.255.0" || ack.IPAddressLeaseTime(0) != leaseFor {
		t.Errorf("the lease is %s", ack.Summary())
	}
	ga.boot(a)
	gb.boot(b)
	gb.listen("10.90.1.11:3389")
	ga.reaches("10.90.1.11:3389")
}

func TestStrangersGetNoAddress(t *testing.T) {
	h := open(t, Options{})
	a := nic(10, subnet)
	g := plug(t, attach(t, h, one, a), "02:66:66:66:66:66")
	if ack, err := g.dhcp("02:66:66:66:66:66"); err == nil {
		t.Errorf("a card that nobody knows got %s", ack.YourIPAddr)
	}
}

func TestMachinesCannotTakeAnothersAddress(t *testing.T) {
	h := open(t, Options{})
	a, b := nic(10, subnet), nic(11, subnet)
	ga := plug(t, attach(t, h, one, a), a.MAC)
	gb := plug(t, attach(t, h, two, b), b.MAC)
	gb.boot(b)
	gb.listen("10.90.1.11:3389")
	ga.address("10.90.1.99/24", subnet.Gateway)
	ga.isCutFrom("10.90.1.11:3389")
	forger := plug(t, attach(t, h, three, nic(12, subnet)), "02:00:5e:00:66:66") // another's card
	forger.address("10.90.1.12/24", subnet.Gateway)
	forger.isCutFrom("10.90.1.11:3389")
}

func TestNothingComesInByDefaultAndAnswersDo(t *testing.T) {
	other := compute.Network{ID: "vnet/subnets/b", Prefix: netip.MustParsePrefix("10.90.2.0/24"), Gateway: netip.MustParseAddr("10.90.2.1")}
	h := open(t, Options{Masquerade: true})
	a, b := nic(10, subnet), nic(20, other)
	ga := plug(t, attach(t, h, one, a), a.MAC)
	gb := plug(t, attach(t, h, two, b), b.MAC)
	ga.boot(a)
	gb.boot(b)
	ga.listen("10.90.1.10:22")
	gb.listen("10.90.2.20:22")
	w := world(t)
	ga.reaches(worldAddress + ":443") // out, and the answers in
	ga.isCutFrom("10.90.2.20:22")     // routed between subnets, and not let in
	w.address("203.0.113.7/24", netip.MustParseAddr(hostAddress))
	w.isCutFrom("10.90.1.10:22") // though it has a route now
	if said, err := call("10.90.1.10:22", refusedIn); err == nil {
		t.Errorf("the host came in: %q", said)
	}
	if err := h.Filter(t.Context(), two, 0, []compute.Rule{rule(100, true, true, "tcp", "10.90.1.0/24", "", 22)}); err != nil {
		t.Fatal(err)
	}
	ga.reaches("10.90.2.20:22")
	if err := h.Filter(t.Context(), two, 0, nil); err != nil {
		t.Fatal(err)
	}
	ga.isCutFrom("10.90.2.20:22")
}

func TestRulesDecideByPriorityPortAndProtocol(t *testing.T) {
	h := open(t, Options{})
	a, b := nic(10, subnet), nic(11, subnet)
	b.Rules = []compute.Rule{ // in force from the first packet
		rule(300, true, false, "", "", ""),
		rule(100, true, true, "tcp", "10.90.1.10/32", "", 3389),
		rule(200, true, false, "tcp", "10.90.1.0/24", "", 22),
	}
	ga := plug(t, attach(t, h, one, a), a.MAC)
	gb := plug(t, attach(t, h, two, b), b.MAC)
	ga.boot(a)
	gb.boot(b)
	for _, port := range []string{"22", "80", "3389"} {
		gb.listen("10.90.1.11:" + port)
	}
	ga.reaches("10.90.1.11:3389")
	ga.isCutFrom("10.90.1.11:22")
	ga.isCutFrom("10.90.1.11:80")
	if err := h.Filter(t.Context(), two, 0, []compute.Rule{rule(200, true, false, "tcp", "", "", 22)}); err != nil {
		t.Fatal(err)
	}
	ga.reaches("10.90.1.11:80")
	ga.isCutFrom("10.90.1.11:22")
	// A's own rules bind what A sends.
	if err := h.Filter(t.Context(), one, 0, []compute.Rule{rule(100, false, false, "tcp", "", "", 80)}); err != nil {
		t.Fatal(err)
	}
	ga.isCutFrom("10.90.1.11:80")
	ga.reaches("10.90.1.11:3389")
	// And answers leave even where the rules deny all that begins here.
	if err := h.Filter(t.Context(), two, 0, []compute.Rule{rule(100, false, false, "", "", "")}); err != nil {
		t.Fatal(err)
	}
	ga.listen("10.90.1.10:80")
	ga.reaches("10.90.1.11:3389")
	gb.isCutFrom("10.90.1.10:80")
}

func TestSubnetsAreHiddenOnlyWhenAsked(t *testing.T) {
	t.Run("asked", func(t *testing.T) { seenByTheWorld(t, true) })
	t.Run("not asked", func(t *testing.T) { seenByTheWorld(t, false) })
}

func seenByTheWorld(t *testing.T, hide bool) {
	h := open(t, Options{Masquerade: hide})
	a := nic(10, subnet)
	ga := plug(t, attach(t, h, one, a), a.MAC)
	ga.boot(a)
	world(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1\n"), 0); err != nil {
		t.Fatal(err)
	}
	// Without a route back the world can answer the host alone.
	within := connectFor
	if !hide {
		within = refusedIn
	}
	said, err := ga.call(worldAddress+":443", within)
	if hide && said != "hello "+hostAddress {
		t.Errorf("the world saw %q, %v", said, err)
	}
	if !hide && err == nil {
		t.Errorf("the world answered a subnet that nobody hid: %q", said)
	}
}

func TestNetworksSurviveARestartAndRemakeWhatIsGone(t *testing.T) {
	folder := t.TempDir()
	first := open(t, Options{Folder: folder})
	a, b := nic(10, subnet), nic(11, subnet)
	device := attach(t, first, one, a)
	ga, gb := plug(t, device, a.MAC), plug(t, attach(t, first, two, b), b.MAC)
	ga.boot(a)
	gb.boot(b)
	gb.listen("10.90.1.11:22")
	if err := first.Filter(t.Context(), two, 0, []compute.Rule{rule(100, true, false, "tcp", "", "", 22)}); err != nil {
		t.Fatal(err)
	}
	first.Close()
	ga.isCutFrom("10.90.1.11:22") // the rules outlive the service
	// While no service runs somebody flushes the rules.
	first.ports = map[string]port{}
	if err := first.applyRules(t.Context()); err != nil {
		t.Fatal(err)
	}
	ga.reaches("10.90.1.11:22")
	second := open(t, Options{Folder: folder})
	ga.isCutFrom("10.90.1.11:22")
	if again := attach(t, second, one, a); again != device {
		t.Errorf("the device was %s and is %s", device, again)
	}
	if _, err := ga.dhcp(a.MAC); err != nil {
		t.Errorf("no DHCP from the next service: %v", err)
	}
	// Somebody deletes the bridge under the running service.
	bridge, err := find(second.bridge(subnet))
	if err != nil || bridge == nil {
		t.Fatal(bridge, err)
	}
	if err := netlink.LinkDel(bridge); err != nil {
		t.Fatal(err)
	}
	attach(t, second, one, a)
	if _, err := ga.dhcp(a.MAC); err != nil {
		t.Errorf("no DHCP on a bridge that was made again: %v", err)
	}
	ga.isCutFrom("10.90.1.11:22")
	items, err := second.Items(t.Context())
	if err != nil || len(items) != 2 {
		t.Errorf("items %v, %v", items, err)
	}
}

func TestDetachLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	h := open(t, Options{Folder: folder})
	attach(t, h, one, nic(10, subnet))
	if err := h.Detach(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if err := h.Detach(t.Context(), one); err != nil {
		t.Error(err)
	}
	links, err := h.ours()
	if err != nil || len(links) > 0 {
		t.Errorf("left: %v, %v", links, err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) > 0 {
		t.Errorf("left: %v, %v", files, err)
	}
}

func TestAttachRefusesWhatCannotBe(t *testing.T) {
	h := open(t, Options{})
	attach(t, h, one, nic(10, subnet))
	twin := nic(10, subnet)
	twin.MAC = "02:00:5e:00:00:77"
	overlap := compute.Network{ID: "elsewhere", Prefix: netip.MustParsePrefix("10.90.0.0/16"), Gateway: netip.MustParseAddr("10.90.0.1")}
	for what, n := range map[string]compute.NIC{
		"an address that is taken": twin, "an overlapping subnet": nic(30, overlap), "the gateway's address": nic(1, subnet),
		"no card": {Network: subnet, Address: netip.MustParseAddr("10.90.1.9")},
		"a VLAN without a bridge": func() compute.NIC {
			n := nic(12, subnet)
			n.Network.VLAN = 7
			return n
		}(),
		"a bridge that is none": func() compute.NIC {
			n := nic(12, subnet)
			n.Network.Bridge = "lo"
			return n
		}(),
	} {
		if _, err := h.Attach(t.Context(), two, 0, n); err == nil {
			t.Errorf("%s: accepted", what)
			continue
		}
		if err := h.Detach(t.Context(), two); err != nil {
			t.Error(err)
		}
	}
	if err := h.Filter(t.Context(), three, 0, nil); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("filter of an unknown interface: %v", err)
	}
}

func TestRuleSetsAreValidWhateverTheRulesSay(t *testing.T) {
	needNetwork(t)
	h := open(t, Options{})
	n := nic(10, subnet)
	n.Rules = []compute.Rule{
		{Priority: 1, Inbound: true, Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.0.0.5/8")}},
		{Priority: 2, Inbound: true, Sources: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}},
		{Priority: 3, Inbound: true, Allow: true, Protocol: "icmp", DestPorts: []compute.PortRange{{From: 0, To: 65535}}},
		{Priority: 4, DestPorts: []compute.PortRange{{From: 80, To: 90}, {From: 85, To: 100}, {From: 101, To: 101}, {From: 7, To: 7}}, SrcPorts: []compute.PortRange{{From: 1024, To: 65535}}},
		{Priority: 5, Allow: true, Targets: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
	}
	attach(t, h, one, n)
	want := "ip protocol { tcp, udp } th sport { 1024-65535 } th dport { 7, 80-101 } drop"
	if got := strings.Join(match(n.Rules[3]), ""); got != want {
		t.Errorf("rule is %q, not %q", got, want)
	}
	if got := match(n.Rules[1]); got != nil {
		t.Errorf("a rule for IPv6 alone is %q", got)
	}
}

func FuzzParsePort(f *testing.F) {
	f.Add([]byte(`{"Machine":"` + one + `","Index":0,"NIC":{"MAC":"02:00:00:00:00:01","Network":{"ID":"x","Prefix":"10.0.0.0/24","Gateway":"10.0.0.1"},"Address":"10.0.0.4"}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePort(text)
		if err != nil {
			return
		}
		h := &Host{table: "deskyard_fuzz", ports: map[string]port{p.key(): p}}
		for _, line := range append(outbound(p.NIC), inbound(p.NIC)...) {
			if strings.ContainsAny(line, ";\n\"") {
				t.Errorf("a rule of several words in one: %q", line)
			}
		}
		h.ruleset()
	})
}

// world is a namespace beside the host, with a server on port 443.
func world(t *testing.T) *guest {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "world"
	tap := &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI}
	if err := netlink.LinkAdd(tap); err != nil {
		t.Fatal(err)
	}
	for _, f := range tap.Fds {
		f.Close()
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(tap); err != nil {
			t.Error(err)
		}
	})
	link, err := netlink.LinkByName("world")
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	address, parseErr := netlink.ParseAddr(hostAddress + "/24")
	if err == nil && parseErr == nil {
		err = netlink.AddrAdd(link, address)
	}
	if err := errors.Join(err, parseErr); err != nil {
		t.Fatal(err)
	}
	w := plug(t, "world", "02:00:5e:ff:00:01")
	w.address(worldAddress+"/24", netip.Addr{})
	w.listen(worldAddress + ":443")
	return w
}
