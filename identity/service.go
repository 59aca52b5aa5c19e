package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/time/rate"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
	"github.com/deskyard/deskyard/seal"
)

// Options are what a Service is made from. Store, Keys and BaseURLs are required.
type Options struct {
	Store Store
	Keys  KeySource

	// BaseURLs are the https URLs, without a path, that the service may be called
	// by; tokens are issued in the name of the one a request used. The first is
	// canonical: it stands in for a host that is not listed.
	BaseURLs []string
	// Audiences are resources that management tokens may be asked for beside the
	// base URLs; nil: the two of the public cloud, which many tools have built in.
	Audiences []string
	// GraphAudiences are those of the directory beside "{base}/graph"; nil: the public cloud's.
	GraphAudiences []string

	// Allow answers whether a principal may do an action (an RBAC action string) at a
	// scope; its error is what the caller gets. nil: nobody may use the Graph door.
	Allow func(ctx context.Context, p deskyard.Principal, action string, scope arm.ResourceID) error
	// Audit notes sign-ins and changes of the directory; nil: they are only logged.
	Audit func(ctx context.Context, e deskyard.AuditEvent) error

	// Seal keeps the secrets of authenticator applications; nil: none can be added.
	Seal *seal.Sealer
	// Directory checks names and passwords of people whom ours does not know; nil: nobody.
	Directory PasswordDirectory
	// Provider signs people in elsewhere; nil: none.
	Provider Provider
	// NoPasswordGrant refuses "az login -u -p", which sends a person's password
	// through a program.
	NoPasswordGrant bool
	// ClientAddress gives a request's origin for limits and audit; nil: the peer of
	// the connection.
	ClientAddress func(*http.Request) string
	// RequestsPerSecond and Burst bound the token and sign-in endpoints for each
	// origin (an IPv4 address, an IPv6 /64); zero: 20 and 200.
	RequestsPerSecond rate.Limit
	Burst             int

	Passwords *Passwords            // nil: NewPasswords()
	Metrics   prometheus.Registerer // nil: not counted
	Log       *slog.Logger          // nil: slog.Default()
	Now       func() time.Time      // nil: time.Now
}

// The public cloud's audiences, which tools have built in.
var (
	publicAudiences      = []string{"https://management.azure.com/", "https://management.core.windows.net/"}
	publicGraphAudiences = []string{"https://graph.microsoft.com/"}
)

// Service is the issuer, the directory's rules and the check of tokens.
type Service struct {
	store     Store
	keys      KeySource
	tenant    directory.Tenant
	bases     []string // without a trailing slash, canonical first
	resources map[string]resourceKind
	issuers   map[string]bool
	options   Options
	passwords *Passwords
	grid      time.Duration // refusalGrid, but in tests
	log       *slog.Logger
	now       func() time.Time

	accounts accountCache
	opened   opened
	requests *limiter // per origin, every endpoint
	attempts *limiter // per origin, passwords and user codes
	polls    *limiter // per device code
	signIns  *prometheus.CounterVec
	tokens   *prometheus.CounterVec
	issuer   http.Handler // the library's
	pages    http.Handler // for people
}

// New makes the Service of a directory that Bootstrap has founded.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Store == nil || o.Keys == nil {
		return nil, errors.New("make the identity service: a store and keys are required")
	}
	bases, err := cleanBases(o.BaseURLs)
	if err != nil {
		return nil, err
	}
	tenant, err := o.Store.Tenant(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the tenant: %w", err)
	}
	s := &Service{
		store: o.Store, keys: o.Keys, tenant: tenant, bases: bases, options: o,
		passwords: o.Passwords, grid: refusalGrid, log: cmp.Or(o.Log, slog.Default()), now: o.Now,
	}
	if s.passwords == nil {
		s.passwords = NewPasswords()
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.nameResources()
	s.requests = newLimiter(cmp.Or(o.RequestsPerSecond, 20), cmp.Or(o.Burst, 200), s.now)
	s.attempts = newLimiter(1, 30, s.now)
	s.polls = newLimiter(0.5, 4, s.now) // the interval is 5 s; two clients of one code are still let through
	if err := s.count(o.Metrics); err != nil {
		return nil, err
	}
	s.issuer = op.RegisterServer(&issuer{s: s}, issuerEndpoints,
		op.WithServerCORSOptions(nil)) // every web client is of our own origin
	s.pages = s.newPages()
	return s, nil
}

// TenantID is the directory's GUID.
func (s *Service) TenantID() string { return s.tenant.ID }

func cleanBases(urls []string) ([]string, error) {
	if len(urls) == 0 {
		return nil, errors.New("make the identity service: no base URL given")
	}
	var bases []string
	for _, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, fmt.Errorf("make the identity service: base URL %q is not of the form https://host:port", raw)
		}
		bases = append(bases, "https://"+strings.ToLower(u.Host))
	}
	return bases, nil
}

// resourceKind says which door a token is for.
type resourceKind int

const (
	noResource resourceKind = iota
	armResource
	graphResource
)

func (s *Service) nameResources() {
	s.resources, s.issuers = map[string]resourceKind{}, map[string]bool{}
	add := func(kind resourceKind, audiences ...string) {
		for _, a := range audiences {
			s.resources[resourceKey(a)] = kind
		}
	}
	graph, management := s.options.GraphAudiences, s.options.Audiences
	if graph == nil {
		graph = publicGraphAudiences
	}
	if management == nil {
		management = publicAudiences
	}
	add(graphResource, graph...)
	for _, b := range s.bases {
		add(graphResource, b+"/graph")
	}
	add(armResource, management...)
	add(armResource, s.bases...) // last: a base URL that is also named as Graph stays good for both
	for _, b := range s.bases {
		for _, d := range []door{{base: b, shape: shapeV1}, {base: b, shape: shapeV2}, {base: b, shape: shapeADFS}} {
			s.issuers[s.issuerName(d)] = true
		}
	}
}

// resourceKey is an audience as it is compared: Azure's tools write the same one
// with and without a slash at the end, and some with two.
func resourceKey(audience string) string {
	return strings.ToLower(strings.TrimRight(audience, "/"))
}

// base is the base URL to answer a request with.
func (s *Service) base(r *http.Request) string {
	host := "https://" + strings.ToLower(r.Host)
	for _, b := range s.bases {
		if b == host || b == strings.TrimSuffix(host, ":443") {
			return b
		}
	}
	return s.bases[0]
}

// address is where a request comes from.
func (s *Service) address(r *http.Request) string {
	if s.options.ClientAddress != nil {
		return s.options.ClientAddress(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (s *Service) count(reg prometheus.Registerer) error {
	s.signIns = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "deskyard_sign_ins_total", Help: "Attempts to sign in, by result.",
	}, []string{"result"})
	s.tokens = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "deskyard_tokens_issued_total", Help: "Access tokens issued, by grant.",
	}, []string{"grant"})
	if reg == nil {
		return nil
	}
	if err := errors.Join(reg.Register(s.signIns), reg.Register(s.tokens)); err != nil {
		return fmt.Errorf("register the metrics of identity: %w", err)
	}
	return nil
}
