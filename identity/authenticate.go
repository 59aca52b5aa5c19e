package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// accountLife is how long a looked-up account and its groups are believed: as long
// as it may take until a change made through another node counts here.
const accountLife = 30 * time.Second

// clockSkew is how far a token's nbf may lie ahead: nodes share no clock.
const clockSkew = time.Minute

// Authenticate finds out who sent a request to the management API from its bearer
// token. Every refusal is an *arm.Error of kind arm.Unauthenticated in Azure
// Resource Manager's words; Challenge makes the WWW-Authenticate header for it. Any
// other error is the store's.
func (s *Service) Authenticate(r *http.Request) (deskyard.Principal, error) {
	return s.authenticate(r, armResource)
}

// authenticate accepts tokens for one door. The directory's also takes management
// tokens: both doors belong to one service, and a tool then needs one token.
func (s *Service) authenticate(r *http.Request, want resourceKind) (deskyard.Principal, error) {
	token, err := bearer(r)
	if err != nil {
		return deskyard.Principal{}, err
	}
	c, err := s.opened.open(token, s.keys.Verifying)
	if err != nil || c.ObjectID == "" || (c.Kind != kindApp && c.Kind != kindUser) {
		return deskyard.Principal{}, unauthenticated("InvalidAuthenticationToken", "The access token is invalid.")
	}
	if err := s.checkClaims(c, want); err != nil {
		return deskyard.Principal{}, err
	}
	a, err := s.account(r.Context(), c.ObjectID, c.Kind)
	if err != nil {
		return deskyard.Principal{}, err
	}
	switch {
	case !a.found:
		return deskyard.Principal{}, unauthenticated("InvalidAuthenticationToken", "The access token is invalid: the account it was issued for no longer exists.")
	case a.disabled:
		return deskyard.Principal{}, unauthenticated("InvalidAuthenticationToken", "The access token is invalid: the account it was issued for is disabled.")
	case c.IssuedAt < a.validFrom.Unix():
		return deskyard.Principal{}, unauthenticated("InvalidAuthenticationToken", "The access token is invalid: it was issued before the account's sign-ins were revoked. Sign in again.")
	}
	p := deskyard.Principal{ObjectID: c.ObjectID, TenantID: c.TenantID, AppID: c.AppID, Name: a.name, Kind: "User", Groups: slices.Clone(a.groups)}
	if c.Kind == kindApp {
		p.Kind = "Application"
	}
	return p, nil
}

func (s *Service) checkClaims(c claims, want resourceKind) error {
	now := s.now()
	const stamp = "1/2/2006 3:04:05 PM" // .NET's general date, as Azure prints it
	switch {
	case now.Unix() >= c.Expires:
		return unauthenticated("ExpiredAuthenticationToken", "The access token expiry UTC time '%s' is earlier than current UTC time '%s'.",
			time.Unix(c.Expires, 0).UTC().Format(stamp), now.UTC().Format(stamp))
	case now.Add(clockSkew).Unix() < c.NotBefore:
		return unauthenticated("InvalidAuthenticationToken", "The access token is not valid before UTC time '%s'.", time.Unix(c.NotBefore, 0).UTC().Format(stamp))
	case !strings.EqualFold(c.TenantID, s.tenant.ID) || !s.issuers[c.Issuer]:
		return unauthenticated("InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer '%s'. It must match the tenant '%s'. Please use the authority (URL) '%s/%s' to get the token.",
			c.Issuer, s.tenant.ID, s.bases[0], s.tenant.ID)
	}
	kind := s.resources[resourceKey(c.Audience)]
	if kind != armResource && (kind != want || kind == noResource) {
		return unauthenticated("InvalidAuthenticationTokenAudience", "The access token has been obtained for wrong audience or resource '%s'. It should exactly match with one of the allowed audiences %s.",
			c.Audience, s.allowedAudiences())
	}
	return nil
}

