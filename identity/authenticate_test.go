package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/deskyard/deskyard/directory"
)

// goodClaims are those of a valid management token of the bootstrap's client.
func (y *yard) goodClaims() claims {
	c := y.newClaims(door{base: testBase, shape: shapeV2}, testBase+"/", y.creds.ClientObjectID)
	c.Kind, c.AppID = kindApp, y.creds.ClientID
	return c
}

// signed signs claims with the service's own key.
func (y *yard) signed(c claims) string {
	y.t.Helper()
	token, err := y.sign(c)
	if err != nil {
		y.t.Fatal(err)
	}
	return token
}

func TestTokensThatAreNotOursAreRefused(t *testing.T) {
	y := newYard(t)
	payload, err := json.Marshal(y.goodClaims())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		t.Fatal(err)
	}
	kid, own := y.keys.Signing()
	sign := func(alg jose.SignatureAlgorithm, key any, kid string) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := s.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		text, err := sig.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	b64 := base64.RawURLEncoding.EncodeToString
	public, err := x509.MarshalPKIXPublicKey(&own.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	good := y.signed(y.goodClaims())
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"another key under our id":         sign(jose.RS256, foreign, kid),
		"another key":                      sign(jose.RS256, foreign, "other"),
		"no key id":                        sign(jose.RS256, own, ""),
		"our public key as an HMAC secret": sign(jose.HS256, public, kid),
		"another algorithm of our key":     sign(jose.PS256, own, kid),
		"alg none":                         b64([]byte(`{"alg":"none","typ":"JWT","kid":"`+kid+`"}`)) + "." + b64(payload) + ".",
		"alg none with our signature":      b64([]byte(`{"alg":"none","kid":"`+kid+`"}`)) + "." + parts[1] + "." + parts[2],
		"changed claims":                   parts[0] + "." + b64([]byte(strings.Replace(string(payload), `"app"`, `"user"`, 1))) + "." + parts[2],
		"cut off":                          good[:len(good)-8],
		"no JWT":                           "opaque",
		"far too long":                     good + strings.Repeat("A", maxToken),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := y.withToken(token)
			refused(t, err, "InvalidAuthenticationToken")
		})
	}
	if _, err := y.withToken(good); err != nil {
		t.Errorf("the good token is refused, too: %v", err)
	}
}

func TestClaimsDecideOverAValidSignature(t *testing.T) {
	y := newYard(t)
	hour := int64(time.Hour / time.Second)
	for _, c := range []struct {
		name, code string
		change     func(*claims)
	}{
		{"expired", "ExpiredAuthenticationToken", func(c *claims) { c.Expires = y.clock.now().Unix() }},
		{"not valid yet", "InvalidAuthenticationToken", func(c *claims) { c.NotBefore += hour }},
		{"another audience", "InvalidAuthenticationTokenAudience", func(c *claims) { c.Audience = "https://elsewhere.test/" }},
		{"the directory's audience", "InvalidAuthenticationTokenAudience", func(c *claims) { c.Audience = testBase + "/graph/" }},
		{"no audience", "InvalidAuthenticationTokenAudience", func(c *claims) { c.Audience = "" }},
		{"another tenant", "InvalidAuthenticationTokenTenant", func(c *claims) { c.TenantID = "33333333-3333-3333-3333-333333333333" }},
		{"another issuer", "InvalidAuthenticationTokenTenant", func(c *claims) { c.Issuer = "https://login.test/" }},
		{"no subject", "InvalidAuthenticationToken", func(c *claims) { c.ObjectID = "" }},
		{"an ID token", "InvalidAuthenticationToken", func(c *claims) { c.Kind = "" }},
		{"an account that is gone", "InvalidAuthenticationToken", func(c *claims) { c.ObjectID = "33333333-3333-3333-3333-333333333333" }},
		{"an application that claims to be a user", "InvalidAuthenticationToken", func(c *claims) { c.Kind = kindUser }},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := y.goodClaims()
			c.change(&claims)
			_, err := y.withToken(y.signed(claims))
			refused(t, err, c.code)
		})
	}
}

