package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func minter(t testing.TB) *Minter {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Minter{Key: key, BrokerURIs: []string{"https://a:1", "https://b:2"}, CAPin: "pin", TenantID: "tenant"}
}

func key() deskyard.RegistrationKey {
	return deskyard.RegistrationKey{ID: "key-1", Pool: "pool-1", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
}

func mint(t testing.TB, m *Minter, k deskyard.RegistrationKey) string {
	t.Helper()
	tok, err := m.Registration(k)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestRegistrationGivesTheSameBytesEachTime(t *testing.T) {
	m := minter(t)
	if a, b := mint(t, m, key()), mint(t, m, key()); a != b {
		t.Fatalf("two tokens of one key differ:\n%s\n%s", a, b)
	}
}

func TestVerifyGivesBackTheKeyAndThePool(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := minter(t)
		k := deskyard.RegistrationKey{
			ID:        rapid.StringMatching(`[a-z0-9-]{1,40}`).Draw(rt, "id"),
			Pool:      rapid.StringMatching(`[a-z0-9-]{1,40}`).Draw(rt, "pool"),
			CreatedAt: now, ExpiresAt: now.Add(time.Duration(rapid.IntRange(1, 1e6).Draw(rt, "life")) * time.Second),
		}
		id, pool, err := m.Verify(mint(t, m, k), now)
		if err != nil || id != k.ID || pool != k.Pool {
			rt.Fatalf("Verify = %q, %q, %v", id, pool, err)
		}
	})
}

func TestVerifyRefusesATokenFromItsExpirySecondOn(t *testing.T) {
	m := minter(t)
	tok := mint(t, m, key())
	if _, _, err := m.Verify(tok, now.Add(time.Hour-time.Second)); err != nil {
		t.Fatalf("one second before expiry: %v", err)
	}
	wantCode(t, m, tok, now.Add(time.Hour), "EXPIRED_REGISTRATION_TOKEN")
}

func TestVerifyRefusesWhatItDidNotSign(t *testing.T) {
	m := minter(t)
	tok := mint(t, m, key())
	parts := strings.Split(tok, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	hs := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))
	for name, bad := range map[string]string{
		"another service's key": mint(t, minter(t), key()),
		"no signature":          parts[0] + "." + parts[1] + ".",
		"alg none":              none + "." + parts[1] + ".",
		"alg HS256":             hs + "." + parts[1] + "." + parts[2],
		"changed payload":       parts[0] + "." + parts[1][:len(parts[1])-4] + "AAAA." + parts[2],
		"empty":                 "",
		"not a token":           "INVALID_TOKEN",
		"too long":              tok + strings.Repeat("A", MaxLength),
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, m, bad, now, "INVALID_REGISTRATION_TOKEN") })
	}
}

func TestVerifyAcceptsAKeyRotatedOut(t *testing.T) {
	old := minter(t)
	tok := mint(t, old, key())
	fresh := minter(t)
	fresh.Former = []ed25519.PublicKey{old.Key.Public().(ed25519.PublicKey)}
	if _, _, err := fresh.Verify(tok, now); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, m *Minter, tok string, at time.Time, code string) {
	t.Helper()
	_, _, err := m.Verify(tok, at)
	var e *arm.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("Verify = %v, want %s", err, code)
	}
}

func FuzzVerify(f *testing.F) {
	m := minter(f)
	f.Add(mint(f, m, key()))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, tok string) {
		id, _, err := m.Verify(tok, now)
		if err == nil && id == "" {
			t.Fatal("accepted a token without an id")
		}
	})
}
