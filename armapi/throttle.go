package armapi

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/deskyard/deskyard/arm"
)

// Throttle bounds how much one caller may ask for. The zero value is the default;
// Azure's own bucket holds 250 reads and refills 25 a second, which a busy
// Terraform run against a local service would feel.
type Throttle struct {
	PerSecond float64 // requests a second that the bucket refills by; 0: 2000
	Burst     int     // requests that a full bucket holds; 0: 10000
}

// manyCallers is when buckets that are full again are thrown away.
const manyCallers = 4096

// throttle holds a token bucket for each caller and kind of request.
type throttle struct {
	limit rate.Limit
	burst int

	mu      sync.Mutex // guards buckets
	buckets map[string]*rate.Limiter
}

func newThrottle(o Throttle) *throttle {
	t := &throttle{limit: rate.Limit(o.PerSecond), burst: o.Burst, buckets: map[string]*rate.Limiter{}}
	if t.limit <= 0 {
		t.limit = 2000
	}
	if t.burst <= 0 {
		t.burst = 10000
	}
	return t
}

// admit takes a token for the request and tells the caller what is left.
func (t *throttle) admit(x *exchange) error {
	kind := "writes"
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		kind = "reads"
	case http.MethodDelete:
		kind = "deletes"
	}
	who := x.principal.ObjectID
	if who == "" { // a public door
		who = "address " + x.s.clientAddress(x.r)
	}
	b, now := t.bucket(who+" "+kind, x.start), x.start
	ok := b.AllowN(now, 1)
	left := strconv.Itoa(int(math.Max(0, b.TokensAt(now))))
	h, scope := x.w.Header(), "tenant"
	if x.target.id.Subscription != "" {
		scope = "subscription"
	}
	h.Set("x-ms-ratelimit-remaining-"+scope+"-"+kind, left)
	h.Set("x-ms-ratelimit-remaining-"+scope+"-global-"+kind, left)
	if ok {
		return nil
	}
	wait := time.Duration(float64(time.Second) / float64(t.limit))
	seconds := int(math.Ceil(math.Max(1, wait.Seconds())))
	h.Set("Retry-After", strconv.Itoa(seconds))
	return arm.Errorf(arm.Throttled, "SubscriptionRequestsThrottled",
		"Number of %s for the caller exceeded the limit. Please try again after '%d' seconds.", kind, seconds)
}

func (t *throttle) bucket(key string, now time.Time) *rate.Limiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[key]
	if b == nil {
		if len(t.buckets) >= manyCallers {
			t.sweep(now)
		}
		b = rate.NewLimiter(t.limit, t.burst)
		t.buckets[key] = b
	}
	return b
}

// sweep forgets the callers whose buckets are full: a new one would be the same.
func (t *throttle) sweep(now time.Time) {
	for k, b := range t.buckets {
		if b.TokensAt(now) >= float64(t.burst) {
			delete(t.buckets, k)
		}
	}
}
