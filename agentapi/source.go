package agentapi

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds on registrations from one address: a few hundred machines behind one NAT
// may come at once, a guesser may not go on.
const (
	registerRate  = 10 // a second
	registerBurst = 300
	maxSources    = 4096 // addresses remembered
)

// sources knows where requests come from and how often.
type sources struct {
	trusted []netip.Prefix
	now     func() time.Time

	mu   sync.Mutex // guards seen
	seen map[netip.Addr]*rate.Limiter
}

func newSources(trusted []netip.Prefix, now func() time.Time) *sources {
	return &sources{trusted: trusted, now: now, seen: map[netip.Addr]*rate.Limiter{}}
}

// addr is the client's address: the peer's, or the last one of X-Forwarded-For that
// is not itself a trusted proxy when the peer is one.
func (s *sources) addr(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	peer, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	peer = peer.Unmap().WithZone("")
	if !s.isProxy(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		peer = a.Unmap().WithZone("")
		if !s.isProxy(peer) {
			break
		}
	}
	return peer
}

func (s *sources) isProxy(a netip.Addr) bool {
	for _, p := range s.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// allow counts one attempt from a; IPv6 clients are counted by their /64, which is
// one customer's. When too many addresses are remembered those with a full bucket,
// for which nothing is lost, are forgotten.
func (s *sources) allow(a netip.Addr) bool {
	if p, err := a.Prefix(64); a.Is6() && err == nil {
		a = p.Addr()
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.seen[a]
	if l == nil {
		if len(s.seen) >= maxSources {
			for k, v := range s.seen {
				if v.TokensAt(now) >= registerBurst {
					delete(s.seen, k)
				}
			}
		}
		if len(s.seen) >= maxSources {
			return false
		}
		l = rate.NewLimiter(registerRate, registerBurst)
		s.seen[a] = l
	}
	return l.AllowN(now, 1)
}
