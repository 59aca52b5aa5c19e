// Package directory is the vocabulary of the embedded directory: the tenant, its
// users, groups, service principals and devices, and the grants (codes, refresh tokens,
// browser sessions) that stand between a sign-in and an access token. It holds
// records only; package identity has the rules, package sqlstore keeps the rows.
package directory

import (
	"time"
)

// Kinds of directory objects, as Microsoft Graph's @odata.type has them behind
// "#microsoft.graph.".
const (
	KindUser             = "user"
	KindGroup            = "group"
	KindServicePrincipal = "servicePrincipal"
	KindDevice           = "device"
)

// Tenant is the one directory of an installation.
type Tenant struct {
	ID          string // GUID
	DisplayName string
	CreatedAt   time.Time
}

// User is a person who can sign in.
type User struct {
	ObjectID     string // GUID, lower case
	UPN          string // user principal name (name@domain), unique without regard to case
	DisplayName  string
	PasswordHash string // argon2id in PHC form; "" when the user has no password
	Disabled     bool
	Failed       int       // attempts since the last success, the one under way included
	LockedUntil  time.Time // no attempt is looked at before; zero: not locked
	// ValidFrom ends every grant and token issued before it: set by a password
	// reset, by disabling and by signing out everywhere.
	ValidFrom time.Time
	Factors   []Factor  // what is asked beside the password; empty: nothing
	Source    string    // where the user comes from: "" for our own, or one of the Source constants
	SyncedAt  time.Time // when the source was last asked; zero for our own
	CreatedAt time.Time

	AppPasswords []AppPassword
}

// Group is a named set of users, groups and service principals.
type Group struct {
	ObjectID    string // GUID, lower case
	DisplayName string
	Description string
	Source      string // as User's; members come and go with their sign-ins
	CreatedAt   time.Time
}

// Sources of users and groups.
const (
	SourceLDAP = "ldap"
	SourceOIDC = "oidc"
)

// Member is one direct member of a group.
type Member struct {
	ObjectID string
	Kind     string // KindUser, KindGroup or KindServicePrincipal
}

// ServicePrincipal is an application and its presence in the tenant in one: the
// directory has a single tenant, so neither exists without the other.
type ServicePrincipal struct {
	ObjectID      string // GUID of the service principal: claim oid, and what role assignments name
	AppID         string // GUID that clients send as client_id; unique
	ApplicationID string // GUID of the application object, as Graph's /applications/{id}
	DisplayName   string
	RedirectURIs  []string
	Public        bool // has no secret and cannot keep one (a CLI, a browser application)
	Disabled      bool
	Secrets       []Secret
	ValidFrom     time.Time // ends every token issued before it
	CreatedAt     time.Time
}

// Secret is one password of a service principal. The secret itself has 256 random
// bits, so a plain SHA-256 of it cannot be searched.
type Secret struct {
	ID          string // GUID, Graph's keyId
	DisplayName string
	Hint        string // first three characters
	Hash        []byte // SHA-256
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// Device is a machine that joined the tenant.
type Device struct {
	ObjectID    string // GUID, lower case
	DeviceID    string // the machine's SMBIOS UUID, lower case; unique
	DisplayName string // host name
	OS          string // "Linux" | "Windows"
	OSVersion   string
	Resource    string // ARM id of the machine
	Disabled    bool   // nobody signs in to it with an account of the directory
	CreatedAt   time.Time
}

// Kinds of grants.
const (
	GrantCode    = "code"    // authorization code: a minute, single use
	GrantDevice  = "device"  // device code: fifteen minutes, approved by a person, single use
	GrantRefresh = "refresh" // refresh token: rotated, its family ends when an old one comes back
	GrantSession = "session" // browser session: the cookie of the sign-in pages
)

// Grant is what an opaque handle stands for: the handle is given to the client and
// only its SHA-256 is kept.
type Grant struct {
	Kind     string // one of the Grant constants
	Hash     string // hex SHA-256 of the handle; unique within Kind
	UserCode string // device codes: hex SHA-256 of the code a person types; unique where not ""
	Family   string // GUID shared by all grants that came from one sign-in
	Subject  string // object id of the user; "" while a device code waits

	AppID       string
	Resource    string // audience asked for, as the client spelled it
	Scope       string // scopes asked for, separated by blanks
	RedirectURI string
	Challenge   string // PKCE S256 challenge, "" when none was sent
	Nonce       string
	Claims      string    // authentication methods, separated by blanks (claim amr)
	Denied      bool      // device code: the person said no
	AuthTime    time.Time // when the person proved who they are
	CreatedAt   time.Time
	ExpiresAt   time.Time
	UsedAt      time.Time // zero: not used yet
}

// GrantQuery selects grants to delete; set fields must all match.
type GrantQuery struct {
	Family        string
	Subject       string
	AppID         string
	ExpiredBefore time.Time
}

// Query bounds a list. The order is stable and the store's own choice; After is the
// Next of the page before.
type Query struct {
	After string
	Limit int // rows at most; 0: no bound
}
