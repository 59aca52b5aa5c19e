package provision

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
)

// securityRule is a rule of a network security group, as ARM has it.
type securityRule struct {
	Name       string `json:"name"`
	Properties struct {
		Priority     int      `json:"priority"`
		Direction    string   `json:"direction"`
		Access       string   `json:"access"`
		Protocol     string   `json:"protocol"`
		Source       string   `json:"sourceAddressPrefix"`
		Sources      []string `json:"sourceAddressPrefixes"`
		SourcePort   string   `json:"sourcePortRange"`
		SourcePorts  []string `json:"sourcePortRanges"`
		Target       string   `json:"destinationAddressPrefix"`
		Targets      []string `json:"destinationAddressPrefixes"`
		TargetPort   string   `json:"destinationPortRange"`
		TargetsPorts []string `json:"destinationPortRanges"`
	} `json:"properties"`
}

// rulesOf are the rules that hold for an interface: its subnet's security group's and
// its own's, of which both must let a packet through. No group at all is no rules.
func rulesOf(ctx context.Context, reader deskyard.Reader, n nicFacts) ([]compute.Rule, error) {
	var lists [][]compute.Rule
	for _, group := range []string{n.subnet.group, n.group} {
		if group == "" {
			continue
		}
		rules, err := groupRules(ctx, reader, group, n.subnet.vnet)
		if err != nil {
			return nil, err
		}
		lists = append(lists, rules)
	}
	switch len(lists) {
	case 0:
		return nil, nil
	case 1:
		return lists[0], nil
	}
	return bothAllow(lists[0], lists[1]), nil
}

