// Package server is the composition root: it turns a configuration into the whole
// service, starts its parts in order and stops them in the opposite one.
//
//	lock ─ keys, CA ─ store ─ instance ─ identity ─ rbac ─ tokens ─ components ─ agents ─ hypervisors ─ provision ─ connect ─ management ─ listen ─ ready
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/agentapi"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/armapi"
	"github.com/deskyard/deskyard/components"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/durable"
	"github.com/deskyard/deskyard/identity"
	"github.com/deskyard/deskyard/image"
	"github.com/deskyard/deskyard/provision"
	"github.com/deskyard/deskyard/proxy"
	"github.com/deskyard/deskyard/rbac"
	"github.com/deskyard/deskyard/seal"
	"github.com/deskyard/deskyard/sqlstore"
	"github.com/deskyard/deskyard/token"
)

// service is a running installation. Its fields are filled from top to bottom.
type service struct {
	config   Config
	version  string
	log      *slog.Logger
	now      func() time.Time
	registry *prometheus.Registry

	lock         *folderLock
	authority    *authority
	certificates *certificates
	identityKeys *identity.Keys
	store        *sqlstore.DB
	instance     instance
	sealer       *seal.Sealer
	fresh        identity.Credentials // of the first start, until they are handed over
	proxies      proxy.Trusted
	roles        *rbac.Authorizer
	identity     *identity.Service
	minter       *token.Minter
	catalogue    *components.Catalogue
	drivers      []interface{ Close() } // what drivers of hypervisors hold open
	agents       *agentapi.Server
	images       *image.Catalogue
	provision    *provision.Service
	connect      *connect.Service
	tells        atomic.Pointer[armapi.Server]   // management, likewise
	follows      atomic.Pointer[connect.Service] // connect, for writes that others make meanwhile
	users        users
	management   *armapi.Server
	doors        *doors
}

// Run serves until ctx ends, then drains and stops. The configuration must have
// passed Check.
func Run(ctx context.Context, c Config, version string, log *slog.Logger) (err error) {
	slog.SetDefault(log) // libraries log there
	s := &service{config: c, version: version, log: log, now: time.Now, registry: prometheus.NewRegistry()}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"open the data folder", s.openFolder},
		{"open the store", s.openStore},
		{"open the directory", s.openIdentity},
		{"open the catalogue of components", s.openCatalogue},
		{"open the agents' door", s.openAgents},
		{"open the machine works", s.openProvision},
		{"open the connections", s.openConnect},
		{"open the users' doors", s.openUsers},
		{"open the doors", s.openDoors},
		{"serve", s.serve},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func (s *service) openFolder(context.Context) error {
	if err := makeFolder(s.config.keysFolder()); err != nil {
		return err
	}
	var err error
	if s.lock, err = lockFolder(s.config.Data); err != nil {
		return err
	}
	if s.authority, err = openAuthority(s.config.keysFolder(), s.now); err != nil {
		return err
	}
	if s.certificates, err = newCertificates(s.authority, s.config, s.log); err != nil {
		return err
	}
	// Where operators and tools find the CA; the copy beside the keys is the original.
	return durable.Replace(s.caFile(), s.authority.pem, 0o644)
}

func (s *service) caFile() string { return filepath.Join(s.config.Data, "ca.pem") }

func (s *service) openStore(ctx context.Context) error {
	var err error
	if s.store, err = sqlstore.Open(ctx, sqlstore.Options{DSN: s.config.Database, Changed: s.storeChanged, Metrics: s.registry, Log: s.log, Now: s.now}); err != nil {
		return err
	}
	s.instance, err = openInstance(ctx, s.store, s.now())
	return err
}

func (s *service) openIdentity(ctx context.Context) error {
	var err error
	if s.fresh, err = s.found(ctx); err != nil {
		return err
	}
	if s.identityKeys, err = identity.OpenKeys(filepath.Join(s.config.keysFolder(), "identity")); err != nil {
		return err
	}
	s.roles = &rbac.Authorizer{Store: s.store, Now: s.now}
	if s.proxies, err = s.config.proxies(); err != nil {
		return err
	}
	if s.sealer, err = sealingKey(s.config.keysFolder()); err != nil {
		return err
	}
	elsewhere, provider, err := s.config.directories()
	if err != nil {
		return err
	}
	s.identity, err = identity.New(ctx, identity.Options{
		Directory: elsewhere, Provider: provider,
		Store: s.store, Keys: s.identityKeys, BaseURLs: append([]string{s.config.PublicURL}, s.config.AgentURL...),
		ClientAddress: func(r *http.Request) string { return s.proxies.Client(r).String() },
		Allow:         s.roles.Allow, Audit: s.audit, Seal: s.sealer, Metrics: s.registry, Log: s.log, Now: s.now,
	})
	return err
}

