package identity

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestEveryShapeOfTokenEndpointServesClientCredentials(t *testing.T) {
	y := newYard(t)
	tenant := y.TenantID()
	for _, c := range []struct {
		name, path, scope, resource, audience, issuer, version string
	}{
		{"az 2.45", "/adfs/oauth2/token", testBase + "//.default", "", testBase + "/", "/adfs", "1.0"},
		{"SDK for JavaScript", "/" + tenant + "/oauth2/v2.0/token?client-request-id=0b1e5a0c-7a0e-4c43-9f77-0f0f2b0b7b11", testBase + "//.default", "", testBase + "/", "/" + tenant + "/v2.0", "2.0"},
		{"HashiCorp", "/" + tenant + "/oauth2/v2.0/token", testBase + "/.default", "", testBase, "/" + tenant + "/v2.0", "2.0"},
		{"HashiCorp behind an AD FS login endpoint", "/adfs/" + tenant + "/oauth2/v2.0/token", testBase + "/.default", "", testBase, "/adfs", "1.0"},
		{"common", "/common/oauth2/v2.0/token", testBase + "/.default", "", testBase, "/" + tenant + "/v2.0", "2.0"},
		{"upper case tenant", "/" + strings.ToUpper(tenant) + "/oauth2/v2.0/token", testBase + "/.default", "", testBase, "/" + tenant + "/v2.0", "2.0"},
		{"doubled slashes", "//" + tenant + "//oauth2/v2.0/token", testBase + "/.default", "", testBase, "/" + tenant + "/v2.0", "2.0"},
		{"v1 with resource", "/" + tenant + "/oauth2/token", "", testBase + "/", testBase + "/", "/" + tenant + "/", "1.0"},
		{"public cloud's audience", "/" + tenant + "/oauth2/v2.0/token", "https://management.core.windows.net//.default", "", "https://management.core.windows.net/", "/" + tenant + "/v2.0", "2.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			form := y.clientForm()
			form.Del("scope")
			if c.scope != "" {
				form.Set("scope", c.scope)
			} else {
				form.Set("resource", c.resource)
			}
			a := y.post(c.path, form)
			if a.status != http.StatusOK || a.string("token_type") != "Bearer" {
				t.Fatalf("got %d %s", a.status, a.text)
			}
			got, err := openToken(a.string("access_token"), y.keys.Verifying)
			if err != nil {
				t.Fatal(err)
			}
			if got.Audience != c.audience || got.Issuer != testBase+c.issuer || got.Version != c.version {
				t.Errorf("aud %s, iss %s, ver %s; want %s, %s, %s", got.Audience, got.Issuer, got.Version, c.audience, testBase+c.issuer, c.version)
			}
			if got.ObjectID != y.creds.ClientObjectID || got.Subject != got.ObjectID || got.AppID != y.creds.ClientID || got.TenantID != tenant || got.Kind != "app" || got.AppACR != "1" {
				t.Errorf("claims %+v do not name the service principal", got)
			}
			if a.string("refresh_token") != "" || a.string("id_token") != "" {
				t.Error("a service principal got a refresh or ID token")
			}
			p, err := y.withToken(a.string("access_token"))
			if err != nil || p.Kind != "Application" || p.ObjectID != y.creds.ClientObjectID || p.Name != y.creds.ClientID {
				t.Errorf("the token does not open the management door: %+v, %v", p, err)
			}
			if c.resource != "" && (a.json["expires_in"] != "3599" || a.string("resource") != c.resource) {
				t.Errorf("v1 answers with strings; got %s", a.text)
			}
		})
	}
}

func TestClientMayProveItselfByBasicAuthentication(t *testing.T) {
	y := newYard(t)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {testBase + "/.default"}}
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(y.creds.ClientID) + ":" + url.QueryEscape(y.creds.ClientSecret)))
	a := y.send(http.MethodPost, "/"+y.TenantID()+"/oauth2/v2.0/token", form.Encode(),
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {"Basic " + basic}})
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.text)
	}
}

