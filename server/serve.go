package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskyard/deskyard/history"
	"github.com/deskyard/deskyard/relay"
)

// Limits of the one port. A request's body is bounded by its door.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 60 * time.Second // ARM's own limit on a request
	answerTimeout = 75 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	sweepEvery    = 10 * time.Minute
)

// serve opens the port, reports readiness and works until ctx ends.
func (s *service) serve(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; `deskyard doctor` says more", s.config.Listen, err)
	}
	var draining atomic.Bool
	check := s.doors.probes.ready
	s.doors.probes.ready = func(ctx context.Context) error {
		if draining.Load() {
			return errors.New("the service is stopping")
		}
		return check(ctx)
	}
	quiet := slog.NewLogLogger(s.log.Handler(), slog.LevelDebug) // handshake failures of strangers
	main := &http.Server{
		Handler: s.doors, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: answerTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: quiet, ConnState: newStrangers(s.proxies, s.registry).state,
	}
	servers := map[*http.Server]net.Listener{main: tls.NewListener(relay.Listen(listener), s.certificates.config())}
	main.TLSConfig = s.certificates.config()
	if s.config.MetricsListen != "" {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.config.MetricsListen)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for metrics on %s: %w", s.config.MetricsListen, err), listener.Close())
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", s.doors.probes.metrics())
		servers[&http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: bodyTimeout, ErrorLog: quiet}] = l
	}
	return s.work(ctx, servers, &draining)
}

// work runs the servers and the regular chores until ctx ends or a server fails.
func (s *service) work(ctx context.Context, servers map[*http.Server]net.Listener, draining *atomic.Bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for srv, l := range servers {
		wg.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("serve on %s: %w", l.Addr(), err))
			}
		})
	}
	wg.Go(func() { s.certificates.keepFresh(ctx) })
	wg.Go(func() { s.keepTidy(ctx) })
	wg.Go(func() { s.provision.Run(ctx) })
	wg.Go(func() { s.recorder().Run(ctx) })
	wg.Go(func() { s.management.KeepStatuses(ctx) })
	wg.Go(func() { s.connect.Run(ctx) })
	wg.Go(func() { s.users.gateway.Report(ctx) })
	if err := s.announce(ctx); err != nil {
		cancel(err)
	}

	<-ctx.Done()
	draining.Store(true)
	s.log.Info("service stopping", "reason", context.Cause(ctx))
	s.agents.HangUp()
	s.management.HangUp()
	s.users.orders.Close() // gateways keep a question open for them
	err := s.drain(servers)
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	s.log.Info("service stopped")
	return err
}

// announce tells the operator, and the bootstrap file, that the service answers.
func (s *service) announce(ctx context.Context) error {
	if err := s.store.Check(ctx); err != nil {
		return err
	}
	if err := s.handOver(ctx, s.fresh); err != nil {
		return err
	}
	s.log.Info("service ready", "url", s.config.PublicURL, "listen", s.config.Listen, "agents", s.config.AgentURL, "version", s.version)
	return nil
}

// drain lets requests under way, and sessions, end within the configured time.
func (s *service) drain(servers map[*http.Server]net.Listener) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainFor)
	defer cancel()
	relayed := make(chan struct{})
	go func() { // ends some seconds after ctx at the latest
		s.users.gateway.Close(ctx)
		close(relayed)
	}()
	defer func() { <-relayed }()
	var errs []error
	for srv := range servers {
		if err := srv.Shutdown(ctx); err != nil {
			s.log.Warn("requests cut off", "err", err)
			errs = append(errs, srv.Close())
		}
	}
	return errors.Join(errs...)
}

// keepTidy rotates keys and removes what has expired until ctx ends.
func (s *service) keepTidy(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if rotated, err := s.identityKeys.Maintain(); err != nil {
			s.log.Error("token signing keys not maintained", "err", err)
		} else if rotated {
			s.log.Info("token signing key rotated")
		}
		if err := s.identity.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("expired sign-ins not removed", "err", err)
		}
		s.prune(ctx)
		s.pruneConnections(ctx)
	}
}

// recorder notes what hosts and pools are like.
func (s *service) recorder() *history.Recorder {
	return &history.Recorder{Store: s.store, Hosts: s.agents.Measured, Pools: s.management.PoolMeasurements, Now: s.now, Log: s.log}
}

// operationsFor is how long the record of an ended operation can be asked for: long
// enough for any client that polls.
const operationsFor = 7 * 24 * time.Hour

// prune removes history that nobody has to keep any longer.
func (s *service) prune(ctx context.Context) {
	now := s.now()
	events, operations, err := s.store.Prune(ctx, now.Add(-s.config.KeepAudit), now.Add(-operationsFor))
	if err != nil && ctx.Err() == nil {
		s.log.Error("history not pruned", "err", err)
	}
	if events > 0 || operations > 0 {
		s.log.Info("history pruned", "auditEvents", events, "operations", operations)
	}
}
