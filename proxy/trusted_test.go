package proxy_test

import (
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/deskyard/deskyard/proxy"
)

func TestForwardedAddressesCountOnlyFromTrustedProxies(t *testing.T) {
	trusted := proxy.Trusted{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct{ peer, header, want string }{
		{"192.0.2.1:9", "203.0.113.7", "192.0.2.1"},
		{"10.1.1.1:9", "203.0.113.7", "203.0.113.7"},
		{"10.1.1.1:9", "198.51.100.1, 203.0.113.7, 10.2.2.2", "203.0.113.7"},
		{"10.1.1.1:9", "nonsense", "10.1.1.1"},
		{"[::ffff:192.0.2.1]:9", "", "192.0.2.1"},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Forwarded-For", c.header)
		if got := trusted.Client(r).String(); got != c.want {
			t.Errorf("from %s with %q: %s, want %s", c.peer, c.header, got, c.want)
		}
	}
}

func FuzzClient(f *testing.F) {
	f.Add("10.1.1.1:9", "203.0.113.7, 10.2.2.2")
	f.Add("[fe80::1%eth0]:9", ",,")
	trusted := proxy.Trusted{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, peer, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", header)
		if a := trusted.Client(r); !trusted.Before(r) && a.IsValid() {
			r.Header.Del("X-Forwarded-For")
			if b := trusted.Client(r); a != b {
				t.Fatalf("a stranger's header made %s of %s", a, b)
			}
		}
	})
}
