//go:build e2e

package hostile

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/token"
)

// register registers a machine, with a proof that holds unless key is not its own.
func (h *house) register(t *testing.T, tok string, machine deskyard.Machine, key ed25519.PrivateKey) reply {
	t.Helper()
	about, err := json.Marshal(machine)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(reverse.Register{Token: tok, Machine: about, PublicKey: key.Public().(ed25519.PublicKey),
		Proof: ed25519.Sign(key, reverse.RegisterProof(tok, about))})
	if err != nil {
		t.Fatal(err)
	}
	return h.postAgent(t, body)
}

func (h *house) postAgent(t *testing.T, body []byte) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", h.Endpoint+reverse.RegisterPath, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r, err := exchange(h.http, req)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func machine(i int) deskyard.Machine {
	return deskyard.Machine{Hostname: fmt.Sprintf("host-%d", i), MachineID: fmt.Sprintf("%032x", i+1), SMBIOSID: fmt.Sprintf("5b105000-0000-4000-8000-%012d", i),
		OS: "linux", Arch: "amd64", OSVersion: "12"}
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// minter signs with the service's own key: what a test needs to make keys that are
// genuine and yet wrong.
func (h *house) minter(t *testing.T) *token.Minter {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "data", "keys", "registration-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("the service's registration key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return &token.Minter{Key: key.(ed25519.PrivateKey), BrokerURIs: []string{h.Endpoint}, CAPin: "pin", TenantID: h.TenantID}
}

// keyID is the id of the record behind a token.
func keyID(t *testing.T, tok string) string {
	t.Helper()
	c, err := token.Read(tok)
	if err != nil {
		t.Fatal(err)
	}
	return c.RegistrationID
}

func TestNoBadRegistrationKeyEnrolsAMachine(t *testing.T) {
	h := open(t)
	poolID, otherID := h.makePool(t, "pool"), h.makePool(t, "other")
	good := h.makeKey(t, "pool", "")
	genuine, forger := h.minter(t), h.minter(t)
	forger.Key = newKey(t)
	mint := func(m *token.Minter, pool string, expires time.Time) string {
		s, err := m.Registration(deskyard.RegistrationKey{ID: keyID(t, good), Pool: pool, CreatedAt: time.Now().Add(-3 * time.Hour), ExpiresAt: expires})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	later := time.Now().Add(time.Hour)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	for name, c := range map[string]struct{ token, code string }{
		"forged":                    {mint(forger, poolID, later), "INVALID_REGISTRATION_TOKEN"},
		"of another pool":           {mint(genuine, otherID, later), "INVALID_REGISTRATION_TOKEN"},
		"expired":                   {mint(genuine, poolID, time.Now().Add(-time.Second)), "EXPIRED_REGISTRATION_TOKEN"},
		"without signature":         {parts[0] + "." + parts[1] + ".", "INVALID_REGISTRATION_TOKEN"},
		"with algorithm none":       {none, "INVALID_REGISTRATION_TOKEN"},
		"cut off":                   {good[:len(good)-8], "INVALID_REGISTRATION_TOKEN"},
		"nonsense":                  {"nonsense", "INVALID_REGISTRATION_TOKEN"},
		"an access token":           {h.token(t, h.ClientID, h.ClientSecret), "INVALID_REGISTRATION_TOKEN"},
		"with another one's claims": {parts[0] + "." + strings.Split(mint(genuine, otherID, later), ".")[1] + "." + parts[2], "INVALID_REGISTRATION_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.register(t, c.token, machine(0), newKey(t))
			if r.status != http.StatusForbidden || r.code != c.code {
				t.Errorf("answer %d %s, want 403 %s", r.status, r.body, c.code)
			}
		})
	}
	t.Run("with a proof of another key", func(t *testing.T) {
		about, err := json.Marshal(machine(0))
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(reverse.Register{Token: good, Machine: about, PublicKey: newKey(t).Public().(ed25519.PublicKey),
			Proof: ed25519.Sign(newKey(t), reverse.RegisterProof(good, about))})
		if err != nil {
			t.Fatal(err)
		}
		if r := h.postAgent(t, body); r.status != http.StatusForbidden || r.code != "INVALID_PROOF" {
			t.Errorf("answer %d %s, want 403 INVALID_PROOF", r.status, r.body)
		}
	})
	t.Run("and the good one does", func(t *testing.T) {
		if r := h.register(t, good, machine(0), newKey(t)); r.status != http.StatusOK {
			t.Errorf("the good key is refused: %d %s", r.status, r.body)
		}
	})
	h.wantHosts(t, "pool", 1)
	h.wantHosts(t, "other", 0)
}

