package connect

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Access decides what a principal may do; package rbac's Authorizer is one. A refusal
// is an *arm.Error of kind arm.Forbidden.
type Access interface {
	AllowData(ctx context.Context, p deskyard.Principal, action string, scope arm.ResourceID) error
}

// People finds users of the directory as they are now, with their groups, by object id
// or user principal name. One that does not exist or is disabled is arm.Missing.
type People interface {
	Principal(ctx context.Context, idOrName string) (deskyard.Principal, error)
}

// Machines starts the machines of powered-off hosts; package provision's Service is one.
type Machines interface {
	Live(ctx context.Context, ids ...arm.ResourceID) map[string]deskyard.MachineLive
	Submit(ctx context.Context, tx deskyard.Tx, j deskyard.Job) (deskyard.Operation, error)
	Wake(kind string, id arm.ResourceID)
}

// Relays are whoever relays connections; package gateway's Gateway is one.
type Relays interface {
	// Disconnect ends a connection's relay; false where it is not there.
	Disconnect(connection, reason string) bool
}

// Options make a Service. Store, Fleet, Dialer, Access, People and Key are required.
type Options struct {
	Store    deskyard.Store
	Fleet    deskyard.Fleet
	Dialer   deskyard.Dialer
	Access   Access
	People   People
	Machines Machines           // nil: no machine is started on connect
	Key      ed25519.PrivateKey // tickets are authenticated with a key derived from it

	// FileLife is how long a ticket in a connection file works; DefaultFileLife when zero.
	FileLife time.Duration

	Registry prometheus.Registerer // nil: nothing is counted
	Now      func() time.Time      // nil: time.Now
	Log      *slog.Logger          // nil: slog.Default()
}

// Service decides, admits and records connections. Make it with New, tell it of changes
// (Changed, SessionsChanged, Seen), and Run it. It is safe for concurrent use.
type Service struct {
	o     Options
	now   func() time.Time
	log   *slog.Logger
	count *counts

	ticketKey []byte

	mu    sync.Mutex       // guards pools
	pools map[string]*pool // by key

	published publications
	reported  reports
	words     words
	heard     heard
	relays    Relays        // see Use; may be nil
	poll      time.Duration // between looks whether a machine is up
}

var _ deskyard.Brokerage = (*Service)(nil)

// New makes a Service.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.Fleet == nil || o.Dialer == nil || o.Access == nil || o.People == nil || len(o.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("make the connection service: Store, Fleet, Dialer, Access, People and Key are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.FileLife == 0 {
		o.FileLife = DefaultFileLife
	}
	tickets, err := ticketKey(o.Key)
	if err != nil {
		return nil, fmt.Errorf("make the connection service: derive the key of tickets: %w", err)
	}
	return &Service{o: o, now: o.Now, log: o.Log, count: newCounts(o.Registry), ticketKey: tickets, pools: map[string]*pool{}, poll: startPoll,
		reported: reports{wake: make(chan struct{}, 1)}}, nil
}

// Use sets who relays connections. The gateway is made of the Service and the Service
// ends what the gateway relays, so one of them comes second: call it before Run.
func (s *Service) Use(r Relays) { s.relays = r }

// sweepEvery is how often slots are looked for whose time is over: well within the two
// minutes that they are kept for.
const sweepEvery = 10 * time.Second

// Run makes slots follow what hosts report and gives back those that no session
// followed, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.reported.wake:
			s.Settle(ctx)
		case <-tick.C:
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("slots not swept", "err", err)
			}
		}
	}
}

// Changed tells the service which resources and session hosts were written or deleted;
// it only notes what must be read again. It is the store's Changed.
func (s *Service) Changed(ids []arm.ResourceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if t := strings.ToLower(id.Type()); t != typeOfHosts && strings.HasPrefix(t, ownTypes) || len(id.Segments) == 0 {
			s.published.forget()
		}
		switch {
		case strings.EqualFold(id.Type(), typeSessionHost):
			if p := s.pools[id.Parent().Key()]; p != nil {
				p.staleHost(id)
			}
		case strings.EqualFold(id.Type(), typeHostPool):
			if p := s.pools[id.Key()]; p != nil {
				p.stalePool()
			}
		case len(id.Segments) == 0: // a resource group or subscription, and whatever is in it
			for _, p := range s.pools {
				p.stalePool()
			}
		}
	}
}

// Types of resources that views are made of.
const (
	typeHostPool    = "Microsoft.DesktopVirtualization/hostPools"
	typeSessionHost = "Microsoft.DesktopVirtualization/hostPools/sessionHosts"

	ownTypes    = "microsoft.desktopvirtualization/"
	typeOfHosts = ownTypes + "hostpools/sessionhosts" // typeSessionHost in lower case
)

// view is the pool's view, empty until it is first used.
func (s *Service) view(id arm.ResourceID) *pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pools[id.Key()]
	if p == nil {
		p = newPool(id)
		s.pools[id.Key()] = p
	}
	return p
}

// forget drops the view of a pool that is gone.
func (s *Service) forget(id arm.ResourceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pools, id.Key())
}
