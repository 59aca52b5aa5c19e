package agentapi

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/proxy"
	"github.com/deskyard/deskyard/reverse"
)

// Tokens verifies registration tokens; package token's Minter is one.
type Tokens interface {
	Verify(token string, now time.Time) (keyID, poolObjectID string, err error)
}

// Components says which component versions a host of an operating system and
// architecture should run; validation tells the ring that gets new versions first.
// An empty answer leaves the host as it is.
type Components interface {
	Desired(ctx context.Context, os, arch string, validation bool) ([]bootloader.Desired, error)
}

// Options configure a Server. Store, Tokens, BrokerURIs, CAPem and TenantID are required.
type Options struct {
	Store      deskyard.Store
	Tokens     Tokens
	Components Components // nil: no updates are pushed

	// Downloads answers /agent/v1/components/; nil: 404.
	Downloads http.Handler

	BrokerURIs    []string // base URLs that agents reach the service by, most likely first
	GatewayURIs   []string // base URLs of gateways elsewhere, which hosts must reach for their users
	CAPem         string   // the service's own CA
	TenantID      string
	ComponentsKey ed25519.PublicKey // signs component manifests

	// SignIn decides who may sign in to a machine that the service made; nil: nobody.
	SignIn func(ctx context.Context, a SignIn) (reverse.GuestSignedIn, error)

	// DirectoryRequired makes a host that is not joined to a directory fail its
	// DomainJoinedCheck. Leave it false where users live in the service's own directory.
	DirectoryRequired bool
	// TrustedProxies may name the client in X-Forwarded-For.
	TrustedProxies proxy.Trusted

	Registerer prometheus.Registerer // nil: nothing is counted
	Log        *slog.Logger          // nil: slog.Default()
	Now        func() time.Time      // nil: time.Now
}

// Server is the agents' door. Make it with New; Close it after the HTTP server has
// stopped taking requests.
type Server struct {
	o       Options
	log     *slog.Logger
	now     func() time.Time
	sources *sources
	links   *registry
	ledger  *ledger
	guests  *guests
	counts  *counts
	offers  offer
	opening chan struct{} // slots for links being opened

	sessionsChanged func(hostObjectID string)                 // see OnSessions; may be nil
	connectionSeen  func(hostObjectID string, s reverse.Seen) // see OnConnections; may be nil
	ctx             context.Context                           // ends when Close begins
	cancel          context.CancelFunc
	wg              sync.WaitGroup

	mu      sync.Mutex // guards closing, and wg.Add against wg.Wait
	closing bool
}

// maxOpening bounds the links being opened at one time: beyond it agents are told
// to come later, so that a reconnect storm cannot starve those already admitted.
const maxOpening = 1024

// New starts a Server.
func New(o Options) (*Server, error) {
	if o.Store == nil || o.Tokens == nil || len(o.BrokerURIs) == 0 || o.CAPem == "" || o.TenantID == "" {
		return nil, errors.New("start the agents' door: Store, Tokens, BrokerURIs, CAPem and TenantID are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{
		o: o, log: o.Log, now: o.Now,
		sources: newSources(o.TrustedProxies, o.Now),
		links:   newRegistry(),
		guests:  newGuests(),
		opening: make(chan struct{}, maxOpening),
	}
	s.counts = newCounts(o.Registerer, s.links.len)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.ledger = newLedger(o.Store, o.Log, s.counts)
	s.wg.Go(func() { s.ledger.run(s.ctx) })
	if o.Components != nil {
		s.wg.Go(s.keepUpdating)
	}
	return s, nil
}

// Handler answers everything below /agent/v1/.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+reverse.RegisterPath, s.register)
	mux.HandleFunc("GET "+reverse.LinkPath, s.link)
	s.guestRoutes(mux)
	if s.o.Downloads != nil {
		mux.Handle("/agent/v1/components/", s.o.Downloads)
	}
	return mux
}

// Close says goodbye to every agent with a hint when to come back, waits for the
// links to end and writes what is still to be written, until ctx ends.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.closing = true
	s.mu.Unlock()

	all := s.links.all()
	hint := returnWithin(len(all))
	var told errgroup.Group
	told.SetLimit(64) // one that does not read must not hold up the others
	for _, l := range all {
		told.Go(func() error { l.bye("The service is stopping.", hint); return nil })
	}
	s.HangUp()
	_ = told.Wait() // bye closes the link whether or not it is heard
	s.cancel()
	done := make(chan struct{})
	go func() { // ends with the links, which bye has closed
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.ledger.flush(ctx)
}

// goTracked runs f in a goroutine that Close waits for; false when closing.
func (s *Server) goTracked(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.wg.Go(f)
	return true
}

// returnWithin spreads the return of n agents so that some 500 a second come: a
// third of what one core's TLS handshakes allow.
func returnWithin(n int) time.Duration {
	return min(max(2*time.Second, time.Duration(n/500)*time.Second), 5*time.Minute)
}

func (s *Server) componentsKey() string {
	return base64.StdEncoding.EncodeToString(s.o.ComponentsKey)
}