func TestMissingAndMalformedHeadersAreToldApart(t *testing.T) {
	y := newYard(t)
	for _, c := range []struct {
		code   string
		values []string
	}{
		{"AuthenticationFailed", nil},
		{"AuthenticationFailedInvalidHeader", []string{"Basic eA=="}},
		{"AuthenticationFailedInvalidHeader", []string{"Bearer a", "Bearer b"}},
		{"AuthenticationFailedMissingToken", []string{"Bearer "}},
		{"AuthenticationFailedMissingToken", []string{"Bearer"}},
	} {
		r := httptest.NewRequest(http.MethodGet, testBase+"/", nil)
		r.Header["Authorization"] = c.values
		_, err := y.Authenticate(r)
		refused(t, err, c.code)
		challenge := y.Challenge(r, err)
		if !strings.HasPrefix(challenge, `Bearer authorization_uri="`+testBase+"/"+y.TenantID()+`", error="invalid_token", error_description="`) || strings.ContainsAny(challenge, "\r\n") {
			t.Errorf("challenge %q", challenge)
		}
	}
}

func TestDisablingAnAccountEndsItsTokensAtOnce(t *testing.T) {
	y := newYard(t)
	token := y.appToken()
	if _, err := y.withToken(token); err != nil {
		t.Fatal(err)
	}
	off := true
	if _, err := y.UpdateServicePrincipal(t.Context(), y.creds.ClientObjectID, ServicePrincipalChange{Disabled: &off}); err != nil {
		t.Fatal(err)
	}
	_, err := y.withToken(token)
	refused(t, err, "InvalidAuthenticationToken")
}

func TestAChangeThroughAnotherNodeCountsWithinThirtySeconds(t *testing.T) {
	y := newYard(t)
	token := y.appToken()
	if _, err := y.withToken(token); err != nil {
		t.Fatal(err)
	}
	_, err := y.db.UpdateServicePrincipal(t.Context(), y.creds.ClientObjectID, func(sp *directory.ServicePrincipal) error { sp.Disabled = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := y.withToken(token); err != nil {
		t.Fatalf("the cache does not hold: %v", err)
	}
	y.clock.advance(accountLife)
	_, err = y.withToken(token)
	refused(t, err, "InvalidAuthenticationToken")
}

func TestPrincipalCarriesGroupsThroughGroups(t *testing.T) {
	y := newYard(t)
	ctx := t.Context()
	inner, err := y.CreateGroup(ctx, "inner", "")
	if err != nil {
		t.Fatal(err)
	}
	outer, err := y.CreateGroup(ctx, "outer", "")
	if err != nil {
		t.Fatal(err)
	}
	token := y.appToken()
	if p, err := y.withToken(token); err != nil || len(p.Groups) != 0 {
		t.Fatalf("groups %v, %v", p.Groups, err)
	}
	// A circle, which Entra allows to be built as well.
	for _, m := range [][2]string{{inner.ObjectID, y.creds.ClientObjectID}, {outer.ObjectID, inner.ObjectID}, {inner.ObjectID, outer.ObjectID}} {
		if err := y.AddMember(ctx, m[0], m[1]); err != nil {
			t.Fatal(err)
		}
	}
	p, err := y.withToken(token)
	want := []string{inner.ObjectID, outer.ObjectID}
	slices.Sort(want)
	slices.Sort(p.Groups)
	if err != nil || !slices.Equal(p.Groups, want) {
		t.Errorf("groups %v, want %v, %v", p.Groups, want, err)
	}
	if err := y.RemoveMember(ctx, inner.ObjectID, y.creds.ClientObjectID); err != nil {
		t.Fatal(err)
	}
	if p, err := y.withToken(token); err != nil || len(p.Groups) != 0 {
		t.Errorf("after leaving: groups %v, %v", p.Groups, err)
	}
}

func TestRevokingSignInsEndsTokensOfTheSameSecond(t *testing.T) {
	y := newYard(t)
	token := y.post("/adfs/oauth2/token", y.passwordForm()).string("access_token")
	if err := y.RevokeSignIns(t.Context(), y.creds.AdminID); err != nil {
		t.Fatal(err)
	}
	_, err := y.withToken(token)
	refused(t, err, "InvalidAuthenticationToken")
}

func BenchmarkAuthenticate(b *testing.B) {
	y := newYard(b)
	token := y.appToken()
	for b.Loop() {
		if _, err := y.withToken(token); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTokensOfEveryShapeAndBaseOpenTheDoor(t *testing.T) {
	y := newYard(t, func(o *Options) { o.BaseURLs = []string{testBase, "https://10.0.0.7:8443"} })
	for _, base := range []string{testBase, "https://10.0.0.7:8443"} {
		for _, sh := range []shape{shapeV1, shapeV2, shapeADFS} {
			c := y.newClaims(door{base: base, shape: sh}, base, y.creds.ClientObjectID)
			c.Kind = kindApp
			if _, err := y.withToken(y.signed(c)); err != nil {
				t.Errorf("%s shape %d: %v", base, sh, err)
			}
		}
	}
}
