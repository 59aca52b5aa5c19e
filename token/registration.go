// Package token mints and verifies registration tokens: the JWT that is the only
// thing a machine needs to join a host pool.
//
// A token is signed from its key's record alone, with a deterministic signature
// (Ed25519, RFC 8032), so retrieving it again yields the same bytes and no token
// is ever stored.
package token

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// MaxLength bounds a token that Verify reads: the fixed claims and a handful of
// URLs stay far below it.
const MaxLength = 8 << 10

// issuer and audience are AVD's own values.
const (
	issuer   = "RDInfraTokenManager"
	audience = "RDmi"
)

// Claims are what a registration token carries: AVD's claims under their names,
// and the pin that lets a machine trust a service it has never met.
type Claims struct {
	RegistrationID           string   `json:"RegistrationId"`
	BrokerURI                string   `json:"BrokerUri"`
	DiagnosticsURI           string   `json:"DiagnosticsUri"`
	EndpointPoolID           string   `json:"EndpointPoolId"` // object id of the host pool
	GlobalBrokerURI          string   `json:"GlobalBrokerUri"`
	Geography                string   `json:"Geography"`
	GlobalBrokerResourceURI  string   `json:"GlobalBrokerResourceIdUri"`
	BrokerResourceURI        string   `json:"BrokerResourceIdUri"`
	DiagnosticsResourceIDURI string   `json:"DiagnosticsResourceIdUri"`
	TenantID                 string   `json:"AADTenantId"`
	BrokerURIs               []string `json:"BrokerUris"` // every address to try, in order (ours)
	CAPin                    string   `json:"CaPin"`      // base64url SHA-256 of the CA's SubjectPublicKeyInfo (ours)
	NotBefore                int64    `json:"nbf"`
	Expires                  int64    `json:"exp"`
	Issuer                   string   `json:"iss"`
	Audience                 string   `json:"aud"`
}

// Minter signs and verifies registration tokens. The zero value is not usable;
// all fields but Geography must be set.
type Minter struct {
	Key        ed25519.PrivateKey
	Former     []ed25519.PublicKey // keys rotated out, still accepted
	BrokerURIs []string            // how machines reach the service, most likely first
	CAPin      string
	TenantID   string
	Geography  string
}

// Registration is the token of a key: the same bytes each time for the same record
// and configuration.
func (m *Minter) Registration(k deskyard.RegistrationKey) (string, error) {
	if len(m.BrokerURIs) == 0 {
		return "", fmt.Errorf("sign registration key %s: no address that agents can reach is configured", k.ID)
	}
	base := m.BrokerURIs[0]
	claims := Claims{
		RegistrationID: k.ID, EndpointPoolID: k.Pool, TenantID: m.TenantID, Geography: m.Geography,
		BrokerURI: base, GlobalBrokerURI: base, DiagnosticsURI: base,
		BrokerResourceURI: base, GlobalBrokerResourceURI: base, DiagnosticsResourceIDURI: base,
		BrokerURIs: m.BrokerURIs, CAPin: m.CAPin,
		NotBefore: k.CreatedAt.Unix(), Expires: k.ExpiresAt.Unix(),
		Issuer: issuer, Audience: audience,
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode registration key %s: %w", k.ID, err)
	}
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", KeyID(m.Key.Public().(ed25519.PublicKey)))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: m.Key}, opts)
	if err != nil {
		return "", fmt.Errorf("sign registration key %s: %w", k.ID, err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign registration key %s: %w", k.ID, err)
	}
	return signed.CompactSerialize()
}

// Errors of Verify, in the words that AVD's agent logs (troubleshoot-agent article).
var (
	errInvalid = arm.Errorf(arm.Forbidden, "INVALID_REGISTRATION_TOKEN",
		"The registration key is not one of this service's. Copy the host pool's key again, whole and on one line.")
	errExpired = arm.Errorf(arm.Forbidden, "EXPIRED_REGISTRATION_TOKEN",
		"The registration key has expired. Generate a new key for the host pool and register the machine with it.")
)

// Verify checks a token's signature, issuer, audience and expiry to the second,
// and gives the key id and the pool's object id. Whether the key still stands
// (revoked, used up) is the store's to say.
func (m *Minter) Verify(token string, now time.Time) (keyID, poolObjectID string, err error) {
	if len(token) > MaxLength {
		return "", "", errInvalid
	}
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(signed.Signatures) != 1 {
		return "", "", errInvalid
	}
	payload, ok := m.payload(signed)
	if !ok {
		return "", "", errInvalid
	}
	var c Claims
	if err := json.Unmarshal(payload, &c); err != nil || c.Issuer != issuer || c.Audience != audience || c.RegistrationID == "" {
		return "", "", errInvalid
	}
	if now.Unix() >= c.Expires {
		return "", "", errExpired
	}
	return c.RegistrationID, c.EndpointPoolID, nil
}

// Read decodes a token's claims without checking its signature: what a machine,
// which cannot check it, needs to find the service and to pin its CA. The service
// checks the signature when the machine registers.
func Read(token string) (Claims, error) {
	var c Claims
	if len(token) > MaxLength {
		return c, errInvalid
	}
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return c, errInvalid
	}
	err = json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &c)
	if err != nil || c.Issuer != issuer || len(c.BrokerURIs) == 0 || c.CAPin == "" {
		return Claims{}, errInvalid
	}
	return c, nil
}

func (m *Minter) payload(signed *jose.JSONWebSignature) ([]byte, bool) {
	keys := append([]ed25519.PublicKey{m.Key.Public().(ed25519.PublicKey)}, m.Former...)
	for _, k := range keys {
		if p, err := signed.Verify(k); err == nil {
			return p, true
		}
	}
	return nil, false
}

// KeyID names a public key in a token's header: 40 hex digits, as AVD's are.
func KeyID(k ed25519.PublicKey) string {
	sum := sha256.Sum256(k)
	return hex.EncodeToString(sum[:20])
}