func TestTokenRequestsAreRefusedInEntrasWords(t *testing.T) {
	y := newYard(t)
	off := true
	disabled, err := y.CreateServicePrincipal(t.Context(), NewServicePrincipal{DisplayName: "off"})
	if err != nil {
		t.Fatal(err)
	}
	_, disabledSecret, err := y.AddSecret(t.Context(), disabled.ObjectID, "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := y.UpdateServicePrincipal(t.Context(), disabled.ObjectID, ServicePrincipalChange{Disabled: &off}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		set        url.Values
		status     int
		kind       string
		number     string
	}{
		{"wrong secret", "/adfs/oauth2/token", url.Values{"client_secret": {"wrong"}}, 401, "invalid_client", "7000215"},
		{"no secret", "/adfs/oauth2/token", url.Values{"client_secret": nil}, 401, "invalid_client", "7000218"},
		{"unknown application", "/adfs/oauth2/token", url.Values{"client_id": {"11111111-1111-1111-1111-111111111111"}}, 400, "unauthorized_client", "700016"},
		{"application that is no GUID", "/adfs/oauth2/token", url.Values{"client_id": {"x' or 1=1"}}, 400, "unauthorized_client", "700016"},
		{"no application", "/adfs/oauth2/token", url.Values{"client_id": nil}, 400, "invalid_request", "900144"},
		{"public client with a secret", "/adfs/oauth2/token", url.Values{"client_id": {AzureCLIAppID}}, 401, "invalid_client", "700025"},
		{"public client for itself", "/adfs/oauth2/token", url.Values{"client_id": {AzureCLIAppID}, "client_secret": nil}, 400, "unauthorized_client", "700016"},
		{"client assertion", "/adfs/oauth2/token", url.Values{"client_secret": nil, "client_assertion": {"a.b.c"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}, 401, "invalid_client", "700027"},
		{"disabled", "/adfs/oauth2/token", url.Values{"client_id": {disabled.AppID}, "client_secret": {disabledSecret}}, 400, "unauthorized_client", "7000112"},
		{"unknown tenant", "/22222222-2222-2222-2222-222222222222/oauth2/v2.0/token", nil, 400, "invalid_tenant", "90002"},
		{"tenant that is no GUID", "/contoso.example/oauth2/v2.0/token", nil, 400, "invalid_tenant", "90002"},
		{"unknown resource", "/adfs/oauth2/token", url.Values{"scope": {"https://elsewhere.test/.default"}}, 400, "invalid_resource", "500011"},
		{"one permission", "/adfs/oauth2/token", url.Values{"scope": {testBase + "/user_impersonation"}}, 400, "invalid_scope", "1002012"},
		{"two resources", "/adfs/oauth2/token", url.Values{"scope": {testBase + "/.default https://graph.microsoft.com/.default"}}, 400, "invalid_scope", "28000"},
		{"no scope", "/adfs/oauth2/token", url.Values{"scope": nil}, 400, "invalid_request", "900144"},
		{"no grant type", "/adfs/oauth2/token", url.Values{"grant_type": nil}, 400, "invalid_request", "900144"},
		{"unknown grant type", "/adfs/oauth2/token", url.Values{"grant_type": {"magic"}}, 400, "unsupported_grant_type", "70003"},
	} {
		t.Run(c.name, func(t *testing.T) {
			form := y.clientForm()
			for k, v := range c.set {
				form[k] = v
			}
			failedWith(t, y.post(c.path, form), c.status, c.kind, c.number)
		})
	}
	if n := y.audited(actionAppSignIn, "AADSTS7000215"); n != 1 {
		t.Errorf("the wrong secret was audited %d times, want once", n)
	}
}

func TestExpiredSecretIsRefusedAndASecondOneStillWorks(t *testing.T) {
	y := newYard(t)
	_, second, err := y.AddSecret(t.Context(), y.creds.ClientObjectID, "later", y.clock.now().Add(2*SecretLife))
	if err != nil {
		t.Fatal(err)
	}
	y.clock.advance(SecretLife)
	failedWith(t, y.post("/adfs/oauth2/token", y.clientForm()), 401, "invalid_client", "7000222")
	form := y.clientForm()
	form.Set("client_secret", second)
	if a := y.post("/adfs/oauth2/token", form); a.status != http.StatusOK {
		t.Errorf("the second secret got %d %s", a.status, a.text)
	}
}

func TestSecretInTheQueryStringIsNotRead(t *testing.T) {
	y := newYard(t)
	form := y.clientForm()
	form.Del("client_secret")
	failedWith(t, y.post("/adfs/oauth2/token?client_secret="+y.creds.ClientSecret, form), 401, "invalid_client", "7000218")
}

func TestErrorsEchoTheClientsRequestID(t *testing.T) {
	y := newYard(t)
	const id = "0b1e5a0c-7a0e-4c43-9f77-0f0f2b0b7b11"
	a := y.post("/adfs/oauth2/token?client-request-id="+id, url.Values{})
	if a.string("correlation_id") != id {
		t.Errorf("correlation_id is %q, want %s", a.string("correlation_id"), id)
	}
}

func TestTokenEndpointTakesPostOnly(t *testing.T) {
	y := newYard(t)
	failedWith(t, y.send(http.MethodGet, "/adfs/oauth2/token?"+y.clientForm().Encode(), "", nil), 400, "invalid_request", "900561")
}

func TestBodiesAreBounded(t *testing.T) {
	y := newYard(t)
	a := y.post("/adfs/oauth2/token", url.Values{"client_id": {strings.Repeat("x", maxForm)}})
	if a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over %d bytes got %d", maxForm, a.status)
	}
}

