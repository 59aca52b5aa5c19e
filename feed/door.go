package feed

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/broker"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/ntlm"
	"github.com/deskyard/deskyard/rdp"
)

// Connections is what users may open, and how they get there; package connect's Service
// is one.
type Connections interface {
	Resources(ctx context.Context, p deskyard.Principal) ([]connect.Workspace, error)
	Connect(ctx context.Context, p deskyard.Principal, resource arm.ResourceID, ask connect.Ask) (connect.Started, error)
	Explain(ctx context.Context, id string) (deskyard.Connection, error)
	FileTicket(p deskyard.Principal, resource arm.ResourceID) (ticket string, expires time.Time)
}

// Accounts says who asks; package identity's Service is one. A refusal is an *arm.Error
// of kind arm.Unauthenticated.
type Accounts interface {
	Authenticate(r *http.Request) (deskyard.Principal, error)
	// NTLM checks the answer of a client that knows no tokens against app passwords.
	NTLM(ctx context.Context, a ntlm.Answer, nonce [8]byte, domain string) (deskyard.Principal, error)
	// Principal finds a user of the directory as it is now.
	Principal(ctx context.Context, idOrName string) (deskyard.Principal, error)
}

// Options make a Door. All but Signer, Log and Now are required.
type Options struct {
	Connections Connections
	Accounts    Accounts
	PublicURL   string // base URL that clients reach the service by
	Gateway     string // base URL of the gateway for them; often the same
	Domain      string // of users' names that have none
	Publisher   string // the tenant's name, as people read it
	TenantID    string
	Key         []byte // 32 bytes: authenticates the cookies of feed clients

	// Promise keeps a ticket for a client of AVD's own request, at the gateway that answers
	// below PublicURL; nil: that request is not taken.
	Promise func(ticket string) (rdp.Redirection, error)

	// Signer gives the key and certificates that connection files are signed with; nil:
	// they are not, and clients warn of an unknown publisher.
	Signer func() (crypto.PrivateKey, []*x509.Certificate, error)

	Log *slog.Logger     // nil: slog.Default()
	Now func() time.Time // nil: time.Now
}

// Door answers users' clients. It is safe for concurrent use.
type Door struct {
	o          Options
	log        *slog.Logger
	now        func() time.Time
	gateway    *url.URL
	public     *url.URL
	challenges challenges
}

// New makes a Door.
func New(o Options) (*Door, error) {
	gateway, err := url.Parse(o.Gateway)
	if err != nil || gateway.Host == "" {
		return nil, errors.New("open the users' door: the gateway's address is not an https URL")
	}
	public, err := url.Parse(o.PublicURL)
	if err != nil || public.Host == "" {
		return nil, errors.New("open the users' door: the public address is not an https URL")
	}
	if o.Connections == nil || o.Accounts == nil || o.PublicURL == "" || len(o.Key) != 32 {
		return nil, errors.New("open the users' door: Connections, Accounts, PublicURL and a Key of 32 bytes are required")
	}
	d := &Door{o: o, log: o.Log, now: o.Now, gateway: gateway, public: public, challenges: challenges{made: map[string]challenge{}}}
	if d.log == nil {
		d.log = slog.Default()
	}
	if d.now == nil {
		d.now = time.Now
	}
	return d, nil
}

// Owns reports whether a path is one of the door's.
func Owns(path string) bool {
	return strings.HasPrefix(path, "/connect/v1/") || path == avdPath || path == discoveryPath || strings.HasPrefix(path, discoveryPath+"/") || len(path) >= 7 && strings.EqualFold(path[:7], "/RDWeb/")
}

