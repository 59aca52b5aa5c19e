package armapi

import (
	"net/http"
	"net/url"
	"strings"
)

const (
	contentJSON = "application/json; charset=utf-8"
	// retrySoon is what clients are told to wait before they poll: az and azcore wait
	// 30 seconds when nothing is said, and azcore takes nothing below one.
	retrySoon = "1"
	// skipPollingDelay is put on answers to writes that are over: HashiCorp's go-azure-sdk,
	// and so azurerm, otherwise waits ten seconds before it looks whether they are.
	skipPollingDelay = "X-Go-Azure-Sdk-Skip-Polling-Delay"
	// routingRegion stands where Azure names the region of the gateway.
	routingRegion = "DESKYARD"
)

// setHeaders puts the headers on every answer that Azure's have.
func (x *exchange) setHeaders() {
	h := x.w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("x-ms-request-id", x.requestID)
	h.Set("x-ms-correlation-request-id", x.correlation)
	h.Set("x-ms-routing-request-id", routingRegion+":"+x.start.UTC().Format("20060102T150405Z")+":"+x.correlation)
	if sent := x.r.Header.Get("x-ms-client-request-id"); sent != "" &&
		strings.EqualFold(x.r.Header.Get("x-ms-return-client-request-id"), "true") {
		h.Set("x-ms-client-request-id", headerSafe(sent))
	}
}

// baseURL is scheme and host as the client used them.
func (s *Server) baseURL(r *http.Request) string {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if s.opt.TrustedProxies.Before(r) {
		if p := firstOf(r.Header.Get("X-Forwarded-Proto")); p == "http" || p == "https" {
			scheme = p
		}
		if h := firstOf(r.Header.Get("X-Forwarded-Host")); validHost(h) {
			host = h
		}
	}
	return scheme + "://" + host
}

// clientAddress is whom the audit log names.
func (s *Server) clientAddress(r *http.Request) string {
	return s.opt.TrustedProxies.Client(r).String()
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}

func validHost(h string) bool {
	u, err := url.Parse("https://" + h)
	return h != "" && err == nil && u.Host == h
}

// headerSafe makes text fit for a header: no line ends, nothing beyond ASCII, bounded.
func headerSafe(s string) string {
	const most = 512
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
}

// queryParams are a query's parameters by lower-case name: ARM takes any case.
// The first value of a name counts.
type queryParams map[string]string

func parseQuery(raw string) queryParams {
	q := queryParams{}
	values, _ := url.ParseQuery(raw) // what cannot be read is passed over, as ARM does with what it does not know
	for k, v := range values {
		if _, dup := q[strings.ToLower(k)]; !dup || k == strings.ToLower(k) {
			q[strings.ToLower(k)] = v[0]
		}
	}
	return q
}

// Query is a query parameter, by name in any case; "" when it was not sent.
func (q *Request) Query(name string) string { return q.query[strings.ToLower(name)] }