func (s *Service) allowedAudiences() string {
	var list []string
	for _, b := range s.bases {
		list = append(list, "'"+b+"'", "'"+b+"/'")
	}
	management := s.options.Audiences
	if management == nil {
		management = publicAudiences
	}
	for _, a := range management {
		list = append(list, "'"+a+"'")
	}
	return strings.Join(list, ",")
}

// Challenge is the value of the WWW-Authenticate header to send with an error of
// Authenticate. Azure's clients read the authority from it.
func (s *Service) Challenge(r *http.Request, err error) string {
	description := "The access token is missing or invalid."
	var e *arm.Error
	if errors.As(err, &e) {
		description = e.Message
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", " ", "\n", " ").Replace
	return fmt.Sprintf(`Bearer authorization_uri="%s/%s", error="invalid_token", error_description="%s"`, s.base(r), s.tenant.ID, quote(description))
}

// bearer takes the token from the Authorization header.
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", unauthenticated("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", unauthenticated("AuthenticationFailedInvalidHeader", "Authentication failed. The 'Authorization' header is provided in an invalid format.")
	}
	token = strings.TrimSpace(token)
	if !ok || token == "" {
		return "", unauthenticated("AuthenticationFailedMissingToken", "Authentication failed. The 'Authorization' header is missing the access token.")
	}
	return token, nil
}

func unauthenticated(code, format string, args ...any) *arm.Error {
	return arm.Errorf(arm.Unauthenticated, code, format, args...)
}

// account is what a token's subject is now.
type account struct {
	found     bool
	disabled  bool
	name      string
	validFrom time.Time
	groups    []string
	expires   time.Time
}

// maxAccounts bounds the cache; a full one starts afresh.
const maxAccounts = 10_000

// accountCache remembers accounts for accountLife.
type accountCache struct {
	mu   sync.Mutex // guards the fields below
	rows map[string]account
	// era counts changes, so that a look-up that began before one is not remembered after it.
	era uint64
}

func (c *accountCache) get(id string, now time.Time) (a account, era uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok = c.rows[id]
	return a, c.era, ok && now.Before(a.expires)
}

func (c *accountCache) put(id string, a account, era uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if era != c.era {
		return
	}
	if c.rows == nil || len(c.rows) >= maxAccounts {
		c.rows = map[string]account{}
	}
	c.rows[id] = a
}

// forget drops everything: a change of one group can concern any account.
func (c *accountCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows = nil
	c.era++
}

// account looks up a subject and its groups.
func (s *Service) account(ctx context.Context, objectID, kind string) (account, error) {
	now := s.now()
	key := kind + " " + objectID
	a, era, ok := s.accounts.get(key, now)
	if ok {
		return a, nil
	}
	a, err := s.lookUp(ctx, objectID, kind)
	if err != nil {
		return account{}, err
	}
	a.expires = now.Add(accountLife)
	s.accounts.put(key, a, era)
	return a, nil
}

func (s *Service) lookUp(ctx context.Context, objectID, kind string) (account, error) {
	a := account{found: true}
	if kind == kindApp {
		sp, err := s.store.ServicePrincipal(ctx, objectID)
		if err != nil {
			return notFoundOr(err, "read service principal", objectID)
		}
		a.disabled, a.name, a.validFrom = sp.Disabled, sp.AppID, sp.ValidFrom
	} else {
		u, err := s.store.User(ctx, objectID)
		if err != nil {
			return notFoundOr(err, "read user", objectID)
		}
		a.disabled, a.name, a.validFrom = u.Disabled, u.UPN, u.ValidFrom
	}
	groups, err := s.store.GroupsOf(ctx, objectID)
	if err != nil {
		return account{}, fmt.Errorf("read the groups of %s: %w", objectID, err)
	}
	a.groups = groups
	return a, nil
}

func notFoundOr(err error, what, id string) (account, error) {
	if arm.IsMissing(err) {
		return account{}, nil
	}
	return account{}, fmt.Errorf("%s %s: %w", what, id, err)
}
