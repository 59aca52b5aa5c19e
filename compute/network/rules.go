package network

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard/compute"
)

// answer marks packets of connections that were let through before. The bit is free
// of Kubernetes', Docker's and Tailscale's.
const answer = "0x10000000"

// nftFor bounds one run of nft: 400 machines' rules take about a second.
const nftFor = 20 * time.Second

// applyRules replaces all our rules at once: there is no moment without them.
func (h *Host) applyRules(ctx context.Context) error {
	text := h.ruleset()
	limited, cancel := context.WithTimeout(ctx, nftFor)
	defer cancel()
	cmd := exec.CommandContext(limited, nftPath(), "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("run nft (apt-get install nftables): %w", err)
		}
		first, _, _ := strings.Cut(said.String(), "\n")
		return fmt.Errorf("set nftables' rules: %w: %s", err, first)
	}
	return nil
}

// nftPath finds nft where a service's PATH may not reach.
func nftPath() string {
	if path, err := exec.LookPath("nft"); err == nil {
		return path
	}
	return "/usr/sbin/nft"
}

// ruleset writes our two tables anew.
func (h *Host) ruleset() string {
	var b strings.Builder
	for _, family := range []string{"bridge", "inet"} {
		// Adding first makes deleting right whether it is there or not.
		fmt.Fprintf(&b, "table %s %s\ndelete table %s %s\n", family, h.table, family, h.table)
	}
	if len(h.ports) == 0 {
		return b.String()
	}
	var from, to []string
	fmt.Fprintf(&b, "table bridge %s {\n", h.table)
	for _, key := range slices.Sorted(maps.Keys(h.ports)) {
		p := h.ports[key]
		tap := h.tap(p.Machine, p.Index)
		from = append(from, fmt.Sprintf("%q : jump from_%s", tap, tap))
		to = append(to, fmt.Sprintf("%q : jump to_%s", tap, tap))
		writeChain(&b, "from_"+tap, outbound(p.NIC))
		writeChain(&b, "to_"+tap, inbound(p.NIC))
	}
	fromAny, toAny := "iifname vmap { "+strings.Join(from, ", ")+" }", "oifname vmap { "+strings.Join(to, ", ")+" }"
	// After br_netfilter's hooks, which are at priority 0 and set the mark.
	writeChain(&b, "forward", []string{"type filter hook forward priority 10; policy accept;", fromAny, toAny})
	writeChain(&b, "input", []string{"type filter hook input priority 10; policy accept;", fromAny})
	writeChain(&b, "output", []string{"type filter hook output priority 10; policy accept;", toAny})
	b.WriteString("}\n")
	h.writeTracking(&b)
	return b.String()
}

// writeTracking writes the table that knows connections, and hides subnets.
func (h *Host) writeTracking(b *strings.Builder) {
	var subnets, hide []string
	for _, n := range h.networks() {
		subnet := n.Prefix.Masked().String()
		subnets = append(subnets, subnet)
		if n.Bridge == "" {
			hide = append(hide, fmt.Sprintf("ip saddr %s ip daddr != @subnets masquerade", subnet))
		}
	}
	slices.Sort(subnets)
	slices.Sort(hide)
	subnets = slices.Compact(subnets)
	fmt.Fprintf(b, "table inet %s {\n", h.table)
	// auto-merge for existing bridges, whose subnets may overlap.
	fmt.Fprintf(b, "set subnets { type ipv4_addr; flags interval; auto-merge; elements = { %s } }\n", strings.Join(subnets, ", "))
	// After address translation is undone (-100), or answers to a hidden subnet would
	// still bear the host's address.
	marks := []string{
		"ct state established,related ip saddr @subnets meta mark set meta mark | " + answer,
		"ct state established,related ip daddr @subnets meta mark set meta mark | " + answer,
	}
	writeChain(b, "prerouting", append([]string{"type filter hook prerouting priority dstnat + 10; policy accept;"}, marks...))
	writeChain(b, "output", append([]string{"type filter hook output priority -90; policy accept;"}, marks...))
	if h.o.Masquerade {
		writeChain(b, "postrouting", append([]string{"type nat hook postrouting priority srcnat; policy accept;"}, hide...))
	}
	b.WriteString("}\n")
}

func writeChain(b *strings.Builder, name string, lines []string) {
	fmt.Fprintf(b, "chain %s {\n", name)
	for _, l := range lines {
		b.WriteString("\t" + l + "\n")
	}
	b.WriteString("}\n")
}

// isAnswer lets through what belongs to a connection that was let through.
const isAnswer = "meta mark & " + answer + " == " + answer + " return"

