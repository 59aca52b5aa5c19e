package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/pquerna/otp/totp"

	"github.com/deskyard/deskyard/seal"
)

// withSeal gives the service a key for the secrets of factors.
func withSeal(t testing.TB) func(*Options) {
	t.Helper()
	sealer, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return func(o *Options) { o.Seal = sealer }
}

// code is what an authenticator application shows now.
func (y *yard) code(secret string) string {
	y.t.Helper()
	c, err := totp.GenerateCode(secret, y.clock.now())
	if err != nil {
		y.t.Fatal(err)
	}
	return c
}

// openSecurity signs the administrator in to the page for factors.
func (y *yard) openSecurity(b *browser) answer {
	y.t.Helper()
	to := location(y.t, b.do(http.MethodGet, "/security", nil))
	if back := location(y.t, b.signIn(to.String(), y.creds.AdminUPN, y.creds.AdminPassword)); back.Path != "/security" {
		y.t.Fatalf("sent to %s", back)
	}
	return b.do(http.MethodGet, "/security", nil)
}

var typedKey = regexp.MustCompile(`type the key <strong class="code">([A-Z2-7 ]+)</strong>`)

// addApplication adds an authenticator application for the administrator.
func (y *yard) addApplication(b *browser) (secret string) {
	y.t.Helper()
	page := y.openSecurity(b)
	shown := typedKey.FindStringSubmatch(page.text)
	if shown == nil || !strings.Contains(page.text, `<svg class="qr"`) {
		y.t.Fatalf("no key on the page: %s", page.text)
	}
	secret = strings.ReplaceAll(shown[1], " ", "")
	form := url.Values{"request": {b.hidden(page.text, "request")}, "csrf": {b.hidden(page.text, "csrf")}, "action": {"totp"}, "name": {"Telephone"}, "code": {"000000"}}
	if a := b.do(http.MethodPost, "/security", form); a.status != http.StatusBadRequest || !strings.Contains(a.text, html.EscapeString(textWrongCode)) {
		y.t.Fatalf("a wrong code got %d %s", a.status, a.text)
	}
	form.Set("code", y.code(secret))
	location(y.t, b.do(http.MethodPost, "/security", form))
	if page := b.do(http.MethodGet, "/security", nil); !strings.Contains(page.text, "Telephone") {
		y.t.Fatalf("the application is not listed: %d %s", page.status, page.text)
	}
	return secret
}

// askedForFactor signs in with the password and expects the page for the second factor.
func (y *yard) askedForFactor(b *browser) answer {
	y.t.Helper()
	to := location(y.t, b.do(http.MethodGet, authorizeURL(nil), nil))
	page := b.signIn(to.String(), y.creds.AdminUPN, y.creds.AdminPassword)
	if page.status != http.StatusOK || !strings.Contains(page.text, "Confirm it is you") {
		y.t.Fatalf("not asked for a factor: %d %s %s", page.status, page.header.Get("Location"), page.text)
	}
	return page
}

func (y *yard) giveCode(b *browser, page answer, code string) answer {
	y.t.Helper()
	return b.do(http.MethodPost, "/signin/factor", url.Values{
		"request": {b.hidden(page.text, "request")}, "csrf": {b.hidden(page.text, "csrf")}, "action": {"totp"}, "code": {code},
	})
}

