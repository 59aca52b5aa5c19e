package sxs

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"os"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/socket"
)

// SocketEnv overrides DefaultSocket, for tests.
const (
	SocketEnv     = "DESKYARD_SXS_SOCKET"
	DefaultSocket = "/run/deskyard/sxs.sock"
)

// State is what the stack knows at one moment.
type State struct {
	Version       string                 `json:"version"`
	Listener      Listener               `json:"listener"`
	Sessions      []deskyard.UserSession `json:"sessions"`
	SessionsKnown bool                   `json:"sessionsKnown"`    // false: the system could not be asked
	Detail        string                 `json:"detail,omitempty"` // why not
	News          News                   `json:"news"`
}

// Listener is the state of the machine's RDP server.
type Listener struct {
	Ready      bool   `json:"ready"`                // it answers an RDP connection request
	Detail     string `json:"detail,omitempty"`     // what is wrong and what to do
	Encryption string `json:"encryption,omitempty"` // security layer it offers: tls, negotiate, rdp
	// Certificate is the SHA-256, in hexadecimal, of the DER of the certificate that it
	// shows; "" while that is not known.
	Certificate string `json:"certificate,omitempty"`
}

// Client speaks to this machine's stack.
type Client struct{ socket *socket.Client }

// NewClient makes a client of the stack's socket at path; "" is the usual one.
func NewClient(path string) *Client {
	return &Client{socket.NewClient(SocketPath(path))}
}

// SocketPath is path, or what the environment says, or DefaultSocket.
func SocketPath(path string) string { return cmp.Or(path, os.Getenv(SocketEnv), DefaultSocket) }

// State asks how things are now.
func (c *Client) State(ctx context.Context) (State, error) {
	var s State
	err := c.socket.Call(ctx, http.MethodGet, "/v1/state", nil, &s)
	return s, err
}

// Disconnect cuts the client off a session; its programs go on.
func (c *Client) Disconnect(ctx context.Context, native string) error {
	return c.session(ctx, native, "disconnect", nil)
}

// Logoff ends a session and its programs.
func (c *Client) Logoff(ctx context.Context, native string) error {
	return c.session(ctx, native, "logoff", nil)
}

// Message shows a text in a session.
func (c *Client) Message(ctx context.Context, native, title, body string) error {
	return c.session(ctx, native, "message", message{title, body})
}

func (c *Client) session(ctx context.Context, native, verb string, in any) error {
	return c.socket.Call(ctx, http.MethodPost, "/v1/sessions/"+url.PathEscape(native)+"/"+verb, in, nil)
}

type message struct {
	Title string `json:"title"`
	Body  string `json:"body"`
}
