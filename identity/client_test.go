package identity

import (
	"net/http"
	"net/url"
	"testing"
)

func webAuthorizeURL(redirect string) string {
	return "/organizations/oauth2/v2.0/authorize?" + url.Values{
		"client_id": {DeskyardWebAppID}, "response_type": {"code"}, "redirect_uri": {redirect}, "state": {"s"}, "nonce": {"n"},
		"scope": {testBase + "/.default openid profile offline_access"}, "code_challenge": {challengeOf(testVerifier)}, "code_challenge_method": {"S256"},
	}.Encode()
}

func TestTheWebClientSignsInAtItsOwnAddress(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	to := location(t, b.do(http.MethodGet, webAuthorizeURL(testBase+WebRedirectPath), nil))
	back := location(t, b.signIn(to.String(), y.creds.AdminUPN, y.creds.AdminPassword))
	if got := back.Scheme + "://" + back.Host + back.Path; got != testBase+WebRedirectPath {
		t.Fatalf("redirected to %s", got)
	}
	form := url.Values{"client_id": {DeskyardWebAppID}, "grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"redirect_uri": {testBase + WebRedirectPath}, "code_verifier": {testVerifier}}
	a := y.post("/organizations/oauth2/v2.0/token", form)
	if p, err := y.withToken(a.string("access_token")); err != nil || p.AppID != DeskyardWebAppID || a.string("refresh_token") == "" {
		t.Errorf("principal %+v, %v; %d %s", p, err, a.status, a.text)
	}
}

func TestCodesOfTheWebClientGoNowhereElse(t *testing.T) {
	y := newYard(t)
	b := y.newBrowser()
	for _, redirect := range []string{"http://localhost:41237", "http://localhost/", testBase + "/", testBase + "/web", testBase + "/web/../", "https://evil.example/web/"} {
		a := b.do(http.MethodGet, webAuthorizeURL(redirect), nil)
		if a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Errorf("redirect URI %s: %d to %q", redirect, a.status, a.header.Get("Location"))
		}
	}
}
