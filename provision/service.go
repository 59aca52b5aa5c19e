package provision

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/reconcile"
)

// Sealer keeps the secrets of work; package seal's is one.
type Sealer interface {
	Seal(plain []byte, about string) []byte
	Open(box []byte, about string) ([]byte, error)
}

// TokenSigner renders a registration key's record as the token that an agent is given.
type TokenSigner interface {
	Registration(key deskyard.RegistrationKey) (string, error)
}

// Images finds the image that a reference names, for a location.
type Images interface {
	Resolve(ctx context.Context, location string, ref deskyard.ImageReference) (compute.Image, error)
}

// Hypervisor is a host that machines are placed on.
type Hypervisor struct {
	Name      string // unique; what MachineLive.Host says
	Driver    compute.Driver
	Locations []string // lower-case location names and ids of custom locations that it backs
	Zone      string   // "1", "2", "3" or "": availability zone
	Network   string   // "user": each machine alone behind NAT; "bridge": the subnet's own segment

	CPURatio float64 // virtual processors per real one that placement allows; 0: 4
	MemRatio float64 // memory promised per memory there is; 0: 1
}

// Options make a Service. Store, Seal and Owner are required.
type Options struct {
	Store       deskyard.Store
	Seal        Sealer
	Owner       string // GUID of the installation; what everything on hypervisors is marked with
	Guests      deskyard.Guests
	Fleet       deskyard.Fleet
	Images      Images
	Hypervisors []Hypervisor
	Links       Links     // where templates are linked from; the zero value allows nothing
	Resources   Resources // the management API from inside; may be set with Use before Run

	Devices Devices     // the service's own directory, which machines join and removed ones leave; nil: it holds none
	Tokens  TokenSigner // renders the registration keys of runs that add session hosts; nil refuses those

	Parallel     int              // machines worked on at a time per hypervisor; 8 when zero
	BootDeadline time.Duration    // for a guest from its start to its link; DefaultBootDeadline when zero
	Quotas       map[string]int64 // by Azure's name ("cores", "virtualMachines"), for each location; absent: what there is
	Registry     prometheus.Registerer
	Now          func() time.Time
	Log          *slog.Logger
}

// Service is the part of the installation that makes machines. Make it with New,
// give it the API with Use, then Run it.
type Service struct {
	o     Options
	now   func() time.Time
	began time.Time // before it, nobody here knows who had a link
	log   *slog.Logger
	loop  *reconcile.Loop

	deploy   *deployments
	machines *machines
}

// New makes a Service; nothing happens before Run.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.Seal == nil || o.Owner == "" {
		return nil, errors.New("make the provisioning service: Store, Seal and Owner are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	if o.BootDeadline == 0 {
		o.BootDeadline = DefaultBootDeadline
	}
	s := &Service{o: o, now: o.Now, began: o.Now(), log: o.Log, deploy: newDeployments(o), machines: newMachines(o)}
	s.loop = &reconcile.Loop{Store: o.Store, Now: o.Now, Log: o.Log, Kinds: s.kinds()}
	return s, nil
}

// Use sets the management API that deployments act through. The API is made of the
// Service and the Service acts through the API, so one of them comes second.
func (s *Service) Use(r Resources) { s.o.Resources = r }

// Run works until ctx ends.
func (s *Service) Run(ctx context.Context) {
	s.wakeDeployments(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.watch(ctx) })
	wg.Go(func() { s.sweep(ctx) })
	s.loop.Run(ctx)
}

// Wake has a row of work looked at now.
func (s *Service) Wake(kind string, id arm.ResourceID) { s.loop.Wake(kind, id) }

// Settle waits until nothing is due or under way; for tests.
func (s *Service) Settle(ctx context.Context) error { return s.loop.Settle(ctx) }
