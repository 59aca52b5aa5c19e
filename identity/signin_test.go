package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	testVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	testRedirect = "http://localhost:41237"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorizeURL is the request that "az login" opens a browser with.
func authorizeURL(set url.Values) string {
	q := url.Values{
		"client_id": {AzureCLIAppID}, "response_type": {"code"}, "redirect_uri": {testRedirect}, "state": {"st&te"}, "nonce": {"n0nce"},
		"scope": {testBase + "//.default offline_access openid profile"}, "code_challenge": {challengeOf(testVerifier)}, "code_challenge_method": {"S256"},
		"client_info": {"1"}, "prompt": {"select_account"}, "claims": {`{"access_token": {"xms_cc": {"values": ["CP1"]}}}`},
	}
	for k, v := range set {
		q[k] = v
	}
	return "/adfs/oauth2/authorize?" + q.Encode()
}

func codeForm(code string) url.Values {
	return url.Values{"client_id": {AzureCLIAppID}, "grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testRedirect},
		"code_verifier": {testVerifier}, "client_info": {"1"}, "scope": {testBase + "//.default offline_access openid profile"}}
}

// location reads the redirect of an answer.
func location(t testing.TB, a answer) *url.URL {
	t.Helper()
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.header.Get("Location") == "" {
		t.Fatalf("no redirect: %d %s %v", a.status, a.text, err)
	}
	return u
}

// getCode signs the administrator in and returns an authorization code.
func getCode(t testing.TB, y *yard, b *browser) string {
	t.Helper()
	to := location(t, b.do(http.MethodGet, authorizeURL(nil), nil))
	back := location(t, b.signIn(to.String(), y.creds.AdminUPN, y.creds.AdminPassword))
	if back.Host != "localhost:41237" || back.Query().Get("state") != "st&te" {
		t.Fatalf("redirected to %s", back)
	}
	return back.Query().Get("code")
}

func TestBrowserSignInYieldsACodeThatYieldsTokens(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	a := y.post("/adfs/oauth2/token", codeForm(getCode(t, y, b)))
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	if p, err := y.withToken(a.string("access_token")); err != nil || p.Name != y.creds.AdminUPN {
		t.Errorf("principal %+v, %v", p, err)
	}
	id, err := openToken(a.string("id_token"), y.keys.Verifying)
	if err != nil || id.Nonce != "n0nce" || id.Issuer != testBase+"/adfs" {
		t.Errorf("ID token %+v, %v", id, err)
	}
	if y.audited(actionSignIn, "") != 1 {
		t.Error("the sign-in is not in the audit log")
	}
}

func TestAuthorizationCodeWorksOnceAndAReplayRevokesWhatCameOfIt(t *testing.T) {
	y := newYard(t)
	code := getCode(t, y, y.newBrowser())
	first := y.post("/adfs/oauth2/token", codeForm(code))
	failedWith(t, y.post("/adfs/oauth2/token", codeForm(code)), 400, "invalid_grant", "54005")
	form := url.Values{"client_id": {AzureCLIAppID}, "grant_type": {"refresh_token"}, "refresh_token": {first.string("refresh_token")}}
	failedWith(t, y.post("/adfs/oauth2/token", form), 400, "invalid_grant", "70000")
}

func TestAuthorizationCodeIsBoundToItsRequest(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	for _, c := range []struct {
		name, number string
		set          url.Values
		wait         time.Duration
	}{
		{"another verifier", "501481", url.Values{"code_verifier": {strings.Repeat("x", 43)}}, 0},
		{"no verifier", "501481", url.Values{"code_verifier": nil}, 0},
		{"another redirect URI", "50011", url.Values{"redirect_uri": {"http://localhost:1"}}, 0},
		{"another client", "70000", url.Values{"client_id": {AzurePowerShellAppID}}, 0},
		{"too late", "70008", nil, codeLife},
	} {
		t.Run(c.name, func(t *testing.T) {
			form := codeForm(getCode(t, y, b))
			for k, v := range c.set {
				form[k] = v
			}
			y.clock.advance(c.wait)
			failedWith(t, y.post("/adfs/oauth2/token", form), 400, "invalid_grant", c.number)
		})
	}
}

func TestAuthorizeNeverRedirectsToAnUnknownPlace(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	for _, to := range []string{"https://evil.test/", "http://evil.test/", "http://localhost.evil.test/", "http://localhost:80@evil.test/", "javascript:alert(1)", "http://localhost/other", ""} {
		a := b.do(http.MethodGet, authorizeURL(url.Values{"redirect_uri": {to}}), nil)
		if a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Errorf("redirect_uri %q: got %d, Location %q", to, a.status, a.header.Get("Location"))
		}
		if !strings.Contains(a.text, `role="alert"`) || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("redirect_uri %q: a person is not told what is wrong: %s", to, a.text)
		}
	}
}

