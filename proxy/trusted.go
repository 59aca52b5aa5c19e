// Package proxy says where a request came from when reverse proxies may stand
// before the service: what a proxy says of its client counts only if the proxy is
// one that the operator named.
package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Trusted are the address prefixes of the operator's reverse proxies.
type Trusted []netip.Prefix

// Contains reports whether an address is a trusted proxy's.
func (t Trusted) Contains(a netip.Addr) bool {
	for _, p := range t {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Before reports whether a trusted proxy passed the request on, so that its
// X-Forwarded headers may be believed.
func (t Trusted) Before(r *http.Request) bool { return t.Contains(peer(r)) }

// Client is the address that a request comes from: the peer's or, behind a trusted
// proxy, the last one of X-Forwarded-For that is not itself a trusted proxy's. It is
// the zero Addr when the peer has none.
func (t Trusted) Client(r *http.Request) netip.Addr {
	client := peer(r)
	if !t.Contains(client) {
		return client
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		client = plain(a)
		if !t.Contains(client) {
			break
		}
	}
	return client
}

func peer(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return plain(a)
}

// plain is an address in the form that prefixes are compared in.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// Neighbourhood is what bounds per address count by: the address itself, or the network
// of an IPv6 address, of which one subscriber has as many as they like.
func Neighbourhood(a netip.Addr) netip.Addr {
	const subscriber = 64 // bits of the prefix that providers delegate at least
	a = plain(a)
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(subscriber)
	if err != nil {
		return a
	}
	return p.Addr()
}