// Handler answers the paths of Owns.
func (d *Door) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /connect/v1/feed", d.signedIn(d.list))
	mux.HandleFunc("POST /connect/v1/connections", d.signedIn(d.begin))
	mux.HandleFunc("GET /connect/v1/connections/{id}", d.signedIn(d.progress))
	mux.HandleFunc("GET /connect/v1/resources/{file}", d.signedIn(d.file))
	mux.HandleFunc("GET /connect/v1/icons/{file}", d.icon)
	if d.o.Promise != nil {
		mux.HandleFunc("POST "+avdPath, d.avd)
	}
	d.handleDiscovery(mux)
	mux.HandleFunc("GET /rdweb/feed/webfeed.aspx", d.webfeed)
	mux.HandleFunc("GET /rdweb/feedlogin/webfeedlogin.aspx", d.login)
	mux.HandleFunc("GET /rdweb/resources/{file}", d.webfeedFile)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if len(r.URL.Path) >= 7 && strings.EqualFold(r.URL.Path[:7], "/RDWeb/") { // its clients spell it as they like
			r = r.Clone(r.Context())
			r.URL.Path = strings.ToLower(r.URL.Path)
		}
		mux.ServeHTTP(w, r)
	})
}

// signedIn lets those in who show a token of a user.
func (d *Door) signedIn(f func(http.ResponseWriter, *http.Request, deskyard.Principal) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := d.o.Accounts.Authenticate(r)
		if err == nil && p.Kind != "User" {
			err = arm.Errorf(arm.Forbidden, "UserRequired", "Only users have desktops; '%s' is an application.", p.Name)
		}
		if err == nil {
			err = f(w, r, p)
		}
		if err != nil {
			d.fail(w, r, "", err)
		}
	}
}

// refusal is an error as clients of this door read it.
type refusal struct {
	Code        int    `json:"code,omitempty"`
	Symbol      string `json:"symbol"`
	Message     string `json:"message"`
	Retry       int    `json:"retryAfterSeconds,omitempty"` // try again then; absent: it will not help
	Correlation string `json:"correlationId,omitempty"`
}

// statusOf maps what is refused to HTTP; this is the one place that does.
func statusOf(err error) (int, refusal) {
	var f *deskyard.ConnectionFailure
	if errors.As(err, &f) {
		r := refusal{Code: f.Code, Symbol: f.Symbol, Message: f.Message, Retry: int(f.Retry / time.Second)}
		switch f.Symbol {
		case connect.NotAuthorized, broker.NotAssigned:
			return http.StatusForbidden, r
		case broker.NoHealthyHost, broker.SessionHostUnfit, broker.PersonalUnavailable:
			return http.StatusServiceUnavailable, r
		}
		return http.StatusConflict, r
	}
	var e *arm.Error
	if errors.As(err, &e) {
		status, known := map[arm.Kind]int{
			arm.Unauthenticated: http.StatusUnauthorized, arm.Forbidden: http.StatusForbidden, arm.Missing: http.StatusNotFound,
			arm.Invalid: http.StatusBadRequest, arm.Throttled: http.StatusTooManyRequests, arm.TooLarge: http.StatusRequestEntityTooLarge,
		}[e.Kind]
		if known {
			return status, refusal{Symbol: e.Code, Message: e.Message}
		}
	}
	if away(err) {
		return http.StatusServiceUnavailable, refusal{Symbol: "ServiceUnavailable", Message: "The service cannot reach its database. Desktops that are open go on; others open when it is back.", Retry: 5}
	}
	return http.StatusInternalServerError, refusal{Symbol: "InternalError", Message: "The service could not do this. Try again; if it stays so, tell your administrator the correlation id.", Retry: 10}
}

func (d *Door) fail(w http.ResponseWriter, r *http.Request, connection string, err error) {
	status, body := statusOf(err)
	body.Correlation = connection
	if status == http.StatusInternalServerError || body.Symbol == "ServiceUnavailable" {
		d.log.ErrorContext(r.Context(), "user's request broken off", "path", r.URL.Path, "connection", connection, "err", err)
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if body.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(body.Retry))
	}
	answer(w, status, body)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// The status is out; a client that has gone cannot be told anything more.
	_ = json.NewEncoder(w).Encode(body)
}
