package monitor

import (
	"cmp"
	"context"
	"net/http"
	"os"

	"github.com/deskyard/deskyard/socket"
)

// SocketEnv overrides DefaultSocket, for tests.
const (
	SocketEnv     = "DESKYARD_MONITOR_SOCKET"
	DefaultSocket = "/run/deskyard/monitor.sock"
)

// Client speaks to this machine's monitoring agent.
type Client struct{ socket *socket.Client }

// NewClient makes a client of the socket at path; "" is the usual one.
func NewClient(path string) *Client { return &Client{socket.NewClient(socketPath(path))} }

func socketPath(path string) string { return cmp.Or(path, os.Getenv(SocketEnv), DefaultSocket) }

// Metrics asks for the newest measurement.
func (c *Client) Metrics(ctx context.Context) (Metrics, error) {
	var m Metrics
	err := c.socket.Call(ctx, http.MethodGet, "/v1/metrics", nil, &m)
	return m, err
}

// Tell hands over what only the infrastructure agent knows.
func (c *Client) Tell(ctx context.Context, a FromAgent) error {
	return c.socket.Call(ctx, http.MethodPut, "/v1/agent", a, nil)
}
