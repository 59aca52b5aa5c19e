package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// maxAnswer bounds an answer that is read: ARM's own limit is 8 MB.
	maxAnswer = 16 << 20
	// requestTimeout is somewhat more than the service's own.
	requestTimeout = 75 * time.Second
	// longestWait bounds how long a command follows an operation.
	longestWait = 2 * time.Hour
)

// client talks to one service as one caller.
type client struct {
	http         *http.Client
	profile      *profile
	issuer       *issuer
	subscription string
	trace        *tracer
	noWait       bool
}

// request is one call. Path starts at the endpoint, or is an absolute URL of it.
type request struct {
	method  string
	path    string
	version string
	query   url.Values
	body    any
	graph   bool // to the directory instead of the management API
}

// response is an answer that was no refusal.
type response struct {
	status int
	header http.Header
	body   any // decoded JSON, nil when there is none
}

// newHTTP makes a client that trusts the profile's CA or pin and nothing else, or
// the system's CAs when the profile has neither.
func newHTTP(p *profile) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case p.Pin != "":
		want, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(p.Pin, "="))
		if err != nil || len(want) != sha256.Size {
			return nil, usagef("the pin %q is not the base64url SHA-256 of a public key", p.Pin)
		}
		config.InsecureSkipVerify = true // VerifyConnection does it, by the pin
		config.VerifyConnection = func(s tls.ConnectionState) error { return verifyPin(s, want) }
	case p.CAFile != "":
		pem, err := readSmall(p.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the CA's certificate: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read the CA's certificate: %s holds no certificate in PEM form", p.CAFile)
		}
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 15 * time.Second, ResponseHeaderTimeout: requestTimeout, IdleConnTimeout: 30 * time.Second,
	}
	return &http.Client{Transport: transport, Timeout: requestTimeout}, nil
}

// verifyPin accepts a chain whose own leaf is pinned, or whose leaf is signed, for
// the name that was dialled, by the pinned CA that the server sent along.
func verifyPin(s tls.ConnectionState, want []byte) error {
	for i, cert := range s.PeerCertificates {
		sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		if subtle.ConstantTimeCompare(sum[:], want) != 1 {
			continue
		}
		if i == 0 {
			return nil
		}
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(cert)
		for _, c := range s.PeerCertificates[1:i] {
			between.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: s.ServerName, Roots: roots, Intermediates: between})
		return err
	}
	return errors.New("the server's certificates do not match the pin")
}

// do sends a request and follows it, when it starts a long-running operation, to
// the end of the operation.
func (c *client) do(ctx context.Context, r request) (response, error) {
	resp, err := c.send(ctx, r)
	if err != nil || c.noWait || (resp.status != http.StatusAccepted && resp.header.Get("Azure-AsyncOperation") == "") {
		return resp, err
	}
	return c.follow(ctx, r, resp)
}

func (c *client) send(ctx context.Context, r request) (response, error) {
	req, err := c.build(ctx, r)
	if err != nil {
		return response{}, err
	}
	started := time.Now()
	raw, err := c.http.Do(req)
	if err != nil {
		return response{}, unreachable(c.profile, err)
	}
	defer raw.Body.Close()
	text, err := io.ReadAll(io.LimitReader(raw.Body, maxAnswer+1))
	if err != nil {
		return response{}, fmt.Errorf("%s %s: read the answer: %w", req.Method, req.URL.Path, err)
	}
	if len(text) > maxAnswer {
		return response{}, fmt.Errorf("%s %s: the answer is larger than %d bytes", req.Method, req.URL.Path, maxAnswer)
	}
	c.trace.exchange(req, r.body, raw, text, time.Since(started))
	resp := response{status: raw.StatusCode, header: raw.Header}
	if len(bytes.TrimSpace(text)) > 0 {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&resp.body); err != nil && raw.StatusCode < 300 {
			return resp, fmt.Errorf("%s %s: the answer is no JSON: %w", req.Method, req.URL.Path, err)
		}
	}
	if raw.StatusCode >= 300 {
		return resp, refusal(req, raw, text)
	}
	return resp, nil
}

func (c *client) build(ctx context.Context, r request) (*http.Request, error) {
	u, err := url.Parse(r.path)
	if err != nil {
		return nil, fmt.Errorf("read the path %q: %w", r.path, err)
	}
	if !u.IsAbs() {
		if u, err = url.Parse(c.profile.Endpoint + r.path); err != nil {
			return nil, fmt.Errorf("read the path %q: %w", r.path, err)
		}
	} else if base, err := url.Parse(c.profile.Endpoint); err != nil || !strings.EqualFold(u.Host, base.Host) || u.Scheme != base.Scheme {
		// A token goes to the service it was made for and nowhere else.
		return nil, fmt.Errorf("%s is not at the service %s", r.path, c.profile.Endpoint)
	}
	query := u.Query()
	for k, v := range r.query {
		query[k] = v
	}
	if r.version != "" && !query.Has("api-version") {
		query.Set("api-version", r.version)
	}
	u.RawQuery = query.Encode()
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	scope := c.profile.managementScope()
	if r.graph {
		scope = c.profile.graphScope()
	}
	token, err := c.issuer.token(ctx, scope)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "deskyard-cli")
	req.Header.Set("x-ms-client-request-id", uuid.NewString())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// refusal reads an error as ARM and Graph write it.
