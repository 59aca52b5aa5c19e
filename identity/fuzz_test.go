package identity

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzTokenForm: whatever a client that knows no secret sends, it gets an error in
// Entra's form, never a token and never a fault.
func FuzzTokenForm(f *testing.F) {
	y := newYard(f, func(o *Options) { o.RequestsPerSecond, o.Burst = 1e9, 1e9 })
	y.attempts, y.polls = newLimiter(1e9, 1e9, y.now), newLimiter(1e9, 1e9, y.now)
	for _, form := range []url.Values{
		{"grant_type": {"client_credentials"}, "client_id": {y.creds.ClientID}, "client_secret": {"x"}, "scope": {testBase + "//.default"}, "claims": {"{}"}},
		{"grant_type": {"password"}, "client_id": {AzureCLIAppID}, "username": {"admin@deskyard.local"}, "password": {"x"}, "scope": {"openid"}},
		{"grant_type": {"authorization_code"}, "client_id": {AzureCLIAppID}, "code": {"x"}, "redirect_uri": {"http://localhost"}, "code_verifier": {testVerifier}},
		{"grant_type": {"refresh_token"}, "client_id": {AzureCLIAppID}, "refresh_token": {"x"}, "scope": {testBase + "/.default"}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {AzureCLIAppID}, "device_code": {"x"}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {"a.b.c"}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {AzureCLIAppID}, "subject_token": {"x"}},
	} {
		f.Add("/adfs/oauth2/token", form.Encode(), "")
		f.Add("/common/oauth2/v2.0/token", form.Encode(), "Basic eDp4")
	}
	f.Add("/common/oauth2/token", "grant_type=client_credentials&resource=%zz&client_id=%00", "Basic !")
	f.Fuzz(func(t *testing.T, path, body, authorization string) {
		if strings.Contains(body, "devicecode") || strings.Contains(body, y.creds.ClientSecret) {
			t.Skip()
		}
		r := httptest.NewRequest(http.MethodPost, testBase+"/adfs/oauth2/token", strings.NewReader(body))
		r.URL.Path = path
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header["Authorization"] = []string{authorization}
		w := httptest.NewRecorder()
		y.serve(w, r)
		if w.Code >= 500 || strings.Contains(w.Body.String(), "access_token\"") {
			t.Errorf("%s with %q got %d %s", path, body, w.Code, w.Body)
		}
	})
}

// FuzzOpenToken: no bytes but those that sign made are a token.
func FuzzOpenToken(f *testing.F) {
	y := newYard(f)
	good := y.signed(y.goodClaims())
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good[:9] + "\r\n" + good[9:])
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Add(`{"payload":"e30","signatures":[{},{}]}`)
	f.Fuzz(func(t *testing.T, token string) {
		c, err := openToken(token, y.keys.Verifying)
		if err == nil && strings.TrimRight(token, "=") != good && c.UTI == "" {
			t.Errorf("accepted %q", token)
		}
		if _, err := y.withToken(token); err == nil && token[:strings.LastIndexByte(token, '.')] != good[:strings.LastIndexByte(good, '.')] {
			t.Errorf("authenticated by %q", token)
		}
	})
}

// FuzzGraphFilter: a filter is refused or evaluates; it never panics, and "not" negates.
func FuzzGraphFilter(f *testing.F) {
	for _, s := range []string{
		"servicePrincipalNames/any(c:c eq '33333333-3333-3333-3333-333333333333')", "userPrincipalName eq 'a@b' or mail eq 'a@b'",
		"startswith(displayName,'x')", "not (accountEnabled eq true) and id in ('a','b')", "displayName eq 'O''Brien'", "((((", "'", "any(", "x/any(c:d eq 'e')", "displayName eq",
	} {
		f.Add(s)
	}
	of := userAttributes(testUser)
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseFilter(text, of)
		if err != nil {
			return
		}
		if parsed == nil {
			return
		}
		negated := &filter{op: "not", left: parsed}
		if parsed.matches(of) == negated.matches(of) {
			t.Errorf("%q and its negation agree", text)
		}
	})
}

// FuzzUnseal: only what seal wrote is read.
func FuzzUnseal(f *testing.F) {
	y := newYard(f)
	// A fuzzing worker is a process of its own: a clock of its own would make another good text.
	y.clock.at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := y.seal(pending{AppID: AzureCLIAppID, Made: y.clock.now()})
	f.Add(good)
	f.Add(good + "=")
	f.Add(".")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := y.unseal(text); err == nil && (p.AppID != AzureCLIAppID || text[:strings.IndexByte(text, '.')] != good[:strings.IndexByte(good, '.')]) {
			t.Errorf("accepted %q", text)
		}
	})
}

// FuzzParseHash: a stored hash cannot make verification panic or take much memory.
func FuzzParseHash(f *testing.F) {
	f.Add(cheap().dummy)
	f.Add("$argon2id$v=19$m=-1,t=0,p=256$$")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, text string) {
		memory, passes, threads, salt, sum, err := parseHash(text)
		if err == nil && (memory == 0 || memory > maxHashMemory || passes == 0 || threads == 0 || len(salt) < 8 || len(sum) < 16) {
			t.Errorf("%q was read as m=%d t=%d p=%d", text, memory, passes, threads)
		}
	})
}

// FuzzParsePath: routing never panics, and what it takes has one meaning.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"/adfs/oauth2/token", "//common//oauth2/v2.0/authorize/", "/adfs/adfs/.well-known/openid-configuration", "/graph//v1.0/users/a@b", "/", "adfs"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		e, _, tenant := parsePath(path)
		if e != noEndpoint && e != pageEndpoint && tenant == "" {
			t.Errorf("%q is endpoint %d of no tenant", path, e)
		}
		if e != noEndpoint && ownsGraph(path) {
			t.Errorf("%q belongs to two doors", path)
		}
		if _, parts, ok := graphPath(path); ok {
			if _, ids, err := findRoute(http.MethodGet, parts); err == nil && len(ids) > len(parts) {
				t.Errorf("%q has %d ids in %d parts", path, len(ids), len(parts))
			}
		}
	})
}

// FuzzClip: what is cut for a message stays text.
func FuzzClip(f *testing.F) {
	f.Add(strings.Repeat("ä", 80))
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, s string) {
		if got := clip(s); !utf8.ValidString(got) || len(got) > 110 {
			t.Errorf("clip(%q) = %q", s, got)
		}
	})
}