func TestRequestsAreLimitedByOrigin(t *testing.T) {
	y := newYard(t, func(o *Options) { o.RequestsPerSecond, o.Burst = 1, 3 })
	for range 3 {
		y.post("/adfs/oauth2/token", url.Values{})
	}
	a := y.post("/adfs/oauth2/token", url.Values{})
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("the fourth request got %d with Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	y.clock.advance(time.Second)
	if a := y.post("/adfs/oauth2/token", url.Values{}); a.status == http.StatusTooManyRequests {
		t.Error("a second later the origin is still refused")
	}
}

func TestPasswordGrantSignsAUserIn(t *testing.T) {
	y := newYard(t)
	a := y.post("/adfs/oauth2/token", y.passwordForm())
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	p, err := y.withToken(a.string("access_token"))
	if err != nil || p.Kind != "User" || p.Name != y.creds.AdminUPN || p.ObjectID != y.creds.AdminID || p.AppID != AzureCLIAppID {
		t.Errorf("principal %+v, %v", p, err)
	}
	var info struct{ UID, UTID string }
	b, err := base64.RawURLEncoding.DecodeString(a.string("client_info"))
	if err != nil || json.Unmarshal(b, &info) != nil || info.UID != y.creds.AdminID || info.UTID != y.TenantID() {
		t.Errorf("client_info %s, %v", b, err)
	}
	id, err := openToken(a.string("id_token"), y.keys.Verifying)
	if err != nil || id.Audience != AzureCLIAppID || id.Preferred != y.creds.AdminUPN || id.Kind != "" {
		t.Errorf("ID token %+v, %v", id, err)
	}
	if a.string("refresh_token") == "" || !strings.Contains(a.string("scope"), testBase+"//.default") {
		t.Errorf("refresh token or scope missing: %s", a.text)
	}
}

func TestPasswordGrantCanBeSwitchedOff(t *testing.T) {
	y := newYard(t, func(o *Options) { o.NoPasswordGrant = true })
	failedWith(t, y.post("/adfs/oauth2/token", y.passwordForm()), 400, "unsupported_grant_type", "70003")
}

func TestRefreshTokensRotateAndAReplayEndsTheFamily(t *testing.T) {
	y := newYard(t)
	first := y.post("/adfs/oauth2/token", y.passwordForm()).string("refresh_token")
	refresh := func(token string) answer {
		return y.post("/adfs/oauth2/token", url.Values{"client_id": {AzureCLIAppID}, "grant_type": {"refresh_token"}, "refresh_token": {token}, "scope": {testBase + "//.default offline_access openid"}})
	}
	second := refresh(first)
	if second.status != http.StatusOK || second.string("refresh_token") == "" || second.string("refresh_token") == first {
		t.Fatalf("the refresh token was not replaced: %d %s", second.status, second.text)
	}
	y.clock.advance(refreshGrace / 2)
	if a := refresh(first); a.status != http.StatusOK {
		t.Errorf("two commands at once: the second use within the grace got %d %s", a.status, a.text)
	}
	y.clock.advance(refreshGrace)
	failedWith(t, refresh(first), 400, "invalid_grant", "50173")
	failedWith(t, refresh(second.string("refresh_token")), 400, "invalid_grant", "70000")
	if n := y.audited(actionReplay, "AADSTS50173"); n != 1 {
		t.Errorf("the replay was audited %d times, want once", n)
	}
}

func TestRefreshTokenIsForItsOwnClientAndResourcesOfTheTenant(t *testing.T) {
	y := newYard(t)
	token := y.post("/adfs/oauth2/token", y.passwordForm()).string("refresh_token")
	form := url.Values{"client_id": {AzurePowerShellAppID}, "grant_type": {"refresh_token"}, "refresh_token": {token}}
	failedWith(t, y.post("/adfs/oauth2/token", form), 400, "invalid_grant", "70000")

	form.Set("client_id", AzureCLIAppID)
	form.Set("scope", testBase+"/graph//.default")
	a := y.post("/adfs/oauth2/token", form)
	c, err := openToken(a.string("access_token"), y.keys.Verifying)
	if err != nil || c.Audience != testBase+"/graph/" {
		t.Errorf("a token for the directory has aud %q, %v: %s", c.Audience, err, a.text)
	}
	y.clock.advance(refreshLife)
	form.Set("refresh_token", a.string("refresh_token"))
	failedWith(t, y.post("/adfs/oauth2/token", form), 400, "invalid_grant", "70008")
}

func TestRefreshTokenDiesWithThePassword(t *testing.T) {
	y := newYard(t)
	signedIn := y.post("/adfs/oauth2/token", y.passwordForm())
	y.clock.advance(time.Second)
	if _, err := y.SetPassword(t.Context(), y.creds.AdminID, "a new and better password"); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"client_id": {AzureCLIAppID}, "grant_type": {"refresh_token"}, "refresh_token": {signedIn.string("refresh_token")}}
	failedWith(t, y.post("/adfs/oauth2/token", form), 400, "invalid_grant", "70000")
	_, err := y.withToken(signedIn.string("access_token"))
	refused(t, err, "InvalidAuthenticationToken")
	failedWith(t, y.post("/adfs/oauth2/token", y.passwordForm()), 400, "invalid_grant", "50126")
}