func (h *house) wantHosts(t *testing.T, pool string, n int) {
	t.Helper()
	var list struct{ Value []json.RawMessage }
	h.must(t, http.StatusOK, "GET", h.pool(pool)+"/sessionHosts", desktops, "").into(t, &list)
	if len(list.Value) != n {
		t.Errorf("pool %s has %d hosts, not %d", pool, len(list.Value), n)
	}
}

func TestAKeyEndsWithItsLastUseAndWithItsRevocation(t *testing.T) {
	h := open(t)
	h.makePool(t, "pool")
	once := h.makeKey(t, "pool", `{"maxUses":1}`)
	first := newKey(t)
	for range 2 { // a repeated answer is not a second use
		if r := h.register(t, once, machine(1), first); r.status != http.StatusOK {
			t.Fatalf("the first machine is refused: %d %s", r.status, r.body)
		}
	}
	if r := h.register(t, once, machine(2), newKey(t)); r.status != http.StatusForbidden || r.code != "EXHAUSTED_REGISTRATION_TOKEN" {
		t.Errorf("a used-up key: %d %s", r.status, r.body)
	}
	key := h.makeKey(t, "pool", "")
	if r := h.register(t, once, machine(3), newKey(t)); r.status != http.StatusForbidden || r.code != "INVALID_REGISTRATION_TOKEN" {
		t.Errorf("a key that a newer one ended: %d %s", r.status, r.body)
	}
	h.must(t, http.StatusOK, "POST", h.pool("pool")+"/revokeRegistrationKey", desktops, `{"keyId":"`+keyID(t, key)+`"}`)
	if r := h.register(t, key, machine(4), newKey(t)); r.status != http.StatusForbidden || r.code != "INVALID_REGISTRATION_TOKEN" || !strings.Contains(r.text, "revoked") {
		t.Errorf("a revoked key: %d %s", r.status, r.body)
	}
	elsewhere := h.makeKey(t, "pool", `{"sourceCidr":"192.0.2.0/24"}`)
	if r := h.register(t, elsewhere, machine(5), newKey(t)); r.status != http.StatusForbidden {
		t.Errorf("a key for machines from elsewhere: %d %s", r.status, r.body)
	}
	named := h.makeKey(t, "pool", `{"namePattern":"desk-*"}`)
	if r := h.register(t, named, machine(6), newKey(t)); r.status != http.StatusForbidden {
		t.Errorf("a key for other names: %d %s", r.status, r.body)
	}
	h.wantHosts(t, "pool", 1)
	h.must(t, http.StatusOK, "DELETE", h.pool("pool")+"/sessionHosts/host-1", desktops, "")
	if r := h.register(t, once, machine(1), first); r.status != http.StatusForbidden {
		t.Errorf("a replayed registration of a removed host: %d %s", r.status, r.body)
	}
	h.wantHosts(t, "pool", 0)
}

func TestTheAgentsDoorRefusesWhatIsNotARegistration(t *testing.T) {
	h := open(t)
	for name, body := range map[string]string{
		"nothing": "", "not JSON": "hello", "an array": "[]", "null": "null", "deep": strings.Repeat("[", 60000),
		"no machine":    `{"token":"x","publicKey":"","proof":""}`,
		"NUL":           "{\"token\":\"\x00\"}",
		"invalid UTF-8": "{\"token\":\"\xff\xfe\"}",
		"bad host name": `{"token":"x","machine":{"hostname":"../../etc","machineId":"1","os":"linux","arch":"amd64"},"publicKey":"` + strings.Repeat("A", 43) + `=","proof":"` + strings.Repeat("A", 86) + `=="}`,
	} {
		t.Run(name, func(t *testing.T) {
			if r := h.postAgent(t, []byte(body)); r.status != http.StatusBadRequest || r.code == "" || r.text == "" {
				t.Errorf("answer %d %.300s, want 400 with a code and a message", r.status, r.body)
			}
		})
	}
}
