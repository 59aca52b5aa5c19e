package agentapi

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/deskyard/deskyard/proxy"
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
	trusted proxy.Trusted
	now     func() time.Time

	mu   sync.Mutex // guards seen
	seen map[netip.Addr]*rate.Limiter
}

func newSources(trusted proxy.Trusted, now func() time.Time) *sources {
	return &sources{trusted: trusted, now: now, seen: map[netip.Addr]*rate.Limiter{}}
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