func refusal(req *http.Request, resp *http.Response, text []byte) error {
	e := &apiError{Status: resp.StatusCode, Action: req.Method + " " + req.URL.Path}
	var doc struct {
		Error struct {
			Code    string      `json:"code"`
			Message string      `json:"message"`
			Target  string      `json:"target"`
			Details []apiDetail `json:"details"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &doc); err != nil || doc.Error.Code == "" {
		e.Message = http.StatusText(resp.StatusCode)
		return e
	}
	e.Code, e.Message, e.Target, e.Details = doc.Error.Code, doc.Error.Message, doc.Error.Target, doc.Error.Details
	return e
}

// follow waits for a long-running operation the way Azure's clients do:
// Azure-AsyncOperation gives its status, Location its result.
func (c *client) follow(ctx context.Context, r request, resp response) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	status, result := resp.header.Get("Azure-AsyncOperation"), resp.header.Get("Location")
	for status != "" {
		if err := wait(ctx, retryAfter(resp.header)); err != nil {
			return resp, err
		}
		next, err := c.send(ctx, request{method: http.MethodGet, path: status})
		if err != nil {
			return next, err
		}
		resp = next
		state, _ := getPath(resp.body, []string{"status"})
		switch state {
		case "Succeeded":
			status = ""
		case "Failed", "Canceled":
			return resp, operationFailed(r, resp)
		}
	}
	if r.method == http.MethodPut || r.method == http.MethodPatch {
		return c.send(ctx, request{method: http.MethodGet, path: r.path, version: r.version})
	}
	for result != "" {
		next, err := c.send(ctx, request{method: http.MethodGet, path: result})
		if err != nil || next.status != http.StatusAccepted {
			return next, err
		}
		if err := wait(ctx, retryAfter(next.header)); err != nil {
			return next, err
		}
	}
	return response{status: http.StatusOK, header: resp.header}, nil
}

func operationFailed(r request, resp response) error {
	e := &apiError{Status: http.StatusOK, Action: r.method + " " + r.path, Code: "OperationFailed", Message: "The operation failed."}
	if code, ok := getPath(resp.body, []string{"error", "code"}); ok {
		e.Code = fmt.Sprint(code)
	}
	if message, ok := getPath(resp.body, []string{"error", "message"}); ok {
		e.Message = fmt.Sprint(message)
	}
	return e
}

// retryAfter is how long to wait: what the service says, within bounds.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil {
		seconds = 2
	}
	return time.Duration(min(max(seconds, 1), 60)) * time.Second
}

// list gathers the pages of a list, at most limit items (0: all).
func (c *client) list(ctx context.Context, r request, limit int) ([]any, error) {
	items := []any{}
	for r.path != "" {
		resp, err := c.send(ctx, r)
		if err != nil {
			return nil, err
		}
		page, _ := getPath(resp.body, []string{"value"})
		values, _ := page.([]any)
		items = append(items, values...)
		if limit > 0 && len(items) >= limit {
			return items[:limit], nil
		}
		next, _ := getPath(resp.body, []string{"nextLink"})
		if next == nil {
			next, _ = getPath(resp.body, []string{"@odata.nextLink"})
		}
		link, _ := next.(string)
		r = request{method: r.method, path: link, graph: r.graph}
	}
	return items, nil
}

// unreachable explains why a service could not be talked to.
func unreachable(p *profile, err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var certificate *tls.CertificateVerificationError
	wrapped := fmt.Errorf("reach %s: %w", p.Endpoint, err)
	var urlError *url.Error
	if errors.As(err, &urlError) {
		wrapped = fmt.Errorf("reach %s: %w", p.Endpoint, urlError.Err)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &name):
		return advise(wrapped, "use one of the names in the certificate as --endpoint, or --pin the certificate.")
	case errors.As(err, &unknown), errors.As(err, &certificate):
		return advise(wrapped, "name the service's CA: deskyard login --endpoint %s --ca-file CA.pem (it is ca.pem in the service's data folder).", p.Endpoint)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return advise(wrapped, "the service did not answer in time; check its log.")
	}
	return advise(wrapped, "check that the service runs (deskyard doctor on its machine) and that the address is right.")
}
