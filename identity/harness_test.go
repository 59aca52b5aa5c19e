package identity

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/sqlstore"
)

const testBase = "https://desk.test:8443"

// cheap are hash parameters that tests can afford.
func cheap() *Passwords { return newPasswords(64, 1, 1) }

// testKey is made once: an RSA key takes a good part of a second.
var testKey = sync.OnceValue(func() signingKey {
	k, err := newSigningKey(time.Unix(0, 0))
	if err != nil {
		panic(err)
	}
	return k
})

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// yard is a founded directory with its service, on a real SQLite file.
type yard struct {
	*Service
	t     testing.TB
	db    *sqlstore.DB
	dir   string
	creds Credentials
	clock *clock

	mu     sync.Mutex
	audit  []deskyard.AuditEvent
	denied map[string]bool // actions that Allow refuses
}

func newYard(t testing.TB, change ...func(*Options)) *yard {
	t.Helper()
	y := &yard{t: t, dir: t.TempDir(), clock: &clock{at: time.Now().UTC().Truncate(time.Second)}, denied: map[string]bool{}}
	y.db = openStore(t, y.dir)
	var founded bool
	var err error
	y.creds, founded, err = Bootstrap(t.Context(), y.db, Foundation{Passwords: cheap(), Now: y.clock.now})
	if err != nil || !founded {
		t.Fatalf("found the directory: founded %v, %v", founded, err)
	}
	o := Options{
		Store: y.db, BaseURLs: []string{testBase}, Passwords: cheap(), Now: y.clock.now, Log: quiet(),
		Keys:  &Keys{Now: y.clock.now, path: filepath.Join(y.dir, "none"), keys: []signingKey{testKey()}, secret: []byte(strings.Repeat("s", 32))},
		Allow: y.allowAction, Audit: y.noteAudit,
	}
	for _, f := range change {
		f(&o)
	}
	y.Service, err = New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	y.grid = 0
	return y
}

func openStore(t testing.TB, dir string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(dir, "yard.db"), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return db
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestMain(m *testing.M) {
	slog.SetDefault(quiet()) // the OpenID library logs each refusal to the default logger
	m.Run()
}

func (y *yard) allowAction(_ context.Context, p deskyard.Principal, action string, scope arm.ResourceID) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.denied[action] || !scope.IsZero() {
		return arm.Errorf(arm.Forbidden, "AuthorizationFailed", "The client '%s' does not have authorization to perform action '%s' over scope '/'.", p.Name, action)
	}
	return nil
}

func (y *yard) noteAudit(_ context.Context, e deskyard.AuditEvent) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.audit = append(y.audit, e)
	return nil
}

// audited counts the audit lines of an action with a code.
func (y *yard) audited(action, code string) (n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, e := range y.audit {
		if e.Action == action && e.Code == code {
			n++
		}
	}
	return n
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

func (a answer) string(member string) string {
	s, _ := a.json[member].(string)
	return s
}

// send makes a request as an HTTP server would see it.
func (y *yard) send(method, target, body string, header http.Header) answer {
	y.t.Helper()
	r := httptest.NewRequest(method, testBase+target, strings.NewReader(body))
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	y.Handler().ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), text: w.Body.String()}
	if strings.Contains(w.Header().Get("Content-Type"), "json") {
		if err := json.Unmarshal(w.Body.Bytes(), &a.json); err != nil {
			y.t.Fatalf("%s %s: the answer is not JSON: %v\n%s", method, target, err, a.text)
		}
	}
	return a
}

// post sends a form.
func (y *yard) post(target string, form url.Values) answer {
	y.t.Helper()
	return y.send(http.MethodPost, target, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
}

// clientForm is the token request of the bootstrap's service principal, as az 2.45 sends it.
func (y *yard) clientForm() url.Values {
	return url.Values{
		"client_id": {y.creds.ClientID}, "client_secret": {y.creds.ClientSecret}, "grant_type": {"client_credentials"}, "client_info": {"1"},
		"claims": {`{"access_token": {"xms_cc": {"values": ["CP1"]}}}`}, "scope": {testBase + "//.default"},
	}
}

// appToken gets a management token for the bootstrap's service principal.
func (y *yard) appToken() string {
	y.t.Helper()
	a := y.post("/adfs/oauth2/token", y.clientForm())
	if a.status != http.StatusOK {
		y.t.Fatalf("no token: %d %s", a.status, a.text)
	}
	return a.string("access_token")
}

// passwordForm is a password grant's request for the administrator.
func (y *yard) passwordForm() url.Values {
	return url.Values{
		"client_id": {AzureCLIAppID}, "grant_type": {"password"}, "username": {y.creds.AdminUPN}, "password": {y.creds.AdminPassword},
		"scope": {testBase + "//.default offline_access openid profile"}, "client_info": {"1"},
	}
}

// withToken authenticates a request that carries a token.
func (y *yard) withToken(token string) (deskyard.Principal, error) {
	r := httptest.NewRequest(http.MethodGet, testBase+"/subscriptions", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return y.Authenticate(r)
}

// refused expects an *arm.Error with a code.
func refused(t testing.TB, err error, code string) {
	t.Helper()
	e, ok := err.(*arm.Error)
	if !ok || e.Code != code || e.Kind != arm.Unauthenticated {
		t.Errorf("got %v, want an Unauthenticated error with the code %s", err, code)
	}
}

// failedWith expects Entra's error body with a number.
func failedWith(t testing.TB, a answer, status int, kind, number string) {
	t.Helper()
	codes, _ := a.json["error_codes"].([]any)
	want, _ := json.Marshal(codes)
	if a.status != status || a.string("error") != kind || string(want) != "["+number+"]" || !strings.HasPrefix(a.string("error_description"), "AADSTS"+number+":") {
		t.Errorf("got %d %s, want %d %s AADSTS%s", a.status, a.text, status, kind, number)
	}
	for _, member := range []string{"timestamp", "trace_id", "correlation_id"} {
		if a.string(member) == "" {
			t.Errorf("the error lacks %s: %s", member, a.text)
		}
	}
}

// browser is a person's browser: it keeps cookies and does not follow redirects.
type browser struct {
	t      testing.TB
	client *http.Client
	url    string
}

func (y *yard) newBrowser() *browser {
	y.t.Helper()
	server := httptest.NewUnstartedServer(y.Handler())
	server.StartTLS()
	y.t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		y.t.Fatal(err)
	}
	c := server.Client()
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{t: y.t, client: c, url: server.URL}
}

func (b *browser) do(method, target string, form url.Values) answer {
	b.t.Helper()
	target = strings.TrimPrefix(target, testBase) // the service names itself by its own host
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+target, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Host = "desk.test:8443"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, text: string(text)}
}

// hidden reads a hidden field of a page.
func (b *browser) hidden(page, name string) string {
	b.t.Helper()
	_, rest, ok := strings.Cut(page, `name="`+name+`" value="`)
	value, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		b.t.Fatalf("the page has no field %s:\n%s", name, page)
	}
	return strings.NewReplacer("&#43;", "+", "&amp;", "&").Replace(value)
}

// signIn fills in the sign-in page at a URL and gives what came of it.
func (b *browser) signIn(target, user, password string) answer {
	b.t.Helper()
	page := b.do(http.MethodGet, target, nil)
	if page.status != http.StatusOK {
		b.t.Fatalf("sign-in page: %d %s", page.status, page.text)
	}
	return b.do(http.MethodPost, "/signin", url.Values{
		"request": {b.hidden(page.text, "request")}, "csrf": {b.hidden(page.text, "csrf")},
		"action": {"password"}, "username": {user}, "password": {password},
	})
}
