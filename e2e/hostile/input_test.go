//go:build e2e

package hostile

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// bad is one request that no client should send, and the answer that it gets.
type bad struct {
	name, method, path, query, body string
	contentType                     string
	status                          int
	code                            string // "": any
}

func badRequests(h *house) []bad {
	pool, v := h.pool("pool"), "api-version="+desktops
	put := func(name, body, code string) bad {
		return bad{name: name, method: "PUT", path: pool, query: v, body: body, status: 400, code: code}
	}
	named := func(name string) string { return h.pool(name) }
	return []bad{
		{name: "no api-version", method: "GET", path: pool, status: 400, code: "MissingApiVersionParameter"},
		{name: "an unknown api-version", method: "GET", path: pool, query: "api-version=2011-01-01", status: 400},
		{name: "an api-version that is none", method: "GET", path: pool, query: "api-version=' or 1=1 --", status: 400},
		put("text instead of JSON", "hello", "InvalidRequestContent"),
		put("JSON cut off", poolBody[:40], "InvalidRequestContent"),
		put("two JSON values", poolBody+poolBody, "InvalidRequestContent"),
		put("an array", "[]", "InvalidRequestContent"),
		put("a number", "42", "InvalidRequestContent"),
		put("100,000 brackets", strings.Repeat("[", 100_000), "InvalidRequestContent"),
		put("100,000 nested objects", strings.Repeat(`{"properties":`, 100_000), "InvalidRequestContent"),
		put("a deep tag", `{"location":"local","tags":`+strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5000)+`}`, ""),
		put("an escaped NUL", strings.Replace(poolBody, "Pooled", `Poo\u0000led`, 1), "InvalidRequestContent"),
		put("a raw NUL", strings.Replace(poolBody, "Pooled", "Poo\x00led", 1), "InvalidRequestContent"),
		put("invalid UTF-8", strings.Replace(poolBody, `"properties":{`, "\"properties\":{\"description\":\"a\xff\xfeb\",", 1), "InvalidRequestContent"),
		put("a string where an object belongs", `{"location":"local","properties":"x"}`, ""),
		put("a number out of range", strings.Replace(poolBody, `"properties":{`, `"properties":{"maxSessionLimit":1e400,`, 1), ""),
		put("a number that is a string", strings.Replace(poolBody, `"properties":{`, `"properties":{"maxSessionLimit":"many",`, 1), ""),
		put("no properties", `{"location":"local"}`, ""),
		{name: "a location that cannot be one", method: "PUT", path: named("new"), query: v, body: strings.Replace(poolBody, `"local"`, `"<b>"`, 1), status: 400, code: "LocationNotAvailableForResourceType"},
		{name: "another location than it has", method: "PUT", path: pool, query: v, body: strings.Replace(poolBody, `"local"`, `"westeurope"`, 1), status: 409, code: "InvalidResourceLocation"},
		put("a tag name too long", strings.Replace(poolBody, `"location"`, `"tags":{"`+strings.Repeat("t", 600)+`":"x"},"location"`, 1), ""),
		{name: "XML", method: "PUT", path: pool, query: v, body: "<a/>", contentType: "application/xml", status: 415, code: "UnsupportedMediaType"},
		{name: "a name too long", method: "PUT", path: named(strings.Repeat("n", 65)), query: v, body: poolBody, status: 400},
		{name: "a name far too long", method: "PUT", path: named(strings.Repeat("n", 5000)), query: v, body: poolBody, status: 400},
		{name: "a NUL in a name", method: "PUT", path: named("po%00ol"), query: v, body: poolBody, status: 400},
		{name: "a slash in a name", method: "PUT", path: named("po%2Fol"), query: v, body: poolBody, status: 404, code: "InvalidResourceType"},
		{name: "dots for a name", method: "PUT", path: named("%2e%2e"), query: v, body: poolBody, status: 400},
		{name: "invalid UTF-8 in a name", method: "PUT", path: named("po%ff%feol"), query: v, body: poolBody, status: 400},
		{name: "no such group", method: "PUT", path: strings.Replace(pool, "/hostile/", "/nowhere/", 1), query: v, body: poolBody, status: 404, code: "ResourceGroupNotFound"},
		{name: "no such subscription", method: "GET", path: strings.Replace(pool, h.SubscriptionID, "00000000-0000-0000-0000-000000000001", 1), query: v, status: 404, code: "SubscriptionNotFound"},
		{name: "no such parent", method: "PUT", path: h.group() + "/providers/Microsoft.DesktopVirtualization/applicationGroups/missing/applications/app", query: v,
			body: `{"properties":{"commandLineSetting":"DoNotAllow"}}`, status: 404, code: "ParentResourceNotFound"},
		{name: "no such resource", method: "GET", path: named("missing"), query: v, status: 404, code: "ResourceNotFound"},
		{name: "no such type", method: "GET", path: h.group() + "/providers/Microsoft.DesktopVirtualization/unicorns/one", query: v, status: 404},
		{name: "no such namespace", method: "GET", path: h.group() + "/providers/Contoso.Unicorns/stables/one", query: v, status: 404},
		{name: "a method that is none", method: "BREW", path: pool, query: v, status: 405},
		{name: "a huge query string", method: "GET", path: pool, query: "x=" + strings.Repeat("y", 40_000), status: 400, code: "MissingApiVersionParameter"},
		{name: "a page of minus one", method: "GET", path: pool + "/sessionHosts", query: v + "&pageSize=-1", status: 400},
		{name: "a page of words", method: "GET", path: pool + "/sessionHosts", query: v + "&pageSize=all", status: 400},
		{name: "a forged page token", method: "GET", path: pool + "/sessionHosts", query: v + "&$skipToken=%27%3Bdrop", status: 400},
		{name: "a filter that is none", method: "GET", path: "/subscriptions/" + h.SubscriptionID + "/resources", query: "api-version=2021-04-01&$filter=" + url.QueryEscape("((((("), status: 400},
		{name: "a deep filter", method: "GET", path: "/subscriptions/" + h.SubscriptionID + "/resources", query: "api-version=2021-04-01&$filter=" + strings.Repeat("(", 20_000), status: 400},
		{name: "a role assignment of nobody", method: "PUT", path: h.group() + "/providers/Microsoft.Authorization/roleAssignments/not-a-guid", query: "api-version=2022-04-01",
			body: `{"properties":{}}`, status: 400},
	}
}