func TestAPasswordAloneDoesNotSignInWhoHasAnAuthenticator(t *testing.T) {
	y := newYard(t, withSeal(t))
	secret := y.addApplication(y.newBrowser())
	y.clock.advance(2 * totpPeriod * time.Second)
	b := y.newBrowser()
	page := y.askedForFactor(b)
	if a := b.do(http.MethodGet, authorizeURL(url.Values{"prompt": {"none"}}), nil); !strings.Contains(a.header.Get("Location"), "login_required") {
		t.Errorf("signed in by half: %d %s", a.status, a.header.Get("Location"))
	}
	again := y.giveCode(b, page, "123456")
	if again.status != http.StatusUnauthorized || !strings.Contains(again.text, html.EscapeString(textWrongCode)) {
		t.Fatalf("a wrong code got %d %s", again.status, again.text)
	}
	shown := y.code(secret)
	back := location(t, y.giveCode(b, again, shown[:3]+" "+shown[3:]))
	a := y.post("/adfs/oauth2/token", codeForm(back.Query().Get("code")))
	id, err := openToken(a.string("id_token"), y.keys.Verifying)
	if err != nil || strings.Join(id.Methods, " ") != methodTOTP {
		t.Errorf("methods %v, %v", id.Methods, err)
	}

	other := y.newBrowser()
	if a := y.giveCode(other, y.askedForFactor(other), shown); a.status != http.StatusUnauthorized {
		t.Errorf("a code that was used signed in: %d", a.status)
	}
	failedWith(t, y.post("/adfs/oauth2/token", y.passwordForm()), http.StatusBadRequest, "invalid_grant", "50076")
	if strings.Contains(string(y.document(t)), secret) {
		t.Error("the shared secret is in the database in clear")
	}
}

// document is the administrator's row.
func (y *yard) document(t *testing.T) []byte {
	t.Helper()
	u, err := y.User(t.Context(), y.creds.AdminUPN)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCodesCannotBeGuessedThrough(t *testing.T) {
	y := newYard(t, withSeal(t))
	secret := y.addApplication(y.newBrowser())
	y.clock.advance(2 * totpPeriod * time.Second)
	b := y.newBrowser()
	page := y.askedForFactor(b)
	for range freeAttempts {
		page = y.giveCode(b, page, "111111")
	}
	if a := y.giveCode(b, page, y.code(secret)); a.status != http.StatusUnauthorized || !strings.Contains(a.text, textLocked) {
		t.Errorf("the right code after %d wrong ones got %d %s", freeAttempts, a.status, a.text)
	}
	y.clock.advance(lockBase + time.Second)
	fresh := y.askedForFactor(b) // the right password must not end the count
	y.giveCode(b, fresh, "111111")
	if a := y.giveCode(b, fresh, y.code(secret)); a.status != http.StatusUnauthorized {
		t.Errorf("after one more wrong code the account is not locked: %d", a.status)
	}
}

func TestAnAdministratorRemovesALostFactor(t *testing.T) {
	y := newYard(t, withSeal(t))
	y.addApplication(y.newBrowser())
	methodsOf := "/graph/v1.0/users/" + y.creds.AdminUPN + "/authentication/methods"
	list := y.graph("GET", methodsOf, "")
	methods, _ := list.json["value"].([]any)
	if len(methods) != 1 {
		t.Fatalf("methods: %d %s", list.status, list.text)
	}
	id, _ := methods[0].(map[string]any)["id"].(string)
	if a := y.graph("DELETE", methodsOf+"/"+id, ""); a.status != http.StatusNoContent {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if a := y.graph("DELETE", methodsOf+"/"+id, ""); a.status != http.StatusNotFound {
		t.Errorf("a second time: %d", a.status)
	}
	getCode(t, y, y.newBrowser()) // by the password alone again
}

func TestTheSecurityPageWantsASignInOfJustNow(t *testing.T) {
	y := newYard(t, withSeal(t))
	b := y.newBrowser()
	page := y.openSecurity(b)
	y.clock.advance(freshLife + time.Second)
	form := url.Values{"request": {b.hidden(page.text, "request")}, "csrf": {b.hidden(page.text, "csrf")}, "action": {"totp"}, "code": {"1"}}
	if to := location(t, b.do(http.MethodPost, "/security", form)); to.Path != "/signin" {
		t.Errorf("an old session was taken: %s", to)
	}
}

// key is an authenticator as a browser uses one: ES256, no attestation.
type key struct {
	private *ecdsa.PrivateKey
	id      []byte
	counter uint32
}

func newKey(t *testing.T) *key {
	t.Helper()
	p, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key{private: p, id: []byte("key-1-of-the-test")}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func clientData(kind, challenge, origin string) []byte {
	b, _ := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false}) // strings: it cannot fail
	return b
}

func (k *key) data(flags byte) []byte {
	sum := sha256.Sum256([]byte("desk.test"))
	return binary.BigEndian.AppendUint32(append(sum[:], flags), k.counter)
}

func (k *key) create(t *testing.T, challenge string) string {
	t.Helper()
	public, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: k.private.X.FillBytes(make([]byte, 32)), -3: k.private.Y.FillBytes(make([]byte, 32))})
	if err != nil {
		t.Fatal(err)
	}
	data := append(k.data(0x45), make([]byte, 16)...) // present, verified, with a credential
	data = append(binary.BigEndian.AppendUint16(data, uint16(len(k.id))), k.id...)
	made, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": append(data, public...)})
	if err != nil {
		t.Fatal(err)
	}
	return k.answer(map[string]string{"clientDataJSON": b64(clientData("webauthn.create", challenge, testBase)), "attestationObject": b64(made)})
}

