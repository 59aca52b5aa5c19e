package armapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/history"
	"github.com/deskyard/deskyard/proxy"
	"github.com/deskyard/deskyard/rbac"
)

// Authenticator says who is asking. Its error is an *arm.Error of kind
// arm.Unauthenticated; any other error is a fault of the service.
type Authenticator interface {
	Authenticate(r *http.Request) (deskyard.Principal, error)
}

// Authorizer says whether a caller may perform an RBAC action at a scope. Its error
// is an *arm.Error of kind arm.Forbidden that names action and scope; any other
// error is a fault of the service.
type Authorizer interface {
	Allow(ctx context.Context, p deskyard.Principal, action string, scope arm.ResourceID) error
}

// Subscription is a subscription that the service has.
type Subscription struct {
	ID   string // GUID
	Name string // display name
}

// Tenant is the directory that subscriptions trust.
type Tenant struct {
	ID            string // GUID
	Name          string // display name
	DefaultDomain string
}

// Location is a place that resources can say they are in.
type Location struct {
	Name    string // "eastus"
	Display string // "East US"
}

// Endpoints are the absolute URLs that /metadata/endpoints tells clients; an empty
// one is derived from the address that the client used.
type Endpoints struct {
	CloudName string // name of the cloud; it must not be "AzureCloud", whose login az hard-codes
	Login     string // authority, without the tenant
	Graph     string // Microsoft Graph
	Portal    string
	Audience  string // resource that tokens are asked for
}

// Options is what a Server is made of. Store, Auth and Access are required.
type Options struct {
	Store deskyard.Store
	Fleet deskyard.Fleet // nil: no host is ever connected
	// Updates starts updates of hosts' components; nil starts none.
	Updates deskyard.Updater
	Auth    Authenticator
	Access  Authorizer
	Tokens  TokenSigner // signs registration keys; nil refuses to hand out any

	// Roles and Principals serve Microsoft.Authorization; with no Roles that
	// namespace does not exist. Roles is usually Access too.
	Roles      *rbac.Authorizer
	Principals Principals

	// Deployments runs templates; with none, Microsoft.Resources/deployments does not exist.
	Deployments Deployments

	// Machines makes what Microsoft.Compute and its neighbours describe. With none these
	// types can be listed and read, and refuse to make machines.
	Machines Machines
	// Connections has the records of users' connections; nil: there are none, and no
	// pending sessions.
	Connections Connections
	// History is what hosts and pools were like; nil has none.
	History history.Store
	// Images is the catalogue that machines are made from; nil has no images.
	Images Images

	Tenant        Tenant
	Subscriptions []Subscription
	Locations     []Location // what /locations lists; nil: DefaultLocations
	OnlyLocations bool       // refuse a location that is not listed
	Endpoints     Endpoints

	// TrustedProxies are those whose X-Forwarded-Host and X-Forwarded-Proto decide
	// about absolute links. From anyone else these headers are ignored.
	TrustedProxies proxy.Trusted
	Throttle       Throttle

	Now      func() time.Time      // nil: time.Now
	Log      *slog.Logger          // nil: slog.Default()
	Registry prometheus.Registerer // nil: nothing is counted
}

// TokenSigner renders a registration key's record as the token that an agent is
// given. The same record yields the same token, byte for byte.
type TokenSigner interface {
	Registration(key deskyard.RegistrationKey) (string, error)
}

// Server answers Azure Resource Manager's API.
type Server struct {
	store     deskyard.Store
	fleet     deskyard.Fleet
	auth      Authenticator
	access    Authorizer
	tokens    TokenSigner
	opt       Options
	now       func() time.Time
	log       *slog.Logger
	locations []Location
	routes    *routes
	throttle  *throttle
	metrics   *metrics
	changes   *changeFeed
	overviews overviews
	ticketKey [32]byte // signs the URLs of boot diagnostics, for this process's life
}

// New makes a Server. It fails on options that are incomplete and on a table of
// types that contradicts itself.
func New(o Options) (*Server, error) {
	if o.Store == nil || o.Auth == nil || o.Access == nil {
		return nil, fmt.Errorf("make the management API: Store, Auth and Access are required")
	}
	s := &Server{
		store: o.Store, fleet: o.Fleet, auth: o.Auth, access: o.Access, tokens: o.Tokens, opt: o,
		now: o.Now, log: o.Log, locations: o.Locations,
		throttle: newThrottle(o.Throttle),
		metrics:  newMetrics(o.Registry),
		changes:  newChangeFeed(),
	}
	if _, err := rand.Read(s.ticketKey[:]); err != nil {
		return nil, fmt.Errorf("make the management API: %w", err)
	}
	if s.fleet == nil {
		s.fleet = noFleet{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.locations == nil {
		s.locations = DefaultLocations
	}
	r, err := newRoutes(s.types(), s.doors())
	if err != nil {
		return nil, fmt.Errorf("make the management API: %w", err)
	}
	s.routes = r
	return s, nil
}

// Handler serves the API at the root of its host.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// loginURL is the authority that a refused caller is sent to.
func (s *Server) loginURL(r *http.Request) string {
	if s.opt.Endpoints.Login != "" {
		return strings.TrimRight(s.opt.Endpoints.Login, "/") + "/" + s.opt.Tenant.ID
	}
	return s.baseURL(r) + "/" + s.opt.Tenant.ID
}

// DefaultLocations are those of a service that says nothing else: the owner's own
// place, and Azure names that templates and examples use.
var DefaultLocations = []Location{
	{"local", "Local"}, {"eastus", "East US"}, {"eastus2", "East US 2"}, {"centralus", "Central US"},
	{"westus", "West US"}, {"westus2", "West US 2"}, {"northeurope", "North Europe"}, {"westeurope", "West Europe"},
}

// subscription finds a configured subscription, in any case.
func (s *Server) subscription(id string) (Subscription, bool) {
	for _, sub := range s.opt.Subscriptions {
		if strings.EqualFold(sub.ID, id) {
			return sub, true
		}
	}
	return Subscription{}, false
}

// noFleet stands in where no agent door exists: nobody is connected.
type noFleet struct{}

func (noFleet) Lease(string) deskyard.Lease                 { return deskyard.Lease{} }
func (noFleet) Report(string) (deskyard.HostReport, bool)   { return deskyard.HostReport{}, false }
func (noFleet) Metrics(string) (deskyard.HostMetrics, bool) { return deskyard.HostMetrics{}, false }
func (noFleet) Do(context.Context, string, deskyard.Command) error {
	return deskyard.ErrHostUnreachable
}
func (noFleet) Drop(string, string) {}
