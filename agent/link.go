package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/reverse"
)

// Times of a link.
const (
	dialTime    = 15 * time.Second
	commandTime = 25 * time.Second // less than the service waits
	measureEach = 30 * time.Second
	maxCommands = 16 // under way on the host
)

// refused is the service's no.
type refused struct{ reverse.Refused }

func (r *refused) Error() string { return "the service refuses the link: " + r.Code + ": " + r.Message }

// farewell is the service's bye.
type farewell struct{ reverse.Bye }

func (b *farewell) Error() string { return "the service closed the link: " + b.Reason }

// unreachable reports whether err is the network's.
func unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// control is one link.
type control struct {
	*reverse.Frames
	a    *Agent
	log  *slog.Logger
	sent atomic.Int64 // when the heartbeat under way was sent, monotonic
	rtt  atomic.Int64 // of the last one, nanoseconds
	each time.Duration
	busy chan struct{}
	wg   sync.WaitGroup
}

var start = time.Now() // sent counts from here: immune to steps of the clock

// link opens a link to the first of the service's addresses that answers and holds
// it until it breaks, the service ends it, or ctx ends. The error is never nil.
func (a *Agent) link(ctx context.Context, st State) error {
	var tried []error
	for _, base := range st.BrokerURIs {
		f, err := dial(ctx, base, st.CAPin)
		if err != nil {
			tried = append(tried, fmt.Errorf("dial %s: %w", base, err))
			continue
		}
		stop := context.AfterFunc(ctx, f.Cut)
		w, err := a.authenticate(ctx, f, &st)
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			f.Cut()
			return err
		}
		return a.hold(ctx, f, st, w, base)
	}
	return errors.Join(tried...)
}

// dial opens the WebSocket.
func dial(ctx context.Context, base, pin string) (*reverse.Frames, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := reverse.Dial(ctx, base, reverse.Pinned(pin))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(dialTime)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	u.Scheme, u.Path = "wss", reverse.LinkPath
	br, _, err := ws.Dialer{}.Upgrade(conn, u)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return reverse.AgentFrames(conn, br), nil // br is there if the service's first words came with the upgrade
}

// authenticate answers the challenge. When it returns, the next epoch is on disk
// and confirmed.
func (a *Agent) authenticate(ctx context.Context, f *reverse.Frames, st *State) (reverse.Welcome, error) {
	var hello reverse.Hello
	var welcome reverse.Welcome
	if err := expect(f, reverse.TypeHello, &hello); err != nil {
		return welcome, err
	}
	machine, err := a.o.Machine(ctx)
	if err != nil {
		return welcome, fmt.Errorf("describe this machine: %w", err)
	}
	about, err := json.Marshal(machine)
	if err != nil {
		return welcome, fmt.Errorf("describe this machine: %w", err)
	}
	auth := reverse.Auth{Version: reverse.Version, HostID: st.HostID, Epoch: st.Epoch, Machine: about}
	auth.Signature = ed25519.Sign(st.key(), reverse.LinkProof(st.HostID, hello.Nonce, st.Epoch, about))
	if err := f.Send(reverse.TypeAuth, "", auth); err != nil {
		return welcome, err
	}
	if err := expect(f, reverse.TypeWelcome, &welcome); err != nil {
		return welcome, err
	}
	st.Epoch = welcome.NextEpoch
	if len(welcome.BrokerURIs) > 0 {
		st.BrokerURIs = welcome.BrokerURIs
	}
	if err := st.write(a.o.StateFile); err != nil {
		return welcome, err
	}
	return welcome, f.Send(reverse.TypeConfirm, "", reverse.Confirm{Epoch: st.Epoch})
}

// expect reads one message of a kind; a refusal or a bye becomes its error.
func expect(f *reverse.Frames, kind string, body any) error {
	m, err := f.ReadMessage(requestTime, func(ws.OpCode, []byte) {})
	if err != nil {
		return err
	}
	switch m.Type {
	case kind:
		return m.Into(body)
	case reverse.TypeRefused:
		var r refused
		if err := m.Into(&r.Refused); err != nil {
			return err
		}
		return &r
	case reverse.TypeBye:
		var b farewell
		if err := m.Into(&b.Bye); err != nil {
			return err
		}
		return &b
	}
	return fmt.Errorf("the service sent %q where the protocol has %q", m.Type, kind)
}

// hold serves an open link until it ends.
func (a *Agent) hold(ctx context.Context, f *reverse.Frames, st State, w reverse.Welcome, base string) error {
	a.know(st)
	a.brokers.mu.Lock()
	a.expect = Expectations{Metadata: w.MetadataExpected, Directory: w.DirectoryRequired, Gateways: w.GatewayURIs}
	a.brokers.mu.Unlock()
	a.log.Info("link up", "service", base, "host", st.ResourceID)
	a.tell(Status{State: StateLinked, Registered: true, Host: st.ResourceID, Service: base})
	a.announce(ctx)

	c := &control{Frames: f, a: a, log: a.log, each: time.Duration(w.HeartbeatSeconds) * time.Second, busy: make(chan struct{}, maxCommands)}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.wg.Go(func() { c.beat(inner) })
	c.wg.Go(func() { c.report(inner) })
	c.wg.Go(func() { c.tellSeen(inner) })
	if a.o.Monitor != nil {
		c.wg.Go(func() { c.measure(inner) })
	}
	gone := make(chan struct{})
	leave := context.AfterFunc(ctx, func() {
		defer close(gone)
		c.goodbye(inner)
	})
	err := c.read(inner)
	if !leave() {
		<-gone
	}
	cancel()
	f.Cut() // ends writers
	c.wg.Wait()
	return err
}

