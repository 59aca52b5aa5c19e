package server

import (
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskyard/deskyard/proxy"
)

// maxStrangers is how many connections of one address may be without a whole request:
// in their TLS handshake, or with half a head. Each lasts ten seconds at most. A thousand
// people behind one address have far fewer at any moment, and whoever is turned away
// comes back; only those on this machine and the operator's reverse proxies, who speak
// for many, are not counted.
const maxStrangers = 512

// strangers bounds the connections that have not asked anything yet. Its state is an
// http.Server's ConnState.
type strangers struct {
	trusted proxy.Trusted
	refused prometheus.Counter

	mu    sync.Mutex // guards all below
	from  map[net.Conn]netip.Addr
	count map[netip.Addr]int
}

func newStrangers(trusted proxy.Trusted, r prometheus.Registerer) *strangers {
	s := &strangers{trusted: trusted, from: map[net.Conn]netip.Addr{}, count: map[netip.Addr]int{},
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "deskyard_connections_refused_total", Help: "Connections cut because their address has too many that have asked nothing yet."})}
	r.MustRegister(s.refused)
	return s
}

func (s *strangers) state(c net.Conn, state http.ConnState) {
	if state == http.StateIdle {
		return
	}
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	address := at.Addr().Unmap()
	if err != nil || address.IsLoopback() || s.trusted.Contains(address) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	near, counted := s.from[c]
	switch {
	case state != http.StateNew && counted:
		delete(s.from, c)
		if s.count[near]--; s.count[near] == 0 {
			delete(s.count, near)
		}
	case state == http.StateNew:
		near = proxy.Neighbourhood(address)
		if s.count[near] >= maxStrangers {
			s.refused.Inc()
			_ = c.Close() // nothing was said on it
			return
		}
		s.from[c] = near
		s.count[near]++
	}
}