func (k *key) sign(t *testing.T, challenge, origin string) string {
	t.Helper()
	k.counter++
	data, client := k.data(0x05), clientData("webauthn.get", challenge, origin)
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(bytes.Clone(data), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return k.answer(map[string]string{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature)})
}

func (k *key) answer(response map[string]string) string {
	b, _ := json.Marshal(map[string]any{"id": b64(k.id), "rawId": b64(k.id), "type": "public-key", "response": response}) // strings: it cannot fail
	return string(b)
}

var keyOptions = regexp.MustCompile(`data-key="([^"]+)"`)

// challenge is what the page has a browser ask a key.
func challenge(t *testing.T, page answer) string {
	t.Helper()
	found := keyOptions.FindStringSubmatch(page.text)
	if found == nil {
		t.Fatalf("no key is asked for: %s", page.text)
	}
	var o struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(found[1])), &o); err != nil {
		t.Fatal(err)
	}
	return o.Challenge
}

func TestASecurityKeySignsIn(t *testing.T) {
	y := newYard(t)
	b, k := y.newBrowser(), newKey(t)
	page := y.openSecurity(b)
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src "+scriptHashes["security"]) || !strings.Contains(page.text, factorScript) {
		t.Errorf("the script would not run under %q", policy)
	}
	location(t, b.do(http.MethodPost, "/security", url.Values{
		"request": {b.hidden(page.text, "request")}, "csrf": {b.hidden(page.text, "csrf")}, "action": {"key"}, "name": {"Blue"}, "key": {k.create(t, challenge(t, page))},
	}))
	give := func(b *browser, page answer, said string) answer {
		return b.do(http.MethodPost, "/signin/factor", url.Values{
			"request": {b.hidden(page.text, "request")}, "csrf": {b.hidden(page.text, "csrf")}, "action": {"key"}, "key": {said},
		})
	}
	b = y.newBrowser()
	page = y.askedForFactor(b)
	for name, said := range map[string]string{
		"another challenge": k.sign(t, b64([]byte("0123456789abcdef0123456789abcdef")), testBase),
		"another site":      k.sign(t, challenge(t, page), "https://evil.test"),
		"another key":       newKey(t).sign(t, challenge(t, page), testBase),
		"no JSON":           "x",
	} {
		if a := give(b, page, said); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	said := k.sign(t, challenge(t, page), testBase)
	location(t, give(b, page, said))
	if a := give(b, page, said); a.status != http.StatusUnauthorized {
		t.Errorf("an answer signed in twice: %d", a.status)
	}
}

func TestAServiceReachedByItsAddressOffersNoKeys(t *testing.T) {
	if _, ok, err := keyDoor("https://192.0.2.1:8443"); ok || err != nil {
		t.Errorf("offered: %v, %v", ok, err)
	}
}
