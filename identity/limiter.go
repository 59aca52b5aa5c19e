package identity

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxLimited bounds the keys a limiter remembers. When it is full of keys in use,
// new keys share one bucket, so that an attacker with many addresses is slowed
// instead of taking memory.
const maxLimited = 10_000

// limiter is a token bucket for each key.
type limiter struct {
	rate  rate.Limit
	burst int
	now   func() time.Time

	mu      sync.Mutex // guards the fields below
	buckets map[string]*rate.Limiter
	rest    *rate.Limiter
	swept   time.Time
}

func newLimiter(r rate.Limit, burst int, now func() time.Time) *limiter {
	return &limiter{rate: r, burst: burst, now: now, buckets: map[string]*rate.Limiter{}, rest: rate.NewLimiter(r, burst)}
}

// allow takes one token of the key's bucket, and reports whether there was one.
func (l *limiter) allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b, ok := l.buckets[key]
	if !ok {
		if len(l.buckets) >= maxLimited {
			l.sweep(now)
		}
		if len(l.buckets) >= maxLimited {
			b = l.rest
		} else {
			b = rate.NewLimiter(l.rate, l.burst)
			l.buckets[key] = b
		}
	}
	return b.AllowN(now, 1)
}

// sweep forgets the keys whose bucket is full again; at most once a second, as it
// looks at every key.
func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for key, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, key)
		}
	}
}

// originKey is what an address is limited by: an IPv6 customer has a /64 at least.
func originKey(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