// goodbye ends the link from this side. When the machine goes down the service is
// told, or it would take the silence for a failure.
func (c *control) goodbye(ctx context.Context) {
	if c.a.o.Stopping != nil && c.a.o.Stopping(ctx) {
		if err := c.Send(reverse.TypeStopping, "", struct{}{}); err != nil {
			c.log.Warn("shutdown not told to the service", "err", err)
		}
	}
	c.Close(ws.StatusGoingAway, "")
}

// beat sends heartbeats; their pongs measure the round trip.
func (c *control) beat(ctx context.Context) {
	tick := time.NewTicker(c.each)
	defer tick.Stop()
	for {
		c.sent.Store(int64(time.Since(start)))
		if err := c.Write(ws.OpPing, reverse.Beat(c.rtt.Load()/1000)); err != nil {
			c.Cut() // read tells why
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// read acts on what the service sends; three silent heartbeats end the link.
func (c *control) read(ctx context.Context) error {
	seen := func(op ws.OpCode, _ []byte) {
		if op == ws.OpPong {
			c.rtt.Store(int64(time.Since(start)) - c.sent.Load())
		}
	}
	for {
		m, err := c.ReadMessage(3*c.each, seen)
		if err != nil {
			return fmt.Errorf("read from the service: %w", err)
		}
		switch m.Type {
		case reverse.TypeBye:
			var b farewell
			if err := m.Into(&b.Bye); err != nil {
				return err
			}
			return &b
		case reverse.TypeCommand:
			if err := c.command(ctx, m); err != nil {
				return err
			}
		case reverse.TypeDesired:
			c.wg.Go(func() { c.desired(ctx, m) })
		}
	}
}

// command carries out a command beside the reading and answers it.
func (c *control) command(ctx context.Context, m reverse.Message) error {
	var order deskyard.Command
	if err := m.Into(&order); err != nil {
		return err
	}
	select {
	case c.busy <- struct{}{}:
	default:
		return c.Send(reverse.TypeResult, m.ID, reverse.Result{Error: "the host has too many commands under way"})
	}
	c.wg.Go(func() {
		defer func() { <-c.busy }()
		ctx, cancel := context.WithTimeout(ctx, commandTime)
		defer cancel()
		var result reverse.Result
		var err error
		if order.Verb == reverse.VerbDial {
			result.Dialled, err = c.a.dialBack(ctx, m)
		} else {
			err = c.a.carryOut(ctx, order)
		}
		if err != nil {
			result.Error = clip(err.Error(), 2000)
		}
		c.log.Info("command carried out", "verb", order.Verb, "session", order.Session, "err", result.Error)
		if err := c.Send(reverse.TypeResult, m.ID, result); err != nil {
			c.log.Warn("result not sent", "verb", order.Verb, "err", err)
		}
	})
	return nil
}

// desired hands the service's wish to the boot loader, which checks what it installs.
func (c *control) desired(ctx context.Context, m reverse.Message) {
	var wish struct {
		Components []bootloader.Desired `json:"components"`
	}
	if err := m.Into(&wish); err != nil {
		c.log.Error("desired components not understood", "err", err)
		return
	}
	if c.a.o.Loader == nil {
		return
	}
	if err := c.a.o.Loader.SetDesired(ctx, wish.Components); err != nil {
		c.log.Error("desired components not handed to the boot loader", "err", err)
	}
}

// report sends the board whenever it changes.
func (c *control) report(ctx context.Context) {
	c.a.look(ctx) // since this version was announced, it is the one that is installed
	if c.a.checkAnew(ctx) != nil {
		return // the link has ended
	}
	for {
		r, known, changed := c.a.board.read()
		if known { // the first report must hold the checks' results
			r.At = c.a.now()
			if err := c.Send(reverse.TypeReport, "", r); err != nil {
				c.Cut() // read tells why
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// measure passes the monitoring agent's figures on.
func (c *control) measure(ctx context.Context) {
	tick := time.NewTicker(measureEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		active, disconnected := c.a.board.sessions()
		rtt := time.Duration(c.rtt.Load())
		err := c.a.o.Monitor.Tell(ctx, active, disconnected, rtt)
		var s MonitorSample
		if err == nil {
			s, err = c.a.o.Monitor.Sample(ctx)
		}
		if err != nil {
			c.log.Debug("host not measured", "err", err) // MonitoringAgentCheck says so to people
			continue
		}
		s.Metrics.Active, s.Metrics.Disconnected, s.Metrics.RTTMicros = active, disconnected, rtt.Microseconds()
		if err := c.Send(reverse.TypeMetrics, "", s.Metrics); err != nil {
			c.log.Warn("measurement not sent", "err", err)
		}
	}
}

// carryOut does what the service asks.
func (a *Agent) carryOut(ctx context.Context, c deskyard.Command) error {
	switch c.Verb {
	case "check":
		return a.CheckNow(ctx)
	case "disconnect", "logoff", "message":
		if a.o.Stack == nil {
			return errors.New("this host has no sxs-stack component")
		}
		return a.o.Stack.Do(ctx, c)
	}
	return fmt.Errorf("this agent does not know the command %q; update it", c.Verb)
}

func clip(s string, most int) string { return s[:min(len(s), most)] }
