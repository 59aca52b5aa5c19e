//go:build e2e

// Package hostile holds what the service must survive: bad input of every kind,
// stolen and broken keys, a kill at the worst moment, mistakes of its operator. It
// works on the real `deskyard serve`, as a process of its own.
package hostile

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/service"
)

// binary is the program under test, as `make build` leaves it.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("DESKYARD_BIN")
	if path == "" {
		path = filepath.Join("..", "..", "bin", "deskyard")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abs); err != nil {
		t.Fatalf("%v; run make build", err)
	}
	return abs
}

// house is a running service and what is needed to call it.
type house struct {
	*service.Service
	dir  string
	http *http.Client

	mu     sync.Mutex // guards tokens
	tokens map[string]string
}

// open starts a service of the test's own.
func open(t *testing.T) *house {
	t.Helper()
	h := &house{dir: t.TempDir(), tokens: map[string]string{}}
	var err error
	if h.Service, err = service.Start(t.Context(), service.Options{Binary: binary(t), Dir: h.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
	})
	h.http = trusting(t, h.CAFile)
	h.must(t, http.StatusCreated, "PUT", h.group(), "2021-04-01", `{"location":"local"}`)
	return h
}

// trusting is a client that trusts one CA.
func trusting(t *testing.T, caFile string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", caFile)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 32}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Timeout: 90 * time.Second, Transport: tr}
}

func (h *house) group() string {
	return "/subscriptions/" + h.SubscriptionID + "/resourceGroups/hostile"
}

func (h *house) pool(name string) string {
	return h.group() + "/providers/Microsoft.DesktopVirtualization/hostPools/" + name
}

const (
	desktops = "2025-10-10" // api-version
	poolBody = `{"location":"local","properties":{"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"}}`
)

// makePool creates a pool and gives its object id.
func (h *house) makePool(t *testing.T, name string) string {
	t.Helper()
	var p struct{ Properties struct{ ObjectID string } }
	h.must(t, http.StatusCreated, "PUT", h.pool(name), desktops, poolBody).into(t, &p)
	return p.Properties.ObjectID
}

// makeKey makes a registration key with these limits (JSON, "" for none).
func (h *house) makeKey(t *testing.T, pool, limits string) string {
	t.Helper()
	if limits != "" {
		limits = `,"deskyard":` + limits
	}
	h.must(t, http.StatusOK, "PATCH", h.pool(pool), desktops, fmt.Sprintf(
		`{"properties":{"registrationInfo":{"expirationTime":%q,"registrationTokenOperation":"Update"%s}}}`,
		time.Now().Add(2*time.Hour).UTC().Format(time.RFC3339), limits))
	var key struct{ Token string }
	h.must(t, http.StatusOK, "POST", h.pool(pool)+"/retrieveRegistrationToken", desktops, "").into(t, &key)
	if key.Token == "" {
		t.Fatal("the key has no token")
	}
	return key.Token
}

// reply is an answer of the service.
type reply struct {
	status int
	header http.Header
	body   []byte
	code   string // of ARM's error body
	text   string // its message
}

func (r reply) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("decode %.300s: %v", r.body, err)
	}
}

// must calls as the first service principal and wants a status.
func (h *house) must(t *testing.T, status int, method, path, version, body string) reply {
	t.Helper()
	r := h.call(t, method, path+"?api-version="+version, strings.NewReader(body))
	if r.status != status && (status != http.StatusCreated || r.status != http.StatusOK) {
		t.Fatalf("%s %s answers %d, not %d: %.500s", method, path, r.status, status, r.body)
	}
	return r
}

// call calls as the first service principal.
func (h *house) call(t *testing.T, method, target string, body io.Reader) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.Endpoint+target, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return h.send(t, req)
}

func (h *house) send(t *testing.T, req *http.Request) reply {
	t.Helper()
	if req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", "Bearer "+h.token(t, h.ClientID, h.ClientSecret))
	}
	r, err := exchange(h.http, req)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// exchange sends a request and reads the answer whole.
func exchange(c *http.Client, req *http.Request) (reply, error) {
	res, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	r := reply{status: res.StatusCode, header: res.Header}
	if r.body, err = io.ReadAll(io.LimitReader(res.Body, 32<<20)); err != nil {
		return r, err
	}
	var e struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(r.body, &e) == nil {
		r.code, r.text = e.Error.Code, e.Error.Message
	}
	return r, nil
}

// token obtains an access token by client credentials, once for each client.
func (h *house) token(t *testing.T, client, secret string) string {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if have := h.tokens[client+secret]; have != "" {
		return have
	}
	have, err := h.signIn(t.Context(), client, secret)
	if err != nil {
		t.Fatal(err)
	}
	h.tokens[client+secret] = have
	return have
}

func (h *house) signIn(ctx context.Context, client, secret string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret}, "scope": {h.Endpoint + "/.default"}}
	req, err := http.NewRequestWithContext(ctx, "POST", h.Endpoint+"/"+h.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r, err := exchange(h.http, req)
	if err != nil {
		return "", err
	}
	var a struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(r.body, &a); err != nil || a.AccessToken == "" {
		return "", fmt.Errorf("sign in: %d %.300s", r.status, r.body)
	}
	return a.AccessToken, nil
}

// memory is the service's resident memory in MB: "VmRSS" now, "VmHWM" at its highest.
func (h *house) memory(t *testing.T, name string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.Process().Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(string(b), "\n") {
		var kb int
		if n, _ := fmt.Sscanf(l, name+": %d kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	t.Fatalf("no %s in %s", name, b)
	return 0
}

// run runs the program to its end, within a minute.
func run(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := exec.CommandContext(ctx, binary(t), args...).CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("deskyard %s did not end; it says %s", strings.Join(args, " "), b)
	}
	return string(b), err
}

// wantARMError checks an answer for ARM's error body.
func wantARMError(t *testing.T, r reply, status int, code string) {
	t.Helper()
	if r.status != status || r.code != code || r.text == "" {
		t.Errorf("answer %d %q %q, want %d %q with a message; body %.300s", r.status, r.code, r.text, status, code, r.body)
	}
}
