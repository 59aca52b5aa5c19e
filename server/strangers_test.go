package server

import (
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskyard/deskyard/proxy"
)

// peer is a connection from somewhere.
type peer struct {
	net.Conn
	from   string
	closed bool
}

func (p *peer) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(p.from)) }

func (p *peer) Close() error {
	p.closed = true
	return nil
}

func TestAnAddressMayHaveSoManyConnectionsThatAskNothing(t *testing.T) {
	metrics := prometheus.NewRegistry()
	s := newStrangers(proxy.Trusted{netip.MustParsePrefix("198.51.100.0/24")}, metrics)
	begin := func(from string) *peer {
		p := &peer{from: from}
		s.state(p, http.StateNew)
		return p
	}
	first := begin("192.0.2.1:1")
	for range maxStrangers - 1 {
		if begin("[::ffff:192.0.2.1]:2").closed { // the same address
			t.Fatal("one too early")
		}
	}
	if !begin("192.0.2.1:3").closed {
		t.Fatal("one too many")
	}
	for range maxStrangers + 1 {
		for _, other := range []string{"127.0.0.1:1", "198.51.100.7:1"} {
			if begin(other).closed {
				t.Fatal("those who speak for many are counted")
			}
		}
	}
	if begin("192.0.2.2:1").closed {
		t.Error("another address suffers")
	}
	s.state(first, http.StateActive) // it has asked
	s.state(first, http.StateIdle)
	s.state(first, http.StateClosed)
	if begin("192.0.2.1:4").closed || !begin("192.0.2.1:5").closed {
		t.Error("the place of one that asked is not exactly one")
	}
	for i := range maxStrangers {
		near := netip.MustParseAddr("2001:db8::").As16()
		near[14], near[15] = byte(i>>8), byte(i)
		if begin(netip.AddrPortFrom(netip.AddrFrom16(near), 1).String()).closed {
			t.Fatal("one too early")
		}
	}
	if !begin("[2001:db8::ffff:1]:1").closed || begin("[2001:db8:0:1::1]:1").closed {
		t.Error("an IPv6 subscriber's network does not count as one")
	}
	all, err := metrics.Gather()
	if err != nil || len(all) != 1 || all[0].Metric[0].Counter.GetValue() != 3 {
		t.Errorf("counted as refused: %v %v", all, err)
	}
}
