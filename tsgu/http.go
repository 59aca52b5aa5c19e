package tsgu

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Path is where clients look for a gateway; methods are RDG_OUT_DATA and RDG_IN_DATA.
const Path = "/remoteDesktopGateway/"

const (
	methodOut    = "RDG_OUT_DATA"
	methodIn     = "RDG_IN_DATA"
	connectionID = "RDG-Connection-Id"
)

// Times and bounds of the door.
const (
	pairWithin = 30 * time.Second // from one half of a connection to the other
	maxWaiting = 1000             // halves that wait for their other one
	headWithin = 10 * time.Second // for the second head of RDG_IN_DATA
	maxHead    = 16 << 10         // of it
)

// Stream is a client's byte stream, both ways.
type Stream interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// Door takes clients' requests at Path. Frames and Serve must be set.
type Door struct {
	// Frames makes a byte stream of the WebSocket on an upgraded connection; in holds
	// what was read of it already.
	Frames func(conn net.Conn, in *bufio.Reader) Stream
	// Serve has a client's stream until it returns, one of Frames also longer; r is the
	// request that began it.
	Serve func(ctx context.Context, s Stream, r *http.Request)
	// Enter, where given, decides whether one half of a connection may wait for the other;
	// conn is to be closed when it may no longer. An error's text is for the client.
	Enter func(r *http.Request, conn io.Closer) (leave func(), err error)
	Log   *slog.Logger // nil: slog.Default()

	mu   sync.Mutex // guards outs
	outs map[string]*half
}

// half is the way to a client that still lacks the way from it.
type half struct {
	client string // the peer's address without the port: both halves come from there
	taken  chan net.Conn
}

// ServeHTTP implements http.Handler. It returns when Serve does.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	switch {
	case r.Method == methodOut && strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		err = d.webSocket(w, r)
	case r.Method == methodOut:
		err = d.out(w, r)
	case r.Method == methodIn:
		err = d.in(w, r)
	default:
		w.Header().Set("Allow", methodOut+", "+methodIn)
		http.Error(w, "This is a Remote Desktop gateway: open the .rdp file of your desktop with a Remote Desktop client.", http.StatusMethodNotAllowed)
	}
	if err != nil {
		d.log().Info("gateway client refused", "client", r.RemoteAddr, "err", err)
	}
}

func (d *Door) log() *slog.Logger {
	if d.Log == nil {
		return slog.Default()
	}
	return d.Log
}

// webSocket upgrades. Libraries refuse these clients: the method is not GET, and
// FreeRDP 2's key is 15 characters and no base64.
func (d *Door) webSocket(w http.ResponseWriter, r *http.Request) error {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" || len(key) > 64 {
		http.Error(w, "Sec-WebSocket-Key is missing or too long.", http.StatusBadRequest)
		return fmt.Errorf("upgrade: Sec-WebSocket-Key has %d characters", len(key))
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, 1.3
	conn, in, err := hijack(w, nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	if err != nil {
		return err
	}
	d.Serve(r.Context(), d.Frames(conn, in), r)
	return nil
}

// entry is one half's wait for the other: what Enter is asked for. A nil one waits for
// nothing.
type entry struct {
	d     *Door
	r     *http.Request
	leave func()

	once   sync.Once
	closed chan struct{}

	mu   sync.Mutex // guards conn
	conn net.Conn   // nil: not taken over yet
}

// Close implements io.Closer for whoever lets the half in.
func (e *entry) Close() error {
	e.once.Do(func() { close(e.closed) })
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == nil {
		return nil
	}
	return e.conn.Close()
}

func (e *entry) ask() (err error) {
	if e == nil || e.d.Enter == nil {
		return nil
	}
	e.leave, err = e.d.Enter(e.r, e)
	return err
}

func (e *entry) give(conn net.Conn) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn = conn
	select {
	case <-e.closed:
		_ = conn.Close() // whoever serves it sees that
	default:
	}
}

func (e *entry) end() {
	if e.leave != nil {
		e.leave()
	}
}

// hijack takes the connection over and sends head.
func hijack(w http.ResponseWriter, enter *entry, head string) (net.Conn, *bufio.Reader, error) {
	if err := enter.ask(); err != nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return nil, nil, err
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "The gateway speaks HTTP/1.1 only. A proxy on the way must not speak HTTP/2 to it.", http.StatusHTTPVersionNotSupported)
		return nil, nil, fmt.Errorf("take the connection over: %w", err)
	}
	enter.give(conn)
	// The server's deadlines are for requests; who serves the stream sets its own.
	err = conn.SetDeadline(time.Now().Add(headWithin))
	if err == nil {
		_, err = io.WriteString(conn, head)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("answer the client: %w", err), conn.Close())
	}
	return conn, rw.Reader, nil
}

