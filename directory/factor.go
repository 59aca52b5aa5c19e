package directory

import (
	"encoding/json"
	"time"
)

// Kinds of factors.
const (
	FactorTOTP     = "totp"     // an authenticator application: RFC 6238, SHA-1, 6 digits, 30 seconds
	FactorWebAuthn = "webauthn" // a security key, or what the device itself has
)

// Factor is what a user proves beside the password.
type Factor struct {
	ID         string // GUID
	Kind       string
	Name       string          // as the user calls it
	Secret     []byte          `json:",omitempty"` // totp: the shared secret, sealed
	Step       int64           `json:",omitempty"` // totp: the time step whose code was used last; none works twice
	Credential json.RawMessage `json:",omitempty"` // webauthn: public key and counter
	CreatedAt  time.Time
	UsedAt     time.Time
}

// AppPassword is a generated password of a user for a client that can show no sign-in
// page. It has 160 random bits.
type AppPassword struct {
	ID        string // GUID
	Name      string
	Hash      []byte // NT hash, sealed: it is as good as the password
	CreatedAt time.Time
}
