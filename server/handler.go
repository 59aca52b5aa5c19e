package server

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// doors are the handlers that share the one port, by the first part of the path.
type doors struct {
	users      func(path string) http.Handler // the users' doors; nil for a path that is none of theirs
	agent      http.Handler                   // /agent/
	downloads  http.Handler                   // /downloads/
	identity   http.Handler                   // the issuer's and the directory's paths; claims tells which
	claims     func(path string) bool
	management http.Handler // everything else
	probes     *probes
}

// ServeHTTP passes a request to its door. It does not use http.ServeMux, which
// would redirect the doubled slashes that az sends.
func (d *doors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if users := d.users(r.URL.Path); users != nil {
		users.ServeHTTP(w, r)
		return
	}
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/agent/"):
		d.agent.ServeHTTP(w, r)
	case strings.HasPrefix(path, "/downloads/"):
		d.downloads.ServeHTTP(w, r)
	case d.probes.serve(w, r):
	case d.claims(path):
		d.identity.ServeHTTP(w, r)
	default:
		d.management.ServeHTTP(w, r)
	}
}

// probes answer monitoring: /healthz, /readyz, /metrics.
type probes struct {
	ready    func(ctx context.Context) error
	gatherer prometheus.Gatherer
	allow    func(r *http.Request) error // may this caller from elsewhere read /metrics?
}

func (p *probes) serve(w http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case "/healthz":
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	case "/readyz":
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := p.ready(ctx); err != nil {
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": err.Error()})
			break
		}
		answer(w, http.StatusOK, map[string]string{"status": "ready"})
	case "/metrics":
		if !fromLoopback(r) {
			if err := p.allow(r); err != nil {
				answer(w, http.StatusForbidden, map[string]string{"status": "forbidden",
					"reason": "metrics are for callers on the same machine, or with read permission on the subscription; --metrics-listen opens a port for them"})
				break
			}
		}
		p.metrics().ServeHTTP(w, r)
	default:
		return false
	}
	return true
}

func (p *probes) metrics() http.Handler {
	return promhttp.HandlerFor(p.gatherer, promhttp.HandlerOpts{Timeout: 10 * time.Second})
}

// fromLoopback reports whether the caller is on this machine and not a proxy that
// speaks for somebody else.
func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback() && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}

// mayReadMetrics lets those in who may read the subscription.
func mayReadMetrics(auth func(*http.Request) (deskyard.Principal, error),
	allow func(context.Context, deskyard.Principal, string, arm.ResourceID) error, subscription arm.ResourceID) func(*http.Request) error {
	return func(r *http.Request) error {
		p, err := auth(r)
		if err != nil {
			return err
		}
		return allow(r.Context(), p, "Microsoft.Resources/subscriptions/read", subscription)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The status is out; a caller that has gone cannot be told anything more.
	_ = json.NewEncoder(w).Encode(body)
}
