package sxs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/socket"
)

// sessions is what the operating system does for the stack.
type sessions interface {
	// list gives the sessions of users, and nothing of the system's own.
	list(ctx context.Context) ([]deskyard.UserSession, error)
	disconnect(ctx context.Context, native string) error
	logoff(ctx context.Context, native string) error
	message(ctx context.Context, native, title, body string) error
}

// listener is the machine's RDP server.
type listener interface {
	// prepare brings its configuration to where it should be; it changes nothing
	// when it is there already.
	prepare(ctx context.Context) error
	state(ctx context.Context) Listener
}

// Stack is the running stack of a machine.
type Stack struct {
	version  string
	sessions sessions
	listener listener
	legs     *legs
	log      *slog.Logger
}

// prepareEvery is how often the RDP server's configuration is looked at again: a
// package upgrade may have replaced it.
const prepareEvery = 5 * time.Minute

// New makes the stack of this machine.
func New(version string, log *slog.Logger) *Stack {
	return &Stack{version: version, sessions: newSessions(log), listener: newListener(log), legs: &legs{log: log, rdp: rdpAddress, parts: parts, news: newNews()}, log: log}
}

// Run prepares the RDP server and answers on the socket until ctx ends; ready is
// called once it does.
func (s *Stack) Run(ctx context.Context, socketPath string, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.keepPrepared(ctx)
	}()
	s.legs.wg.Go(func() { s.legs.watchSignIns(ctx) })
	err := socket.Serve(ctx, SocketPath(socketPath), s.handler(), ready)
	cancel()
	<-done
	s.legs.close()
	return err
}

func (s *Stack) keepPrepared(ctx context.Context) {
	tick := time.NewTicker(prepareEvery)
	defer tick.Stop()
	for {
		if err := s.listener.prepare(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("RDP server not prepared", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

type nothing struct{}

func (s *Stack) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/state", socket.Handle(func(ctx context.Context, _ *http.Request, _ nothing) (State, error) {
		return s.state(ctx), nil
	}))
	mux.HandleFunc("POST /v1/legs", socket.Handle(func(ctx context.Context, _ *http.Request, d Dial) (nothing, error) {
		return nothing{}, s.legs.open(ctx, d)
	}))
	on := func(verb string, do func(ctx context.Context, native string, m message) error) {
		mux.HandleFunc("POST /v1/sessions/{native}/"+verb, socket.Handle(func(ctx context.Context, r *http.Request, m message) (nothing, error) {
			native := r.PathValue("native")
			if err := do(ctx, native, m); err != nil {
				return nothing{}, fmt.Errorf("%s session %s: %w", verb, native, err)
			}
			s.log.Info("session commanded", "verb", verb, "session", native)
			return nothing{}, nil
		}))
	}
	on("disconnect", func(ctx context.Context, native string, _ message) error { return s.sessions.disconnect(ctx, native) })
	on("logoff", func(ctx context.Context, native string, _ message) error { return s.sessions.logoff(ctx, native) })
	on("message", func(ctx context.Context, native string, m message) error {
		return s.sessions.message(ctx, native, m.Title, m.Body)
	})
	return mux
}

func (s *Stack) state(ctx context.Context) State {
	st := State{Version: s.version, Listener: s.listener.state(ctx), News: s.legs.news.read()}
	list, err := s.sessions.list(ctx)
	if err != nil {
		st.Detail = err.Error()
		return st
	}
	st.Sessions, st.SessionsKnown = list, true
	return st
}
