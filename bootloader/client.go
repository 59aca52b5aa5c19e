package bootloader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Environment that a component's process is started with, beside the boot loader's own.
const (
	SocketEnv    = "DESKYARD_BOOTLOADER_SOCKET" // path of the control socket
	ComponentEnv = "DESKYARD_COMPONENT"         // its own name
	VersionEnv   = "DESKYARD_COMPONENT_VERSION" // its own version
)

// DefaultSocket is the boot loader's control socket.
const DefaultSocket = "/run/deskyard/bootloader.sock"

// maxControlBody bounds a message on the control socket, either way.
const maxControlBody = 1 << 20

// Client speaks to the boot loader of this machine over its control socket. Only
// the user whom the boot loader runs as may open the socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient makes a client of the control socket at path; "" is DefaultSocket.
func NewClient(path string) *Client {
	if path == "" {
		path = DefaultSocket
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{socket: path, http: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}}
}

// AnnounceReady tells the boot loader that started this process that it is up and
// works. Until then a new version counts as untried, and one that does not announce
// itself within a minute is rolled back. In a process that no boot loader started
// it does nothing.
func AnnounceReady(ctx context.Context) error {
	socket, component, version := os.Getenv(SocketEnv), os.Getenv(ComponentEnv), os.Getenv(VersionEnv)
	if socket == "" || component == "" {
		return nil
	}
	return NewClient(socket).Ready(ctx, component, version)
}

// Ready announces a component at a version. The boot loader refuses a version other
// than the one it has started.
func (c *Client) Ready(ctx context.Context, component, version string) error {
	return patiently(ctx, func() error {
		return c.do(ctx, http.MethodPost, "/v1/ready", readyMessage{component, version}, nil)
	})
}

// SetDesired says which versions this machine should run. Components that are not
// named stay as they are. It returns once the wish is on disk; Status tells how it goes.
func (c *Client) SetDesired(ctx context.Context, desired []Desired) error {
	return patiently(ctx, func() error {
		return c.do(ctx, http.MethodPut, "/v1/desired", desiredMessage{desired}, nil)
	})
}

// A boot loader that replaces itself does not answer for a moment.
const (
	patience = 10 * time.Second
	pause    = 200 * time.Millisecond
)

// errAway says that the boot loader does not answer, or not yet.
var errAway = errors.New("boot loader does not answer")

// patiently repeats what failed because the boot loader was away.
func patiently(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := ask()
		if err == nil || !errors.Is(err, errAway) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// Status asks for the state of every component.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.do(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

type readyMessage struct {
	Component string `json:"component"`
	Version   string `json:"version"`
}

type desiredMessage struct {
	Components []Desired `json:"components"`
}

type errorMessage struct {
	Error string `json:"error"`
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode %s: %w", path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://bootloader"+path, body)
	if err != nil {
		return fmt.Errorf("ask boot loader %s: %w", path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w at %s (is its service running?): %w", errAway, c.socket, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxControlBody))
	if err != nil {
		return fmt.Errorf("read answer of boot loader to %s: %w", path, err)
	}
	if resp.StatusCode >= 300 {
		var m errorMessage
		if json.Unmarshal(b, &m) != nil || m.Error == "" {
			m.Error = strings.TrimSpace(string(b[:min(len(b), 200)]))
		}
		if resp.StatusCode == http.StatusServiceUnavailable {
			return fmt.Errorf("%w to %s: %s", errAway, path, m.Error)
		}
		return errors.New("boot loader refuses " + path + ": " + m.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("decode answer of boot loader to %s: %w", path, err)
	}
	return nil
}
