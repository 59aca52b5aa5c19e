package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/signon"
	"github.com/deskyard/deskyard/sxs"
)

// Where things are on Linux, see package bootloader.
const (
	DefaultState  = "/var/lib/deskyard/agent.json"
	DefaultKey    = "/etc/deskyard/registration-token"
	DefaultStatus = "/run/deskyard/agent-status.json"
	KeyEnv        = "REGISTRATIONTOKEN"
)

// Loader is the boot loader of this machine; *bootloader.Client is one.
type Loader interface {
	SetDesired(ctx context.Context, desired []bootloader.Desired) error
	Status(ctx context.Context) (bootloader.Status, error)
}

// Stack is the sxs-stack component: it owns the listener and the sessions.
type Stack interface {
	Status(ctx context.Context) (StackStatus, error)
	Do(ctx context.Context, c deskyard.Command) error
	// Dial connects the machine's RDP server with a gateway.
	Dial(ctx context.Context, d sxs.Dial) error
}

// SignOn takes credentials that work once; package signon's Client is one.
type SignOn interface {
	Grant(ctx context.Context, g signon.Grant) (account string, err error)
}

// Monitor is the monitoring-agent component.
type Monitor interface {
	Sample(ctx context.Context) (MonitorSample, error)
	// Tell hands over what only the agent knows.
	Tell(ctx context.Context, active, disconnected int, rtt time.Duration) error
}

// Options configure an Agent. StateFile, KeyFile, Version and Machine are required.
type Options struct {
	StateFile  string
	KeyFile    string
	Key        string // registration key from the environment; the file's comes first
	StatusFile string // "": no status is written
	Version    string
	Machine    func(context.Context) (deskyard.Machine, error)
	Checks     []Check
	Stack      Stack   // nil: sessions are not known
	Loader     Loader  // nil: components are not known and cannot be updated
	Monitor    Monitor // nil: nothing is measured
	SignOn     SignOn  // nil: people are asked for their password

	// Ready is called once, when this version has shown that it works.
	Ready func(context.Context) error
	// Stopping says, when the agent is told to end, whether the whole machine does.
	Stopping func(context.Context) bool

	Log *slog.Logger
	Now func() time.Time
}

// Agent is a machine's agent. Make it with New and run it once.
type Agent struct {
	o      Options
	log    *slog.Logger
	now    func() time.Time
	board  *board
	news   *news
	ready  sync.Once
	tried  keyStamp           // the key file that was last looked at; used by Run alone
	checks chan chan struct{} // asks for health checks now; closed back when done
	jitter func(time.Duration) time.Duration
	began  time.Time // monotonic: immune to steps of the clock
	brokers
}

// brokers is what checks may know of the service.
type brokers struct {
	mu     sync.Mutex // guards what follows
	uris   []string
	pin    string
	host   string // object id
	key    ed25519.PrivateKey
	expect Expectations

	checkedIn string // surroundings of the checks on the board
}

