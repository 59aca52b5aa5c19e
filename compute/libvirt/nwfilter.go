package libvirt

import (
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/deskyard/deskyard/compute"
)

// Priorities of a filter's rules, within libvirt's -1000 to 1000. Azure's, up to
// 4096, are put in their order between the fixed ones.
const (
	spoofPriority  = -900
	answerPriority = -500
	firstPriority  = 1
	lastPriority   = 899
	subnetPriority = 900
	outPriority    = 950
	dropPriority   = 1000
)

// maxFilterRules bounds a filter: each rule of Azure's becomes one for every source,
// target and port range of it.
const maxFilterRules = 4000

// filterName names the filter of an interface.
func filterName(owner, id string, nic int) string {
	return machinePrefix(owner, id) + "nic" + strconv.Itoa(nic)
}

type (
	filterXML struct {
		XMLName xml.Name     `xml:"filter"`
		Name    string       `xml:"name,attr"`
		Chain   string       `xml:"chain,attr"`
		UUID    string       `xml:"uuid"`
		Rules   []filterRule `xml:"rule"`
	}
	filterRule struct {
		Action    string `xml:"action,attr"`
		Direction string `xml:"direction,attr"`
		Priority  int    `xml:"priority,attr"`

		MAC  *macMatch `xml:"mac"`
		ARP  *macMatch `xml:"arp"`
		IP   *ipMatch  `xml:"ip"`
		All  *ipMatch  `xml:"all"`
		IPv6 *ipMatch  `xml:"all-ipv6"`
		TCP  *ipMatch  `xml:"tcp"`
		UDP  *ipMatch  `xml:"udp"`
		ICMP *ipMatch  `xml:"icmp"`
	}
	macMatch struct {
		Match  string `xml:"match,attr,omitempty"`
		Source string `xml:"srcmacaddr,attr,omitempty"`
		ARPMAC string `xml:"arpsrcmacaddr,attr,omitempty"`
		ARPIP  string `xml:"arpsrcipaddr,attr,omitempty"`
	}
	ipMatch struct {
		Match      string `xml:"match,attr,omitempty"`
		Source     string `xml:"srcipaddr,attr,omitempty"`
		SourceMask string `xml:"srcipmask,attr,omitempty"`
		Target     string `xml:"dstipaddr,attr,omitempty"`
		TargetMask string `xml:"dstipmask,attr,omitempty"`
		SourceFrom string `xml:"srcportstart,attr,omitempty"`
		SourceTo   string `xml:"srcportend,attr,omitempty"`
		TargetFrom string `xml:"dstportstart,attr,omitempty"`
		TargetTo   string `xml:"dstportend,attr,omitempty"`
		State      string `xml:"state,attr,omitempty"`
	}
)

