package federation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is an OpenID provider whose ID tokens say what it is told to.
type issuer struct {
	t    *testing.T
	base string

	mu        sync.Mutex // guards all below
	id        string     // of the key that signs
	key       *ecdsa.PrivateKey
	published []jose.JSONWebKey
	claims    map[string]any
}

// rotate has a new key sign; only a published one can be verified.
func (i *issuer) rotate(id string, publish bool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.id, i.key = id, key
	if publish {
		i.published = []jose.JSONWebKey{{Key: key.Public(), KeyID: id, Algorithm: "ES256", Use: "sig"}}
	}
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{"issuer": i.base, "authorization_endpoint": i.base + "/ask", "token_endpoint": i.base + "/token",
			"jwks_uri": i.base + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}}
	case "/keys":
		answer = jose.JSONWebKeySet{Keys: i.published}
	case "/token":
		answer = map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": i.token()}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		i.t.Error(err)
	}
}

func (i *issuer) token() string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, (&jose.SignerOptions{}).WithHeader("kid", i.id))
	if err != nil {
		i.t.Error(err)
		return ""
	}
	payload, err := json.Marshal(i.claims)
	if err != nil {
		i.t.Error(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		i.t.Error(err)
		return ""
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		i.t.Error(err)
	}
	return compact
}

func newIssuer(t *testing.T) (*issuer, *OIDC) {
	t.Helper()
	i := &issuer{t: t}
	front := httptest.NewTLSServer(i)
	t.Cleanup(front.Close)
	i.base = front.URL
	i.rotate("k1", true)
	p, err := NewOIDC(OIDCOptions{Name: "Head", Issuer: i.base, ClientID: "desk", ClientSecret: "s", RedirectURL: "https://desk.test/signin/back", Client: front.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return i, p
}

// says makes the claims of a good token, and changes them.
func (i *issuer) says(change map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.claims = map[string]any{"iss": i.base, "aud": "desk", "sub": "ann", "nonce": "n1", "upn": "ann@head.test", "name": "Ann",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	for name, v := range change {
		i.claims[name] = v
	}
}

func TestAnIDTokenMustBeForThisSignInAndThisService(t *testing.T) {
	i, p := newIssuer(t)
	i.says(nil)
	who, err := p.Finish(t.Context(), "c", "n1", "v")
	if err != nil || who.UPN != "ann@head.test" || who.MFA {
		t.Fatalf("%+v, %v", who, err)
	}
	for name, change := range map[string]map[string]any{
		"of another sign-in":     {"nonce": "n2"},
		"of no sign-in":          {"nonce": ""},
		"for another service":    {"aud": "mail"},
		"of another issuer":      {"iss": "https://elsewhere.test"},
		"that has expired":       {"exp": time.Now().Add(-time.Minute).Unix()},
		"of nobody with a name":  {"upn": ""},
		"of an unverified email": {"upn": "", "email": "root@desk.test", "email_verified": false},
	} {
		i.says(change)
		if who, err := p.Finish(t.Context(), "c", "n1", "v"); !errors.Is(err, ErrRefused) {
			t.Errorf("a token %s: %+v, %v", name, who, err)
		}
	}
}

func TestAProvidersNewKeyIsTakenOnceItIsPublished(t *testing.T) {
	i, p := newIssuer(t)
	i.says(nil)
	if _, err := p.Finish(t.Context(), "c", "n1", "v"); err != nil {
		t.Fatal(err)
	}
	i.rotate("k2", false)
	if _, err := p.Finish(t.Context(), "c", "n1", "v"); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "verify the ID token") {
		t.Errorf("a key that the provider does not publish: %v", err)
	}
	i.rotate("k3", true)
	if _, err := p.Finish(t.Context(), "c", "n1", "v"); err != nil {
		t.Errorf("the key that it publishes now: %v", err)
	}
}