// New makes an Agent.
func New(o Options) (*Agent, error) {
	if o.StateFile == "" || o.KeyFile == "" || o.Version == "" || o.Machine == nil {
		return nil, errors.New("make agent: StateFile, KeyFile, Version and Machine are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &Agent{o: o, log: o.Log, now: o.Now, board: newBoard(), news: newNews(), checks: make(chan chan struct{}), began: time.Now()}
	a.jitter = func(d time.Duration) time.Duration { return rand.N(max(d, time.Millisecond)) }
	return a, nil
}

// Reconnection: full jitter over a span that doubles, so that a service that comes
// back is not met by all its hosts at once.
const (
	backoffFirst = time.Second
	backoffMost  = time.Minute
	retryRefused = 5 * time.Minute // a refused key or a removed host needs a person
)

// Run registers and links until ctx ends, and waits for what it started. It gives
// an error only when the agent cannot go on at all.
func (a *Agent) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	// The checks outlive ctx until the link has said its last word.
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	wg.Go(func() { a.watch(watch) })
	a.log.Info("agent started", "version", a.o.Version)
	span := backoffFirst
	for {
		began := time.Now()
		err := a.connect(ctx)
		if ctx.Err() != nil {
			a.tell(Status{State: StateStopped})
			a.log.Info("agent stopped")
			return nil
		}
		if time.Since(began) > backoffMost { // the link held: start over
			span = backoffFirst
		}
		if errors.Is(err, syscall.ENETUNREACH) && began.Sub(a.began) < time.Minute {
			span = backoffFirst // the machine starts and has no network yet
		}
		wait := a.waitAfter(err, span)
		span = min(2*span, backoffMost)
		a.log.Warn("no link", "err", err, "again", wait.Round(time.Millisecond))
		if !a.pause(ctx, wait) {
			span = backoffFirst // a key has come
		}
	}
}

// connect registers if need be and holds a link until it ends. The error says why.
func (a *Agent) connect(ctx context.Context) error {
	st, err := a.enrol(ctx)
	if err != nil {
		state := StateRegistering
		if errors.Is(err, ErrNoKey) {
			state = StateUnregistered
			a.announce(ctx) // nothing more can be shown until somebody brings a key
		}
		a.excuse(ctx, err)
		var no *arm.Error
		refused := errors.As(err, &no) && no.Kind != arm.Unavailable
		a.tell(Status{State: state, Registered: st.IsRegistered(), Why: err.Error(), Refused: refused})
		if !st.IsRegistered() {
			return err
		}
		a.log.Error("new registration key not used; the old registration stays", "err", err)
	}
	a.know(st)
	err = a.link(ctx, st)
	a.excuse(ctx, err)
	if ctx.Err() == nil {
		a.tell(Status{State: StateUnlinked, Registered: true, Host: st.ResourceID, Why: err.Error()})
	}
	return err
}

// waitAfter is how long to wait after err, within span unless somebody says better.
func (a *Agent) waitAfter(err error, span time.Duration) time.Duration {
	var no *refused
	var bye *farewell
	var e *arm.Error
	switch {
	case errors.As(err, &no):
		after := time.Duration(no.RetryAfterSeconds) * time.Second
		return after + a.jitter(after/4+time.Second)
	case errors.As(err, &bye) && bye.RetryAfterSeconds > 0:
		return a.jitter(time.Duration(bye.RetryAfterSeconds) * time.Second)
	case errors.Is(err, ErrNoKey):
		return retryRefused
	case errors.As(err, &e) && e.Kind == arm.Conflicting:
		return backoffMost + a.jitter(backoffMost) // the record in the way may be removed
	case errors.As(err, &e) && e.Kind == arm.Forbidden:
		return retryRefused
	}
	return a.jitter(span)
}

// keyEach is how often a waiting agent looks for a new registration key.
const keyEach = 2 * time.Second

// pause waits d, or until ctx ends; false when a new registration key came first.
func (a *Agent) pause(ctx context.Context, d time.Duration) bool {
	end := time.NewTimer(d)
	defer end.Stop()
	look := time.NewTicker(keyEach)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return true
		case <-end.C:
			return true
		case <-look.C:
			if now := a.keyStamp(); now != a.tried && now != (keyStamp{}) {
				return false
			}
		}
	}
}

// keyStamp tells one key file from another; the zero value is no file.
type keyStamp struct {
	at   int64
	size int64
}

func (a *Agent) keyStamp() keyStamp {
	st, err := os.Stat(a.o.KeyFile)
	if err != nil {
		return keyStamp{}
	}
	return keyStamp{st.ModTime().UnixNano(), st.Size()}
}

// announce tells the boot loader, once, that this version works.
func (a *Agent) announce(ctx context.Context) {
	a.ready.Do(func() {
		if a.o.Ready == nil {
			return
		}
		if err := a.o.Ready(ctx); err != nil {
			a.log.Error("readiness not announced; the boot loader may roll this version back", "err", err)
		}
	})
}

// excuse announces readiness in spite of err when err is not this version's doing:
// the service cannot be reached, or has refused by its own rules.
func (a *Agent) excuse(ctx context.Context, err error) {
	var no *refused
	var e *arm.Error
	if unreachable(err) || errors.As(err, &e) || errors.As(err, &no) && no.Code != reverse.RefusedProtocol {
		a.announce(ctx)
	}
}

func (a *Agent) know(st State) {
	a.brokers.mu.Lock()
	defer a.brokers.mu.Unlock()
	a.uris, a.pin, a.host, a.key = st.BrokerURIs, st.CAPin, st.HostID, st.key()
}

// CheckNow runs the health checks at once and waits for them.
func (a *Agent) CheckNow(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case a.checks <- done:
	case <-ctx.Done():
		return fmt.Errorf("run the health checks: %w", ctx.Err())
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("run the health checks: %w", ctx.Err())
	}
}