// groupRules are a security group's rules with Azure's defaults behind them.
func groupRules(ctx context.Context, reader deskyard.Reader, id string, vnet []netip.Prefix) ([]compute.Rule, error) {
	r, err := referredRow(ctx, reader, id)
	if err != nil {
		return nil, err
	}
	var p struct {
		Rules []securityRule `json:"securityRules"`
	}
	if err := readProperties(r, &p); err != nil {
		return nil, err
	}
	children, err := reader.Resources(ctx, deskyard.ResourceQuery{Scope: r.ID, Type: "Microsoft.Network/networkSecurityGroups/securityRules"})
	if err != nil {
		return nil, err
	}
	for _, c := range children.Items {
		rule := securityRule{Name: c.ID.Name()}
		if err := readProperties(c, &rule.Properties); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(p.Rules, func(have securityRule) bool { return strings.EqualFold(have.Name, rule.Name) }) {
			p.Rules = append(p.Rules, rule)
		}
	}
	var rules []compute.Rule
	for _, rule := range p.Rules {
		made, applies, err := ruleOf(rule, vnet)
		if err != nil {
			return nil, err
		}
		if applies {
			rules = append(rules, made)
		}
	}
	rules = append(rules,
		compute.Rule{Name: "AllowVnetInBound", Priority: 65000, Inbound: true, Allow: true, Sources: vnet},
		compute.Rule{Name: "DenyAllInBound", Priority: 65500, Inbound: true},
		// AllowVnetOutBound and AllowInternetOutBound together are everything, so that
		// DenyAllOutBound behind them never decides.
		compute.Rule{Name: "AllowInternetOutBound", Priority: 65001, Allow: true})
	slices.SortStableFunc(rules, func(a, b compute.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return rules, nil
}

// ruleOf is a rule as drivers take it. One that is about Azure's own load balancer,
// which does not exist here, never applies.
func ruleOf(s securityRule, vnet []netip.Prefix) (rule compute.Rule, applies bool, err error) {
	p := s.Properties
	rule = compute.Rule{Name: s.Name, Priority: p.Priority,
		Inbound: strings.EqualFold(p.Direction, "Inbound"), Allow: strings.EqualFold(p.Access, "Allow")}
	if rule.Protocol = strings.ToLower(p.Protocol); rule.Protocol == "*" {
		rule.Protocol = ""
	}
	var from, to bool
	if rule.Sources, from, err = rulePrefixes(s.Name, append(slices.Clone(p.Sources), p.Source), vnet); err != nil {
		return rule, false, err
	}
	if rule.Targets, to, err = rulePrefixes(s.Name, append(slices.Clone(p.Targets), p.Target), vnet); err != nil {
		return rule, false, err
	}
	if rule.SrcPorts, err = rulePorts(s.Name, append(slices.Clone(p.SourcePorts), p.SourcePort)); err != nil {
		return rule, false, err
	}
	rule.DestPorts, err = rulePorts(s.Name, append(slices.Clone(p.TargetsPorts), p.TargetPort))
	return rule, from && to, err
}

// rulePrefixes reads addresses; none means any. some is false when they can never match.
func rulePrefixes(rule string, texts []string, vnet []netip.Prefix) (list []netip.Prefix, some bool, err error) {
	named := 0
	for _, t := range texts {
		if t == "" {
			continue
		}
		named++
		switch strings.ToLower(t) {
		case "*", "any", "0.0.0.0/0", "::/0":
			return nil, true, nil
		case "internet":
			list = append(list, beyond(vnet)...)
			continue
		case "virtualnetwork":
			list = append(list, vnet...)
			continue
		case "azureloadbalancer":
			continue
		}
		if a, err := netip.ParseAddr(t); err == nil {
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(t)
		if err != nil {
			return nil, false, arm.Errorf(arm.Invalid, "SecurityRuleInvalidAddressPrefix",
				"The security rule '%s' names '%s', which is no address prefix and no service tag that exists here (VirtualNetwork, Internet, AzureLoadBalancer).", rule, t)
		}
		list = append(list, p)
	}
	return list, named == 0 || len(list) > 0, nil
}

// beyond is the address space outside a virtual network, which the service tag Internet
// means (https://learn.microsoft.com/azure/virtual-network/service-tags-overview). An
// organization's own addresses beyond the network belong to it: nothing here knows
// which of them the public reaches, and a rule that denies must not let any through.
// IPv6 does not matter: drivers drop it.
func beyond(vnet []netip.Prefix) []netip.Prefix {
	var list []netip.Prefix
	var split func(p netip.Prefix)
	split = func(p netip.Prefix) {
		switch {
		case !slices.ContainsFunc(vnet, p.Overlaps):
			list = append(list, p)
		case slices.ContainsFunc(vnet, func(v netip.Prefix) bool { return v.Bits() <= p.Bits() && v.Contains(p.Addr()) }):
		default:
			upper := p.Addr().As4()
			upper[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
			split(netip.PrefixFrom(p.Addr(), p.Bits()+1))
			split(netip.PrefixFrom(netip.AddrFrom4(upper), p.Bits()+1))
		}
	}
	split(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
	return list
}

// rulePorts reads ranges of ports; none means any.
func rulePorts(rule string, texts []string) (list []compute.PortRange, err error) {
	for _, t := range texts {
		if t == "" {
			continue
		}
		if t == "*" {
			return nil, nil
		}
		first, last, ok := strings.Cut(t, "-")
		if !ok {
			last = first
		}
		from, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		to, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
		if err1 != nil || err2 != nil || from > to {
			return nil, arm.Errorf(arm.Invalid, "SecurityRuleInvalidPortRange", "The security rule '%s' names '%s', which is no port or range of ports.", rule, t)
		}
		list = append(list, compute.PortRange{From: uint16(from), To: uint16(to)})
	}
	return list, nil
}

// bothAllow makes one list of two that a packet has to pass both of. In each list
// the first match decides; of all pairs of rules, in the order of the first list and
// within it of the second, the first pair that matches a packet is made of the two
// rules that decide about it.
func bothAllow(a, b []compute.Rule) []compute.Rule {
	var both []compute.Rule
	for _, x := range a {
		for _, y := range b {
			if r, ok := intersection(x, y); ok {
				r.Priority = 100 + len(both)
				both = append(both, r)
			}
		}
	}
	return both
}

// intersection is the rule for what both rules match; ok is false when nothing is.
func intersection(x, y compute.Rule) (r compute.Rule, ok bool) {
	if x.Inbound != y.Inbound || x.Protocol != "" && y.Protocol != "" && x.Protocol != y.Protocol {
		return r, false
	}
	r = compute.Rule{Name: x.Name + "+" + y.Name, Inbound: x.Inbound, Allow: x.Allow && y.Allow, Protocol: x.Protocol}
	if r.Protocol == "" {
		r.Protocol = y.Protocol
	}
	oks := make([]bool, 4)
	r.Sources, oks[0] = commonPrefixes(x.Sources, y.Sources)
	r.Targets, oks[1] = commonPrefixes(x.Targets, y.Targets)
	r.SrcPorts, oks[2] = commonPorts(x.SrcPorts, y.SrcPorts)
	r.DestPorts, oks[3] = commonPorts(x.DestPorts, y.DestPorts)
	return r, !slices.Contains(oks, false)
}

func commonPrefixes(a, b []netip.Prefix) ([]netip.Prefix, bool) {
	if len(a) == 0 {
		return b, true
	}
	if len(b) == 0 {
		return a, true
	}
	var both []netip.Prefix
	for _, x := range a {
		for _, y := range b {
			switch {
			case !x.Overlaps(y):
			case x.Bits() >= y.Bits():
				both = append(both, x)
			default:
				both = append(both, y)
			}
		}
	}
	return both, len(both) > 0
}

func commonPorts(a, b []compute.PortRange) ([]compute.PortRange, bool) {
	if len(a) == 0 {
		return b, true
	}
	if len(b) == 0 {
		return a, true
	}
	var both []compute.PortRange
	for _, x := range a {
		for _, y := range b {
			if r := (compute.PortRange{From: max(x.From, y.From), To: min(x.To, y.To)}); r.From <= r.To {
				both = append(both, r)
			}
		}
	}
	return both, len(both) > 0
}
