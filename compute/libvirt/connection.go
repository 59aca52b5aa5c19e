package libvirt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket"
	"github.com/digitalocean/go-libvirt/socket/dialers"

	"github.com/deskyard/deskyard/compute"
)

// Bounds of calls. libvirtd answers in milliseconds; what waits for QEMU or for data
// takes longer.
const (
	quick    = 10 * time.Second // a question, or a change of a definition
	slow     = time.Minute      // starts or ends a QEMU, whose firmware and TPM are made first
	lengthy  = 30 * time.Minute // moves memory or disks
	idleMost = 8                // connections that are kept for later calls
)

// Backoff of dialling a host that does not answer.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// endpoint is a libvirtd and the way to it.
type endpoint struct {
	uri    golibvirt.ConnectURI // what the daemon itself is asked for
	name   string               // the URI as people know it, without a password
	dialer socket.Dialer
	local  bool // its files are this host's
	plain  bool // the way is neither encrypted nor authenticated
}

// Local reports whether uri ("" is qemu:///system) names the libvirtd of this host,
// whose machines are on this host's bridges: one that is reached by a socket's file.
func Local(uri string) (bool, error) {
	e, err := parseURI(uri)
	return e.local, err
}

// parseURI reads a libvirt URI: qemu:///system, qemu+unix, qemu+tcp, qemu+tls or
// qemu+ssh. Options that switch verification off are refused.
func parseURI(text string) (endpoint, error) {
	if text == "" {
		text = string(golibvirt.QEMUSystem)
	}
	u, err := url.Parse(text)
	if err != nil {
		return endpoint{}, fmt.Errorf("read libvirt URI: %w", err)
	}
	driver, transport, given := strings.Cut(u.Scheme, "+")
	if driver != "qemu" {
		return endpoint{}, fmt.Errorf("read libvirt URI %s: its driver is %q, not qemu", u.Redacted(), driver)
	}
	if !given {
		transport = "unix"
		if u.Host != "" {
			transport = "tls"
		}
	}
	q := u.Query()
	for _, o := range []string{"no_verify", "known_hosts_verify"} {
		if v := q.Get(o); v != "" && v != "0" && v != "normal" {
			return endpoint{}, fmt.Errorf("read libvirt URI %s: %s=%s would trust any host that answers", u.Redacted(), o, v)
		}
	}
	if transport != "unix" && u.Hostname() == "" {
		return endpoint{}, fmt.Errorf("read libvirt URI %s: it names no host", u.Redacted())
	}
	e := endpoint{uri: golibvirt.RemoteURI(u), name: u.Redacted()}
	switch transport {
	case "unix":
		e.local = true
		path := q.Get("socket")
		if path == "" {
			path = "/run/libvirt/libvirt-sock"
		}
		e.dialer = dialers.NewLocal(dialers.WithSocket(path))
	case "tcp":
		e.plain = true
		e.dialer = dialers.NewRemote(u.Hostname(), optional(u.Port(), dialers.UsePort)...)
	case "tls":
		e.dialer = newTLS(u.Hostname(), u.Port(), q.Get("pkipath"))
	case "ssh", "libssh", "libssh2":
		e.dialer = newSSH(u)
	default:
		return endpoint{}, fmt.Errorf("read libvirt URI %s: no transport %q", u.Redacted(), transport)
	}
	return e, nil
}

// optional is an option where its value is given.
func optional[O any](value string, option func(string) O) []O {
	if value == "" {
		return nil
	}
	return []O{option(value)}
}

// connections are those to one libvirtd.
type connections struct {
	endpoint
	log *slog.Logger
	now func() time.Time

	dialling sync.WaitGroup // dials that outlast the call they were for

	mu      sync.Mutex // guards what follows
	idle    []*connection
	closed  bool
	failed  error // of the last dial
	backoff time.Duration
	retry   time.Time // no dial before
}

// connection is used by one call at a time.
type connection struct {
	*golibvirt.Libvirt
	conn net.Conn
}

// dialled hands a connection that stands to go-libvirt.
type dialled struct{ conn net.Conn }

func (d dialled) Dial() (net.Conn, error) { return d.conn, nil }

// close ends the connection and waits until go-libvirt has noticed. An error of
// closing changes nothing: nobody reads it any more.
func (c *connection) close() {
	_ = c.conn.Close()
	<-c.Disconnected()
}

var errClosed = errors.New("the driver is closed")

// take gives an idle connection or makes one.
func (p *connections) take(ctx context.Context) (*connection, error) {
	p.mu.Lock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if c.IsConnected() {
			p.mu.Unlock()
			return c, nil
		}
		_ = c.conn.Close() // the other side closed it
	}
	closed, failed, wait := p.closed, p.failed, p.retry.After(p.now())
	p.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case failed != nil && wait:
		return nil, failed
	}
	c, err := p.connect(ctx)
	if err != nil && ctx.Err() != nil && !errors.Is(context.Cause(ctx), compute.ErrUnreachable) {
		return nil, err // the caller's end, which says nothing about the host
	}
	p.note(err)
	return c, err
}

