package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/deskyard/deskyard/directory"
)

// tokenLife is how long access and ID tokens hold. Entra's last 60 to 90 minutes.
const tokenLife = time.Hour

// maxToken bounds the tokens that are looked at, in bytes; one with the most
// groups has about 10 KiB.
const maxToken = 32 << 10

// maxTokenGroups is Entra's own bound: beyond it a token says hasgroups instead.
// Authenticate does not read the claim, clients may.
const maxTokenGroups = 200

// claims are those of an access token or an ID token, under Entra's names.
type claims struct {
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	Subject   string `json:"sub"`
	Expires   int64  `json:"exp"`
	NotBefore int64  `json:"nbf"`
	IssuedAt  int64  `json:"iat"`
	Version   string `json:"ver"`
	TenantID  string `json:"tid"`
	ObjectID  string `json:"oid"`
	Kind      string `json:"idtyp,omitempty"` // app | user; access tokens only
	AppID     string `json:"appid,omitempty"`
	AppACR    string `json:"appidacr,omitempty"` // 0 public client, 1 secret
	Scope     string `json:"scp,omitempty"`

	UPN       string   `json:"upn,omitempty"`
	Unique    string   `json:"unique_name,omitempty"`
	Preferred string   `json:"preferred_username,omitempty"`
	Name      string   `json:"name,omitempty"`
	Methods   []string `json:"amr,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	Nonce     string   `json:"nonce,omitempty"`
	Groups    []string `json:"groups,omitempty"`
	HasGroups bool     `json:"hasgroups,omitempty"`
	UTI       string   `json:"uti"` // unique token id
}

// Values of claims.Kind.
const (
	kindApp  = "app"
	kindUser = "user"
)

// newClaims fills in what every token has.
func (s *Service) newClaims(d door, audience, subject string) claims {
	now := s.now()
	return claims{
		Issuer: s.issuerName(d), Audience: audience, Subject: subject, ObjectID: subject, TenantID: s.tenant.ID,
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(tokenLife).Unix(),
		Version: d.version(), UTI: randomHandle(16),
	}
}

// describe fills in what tokens of a user have.
func (c *claims) describe(u directory.User, g directory.Grant) {
	c.UPN, c.Unique, c.Preferred, c.Name = u.UPN, u.UPN, u.UPN, u.DisplayName
	c.Methods = fields(g.Claims)
	c.AuthTime = g.AuthTime.Unix()
}

// carry puts the groups into the token, or says that there are too many.
func (c *claims) carry(groups []string) {
	if len(groups) > maxTokenGroups {
		c.HasGroups = true
		return
	}
	c.Groups = groups
}

// sign makes a compact JWT.
func (s *Service) sign(c claims) (string, error) {
	kid, key := s.keys.Signing()
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: kid}},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t", kid)) // Entra repeats the key id as x5t
	if err != nil {
		return "", fmt.Errorf("prepare to sign a token: %w", err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode a token's claims: %w", err)
	}
	sig, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return sig.CompactSerialize()
}

// errToken is the cause of every token that is not ours, or not whole.
var errToken = errors.New("not a token of this issuer")

// open checks a token's form and signature and reads its claims; times, audience
// and account are the caller's to check.
func openToken(token string, find func(kid string) (*rsa.PublicKey, bool)) (claims, error) {
	var c claims
	if len(token) > maxToken {
		return c, fmt.Errorf("%w: longer than %d bytes", errToken, maxToken)
	}
	if strings.ContainsAny(token, "\r\n") { // which base64's decoder passes over
		return c, fmt.Errorf("%w: it has line breaks", errToken)
	}
	sig, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return c, fmt.Errorf("%w: %w", errToken, err)
	}
	if len(sig.Signatures) != 1 {
		return c, fmt.Errorf("%w: %d signatures", errToken, len(sig.Signatures))
	}
	key, ok := find(sig.Signatures[0].Protected.KeyID)
	if !ok {
		return c, fmt.Errorf("%w: unknown key", errToken)
	}
	payload, err := sig.Verify(key)
	if err != nil {
		return c, fmt.Errorf("%w: %w", errToken, err)
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, fmt.Errorf("%w: %w", errToken, err)
	}
	return c, nil
}

// randomHandle gives n random bytes in base64url.
func randomHandle(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the process instead (crypto/rand, Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b)
}