func TestAuthorizeRefusalsGoBackToTheClient(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	for _, c := range []struct {
		name, kind, number string
		set                url.Values
	}{
		{"no PKCE", "invalid_request", "AADSTS501491", url.Values{"code_challenge": nil, "code_challenge_method": nil}},
		{"plain PKCE", "invalid_request", "AADSTS501481", url.Values{"code_challenge_method": {"plain"}}},
		{"implicit", "unauthorized_client", "", url.Values{"response_type": {"id_token token"}}},
		{"silent without a session", "login_required", "AADSTS50058", url.Values{"prompt": {"none"}}},
		{"unknown resource", "invalid_resource", "AADSTS500011", url.Values{"scope": {"https://elsewhere.test/.default"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := location(t, b.do(http.MethodGet, authorizeURL(c.set), nil))
			q := to.Query()
			if q.Get("error") == "" {
				q, _ = url.ParseQuery(to.EscapedFragment()) // implicit flows answer there
			}
			if to.Host != "localhost:41237" || q.Get("error") != c.kind || !strings.HasPrefix(q.Get("error_description"), c.number) || q.Get("state") != "st&te" {
				t.Errorf("redirected to %s", to)
			}
		})
	}
}

func TestSignedInBrowserIsNotAskedAgain(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	getCode(t, y, b)
	silent := url.Values{"prompt": nil}
	if to := location(t, b.do(http.MethodGet, authorizeURL(silent), nil)); to.Query().Get("code") == "" {
		t.Errorf("a signed-in browser was sent to %s", to)
	}
	if to := location(t, b.do(http.MethodGet, authorizeURL(url.Values{"prompt": {"login"}}), nil)); to.Path != "/signin" {
		t.Errorf("prompt=login was sent to %s", to)
	}
	y.clock.advance(time.Minute)
	to := location(t, b.do(http.MethodGet, authorizeURL(url.Values{"prompt": nil, "max_age": {"30"}}), nil))
	if page := b.do(http.MethodGet, to.String(), nil); to.Path != "/signin" || strings.Contains(page.text, "Continue as") {
		t.Errorf("a session older than max_age led to %s:\n%s", to.Path, page.text)
	}
	b.do(http.MethodGet, "/adfs/oauth2/logout", nil)
	if to := location(t, b.do(http.MethodGet, authorizeURL(silent), nil)); to.Path != "/signin" {
		t.Errorf("after signing out the browser was sent to %s", to)
	}
}

func TestSignOutPageEndsTheSessionOnlyByItsOwnForm(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	getCode(t, y, b)
	signedIn := func() bool {
		return location(t, b.do(http.MethodGet, authorizeURL(url.Values{"prompt": nil}), nil)).Query().Get("code") != ""
	}
	page := b.do(http.MethodGet, "/signout", nil)
	b.do(http.MethodPost, "/signout", url.Values{"csrf": {"forged"}})
	if !signedIn() {
		t.Error("a link or a forged form signed the person out")
	}
	if done := b.do(http.MethodPost, "/signout", url.Values{"csrf": {b.hidden(page.text, "csrf")}}); !strings.Contains(done.text, "You are signed out") || signedIn() {
		t.Errorf("the form left the session: %s", done.text)
	}
}

func TestAccountPickerContinuesAsTheSignedInUser(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	getCode(t, y, b)
	to := location(t, b.do(http.MethodGet, authorizeURL(nil), nil))
	page := b.do(http.MethodGet, to.String(), nil)
	if !strings.Contains(page.text, "Continue as "+y.creds.AdminUPN) {
		t.Fatalf("the page does not offer the signed-in account:\n%s", page.text)
	}
	form := url.Values{"request": {b.hidden(page.text, "request")}, "csrf": {b.hidden(page.text, "csrf")}, "action": {"continue"}}
	if back := location(t, b.do(http.MethodPost, "/signin", form)); back.Query().Get("code") == "" {
		t.Errorf("sent to %s", back)
	}
	form.Set("action", "cancel")
	if back := location(t, b.do(http.MethodPost, "/signin", form)); back.Query().Get("error") != "access_denied" {
		t.Errorf("cancelling sent to %s", back)
	}
}

func TestFormPostAnswersByAForm(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	to := location(t, b.do(http.MethodGet, authorizeURL(url.Values{"response_mode": {"form_post"}}), nil))
	page := b.signIn(to.String(), y.creds.AdminUPN, y.creds.AdminPassword)
	if page.status != http.StatusOK || !strings.Contains(page.text, `action="`+testRedirect+`"`) {
		t.Fatalf("got %d %s", page.status, page.text)
	}
	if a := y.post("/adfs/oauth2/token", codeForm(b.hidden(page.text, "code"))); a.status != http.StatusOK {
		t.Errorf("the code got %d %s", a.status, a.text)
	}
}

func TestSignInPageLetsNothingForeignIn(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	to := location(t, b.do(http.MethodGet, authorizeURL(url.Values{"login_hint": {`"><script>alert(1)</script>`}}), nil))
	page := b.do(http.MethodGet, to.String(), nil)
	policy := page.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src " + styleHash, "frame-ancestors 'none'", "form-action 'self' " + testRedirect} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(page.text, "<script") {
		t.Error("the login hint got into the page as markup")
	}
	if !strings.Contains(page.text, "<style>"+pagesCSS+"</style>") {
		t.Error("the style is not the one whose hash the policy names")
	}
	for _, want := range []string{`<html lang="en">`, `<label for="username">`, `<label for="password">`, `autocomplete="current-password"`} {
		if !strings.Contains(page.text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	to := location(t, b.do(http.MethodGet, authorizeURL(nil), nil))
	form := url.Values{"request": {to.Query().Get("request")}, "action": {"password"}, "username": {y.creds.AdminUPN}, "password": {y.creds.AdminPassword}}
	if a := b.do(http.MethodPost, "/signin", form); a.status != http.StatusBadRequest {
		t.Errorf("a form without its token got %d", a.status)
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}}
	if a := y.send(http.MethodPost, "/signin", form.Encode(), header); a.status != http.StatusForbidden {
		t.Errorf("a form of another site got %d", a.status)
	}
}

func TestSignInRequestCannotBeForgedOrKept(t *testing.T) {
	y := newYard(t)
	sealed := y.seal(pending{AppID: AzureCLIAppID, RedirectURI: testRedirect, Made: y.clock.now()})
	if _, err := y.unseal(sealed); err != nil {
		t.Fatal(err)
	}
	for _, forged := range []string{"", ".", "x" + sealed, sealed + "x", strings.Replace(sealed, ".", "A.", 1)} {
		if _, err := y.unseal(forged); err == nil {
			t.Errorf("%q was accepted", forged)
		}
	}
	y.clock.advance(pendingLife + time.Second)
	if _, err := y.unseal(sealed); err == nil {
		t.Error("a page that was open for too long was accepted")
	}
}

// startDevice asks for a device code as "az login --use-device-code" does.
func startDevice(t testing.TB, y *yard) (code, typed string) {
	t.Helper()
	a := y.post("/adfs/oauth2/devicecode", url.Values{"client_id": {AzureCLIAppID}, "scope": {testBase + "//.default offline_access openid profile"}})
	if a.status != http.StatusOK || a.string("verification_uri") != testBase+"/devicelogin" || !strings.Contains(a.string("message"), a.string("user_code")) {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	return a.string("device_code"), a.string("user_code")
}

func deviceForm(code string) url.Values {
	return url.Values{"client_id": {AzureCLIAppID}, "grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code}, "client_info": {"1"}}
}

// enterCode types a device's code into the page, in a person's way.
func (b *browser) enterCode(typed string) answer {
	b.t.Helper()
	page := b.do(http.MethodGet, "/devicelogin", nil)
	return b.do(http.MethodPost, "/devicelogin", url.Values{"csrf": {b.hidden(page.text, "csrf")}, "user_code": {strings.ToLower(typed[:4]) + " " + typed[4:]}})
}

func TestDeviceCodeSignsInThroughAnotherBrowser(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	code, typed := startDevice(t, y)
	failedWith(t, y.post("/adfs/oauth2/token", deviceForm(code)), 400, "authorization_pending", "70016")

	to := location(t, b.enterCode(typed))
	page := b.do(http.MethodGet, to.String(), nil)
	if !strings.Contains(page.text, "Microsoft Azure CLI") || !strings.Contains(page.text, typed) {
		t.Errorf("the page does not say what is being signed in:\n%s", page.text)
	}
	if done := b.signIn(to.String(), y.creds.AdminUPN, y.creds.AdminPassword); !strings.Contains(done.text, "You have signed in to Microsoft Azure CLI") {
		t.Fatalf("got %d %s", done.status, done.text)
	}
	a := y.post("/adfs/oauth2/token", deviceForm(code))
	if a.status != http.StatusOK || a.string("refresh_token") == "" || a.string("client_info") == "" {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	if p, err := y.withToken(a.string("access_token")); err != nil || p.Name != y.creds.AdminUPN {
		t.Errorf("principal %+v, %v", p, err)
	}
	failedWith(t, y.post("/adfs/oauth2/token", deviceForm(code)), 400, "invalid_grant", "54005")
}

func TestDeviceCodeCanBeDeclinedAndExpires(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	code, typed := startDevice(t, y)
	page := b.do(http.MethodGet, location(t, b.enterCode(typed)).String(), nil)
	b.do(http.MethodPost, "/signin", url.Values{"request": {b.hidden(page.text, "request")}, "csrf": {b.hidden(page.text, "csrf")}, "action": {"cancel"}})
	failedWith(t, y.post("/adfs/oauth2/token", deviceForm(code)), 400, "authorization_declined", "70018")

	code, typed = startDevice(t, y)
	y.clock.advance(deviceLife)
	failedWith(t, y.post("/adfs/oauth2/token", deviceForm(code)), 400, "expired_token", "70019")
	if a := b.enterCode(typed); a.status != http.StatusBadRequest {
		t.Errorf("an expired code was accepted: %d", a.status)
	}
}

func TestPollingTooFastIsSlowedDown(t *testing.T) {
	y := newYard(t)
	code, _ := startDevice(t, y)
	last := answer{}
	for range 6 {
		last = y.post("/adfs/oauth2/token", deviceForm(code))
	}
	failedWith(t, last, 400, "slow_down", "50196")
}