// outbound is what may leave a machine. In these chains "return" lets a packet go on,
// to the other side's chain.
func outbound(n compute.NIC) []string {
	lines := []string{"ether saddr != " + n.MAC + " drop"}
	if n.Address.Is4() {
		lines = append(lines,
			"arp saddr ether != "+n.MAC+" drop",
			"ether type arp arp saddr ip != { 0.0.0.0, "+n.Address.String()+" } drop",
		)
	}
	lines = append(lines, "ether type arp return", "ether type != ip drop", "ip saddr 0.0.0.0 udp sport 68 udp dport 67 return")
	if n.Address.Is4() {
		lines = append(lines, "ip saddr != "+n.Address.String()+" drop")
	}
	lines = append(lines,
		"udp sport 67 udp dport 68 drop", // no machine is a DHCP server
		"udp sport 68 udp dport 67 return",
		isAnswer)
	return append(lines, decide(n.Rules, false)...)
}

// inbound is what may reach a machine.
func inbound(n compute.NIC) []string {
	lines := []string{"ether type arp return", "ether type != ip drop"}
	if n.Network.DHCP || n.Network.Bridge != "" {
		lines = append(lines, "udp sport 67 udp dport 68 return")
	} else {
		lines = append(lines, "ip saddr "+n.Network.Gateway.String()+" udp sport 67 udp dport 68 return")
	}
	lines = append(lines, isAnswer)
	lines = append(lines, decide(n.Rules, true)...)
	if n.Network.Bridge == "" {
		lines = append(lines, "ip saddr "+n.Network.Gateway.String()+" drop") // the host is no machine of the subnet
	}
	return append(lines, "ip saddr "+n.Network.Prefix.Masked().String()+" return", "drop")
}

// decide writes the rules of one direction, lowest priority first.
func decide(rules []compute.Rule, in bool) []string {
	mine := slices.DeleteFunc(slices.Clone(rules), func(r compute.Rule) bool { return r.Inbound != in })
	slices.SortStableFunc(mine, func(a, b compute.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	var lines []string
	for _, r := range mine {
		lines = append(lines, match(r)...)
	}
	return lines
}

// match writes a rule; none when it can match no IPv4 packet. Ports without a
// protocol mean those of TCP and UDP.
func match(r compute.Rule) []string {
	var terms []string
	for _, side := range []struct {
		word     string
		prefixes []netip.Prefix
	}{{"ip saddr", r.Sources}, {"ip daddr", r.Targets}} {
		if len(side.prefixes) == 0 {
			continue
		}
		list := addresses(side.prefixes)
		if len(list) == 0 {
			return nil
		}
		if list[0] != "0.0.0.0/0" {
			terms = append(terms, side.word+" { "+strings.Join(list, ", ")+" }")
		}
	}
	source, dest := ports(r.SrcPorts), ports(r.DestPorts)
	switch r.Protocol {
	case "icmp":
		terms = append(terms, "ip protocol icmp")
		source, dest = "", "" // it has none
	case "tcp", "udp":
		terms = append(terms, "ip protocol "+r.Protocol)
	case "":
		if source != "" || dest != "" {
			terms = append(terms, "ip protocol { tcp, udp }")
		}
	}
	if source != "" {
		terms = append(terms, "th sport "+source)
	}
	if dest != "" {
		terms = append(terms, "th dport "+dest)
	}
	verdict := "drop"
	if r.Allow {
		verdict = "return"
	}
	return []string{strings.Join(append(terms, verdict), " ")}
}

// addresses are a rule's IPv4 prefixes without those that lie in another one: nft
// takes no overlaps.
func addresses(prefixes []netip.Prefix) []string {
	var list []string
	for i, p := range prefixes {
		p = p.Masked()
		if !p.IsValid() || !p.Addr().Is4() {
			continue
		}
		covered := slices.ContainsFunc(prefixes[:i], func(o netip.Prefix) bool { return o.Masked() == p })
		for _, o := range prefixes {
			covered = covered || o.IsValid() && o.Bits() < p.Bits() && o.Contains(p.Addr())
		}
		if !covered {
			list = append(list, p.String())
		}
	}
	return list
}

// ports writes ranges as an nft set, merged; "" for any.
func ports(ranges []compute.PortRange) string {
	if len(ranges) == 0 {
		return ""
	}
	sorted := slices.SortedFunc(slices.Values(ranges), func(a, b compute.PortRange) int { return cmp.Compare(a.From, b.From) })
	merged := sorted[:1]
	for _, r := range sorted[1:] {
		if last := &merged[len(merged)-1]; int(r.From) <= int(last.To)+1 {
			last.To = max(last.To, r.To)
		} else {
			merged = append(merged, r)
		}
	}
	var list []string
	for _, r := range merged {
		switch {
		case r.From == 0 && r.To == 65535:
			return ""
		case r.From == r.To:
			list = append(list, fmt.Sprint(r.From))
		default:
			list = append(list, fmt.Sprintf("%d-%d", r.From, r.To))
		}
	}
	return "{ " + strings.Join(list, ", ") + " }"
}
