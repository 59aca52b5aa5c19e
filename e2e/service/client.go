package service

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard/reverse"
)

// Client calls the management API with the bootstrap's service principal.
type Client struct {
	boot Bootstrap
	http *http.Client

	mu      sync.Mutex // guards what follows
	token   string
	expires time.Time
}

// NewClient trusts the service's CA and nothing else.
func NewClient(b Bootstrap) (*Client, error) {
	pem, err := os.ReadFile(b.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the service's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the service's CA: no certificate in %s", b.CAFile)
	}
	return &Client{boot: b, http: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true},
	}}, nil
}

// APIError is an error answer of the management API.
type APIError struct {
	Status  int
	Code    string
	Message string
}

func (e *APIError) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message) }

// IsStatus reports whether err is an answer with this HTTP status.
func IsStatus(err error, status int) bool {
	var e *APIError
	return errors.As(err, &e) && e.Status == status
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 16 << 20

// Do sends body as JSON (none if nil) and decodes the answer into out (unless nil).
// path is below the endpoint; its api-version is added unless it has one.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error {
	token, err := c.bearer(ctx)
	if err != nil {
		return err
	}
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the body of %s %s: %w", method, path, err)
		}
		in = bytes.NewReader(b)
	}
	if !strings.Contains(path, "api-version=") {
		path += "?api-version=2025-10-10"
	}
	req, err := http.NewRequestWithContext(ctx, method, c.boot.Endpoint+path, in)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return c.send(req, out)
}

func (c *Client) send(req *http.Request, out any) error {
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", req.Method, req.URL.Path, err)
	}
	if res.StatusCode >= 300 {
		var e struct {
			Error struct{ Code, Message string }
		}
		if json.Unmarshal(b, &e) != nil || e.Error.Code == "" {
			e.Error.Message = string(b[:min(len(b), 300)])
		}
		return fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, &APIError{res.StatusCode, e.Error.Code, e.Error.Message})
	}
	if out == nil || len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w", req.Method, req.URL.Path, err)
	}
	return nil
}

// bearer returns an access token that is good for another minute.
func (c *Client) bearer(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Until(c.expires) > time.Minute {
		return c.token, nil
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.boot.ClientID},
		"client_secret": {c.boot.ClientSecret}, "scope": {c.boot.Endpoint + "/.default"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.boot.Endpoint+"/"+c.boot.TenantID+"/oauth2/v2.0/token",
		strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := c.send(req, &answer); err != nil {
		return "", fmt.Errorf("obtain an access token: %w", err)
	}
	c.token, c.expires = answer.AccessToken, time.Now().Add(time.Duration(answer.ExpiresIn)*time.Second)
	return c.token, nil
}

// Register registers a machine that is none with this key, as somebody would who
// found a key, and returns the answer's status and beginning.
func (c *Client) Register(ctx context.Context, key string) (int, string, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return 0, "", fmt.Errorf("make a machine's key: %w", err)
	}
	machine := json.RawMessage(`{"hostname":"stranger","machineId":"0123456789abcdef0123456789abcdef","os":"linux","arch":"amd64","osVersion":"12"}`)
	body, err := json.Marshal(map[string]any{
		"token": key, "machine": machine, "publicKey": []byte(public),
		"proof": ed25519.Sign(private, reverse.RegisterProof(key, machine)),
	})
	if err != nil {
		return 0, "", fmt.Errorf("encode a registration: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.boot.Endpoint+reverse.RegisterPath, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 600))
	if err != nil {
		return 0, "", fmt.Errorf("read the answer to a registration: %w", err)
	}
	return res.StatusCode, strings.Join(strings.Fields(string(b)), " "), nil
}