// newFilter writes an interface's rules as libvirt filters them: its own addresses
// only, answers to what was let through, then Azure's rules in their order; else
// everything may go out, and in comes only the own subnet. IPv6 is dropped. libvirt
// filters what a bridge carries between its ports, not what its host itself sends.
func newFilter(name string, n compute.NIC) (filterXML, error) {
	// A UUID made of the name: libvirt replaces a filter only where both are the same.
	f := filterXML{Name: name, Chain: "root", UUID: uuid.NewSHA1(uuid.NameSpaceURL, []byte(machineNamespace+"/"+name)).String()}
	f.add("drop", "out", spoofPriority, filterRule{MAC: &macMatch{Match: "no", Source: n.MAC}})
	if n.Address.Is4() {
		// Two rules, for one would drop only what lies about both; 0.0.0.0 looks whether an
		// address is free.
		f.add("drop", "out", spoofPriority+1, filterRule{ARP: &macMatch{Match: "no", ARPMAC: n.MAC}})
		f.add("accept", "out", spoofPriority+2, filterRule{ARP: &macMatch{ARPIP: "0.0.0.0"}})
		f.add("drop", "out", spoofPriority+3, filterRule{ARP: &macMatch{Match: "no", ARPIP: n.Address.String()}})
		f.add("accept", "out", spoofPriority+4, filterRule{UDP: &ipMatch{Source: "0.0.0.0", Target: "255.255.255.255", SourceFrom: "68", TargetFrom: "67"}})
		f.add("drop", "out", spoofPriority+5, filterRule{All: &ipMatch{Match: "no", Source: n.Address.String()}})
	}
	f.add("drop", "out", spoofPriority+6, filterRule{UDP: &ipMatch{SourceFrom: "67", TargetFrom: "68"}}) // no machine is a DHCP server
	f.add("accept", "in", answerPriority, filterRule{UDP: &ipMatch{SourceFrom: "67", TargetFrom: "68"}})
	f.add("accept", "out", answerPriority, filterRule{UDP: &ipMatch{SourceFrom: "68", TargetFrom: "67"}})
	f.add("accept", "inout", answerPriority+1, filterRule{All: &ipMatch{State: "ESTABLISHED,RELATED"}})
	sorted := slices.SortedStableFunc(slices.Values(n.Rules), func(a, b compute.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	if len(sorted) > lastPriority-firstPriority {
		return filterXML{}, fmt.Errorf("%d rules are more than libvirt has priorities for: %w", len(sorted), compute.ErrUnsupported)
	}
	for i, r := range sorted {
		f.translate(r, firstPriority+i)
	}
	if len(f.Rules) > maxFilterRules {
		return filterXML{}, fmt.Errorf("its rules become %d of libvirt's, and %d is the most: %w", len(f.Rules), maxFilterRules, compute.ErrUnsupported)
	}
	if p := n.Network.Prefix; p.IsValid() && p.Addr().Is4() {
		if g := n.Network.Gateway; g.Is4() { // the gateway is no machine of the subnet
			f.add("drop", "in", subnetPriority, filterRule{All: &ipMatch{Source: g.String()}})
		}
		m := p.Masked()
		f.add("accept", "in", subnetPriority+1, filterRule{All: &ipMatch{Source: m.Addr().String(), SourceMask: strconv.Itoa(m.Bits())}})
	}
	f.add("accept", "out", outPriority, filterRule{All: &ipMatch{}})
	f.add("drop", "in", dropPriority, filterRule{All: &ipMatch{}})
	f.add("drop", "inout", dropPriority, filterRule{IPv6: &ipMatch{}})
	return f, nil
}

// States of a rule that names none. libvirt writes a rule without states for both
// directions: a drop of what comes in from somewhere would also drop what goes there.
const (
	acceptedStates = "NEW,ESTABLISHED"
	droppedStates  = "NEW,ESTABLISHED,RELATED,INVALID"
)

func (f *filterXML) add(action, direction string, priority int, r filterRule) {
	for _, m := range []*ipMatch{r.All, r.TCP, r.UDP, r.ICMP} {
		switch {
		case m == nil || m.State != "":
		case action == "accept":
			m.State = acceptedStates
		default:
			m.State = droppedStates
		}
	}
	r.Action, r.Direction, r.Priority = action, direction, priority
	f.Rules = append(f.Rules, r)
}

// anyPort and anywhere stand for what a rule does not narrow.
var (
	anyPort  = []compute.PortRange{{From: 0, To: 65535}}
	anywhere = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
)

// translate writes a rule: one of libvirt's for every combination.
func (f *filterXML) translate(r compute.Rule, priority int) {
	action, direction := "drop", "out"
	if r.Allow {
		action = "accept"
	}
	if r.Inbound {
		direction = "in"
	}
	sources, targets := cmpEmpty(r.Sources, anywhere), cmpEmpty(r.Targets, anywhere)
	fromPorts, toPorts := cmpEmpty(r.SrcPorts, anyPort), cmpEmpty(r.DestPorts, anyPort)
	if r.Protocol == "icmp" {
		fromPorts, toPorts = anyPort, anyPort // it has none
	}
	for _, source := range sources {
		for _, target := range targets {
			for _, from := range fromPorts {
				for _, to := range toPorts {
					if len(f.Rules) > maxFilterRules || !source.Addr().Is4() || !target.Addr().Is4() {
						continue
					}
					m := ipMatch{}
					m.Source, m.SourceMask = side(source)
					m.Target, m.TargetMask = side(target)
					m.SourceFrom, m.SourceTo = span(from)
					m.TargetFrom, m.TargetTo = span(to)
					for _, one := range protocols(r.Protocol, m) {
						f.add(action, direction, priority, one)
					}
				}
			}
		}
	}
}

func cmpEmpty[T any](list, otherwise []T) []T {
	if len(list) == 0 {
		return otherwise
	}
	return list
}

func side(p netip.Prefix) (address, mask string) {
	if p.Bits() == 0 {
		return "", ""
	}
	return p.Masked().Addr().String(), strconv.Itoa(p.Bits())
}

func span(r compute.PortRange) (from, to string) {
	if r.From == 0 && r.To == 65535 {
		return "", ""
	}
	return strconv.Itoa(int(r.From)), strconv.Itoa(int(r.To))
}

// protocols are the rules for a protocol; ports without one mean TCP's and UDP's.
func protocols(name string, m ipMatch) []filterRule {
	switch name {
	case "tcp":
		return []filterRule{{TCP: &m}}
	case "udp":
		return []filterRule{{UDP: &m}}
	case "icmp":
		return []filterRule{{ICMP: &m}}
	}
	if m.SourceFrom == "" && m.TargetFrom == "" {
		return []filterRule{{All: &m}}
	}
	return []filterRule{{TCP: &m}, {UDP: &m}}
}

// defineFilter makes an interface's filter or replaces its rules, on machines that
// run at once.
func (d *Driver) defineFilter(ctx context.Context, name string, n compute.NIC) error {
	f, err := newFilter(name, n)
	if err != nil {
		return err
	}
	text, err := xml.Marshal(f)
	if err != nil {
		return err
	}
	return d.do(ctx, slow, func(l *golibvirt.Libvirt) error {
		if _, err := l.NwfilterDefineXML(string(text)); err != nil {
			return fmt.Errorf("define filter %s: %w", name, err)
		}
		return nil
	})
}

// filtersOf lists the filters of machines that match.
func filtersOf(l *golibvirt.Libvirt, matches func(prefix, machine string) bool) ([]golibvirt.Nwfilter, error) {
	all, _, err := l.ConnectListAllNwfilters(1, 0)
	if is(err, golibvirt.ErrNoSupport) {
		return nil, nil // this libvirt has none
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(f golibvirt.Nwfilter) bool {
		prefix, machine, ok := parseVolume(f.Name)
		return !ok || !matches(prefix, machine)
	}), nil
}