func (s *service) openCatalogue(ctx context.Context) error {
	var err error
	if s.catalogue, err = openCatalogue(s.config, s.store, s.log); err != nil {
		return err
	}
	// A package that cannot be published must not keep the service from running.
	published, err := s.catalogue.PublishFolder(ctx, s.config.componentsFolder(), components.Production)
	if err != nil {
		s.log.Error("some packages were not published", "folder", s.config.componentsFolder(), "err", err)
	}
	if len(published) == 0 {
		s.log.Warn("no agent packages found; session hosts cannot install or update", "folder", s.config.componentsFolder())
	}
	return nil
}

func (s *service) openAgents(context.Context) error {
	key, err := signingKey(s.config.keysFolder(), "registration")
	if err != nil {
		return err
	}
	s.minter = &token.Minter{
		Key: key, BrokerURIs: s.config.AgentURL, CAPin: s.authority.Pin(),
		TenantID: s.instance.TenantID, Geography: s.config.Location[0],
	}
	s.agents, err = agentapi.New(agentapi.Options{
		Store: s.store, Tokens: s.minter, Components: s.catalogue, Downloads: s.catalogue.Handler(),
		BrokerURIs: s.config.AgentURL, GatewayURIs: s.config.gatewaysElsewhere(), CAPem: string(s.authority.pem), TenantID: s.instance.TenantID, ComponentsKey: s.catalogue.PublicKey(),
		SignIn: s.signIn, TrustedProxies: s.proxies, Registerer: s.registry, Log: s.log, Now: s.now,
	})
	return err
}

// openProvision makes whatever makes machines; it works from serve on.
func (s *service) openProvision(ctx context.Context) error {
	hypervisors, err := s.openHypervisors(ctx)
	if err != nil {
		return err
	}
	if s.images, err = image.Open(filepath.Join(s.config.Data, "images"), s.log); err != nil {
		return err
	}
	s.provision, err = provision.New(provision.Options{
		Store: s.store, Seal: s.sealer, Owner: s.instance.TenantID, Tokens: s.minter,
		Guests: s.agents.Guests(), Fleet: s.agents, Images: s.images, Hypervisors: hypervisors, Devices: s.identity,
		Links:        provision.Links{Mirror: s.config.TemplateMirror, Hosts: s.config.TemplateHost},
		BootDeadline: s.config.BootDeadline,
		Registry:     s.registry, Now: s.now, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.agents.OnGuest(func(vm arm.ResourceID) { s.provision.Wake(deskyard.WorkMachine, vm) })
	return nil
}

func (s *service) openDoors(context.Context) error {
	var err error
	s.management, err = armapi.New(armapi.Options{
		Store: s.store, Fleet: s.agents, Updates: s.agents, Deployments: s.provision, Machines: s.provision, Connections: s.connect, Images: imageList{s.images}, History: s.store, Auth: s.identity, Access: s.roles, Tokens: s.minter, Roles: s.roles, Principals: s.identity,
		Tenant:         armapi.Tenant{ID: s.instance.TenantID, Name: s.config.Subscription, DefaultDomain: s.config.Domain},
		Subscriptions:  []armapi.Subscription{{ID: s.instance.SubscriptionID, Name: s.config.Subscription}},
		Locations:      locations(s.config.Location),
		Endpoints:      armapi.Endpoints{CloudName: "Deskyard"},
		TrustedProxies: s.proxies, Now: s.now, Log: s.log, Registry: s.registry,
	})
	if err != nil {
		return err
	}
	s.tells.Store(s.management)
	s.provision.Use(s.management.InProcess())
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.doors = &doors{
		users: s.users.door, agent: s.agents.Handler(), downloads: s.catalogue.Handler(),
		identity: s.identity.Handler(), claims: identity.Owns, management: s.management.Handler(),
		probes: &probes{
			ready: s.store.Check, gatherer: s.registry,
			allow: mayReadMetrics(s.identity.Authenticate, s.roles.Allow, s.instance.subscription()),
		},
	}
	return nil
}

// close stops what was started, newest first.
func (s *service) close() error {
	var errs []error
	if s.users.gateway != nil { // which has drained already where the service ever served
		ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainFor)
		s.users.gateway.Close(ctx)
		cancel()
	}
	if s.agents != nil {
		ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainFor)
		errs = append(errs, s.agents.Close(ctx))
		cancel()
	}
	s.closeDrivers()
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// proxies are the configured address prefixes of reverse proxies.
func (c Config) proxies() (proxy.Trusted, error) { return trustedProxies(c.TrustProxy) }

func trustedProxies(prefixes []string) (proxy.Trusted, error) {
	var list proxy.Trusted
	for _, p := range prefixes {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return nil, fmt.Errorf("read --trust-proxy: %w", err)
		}
		list = append(list, prefix)
	}
	return list, nil
}

// locations gives each configured name its display name, Azure's where it is Azure's.
func locations(names []string) []armapi.Location {
	display := map[string]string{}
	for _, l := range armapi.DefaultLocations {
		display[l.Name] = l.Display
	}
	var list []armapi.Location
	for _, n := range names {
		d := display[n]
		if d == "" {
			d = n
		}
		list = append(list, armapi.Location{Name: n, Display: d})
	}
	return list
}