// note keeps how a dial went.
func (p *connections) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil && p.failed != nil:
		p.log.Info("hypervisor answers again", "uri", p.name)
	case err != nil && p.failed == nil:
		p.log.Warn("hypervisor does not answer", "uri", p.name, "error", err)
	}
	p.failed = err
	if err == nil {
		p.backoff = 0
		return
	}
	p.backoff = min(max(firstBackoff, 2*p.backoff), lastBackoff)
	p.retry = p.now().Add(p.backoff)
}

func (p *connections) connect(ctx context.Context) (*connection, error) {
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, unreachable(ctx, fmt.Errorf("connect to %s: %w", p.name, err))
	}
	c := &connection{golibvirt.NewWithDialer(dialled{frame(conn)}), conn}
	if err := c.bounded(ctx, func() error { return c.ConnectToURI(p.uri) }); err != nil {
		_ = conn.Close() // what matters is why it did not open
		return nil, unreachable(ctx, fmt.Errorf("open %s: %w", p.name, err))
	}
	return c, nil
}

// dial ends with ctx; the dialers do not, but have bounds of their own (20 s).
func (p *connections) dial(ctx context.Context) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	p.dialling.Go(func() {
		conn, err := p.dialer.Dial()
		if err == nil && ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), conn.Close())
		}
		done <- result{conn, err}
	})
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		p.dialling.Go(func() {
			if r := <-done; r.err == nil {
				_ = r.conn.Close() // nobody waits for it any more
			}
		})
		return nil, context.Cause(ctx)
	}
}

// give takes a connection back.
func (p *connections) give(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= idleMost || !c.IsConnected() {
		_ = c.conn.Close() // it is not needed
		return
	}
	p.idle = append(p.idle, c)
}

func (p *connections) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	p.dialling.Wait()
}

// bounded runs a call that takes no context; when ctx ends first, the connection is
// closed under it, which ends it.
func (c *connection) bounded(ctx context.Context, call func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	err := call()
	if !stop() && err != nil {
		return context.Cause(ctx)
	}
	return err
}

// do makes one call or several that belong together, within limit.
func (d *Driver) do(ctx context.Context, limit time.Duration, call func(l *golibvirt.Libvirt) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	bound, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s: %w", limit, compute.ErrUnreachable))
	defer cancel()
	c, err := d.hosts.take(bound)
	if err != nil {
		return explain(ctx, err)
	}
	err = c.bounded(bound, func() error { return call(c.Libvirt) })
	d.hosts.give(c)
	return explain(ctx, err)
}

// ask is do with an answer.
func ask[T any](ctx context.Context, d *Driver, limit time.Duration, call func(l *golibvirt.Libvirt) (T, error)) (answer T, err error) {
	err = d.do(ctx, limit, func(l *golibvirt.Libvirt) (err error) {
		answer, err = call(l)
		return err
	})
	return answer, err
}

// unreachable says that a host did not answer, unless the caller gave up.
func unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("%w: %w", compute.ErrUnreachable, err)
}

// explain gives libvirt's errors the port's meaning.
func explain(ctx context.Context, err error) error {
	var said golibvirt.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, compute.ErrUnreachable), errors.Is(err, errClosed):
		return err
	case errors.As(err, &said):
		return explainCode(said)
	case errors.Is(err, golibvirt.ErrUnsupported):
		return fmt.Errorf("%w: this libvirt is too old: %w", compute.ErrUnsupported, err)
	case errors.Is(err, golibvirt.ErrInterrupted), isNetwork(err):
		return fmt.Errorf("%w: %w", compute.ErrUnreachable, err)
	}
	return err
}

func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, net.ErrClosed) || err.Error() == "invalid argument" // go-libvirt's word for a connection that is gone
}

func explainCode(said golibvirt.Error) error {
	var means error
	switch golibvirt.ErrorNumber(said.Code) {
	case golibvirt.ErrNoDomain:
		means = compute.ErrNotFound
	case golibvirt.ErrNoSupport, golibvirt.ErrConfigUnsupported, golibvirt.ErrOperationUnsupported:
		means = compute.ErrUnsupported
	case golibvirt.ErrOperationTimeout:
		means = compute.ErrUnreachable
	}
	if strings.Contains(said.Message, "No space left on device") || strings.Contains(said.Message, "Cannot allocate memory") {
		means = compute.ErrNoSpace
	}
	if means == nil {
		return said
	}
	return fmt.Errorf("%w: %w", means, said)
}

// is tells whether libvirt said one of these codes.
func is(err error, codes ...golibvirt.ErrorNumber) bool {
	var said golibvirt.Error
	if !errors.As(err, &said) {
		return false
	}
	for _, c := range codes {
		if golibvirt.ErrorNumber(said.Code) == c {
			return true
		}
	}
	return false
}
