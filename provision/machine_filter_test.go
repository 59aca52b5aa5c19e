package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
)

// packet is what a rule looks at.
type packet struct {
	inbound  bool
	protocol string
	from, to netip.Addr
	port     uint16
}

// passes lets the first rule that matches decide; nothing passes without one.
func passes(rules []compute.Rule, p packet) bool {
	within := func(list []netip.Prefix, a netip.Addr) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(x netip.Prefix) bool { return x.Contains(a) })
	}
	for _, r := range rules {
		ports := len(r.DestPorts) == 0 || slices.ContainsFunc(r.DestPorts, func(x compute.PortRange) bool { return x.From <= p.port && p.port <= x.To })
		if r.Inbound == p.inbound && (r.Protocol == "" || r.Protocol == p.protocol) && within(r.Sources, p.from) && within(r.Targets, p.to) && ports {
			return r.Allow
		}
	}
	return false
}

func TestOneListLetsThroughWhatBothGroupsDo(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	prefix := func() []netip.Prefix {
		if rnd.IntN(3) == 0 {
			return nil
		}
		return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(rnd.IntN(4)), 0}), 22+rnd.IntN(4)).Masked()}
	}
	list := func() (rules []compute.Rule) {
		for i := range 4 {
			r := compute.Rule{Name: fmt.Sprint(i), Inbound: rnd.IntN(2) == 0, Allow: rnd.IntN(2) == 0, Protocol: []string{"", "tcp", "udp"}[rnd.IntN(3)], Sources: prefix(), Targets: prefix()}
			if rnd.IntN(2) == 0 {
				at := uint16(rnd.IntN(8))
				r.DestPorts = []compute.PortRange{{From: at, To: at + uint16(rnd.IntN(4))}}
			}
			rules = append(rules, r)
		}
		return append(rules, compute.Rule{Name: "in", Inbound: true, Allow: rnd.IntN(2) == 0}, compute.Rule{Name: "out", Allow: rnd.IntN(2) == 0})
	}
	for range 300 {
		a, b := list(), list()
		both := bothAllow(a, b)
		for range 40 {
			p := packet{rnd.IntN(2) == 0, []string{"tcp", "udp", "icmp"}[rnd.IntN(3)],
				netip.AddrFrom4([4]byte{10, 0, byte(rnd.IntN(5)), byte(rnd.IntN(256))}), netip.AddrFrom4([4]byte{10, 0, byte(rnd.IntN(5)), byte(rnd.IntN(256))}), uint16(rnd.IntN(12))}
			if want := passes(a, p) && passes(b, p); passes(both, p) != want {
				t.Fatalf("%+v passes: %v, want %v\nsubnet %+v\ninterface %+v", p, !want, want, a, b)
			}
		}
	}
}

func TestGroupWithOneOpenPortOpensThatPortAlone(t *testing.T) {
	g := newRig(t)
	nsg := arm.MustParseID(testGroup + "/providers/Microsoft.Network/networkSecurityGroups/open")
	err := g.store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutResource(ctx, deskyard.Resource{ID: nsg, Properties: json.RawMessage(`{"securityRules":[{"name":"rdp","properties":{"priority":300,"direction":"Inbound","access":"Allow",
			"protocol":"Tcp","sourceAddressPrefix":"*","sourcePortRange":"*","destinationAddressPrefix":"*","destinationPortRange":"3389"}},
			{"name":"balancer","properties":{"priority":200,"direction":"Inbound","access":"Deny","protocol":"*","sourceAddressPrefix":"AzureLoadBalancer","destinationAddressPrefix":"*","destinationPortRange":"*"}}]}`)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	vnet := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}
	rules, err := rulesOf(t.Context(), g.store, nicFacts{group: nsg.String(), subnet: subnetFacts{vnet: vnet}})
	if err != nil {
		t.Fatal(err)
	}
	outside, inside := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.0.2.9")
	for _, c := range []struct {
		p    packet
		want bool
	}{
		{packet{true, "tcp", outside, inside, 3389}, true},
		{packet{true, "udp", outside, inside, 3389}, false},
		{packet{true, "tcp", outside, inside, 22}, false},
		{packet{true, "tcp", inside, inside, 22}, true},
		{packet{false, "tcp", inside, outside, 443}, true},
	} {
		if got := passes(rules, c.p); got != c.want {
			t.Errorf("%+v passes: %v", c.p, got)
		}
	}
}

func TestInternetIsWhatLiesOutsideTheVirtualNetwork(t *testing.T) {
	vnet := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("172.16.4.0/22"), netip.MustParsePrefix("fd00::/8")}
	s := securityRule{Name: "no-internet"}
	s.Properties.Direction, s.Properties.Access, s.Properties.Target, s.Properties.Priority = "Outbound", "Deny", "Internet", 100
	deny, applies, err := ruleOf(s, vnet)
	if err != nil || !applies {
		t.Fatalf("%+v, %v, %v", deny, applies, err)
	}
	rules := []compute.Rule{deny, {Name: "AllowInternetOutBound", Priority: 65001, Allow: true}}
	for to, want := range map[string]bool{
		"10.0.0.0": true, "10.0.2.9": true, "10.0.255.255": true, "172.16.4.0": true, "172.16.7.255": true,
		"9.255.255.255": false, "10.1.0.0": false, "172.16.3.255": false, "172.16.8.0": false, "8.8.8.8": false, "192.168.1.1": false, "0.0.0.0": false, "255.255.255.255": false,
	} {
		if got := passes(rules, packet{false, "tcp", netip.MustParseAddr("10.0.2.5"), netip.MustParseAddr(to), 443}); got != want {
			t.Errorf("what goes to %s passes: %v", to, got)
		}
	}
	s.Properties.Targets = []string{"VirtualNetwork"} // both together are everything
	both, _, err := ruleOf(s, vnet)
	if err != nil || passes([]compute.Rule{both, rules[1]}, packet{false, "tcp", netip.MustParseAddr("10.0.2.5"), netip.MustParseAddr("10.0.2.9"), 1}) {
		t.Errorf("a rule for both tags does not hold in the network: %+v, %v", both, err)
	}
	if _, applies, err := ruleOf(s, []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}); err != nil || !applies {
		t.Errorf("a network that is everything: %v, %v", applies, err)
	}
	s.Properties.Targets = nil
	if _, applies, err := ruleOf(s, []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}); err != nil || applies {
		t.Errorf("a network that is everything has an outside: %v, %v", applies, err)
	}
}

// FuzzSecurityRule reads rules as clients may have stored them.
func FuzzSecurityRule(f *testing.F) {
	f.Add("10.0.0.0/8", "80-90", "Tcp")
	f.Add("VirtualNetwork", "*", "*")
	f.Add("::/0", "65536", "")
	f.Fuzz(func(t *testing.T, prefix, ports, protocol string) {
		s := securityRule{Name: "r"}
		s.Properties.Source, s.Properties.TargetPort, s.Properties.Protocol = prefix, ports, protocol
		r, _, err := ruleOf(s, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")})
		if err != nil {
			return
		}
		for _, p := range r.DestPorts {
			if p.From > p.To {
				t.Errorf("%q reads as %+v", ports, p)
			}
		}
	})
}
