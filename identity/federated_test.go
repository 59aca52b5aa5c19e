package identity

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/directory"
	"github.com/deskyard/deskyard/federation"
)

// elsewhere is a directory of one person.
type elsewhere struct {
	mu     sync.Mutex // guards person and err
	person federation.Person
	err    error // of every question
}

func (e *elsewhere) Verify(_ context.Context, name, password string) (federation.Person, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.err != nil:
		return federation.Person{}, e.err
	case !strings.EqualFold(name, e.person.UPN):
		return federation.Person{}, federation.ErrUnknown
	case password != "right":
		return federation.Person{}, federation.ErrRefused
	}
	return e.person, nil
}

func (e *elsewhere) Person(_ context.Context, id string) (federation.Person, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil && id != e.person.ID {
		return federation.Person{}, federation.ErrUnknown
	}
	return e.person, e.err
}

func (e *elsewhere) change(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func newElsewhere() *elsewhere {
	return &elsewhere{person: federation.Person{ID: uuid.NewString(), UPN: "ann@corp.test", DisplayName: "Ann Lee",
		Groups: []federation.Group{{ID: uuid.NewString(), Name: "Finance"}}}}
}

// signInAs gets tokens for a name and a password by the browser.
func (y *yard) signInAs(name, password string) answer {
	y.t.Helper()
	b := y.newBrowser()
	to := location(y.t, b.do(http.MethodGet, authorizeURL(nil), nil))
	a := b.signIn(to.String(), name, password)
	if a.status != http.StatusSeeOther {
		return a
	}
	return y.post("/adfs/oauth2/token", codeForm(location(y.t, a).Query().Get("code")))
}

func TestPeopleOfAnotherDirectorySignInWithItsPassword(t *testing.T) {
	e := newElsewhere()
	y := newYard(t, func(o *Options) { o.Directory = e })
	a := y.signInAs("ann@corp.test", "right")
	p, err := y.withToken(a.string("access_token"))
	if err != nil || p.ObjectID != e.person.ID || p.Name != "ann@corp.test" || !slices.Contains(p.Groups, e.person.Groups[0].ID) {
		t.Fatalf("%+v, %v (%d %s)", p, err, a.status, a.text)
	}
	if a := y.signInAs("ann@corp.test", "wrong"); a.status != http.StatusUnauthorized {
		t.Errorf("a wrong password got %d", a.status)
	}
	e.change(func() { e.person.DisplayName, e.person.Groups = "Ann Ray", nil })
	y.signInAs("ann@corp.test", "right")
	u, err := y.User(t.Context(), e.person.ID)
	if err != nil || u.DisplayName != "Ann Ray" || u.Source != directory.SourceLDAP || u.PasswordHash != "" {
		t.Errorf("%+v, %v", u, err)
	}
	if groups, err := y.GroupsOf(t.Context(), e.person.ID); err != nil || len(groups) != 0 {
		t.Errorf("still in %v, %v", groups, err)
	}
	e.change(func() { e.person.Disabled = true })
	if a := y.signInAs("ann@corp.test", "right"); a.status != http.StatusUnauthorized || !strings.Contains(a.text, "disabled") {
		t.Errorf("disabled there: %d %s", a.status, a.text)
	}
}

func TestWhoLeftTheOtherDirectoryGetsNoNewToken(t *testing.T) {
	e := newElsewhere()
	y := newYard(t, func(o *Options) { o.Directory = e })
	a := y.signInAs("ann@corp.test", "right")
	refresh := func() answer {
		return y.post("/adfs/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {AzureCLIAppID}, "refresh_token": {a.string("refresh_token")}})
	}
	y.clock.advance(syncEvery)
	e.change(func() { e.err = errors.New("no route to host") })
	if r := refresh(); r.status != http.StatusOK {
		t.Fatalf("a directory that does not answer locks people out: %d %s", r.status, r.text)
	}
	e.change(func() { e.err = federation.ErrUnknown })
	if r := refresh(); r.status != http.StatusBadRequest || r.string("error") != "invalid_grant" {
		t.Errorf("gone from the directory: %d %s", r.status, r.text)
	}
}

func TestAnAppPasswordGoesWithItsPersonElsewhere(t *testing.T) {
	e := newElsewhere()
	y := newYard(t, withSeal(t), func(o *Options) { o.Directory = e })
	y.signInAs("ann@corp.test", "right")
	made, err := y.AddAppPassword(t.Context(), e.person.ID, "Tablet")
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		nonce := [8]byte{1}
		_, err := y.NTLM(t.Context(), answerOf(t, "ann@corp.test", made, nonce), nonce, "desk.test")
		return err
	}
	y.clock.advance(syncEvery)
	e.change(func() { e.err = errors.New("no route to host") })
	if err := ask(); err != nil {
		t.Fatalf("a directory that does not answer locks people out: %v", err)
	}
	e.change(func() { e.err, e.person.Disabled = nil, true })
	if err := ask(); err == nil {
		t.Error("disabled in the directory, and let in by an app password")
	}
	e.change(func() { e.err = federation.ErrUnknown })
	if err := ask(); err == nil {
		t.Error("gone from the directory, and let in by an app password")
	}
}

func TestAPersonElsewhereDoesNotBecomeAUserOfOurs(t *testing.T) {
	e := newElsewhere()
	y := newYard(t, func(o *Options) { o.Directory = e })
	e.change(func() { e.person.UPN = y.creds.AdminUPN })
	if a := y.signInAs(y.creds.AdminUPN, "right"); a.status != http.StatusUnauthorized {
		t.Errorf("our administrator by another directory's password: %d", a.status)
	}
	// The name under which the directory finds a person is another than the one it tells.
	e.change(func() { e.person.UPN = "ann@corp.test" })
	taken := &renamed{e, y.creds.AdminUPN}
	y.options.Directory = taken
	if a := y.signInAs("ann@corp.test", "right"); a.status != http.StatusUnauthorized || !strings.Contains(a.text, "exists here") {
		t.Errorf("the name of our administrator: %d %s", a.status, a.text)
	}
}

// renamed is a directory that calls its people otherwise than they sign in.
type renamed struct {
	*elsewhere
	upn string
}

func (r *renamed) Verify(ctx context.Context, name, password string) (federation.Person, error) {
	p, err := r.elsewhere.Verify(ctx, name, password)
	p.UPN = r.upn
	return p, err
}

func TestAFaultOfTheOtherDirectoryIsNoWrongPassword(t *testing.T) {
	e := newElsewhere()
	y := newYard(t, func(o *Options) { o.Directory = e })
	e.change(func() { e.err = errors.New("no route to host") })
	if a := y.signInAs("ann@corp.test", "right"); a.status != http.StatusInternalServerError || strings.Contains(a.text, "no route") {
		t.Errorf("%d %s", a.status, a.text)
	}
	if getCode(t, y, y.newBrowser()) == "" {
		t.Error("our own users are locked out with it")
	}
}

var buttonLink = regexp.MustCompile(`class="button" href="([^"]+)"`)

// TestAnOpenIDProviderSignsPeopleIn has a second installation as the provider.
func TestAnOpenIDProviderSignsPeopleIn(t *testing.T) {
	var there *yard
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { there.Handler().ServeHTTP(w, r) }))
	t.Cleanup(front.Close)
	there = newYard(t, func(o *Options) { o.BaseURLs = []string{front.URL}; o.Now = time.Now })
	app, err := there.CreateServicePrincipal(t.Context(), NewServicePrincipal{DisplayName: "Desk", RedirectURIs: []string{testBase + "/signin/back"}})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := there.AddSecret(t.Context(), app.ObjectID, "desk", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	ann, password, err := there.CreateUser(t.Context(), NewUser{UPN: "ann@head.test", DisplayName: "Ann Lee"})
	if err != nil {
		t.Fatal(err)
	}
	provider, err := federation.NewOIDC(federation.OIDCOptions{
		Name: "Head office", Issuer: front.URL + "/adfs", ClientID: app.AppID, ClientSecret: secret, RedirectURL: testBase + "/signin/back", Client: front.Client(),
	})
	if err != nil {
		t.Fatal(err)
	}
	y := newYard(t, func(o *Options) { o.Provider = provider })
	// away goes from our sign-in page to the provider, signs in there, and is sent back.
	away := func(b *browser, name, password string) *url.URL {
		to := location(t, b.do(http.MethodGet, authorizeURL(nil), nil))
		page := b.do(http.MethodGet, to.String(), nil)
		link := buttonLink.FindStringSubmatch(page.text)
		if link == nil || !strings.Contains(page.text, "Sign in with Head office") {
			t.Fatalf("no way to the provider: %s", page.text)
		}
		out := location(t, b.do(http.MethodGet, html.UnescapeString(link[1]), nil))
		if !strings.HasPrefix(out.String(), front.URL) || out.Query().Get("code_challenge_method") != "S256" {
			t.Fatalf("sent to %s", out)
		}
		remote := there.newBrowser()
		ask := location(t, remote.do(http.MethodGet, out.RequestURI(), nil))
		back := location(t, remote.signIn(ask.RequestURI(), name, password))
		if back.Host != "desk.test:8443" || back.Path != "/signin/back" {
			t.Fatalf("sent back to %s", back)
		}
		return back
	}
	b := y.newBrowser()
	back := away(b, ann.UPN, password)
	if a := y.newBrowser().do(http.MethodGet, back.RequestURI(), nil); a.status != http.StatusBadRequest {
		t.Errorf("another browser came back with it: %d", a.status)
	}
	code := location(t, b.do(http.MethodGet, back.RequestURI(), nil)).Query().Get("code")
	got := y.post("/adfs/oauth2/token", codeForm(code))
	p, err := y.withToken(got.string("access_token"))
	if err != nil || p.Name != "ann@head.test" {
		t.Fatalf("%+v, %v", p, err)
	}
	refresh := func() answer {
		return y.post("/adfs/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {AzureCLIAppID}, "refresh_token": {got.string("refresh_token")}})
	}
	y.clock.advance(providerFor - time.Second)
	if r := refresh(); r.status != http.StatusOK {
		t.Errorf("within the day: %d %s", r.status, r.text)
	}
	y.clock.advance(time.Second)
	if r := refresh(); r.status != http.StatusBadRequest || r.string("error") != "invalid_grant" {
		t.Errorf("a day after the provider said so: %d %s", r.status, r.text)
	}
	if _, err := y.SetPassword(t.Context(), p.ObjectID, "a password of our own 1"); err == nil {
		t.Error("a person of the provider got a password of ours")
	}
	if a := b.do(http.MethodGet, back.RequestURI(), nil); a.status != http.StatusBadRequest {
		t.Errorf("a second time: %d", a.status)
	}

	// Both installations call their administrator the same: ours must stay ours.
	b = y.newBrowser()
	back = away(b, there.creds.AdminUPN, there.creds.AdminPassword)
	if a := b.do(http.MethodGet, back.RequestURI(), nil); a.status != http.StatusUnauthorized || !strings.Contains(a.text, "exists here") {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestWhyAnotherDirectoryRefusesIsToldToWhoKnewThePassword(t *testing.T) {
	e := newElsewhere()
	y := newYard(t, func(o *Options) { o.Directory = e })
	for _, c := range []struct {
		reason                federation.Reason
		page, machine, silent string // what each is told, and what no page may say
	}{
		{federation.WrongPassword, "AADSTS50126", "AADSTS50126", ""},
		{federation.Locked, "AADSTS50126", "AADSTS50053: The account is locked", "AADSTS50053"},
		{federation.Disabled, "AADSTS50057: The user account is disabled", "AADSTS50057", ""},
		{federation.Expired, "AADSTS50057: The user account has expired", "AADSTS50057: The user account has expired", ""},
		{federation.PasswordExpired, "AADSTS50055: The password has expired", "AADSTS50055", ""},
		{federation.MustChange, "AADSTS50055: The password must be changed", "AADSTS50055", ""},
		{federation.WrongTime, "AADSTS53003", "not at this hour", ""},
		{federation.NotGranted, "AADSTS53003", "not granted", ""},
	} {
		e.change(func() { e.err = &federation.Refusal{Reason: c.reason} })
		_, err := y.verifyFrom(t.Context(), httptest.NewRequest("POST", "/", nil), "192.0.2.1", "ann@corp.test", "right")
		if text, known := signInText(err); !known || !strings.HasPrefix(text, c.page) || c.silent != "" && strings.Contains(text, c.silent) {
			t.Errorf("%s: a page says %q (%v)", c.reason, text, err)
		}
		_, err = y.SignIn(t.Context(), httptest.NewRequest("POST", "/", nil), "m1", "ann@corp.test", "right")
		if err == nil || !strings.Contains(err.Error(), c.machine) {
			t.Errorf("%s: a machine is told %v", c.reason, err)
		}
	}
}
