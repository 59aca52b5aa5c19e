package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/deskyard/deskyard/directory"
)

// Application ids of the public clients that every tenant knows: those that
// Microsoft's tools have compiled in, and our own command line.
const (
	AzureCLIAppID        = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
	AzurePowerShellAppID = "1950a258-227b-4e31-a9cf-717495945fc2"
	DeskyardCLIAppID     = "6f0e7f3c-2a4b-4b57-9d61-3c1b8a5e0d94"
	DeskyardWebAppID     = "d0b5c1a7-5e0f-4c57-8f4e-6a2f93d1c7b8" // the web client and the portal, in browsers
)

// Where the pages in browsers await their codes, at each base URL.
const (
	WebRedirectPath    = "/web/"
	PortalRedirectPath = "/portal/"
)

var builtIns = map[string]string{
	AzureCLIAppID: "Microsoft Azure CLI", AzurePowerShellAppID: "Microsoft Azure PowerShell", DeskyardCLIAppID: "Deskyard CLI",
	DeskyardWebAppID: "Deskyard web",
}

// loopback are the redirect URIs of programs on the person's own machine; any port
// matches (RFC 8252, section 7.3).
var loopback = []string{"http://localhost", "http://localhost/", "http://127.0.0.1", "http://127.0.0.1/"}

// builtIn gives the record of a built-in client; it has no row in the directory. The
// pages in browsers are sent to this service's own base URLs and nowhere else.
func (s *Service) builtIn(appID string) (directory.ServicePrincipal, bool) {
	id := strings.ToLower(appID)
	name, ok := builtIns[id]
	to := loopback
	if id == DeskyardWebAppID {
		to = make([]string, 0, 2*len(s.bases))
		for _, b := range s.bases {
			to = append(to, b+WebRedirectPath, b+PortalRedirectPath)
		}
	}
	return directory.ServicePrincipal{AppID: id, DisplayName: name, Public: true, RedirectURIs: to}, ok
}

// states of a secret that a client sent.
type secretStanding int

const (
	secretWrong secretStanding = iota
	secretExpired
	secretGood
)

// secretState compares a secret with all that an application has. A secret has 256
// random bits, so its plain hash is safe to keep and to compare with.
func secretState(have []directory.Secret, sent string, now time.Time) secretStanding {
	sum, state := sha256.Sum256([]byte(sent)), secretWrong
	for _, s := range have {
		if subtle.ConstantTimeCompare(sum[:], s.Hash) != 1 {
			continue
		}
		if now.Before(s.ExpiresAt) {
			return secretGood
		}
		state = secretExpired
	}
	return state
}

// The methods of op.Client.

// GetID is the application id.
func (c *client) GetID() string { return c.sp.AppID }

// RedirectURIs are compared as they are, but for the port of a loopback address.
func (c *client) RedirectURIs() []string { return c.sp.RedirectURIs }

// PostLogoutRedirectURIs are the same: Entra has one list.
func (c *client) PostLogoutRedirectURIs() []string { return c.sp.RedirectURIs }

// ApplicationType is native for public clients: the library then takes loopback
// addresses with any port, and registered https ones.
func (c *client) ApplicationType() op.ApplicationType {
	if c.sp.Public {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}

// AuthMethod is how the client proves itself.
func (c *client) AuthMethod() oidc.AuthMethod {
	if c.sp.Public {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodPost
}

// ResponseTypes is the code alone; implicit answers leak tokens through URLs.
func (c *client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

// GrantTypes are those the client may use.
func (c *client) GrantTypes() []oidc.GrantType {
	g := []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeDeviceCode}
	if !c.sp.Public {
		g = append(g, oidc.GrantTypeClientCredentials)
	}
	return g
}

// LoginURL is not asked for: Authorize makes the URL itself.
func (c *client) LoginURL(string) string { return "" }

// AccessTokenType is a JWT, always.
func (c *client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// IDTokenLifetime is an access token's.
func (c *client) IDTokenLifetime() time.Duration { return tokenLife }

// DevMode would loosen the checks of redirect URIs.
func (c *client) DevMode() bool { return false }

// RestrictAdditionalIdTokenScopes changes nothing.
func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// RestrictAdditionalAccessTokenScopes changes nothing.
func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// IsScopeAllowed leaves scopes to resourceOf.
func (c *client) IsScopeAllowed(string) bool { return true }

// IDTokenUserinfoClaimsAssertion is not used: ID tokens are minted here.
func (c *client) IDTokenUserinfoClaimsAssertion() bool { return false }

// ClockSkew is how far clients' clocks may be off.
func (c *client) ClockSkew() time.Duration { return clockSkew }