func TestBadRequestsGetARMsErrorBodyAndNever500(t *testing.T) {
	h := open(t)
	h.makePool(t, "pool")
	token := h.token(t, h.ClientID, h.ClientSecret)
	for _, b := range badRequests(h) {
		t.Run(b.name, func(t *testing.T) {
			r := h.sendBad(t, b, token)
			if r.code == "" || r.text == "" || r.status >= 500 {
				t.Fatalf("answer %d without ARM's error: %.400s", r.status, r.body)
			}
			if r.status != b.status || b.code != "" && r.code != b.code {
				t.Errorf("answer %d %s (%s), want %d %s", r.status, r.code, r.text, b.status, b.code)
			}
			if r.header.Get("x-ms-error-code") != r.code || r.header.Get("x-ms-correlation-request-id") == "" {
				t.Errorf("headers x-ms-error-code %q, x-ms-correlation-request-id %q", r.header.Get("x-ms-error-code"), r.header.Get("x-ms-correlation-request-id"))
			}
		})
	}
	h.must(t, http.StatusOK, "GET", h.pool("pool"), desktops, "")
	if log := h.Log(100_000); strings.Contains(log, "panic") {
		t.Errorf("the service's log tells of a panic:\n%.3000s", log[strings.Index(log, "panic"):])
	}
}

// sendBad sends a request whose path goes out as it is written.
func (h *house) sendBad(t *testing.T, b bad, token string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), b.method, h.Endpoint, strings.NewReader(b.body))
	if err != nil {
		t.Fatal(err)
	}
	if req.URL.Path, err = url.PathUnescape(b.path); err != nil {
		t.Fatal(err)
	}
	req.URL.RawPath, req.URL.RawQuery = b.path, strings.ReplaceAll(b.query, " ", "%20")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	if b.contentType != "" {
		req.Header.Set("Content-Type", b.contentType)
	}
	return h.send(t, req)
}

func TestCallersWithoutAGoodTokenAreToldHowToGetOne(t *testing.T) {
	h := open(t)
	good := h.token(t, h.ClientID, h.ClientSecret)
	parts := strings.Split(good, ".")
	for name, authorization := range map[string]string{
		"none at all": "Basic eDp5", "an empty one": "Bearer", "nonsense": "Bearer nonsense", "without signature": "Bearer " + parts[0] + "." + parts[1] + ".",
		"with a changed claim": "Bearer " + parts[0] + "." + parts[1][:len(parts[1])-2] + "AA." + parts[2], "a very long one": "Bearer " + strings.Repeat("a", 30_000),
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "GET", h.Endpoint+h.group()+"?api-version=2021-04-01", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", authorization)
			r := h.send(t, req)
			if r.status != http.StatusUnauthorized || r.code == "" || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("answer %d %s, WWW-Authenticate %q", r.status, r.body, r.header.Get("WWW-Authenticate"))
			}
		})
	}
}

func TestRequestsThatAreNotHTTPAreRefusedAndTheServiceLives(t *testing.T) {
	h := open(t)
	before := h.memory(t, "VmRSS")
	for name, c := range map[string]struct {
		send string
		want string // in the status line; "": only that the connection ends
	}{
		"a header of 1 MB":       {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Big: " + strings.Repeat("h", 1<<20) + "\r\n\r\n", "431"},
		"a request line of 1 MB": {"GET /" + strings.Repeat("p", 1<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "431"},
		"no HTTP at all":         {"\x16\x03\x01 hello\r\n\r\n", "400"},
		"no host":                {"GET /healthz HTTP/1.1\r\n\r\n", "400"},
		"two lengths":            {"POST /agent/v1/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"},
		"length and chunks":      {"POST /agent/v1/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\nabc", "501"},
	} {
		t.Run(name, func(t *testing.T) {
			line := h.sendRaw(t, c.send)
			if !strings.Contains(line, c.want) {
				t.Errorf("answer %q, want %s", line, c.want)
			}
		})
	}
	if peak := h.memory(t, "VmHWM"); peak > before+growthMB {
		t.Errorf("the service had %d MB before and %d MB at its highest", before, peak)
	}
	h.must(t, http.StatusOK, "GET", h.group(), "2021-04-01", "")
}

// sendRaw sends bytes over TLS and gives the first line of the answer.
func (h *house) sendRaw(t *testing.T, text string) string {
	t.Helper()
	config := h.http.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos, config.ServerName = []string{"http/1.1"}, "localhost"
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	address := strings.TrimPrefix(strings.Replace(h.Endpoint, "localhost", "127.0.0.1", 1), "https://")
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { // the service may answer, and close, before it has heard all
		_, err := io.WriteString(conn, text)
		sent <- err
	}()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && line == "" {
		line = fmt.Sprintf("no answer: %v", err)
	}
	conn.Close()
	<-sent
	return line
}
