package template

import (
	"fmt"
	"math/big"
	"net/netip"
)

// cidrFunctions are the functions of address ranges.
func cidrFunctions() []function {
	return []function{
		{name: "parseCidr", min: 1, max: 1, call: fnParseCIDR},
		{name: "cidrSubnet", min: 3, max: 3, call: fnCIDRSubnet},
		{name: "cidrHost", min: 2, max: 2, call: fnCIDRHost},
	}
}

func prefixArg(args []Value) (netip.Prefix, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return netip.Prefix{}, err
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("'%s' is not a CIDR range", show(args[0]))
	}
	return p.Masked(), nil
}

// offset is the address n after a, within its family.
func offset(a netip.Addr, n *big.Int) (netip.Addr, bool) {
	sum := new(big.Int).SetBytes(a.AsSlice())
	sum.Add(sum, n)
	if sum.Sign() < 0 || sum.BitLen() > a.BitLen() {
		return a, false
	}
	out, ok := netip.AddrFromSlice(sum.FillBytes(make([]byte, a.BitLen()/8)))
	return out, ok
}

func lastOf(p netip.Prefix) netip.Addr {
	size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
	last, _ := offset(p.Addr(), size.Sub(size, big.NewInt(1))) // always within the family
	return last
}

func netmask(p netip.Prefix) netip.Addr {
	ones := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()))
	low := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
	m, _ := netip.AddrFromSlice(ones.Sub(ones, low).FillBytes(make([]byte, p.Addr().BitLen()/8)))
	return m
}

// fnParseCIDR describes a range. In IPv4 the first and last address of a range of
// more than two are not usable and the last is its broadcast; IPv6 has neither rule.
func fnParseCIDR(_ *frame, args []Value) (Value, error) {
	p, err := prefixArg(args)
	if err != nil {
		return Value{}, err
	}
	first, last := p.Addr(), lastOf(p)
	o := NewObject()
	o.Set("network", String(first.String()))
	o.Set("netmask", String(netmask(p).String()))
	if first.Is4() {
		o.Set("broadcast", String(last.String()))
		if p.Bits() < 31 {
			first, last = first.Next(), last.Prev()
		}
	}
	o.Set("firstUsable", String(first.String()))
	o.Set("lastUsable", String(last.String()))
	o.Set("cidr", Int(int64(p.Bits())))
	return Of(o), nil
}

func fnCIDRSubnet(_ *frame, args []Value) (Value, error) {
	p, err := prefixArg(args)
	if err != nil {
		return Value{}, err
	}
	newBits, err := intArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	index, err := intArg(args, 2)
	if err != nil {
		return Value{}, err
	}
	if newBits < int64(p.Bits()) || newBits > int64(p.Addr().BitLen()) {
		return Value{}, fmt.Errorf("the new prefix length '%d' must be from %d to %d", newBits, p.Bits(), p.Addr().BitLen())
	}
	step := new(big.Int).Lsh(big.NewInt(1), uint(int64(p.Addr().BitLen())-newBits))
	a, ok := offset(p.Addr(), step.Mul(step, big.NewInt(index)))
	if index < 0 || !ok || !p.Contains(a) {
		return Value{}, fmt.Errorf("the range '%s' has no subnet number '%d' of prefix length '%d'", p, index, newBits)
	}
	return String(netip.PrefixFrom(a, int(newBits)).String()), nil
}

// fnCIDRHost is the usable address number index, from 0.
func fnCIDRHost(_ *frame, args []Value) (Value, error) {
	p, err := prefixArg(args)
	if err != nil {
		return Value{}, err
	}
	index, err := intArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	n := big.NewInt(index)
	reserved := p.Addr().Is4() && p.Bits() < 31
	if reserved || p.Addr().Is6() && p.Bits() < 127 {
		n.Add(n, big.NewInt(1)) // the range's own address is no host
	}
	a, ok := offset(p.Addr(), n)
	if index < 0 || !ok || !p.Contains(a) || reserved && a == lastOf(p) {
		return Value{}, fmt.Errorf("the range '%s' has no host number '%d'", p, index)
	}
	return String(a.String()), nil
}
