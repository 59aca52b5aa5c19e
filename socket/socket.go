// Package socket lets the components of one machine speak to each other: HTTP with
// JSON over a Unix socket that only its owner may open. Windows 10 and later have
// such sockets too.
package socket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// maxMessage bounds what either side reads of a message. The largest is a host's
// list of sessions, some 150 KiB for 500 of them.
const maxMessage = 1 << 20

// Error is a refusal that the other side's operator reads.
type Error struct {
	Status  int    `json:"-"`
	Message string `json:"error"`
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Serve answers on the socket at path until ctx ends, then lets requests end. ready
// is called once the socket takes calls.
func Serve(ctx context.Context, path string, h http.Handler, ready func()) error {
	l, err := listen(path)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.MaxBytesHandler(h, maxMessage), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	ready()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", path, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = srv.Shutdown(stop)
	if ended := <-ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// listen takes over the path of a process that has gone.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the socket's folder: %w", err)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("listen on %s: another process answers there; stop it first", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the stale socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("guard the socket: %w", err), l.Close())
	}
	return l, nil
}

// Handle makes a handler of a function that takes what was sent and returns what
// to answer.
func Handle[In, Out any](f func(ctx context.Context, r *http.Request, in In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if r.ContentLength != 0 {
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				reply(w, http.StatusBadRequest, &Error{Message: "the message is not what is expected here: " + err.Error()})
				return
			}
		}
		out, err := f(r.Context(), r, in)
		var refused *Error
		switch {
		case errors.As(err, &refused) && refused.Status != 0:
			reply(w, refused.Status, refused)
		case err != nil:
			reply(w, http.StatusInternalServerError, &Error{Message: err.Error()})
		default:
			reply(w, http.StatusOK, out)
		}
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may have gone
}

// Client calls the process behind a socket.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a client of the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: dial, MaxIdleConns: 1}}}
}

// Call sends in, if it is not nil, and decodes the answer into out, if it is not
// nil. A refusal is an *Error.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the message to %s: %w", c.path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://socket"+path, body)
	if err != nil {
		return fmt.Errorf("call %s: %w", c.path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", c.path, err)
	}
	defer resp.Body.Close()
	answer := json.NewDecoder(io.LimitReader(resp.Body, maxMessage))
	if resp.StatusCode != http.StatusOK {
		refused := &Error{Status: resp.StatusCode}
		if err := answer.Decode(refused); err != nil {
			refused.Message = resp.Status
		}
		return refused
	}
	if out == nil {
		return nil
	}
	if err := answer.Decode(out); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", c.path, err)
	}
	return nil
}