// out keeps the way to a client until the way from it comes, and then as long as the
// connection lasts.
func (d *Door) out(w http.ResponseWriter, r *http.Request) error {
	id := r.Header.Get(connectionID)
	if id == "" || len(id) > 64 {
		http.Error(w, connectionID+" is missing or too long.", http.StatusBadRequest)
		return fmt.Errorf("open %s: no usable %s", methodOut, connectionID)
	}
	h := &half{client: host(r.RemoteAddr), taken: make(chan net.Conn)}
	if err := d.await(id, h); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return err
	}
	defer d.forget(id, h)
	// Without a length the body lasts until the connection ends; clients skip ten bytes.
	var seed [10]byte
	_, _ = rand.Read(seed[:]) // never fails
	enter := &entry{d: d, r: r, closed: make(chan struct{})}
	defer enter.end()
	conn, _, err := hijack(w, enter, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"+string(seed[:]))
	if err != nil {
		return err
	}
	late := time.NewTimer(pairWithin)
	defer late.Stop()
	select {
	case h.taken <- conn:
		return nil // the other half closes it
	case <-late.C:
	case <-enter.closed:
		return fmt.Errorf("wait for %s: the gateway stops", methodIn)
	}
	return errors.Join(fmt.Errorf("no %s followed within %s", methodIn, pairWithin), conn.Close())
}

func (d *Door) await(id string, h *half) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.outs == nil {
		d.outs = map[string]*half{}
	}
	if len(d.outs) >= maxWaiting || d.outs[id] != nil {
		return fmt.Errorf("open %s: the connection id is in use, or too many clients are connecting; connect again in a moment", methodOut)
	}
	d.outs[id] = h
	return nil
}

func (d *Door) forget(id string, h *half) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.outs[id] == h {
		delete(d.outs, id)
	}
}

// take gives the other half of a client's connection.
func (d *Door) take(ctx context.Context, id, client string) (net.Conn, error) {
	d.mu.Lock()
	h := d.outs[id]
	if h != nil && h.client == client {
		delete(d.outs, id)
	} else {
		h = nil
	}
	d.mu.Unlock()
	if h == nil {
		return nil, fmt.Errorf("open %s: no %s of this client waits under its connection id", methodIn, methodOut)
	}
	ctx, cancel := context.WithTimeout(ctx, headWithin)
	defer cancel()
	select {
	case conn := <-h.taken:
		return conn, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("open %s: %w", methodIn, ctx.Err())
	}
}

// in pairs the way from a client with the way to it: the first request is answered, the
// packets are the body of a second one on the same connection.
func (d *Door) in(w http.ResponseWriter, r *http.Request) error {
	client := host(r.RemoteAddr)
	enter := &entry{d: d, r: r, closed: make(chan struct{})}
	defer enter.end()
	conn, in, err := hijack(w, enter, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // its end is told by the stream's reader
	if err := conn.SetDeadline(time.Now().Add(headWithin)); err != nil {
		return fmt.Errorf("set a deadline: %w", err)
	}
	bounded := &io.LimitedReader{R: in, N: maxHead}
	second, err := http.ReadRequest(bufio.NewReader(bounded))
	bounded.N = math.MaxInt64 // the body may go on for ever
	if err != nil {
		return fmt.Errorf("read the second %s: %w", methodIn, err)
	}
	if second.Method != methodIn || second.Header.Get(connectionID) != r.Header.Get(connectionID) {
		return fmt.Errorf("read the second %s: it is a %s of another connection", methodIn, second.Method)
	}
	out, err := d.take(r.Context(), r.Header.Get(connectionID), client)
	if err != nil {
		return err
	}
	p := &pair{in: conn, body: second.Body, out: out}
	if err := p.SetDeadline(time.Time{}); err != nil {
		return errors.Join(err, p.Close())
	}
	enter.end()
	d.Serve(r.Context(), p, r)
	return nil
}

// pair is the stream of two connections.
type pair struct {
	in, out net.Conn
	body    io.Reader
}

func (p *pair) Read(b []byte) (int, error)  { return p.body.Read(b) }
func (p *pair) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p *pair) Close() error                { return errors.Join(p.in.Close(), p.out.Close()) }

func (p *pair) SetDeadline(t time.Time) error {
	return errors.Join(p.in.SetDeadline(t), p.out.SetDeadline(t))
}

func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}
