package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// cliAppID is the application that the service knows as its own command line
// (package identity, DeskyardCLIAppID): a public client for people's logins.
const cliAppID = "6f0e7f3c-2a4b-4b57-9d61-3c1b8a5e0d94"

// tokenAnswer is what the token and the device code endpoints answer.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"` // seconds

	DeviceCode      string `json:"device_code"`
	UserCode        string `json:"user_code"`
	VerificationURI string `json:"verification_uri"`
	Interval        int    `json:"interval"` // seconds
	Message         string `json:"message"`

	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// issuer is where tokens come from.
type issuer struct {
	http    *http.Client
	profile *profile
}

// loginError is a refusal by the token endpoint.
type loginError struct{ code, description string }

func (e *loginError) Error() string {
	if e.description == "" {
		return "log in: " + e.code
	}
	return "log in: " + e.description
}

// managementScope and graphScope are what tokens are asked for.
func (p *profile) managementScope() string { return p.Endpoint + "/.default" }
func (p *profile) graphScope() string      { return p.Endpoint + "/graph/.default" }

// token gives an access token for scope: a kept one, or a new one.
func (i *issuer) token(ctx context.Context, scope string) (string, error) {
	p := i.profile
	if t, ok := p.token(scope); ok {
		return t, nil
	}
	form := url.Values{"client_id": {p.ClientID}, "scope": {scope}}
	switch {
	case p.ClientSecret != "":
		form.Set("grant_type", "client_credentials")
		form.Set("client_secret", p.ClientSecret)
	case p.RefreshToken != "":
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", p.RefreshToken)
		form.Set("scope", scope+" offline_access")
	default:
		return "", advise(errNotLoggedIn, "log in with: deskyard login.")
	}
	answer, err := i.post(ctx, "token", form)
	var refused *loginError
	if errors.As(err, &refused) {
		return "", advise(err, "log in again: deskyard login --endpoint %s.", p.Endpoint)
	}
	if err != nil {
		return "", err
	}
	i.remember(scope, answer)
	return answer.AccessToken, nil
}

func (i *issuer) remember(scope string, a tokenAnswer) {
	if a.RefreshToken != "" {
		i.profile.RefreshToken = a.RefreshToken
	}
	i.profile.keep(scope, a.AccessToken, time.Duration(a.ExpiresIn)*time.Second)
}

// deviceLogin lets a person log in with a browser on any machine: it shows a code
// and waits until it was entered there.
func (i *issuer) deviceLogin(ctx context.Context, tell io.Writer) error {
	scope := i.profile.managementScope()
	code, err := i.post(ctx, "devicecode", url.Values{"client_id": {i.profile.ClientID}, "scope": {scope + " offline_access"}})
	if err != nil {
		return err
	}
	message := code.Message
	if message == "" {
		message = fmt.Sprintf("To sign in, open %s in a browser and enter the code %s.", code.VerificationURI, code.UserCode)
	}
	if _, err := fmt.Fprintln(tell, message); err != nil {
		return err
	}
	every := time.Duration(max(code.Interval, 1)) * time.Second
	form := url.Values{
		"client_id": {i.profile.ClientID}, "device_code": {code.DeviceCode},
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"},
	}
	for {
		if err := wait(ctx, every); err != nil {
			return err
		}
		answer, err := i.post(ctx, "token", form)
		var refused *loginError
		if errors.As(err, &refused) && refused.code == "authorization_pending" {
			continue
		} else if refused != nil && refused.code == "slow_down" { // RFC 8628, section 3.5
			every += 5 * time.Second
			continue
		}
		if err != nil {
			return err
		}
		i.remember(scope, answer)
		return nil
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (i *issuer) post(ctx context.Context, endpoint string, form url.Values) (tokenAnswer, error) {
	tenant := i.profile.TenantID
	if tenant == "" {
		tenant = "organizations"
	}
	where := i.profile.Endpoint + "/" + tenant + "/oauth2/v2.0/" + endpoint
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, where, strings.NewReader(form.Encode()))
	if err != nil {
		return tokenAnswer{}, fmt.Errorf("log in: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := i.http.Do(req)
	if err != nil {
		return tokenAnswer{}, unreachable(i.profile, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return tokenAnswer{}, fmt.Errorf("log in: %w", err)
	}
	var a tokenAnswer
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("log in: %s answered status %d and no JSON; is it a Deskyard service?", where, resp.StatusCode)
	}
	if a.Error != "" {
		return a, &loginError{a.Error, a.Description}
	}
	if resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("log in: %s answered status %d", where, resp.StatusCode)
	}
	return a, nil
}

// claims are what a token says about its holder. They are shown, never trusted: the
// service checks tokens, the command line has no need to.
type claims struct {
	Tenant   string `json:"tid"`
	ObjectID string `json:"oid"`
	UPN      string `json:"upn"`
	Name     string `json:"preferred_username"`
	AppID    string `json:"appid"`
}

func readClaims(token string) claims {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return claims{}
	}
	if c.UPN == "" {
		c.UPN = c.Name
	}
	return c
}
