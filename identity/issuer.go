package identity

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// issuer is what the OpenID library calls, one method an endpoint or a grant.
type issuer struct {
	op.UnimplementedServer
	s *Service
}

// issuerEndpoints are the paths inside the library's router; dispatch translates
// the clients' paths to them. Introspection, user info and revocation have no
// counterpart in Entra, so no Azure client asks for them.
var issuerEndpoints = op.Endpoints{
	Authorization:       op.NewEndpoint(inner[authorizeEndpoint]),
	Token:               op.NewEndpoint(inner[tokenEndpoint]),
	DeviceAuthorization: op.NewEndpoint(inner[deviceEndpoint]),
	EndSession:          op.NewEndpoint(inner[logoutEndpoint]),
	JwksURI:             op.NewEndpoint(inner[keysEndpoint]),
}

// discovery is OpenID Connect's document with the members that Entra adds.
type discovery struct {
	*oidc.DiscoveryConfiguration
	TenantRegionScope string `json:"tenant_region_scope"`
	CloudInstance     string `json:"cloud_instance_name"`
	CloudGraphHost    string `json:"cloud_graph_host_name"`
	GraphHost         string `json:"msgraph_host"`
	LogoutSupported   bool   `json:"http_logout_supported"`
}

// Discovery implements op.Server.
func (i *issuer) Discovery(ctx context.Context, _ *op.Request[struct{}]) (*op.Response, error) {
	d := doorOf(ctx)
	host := strings.TrimPrefix(d.base, "https://")
	grants := []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeClientCredentials, oidc.GrantTypeDeviceCode}
	if !i.s.options.NoPasswordGrant {
		grants = append(grants, "password")
	}
	return op.NewResponse(discovery{
		DiscoveryConfiguration: &oidc.DiscoveryConfiguration{
			Issuer:                            i.s.issuerName(d),
			AuthorizationEndpoint:             d.root() + "/authorize",
			TokenEndpoint:                     d.root() + "/token",
			DeviceAuthorizationEndpoint:       d.root() + "/devicecode",
			EndSessionEndpoint:                d.root() + "/logout",
			JwksURI:                           d.keysURL(),
			ScopesSupported:                   []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeOfflineAccess},
			ResponseTypesSupported:            []string{string(oidc.ResponseTypeCode)},
			ResponseModesSupported:            []string{"query", "fragment", "form_post"},
			GrantTypesSupported:               grants,
			SubjectTypesSupported:             []string{"public"},
			IDTokenSigningAlgValuesSupported:  []string{"RS256"},
			TokenEndpointAuthMethodsSupported: []oidc.AuthMethod{oidc.AuthMethodPost, oidc.AuthMethodBasic},
			CodeChallengeMethodsSupported:     []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
			ClaimsSupported: []string{"aud", "iss", "sub", "iat", "exp", "nbf", "nonce", "oid", "tid", "ver", "name",
				"preferred_username", "upn", "unique_name", "groups", "appid", "amr", "auth_time"},
		},
		CloudInstance: host, CloudGraphHost: host, GraphHost: host, LogoutSupported: true,
	}), nil
}

// Keys implements op.Server.
func (i *issuer) Keys(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(i.s.keys.Set()), nil
}

// serveInstance answers MSAL's question whether an authority is genuine and by what
// other names it goes.
func (s *Service) serveInstance(w http.ResponseWriter, d door) {
	if d.shape == shapeADFS || !isGUID(d.tenant) {
		d.tenant = s.tenant.ID
	}
	hosts := make([]string, 0, len(s.bases))
	for _, b := range s.bases {
		hosts = append(hosts, strings.TrimPrefix(b, "https://"))
	}
	host := strings.TrimPrefix(d.base, "https://")
	writeJSON(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": d.base + "/" + d.tenant + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata":                  []any{map[string]any{"preferred_network": host, "preferred_cache": host, "aliases": hosts}},
	})
}

// serveRealm answers MSAL's question, before a password grant, where an account's
// password is checked: always here. The answer is the same for any name.
func (s *Service) serveRealm(w http.ResponseWriter, d door) {
	host := strings.TrimPrefix(d.base, "https://")
	writeJSON(w, http.StatusOK, map[string]any{
		"ver": "1.0", "account_type": "Managed", "domain_name": host, "cloud_instance_name": host, "cloud_audience_urn": "urn:federation:" + host,
	})
}

// VerifyClient implements op.Server: who is the client, and has it proved so.
func (i *issuer) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	return i.s.verifyClient(ctx, r.Data)
}

func (s *Service) verifyClient(ctx context.Context, cc *op.ClientCredentials) (*client, error) {
	if cc.ClientAssertion != "" {
		return nil, oidc.ErrInvalidClient().WithDescription("AADSTS700027: Client assertions are not supported by this service. Use a client secret.")
	}
	c, err := s.findClient(ctx, cc.ClientID)
	if err != nil {
		return nil, err
	}
	id := clip(cc.ClientID)
	switch {
	case c.sp.Public && cc.ClientSecret != "":
		return nil, oidc.ErrInvalidClient().WithDescription("AADSTS700025: Client is public so neither 'client_assertion' nor 'client_secret' should be presented.")
	case c.sp.Public && c.sp.Disabled:
		return nil, disabledClient(c.sp)
	case c.sp.Public:
		return c, nil
	case cc.ClientSecret == "":
		return nil, oidc.ErrInvalidClient().WithDescription("AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	switch secretState(c.sp.Secrets, cc.ClientSecret, s.now()) {
	case secretExpired:
		s.noteClient(ctx, c.sp, "expired secret")
		return nil, oidc.ErrInvalidClient().WithDescription("AADSTS7000222: The provided client secret keys for app '%s' are expired. Create new keys for your app.", id)
	case secretWrong:
		s.noteClient(ctx, c.sp, "wrong secret")
		return nil, oidc.ErrInvalidClient().WithDescription("AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", id)
	}
	if c.sp.Disabled { // told only to who knows the secret
		return nil, disabledClient(c.sp)
	}
	c.proved = true
	return c, nil
}

func disabledClient(sp directory.ServicePrincipal) error {
	return oidc.ErrUnauthorizedClient().WithDescription("AADSTS7000112: Application '%s'(%s) is disabled.", sp.AppID, sp.DisplayName)
}

// findClient looks up an application, the built-in public ones included.
func (s *Service) findClient(ctx context.Context, appID string) (*client, error) {
	if sp, ok := s.builtIn(appID); ok {
		return &client{sp: sp}, nil
	}
	notFound := oidc.ErrUnauthorizedClient().WithDescription("AADSTS700016: Application with identifier '%s' was not found in the directory '%s'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
		clip(appID), s.tenant.DisplayName)
	if !isGUID(appID) {
		return nil, notFound
	}
	sp, err := s.store.ServicePrincipalByAppID(ctx, strings.ToLower(appID))
	if arm.IsMissing(err) {
		return nil, notFound
	}
	if err != nil {
		return nil, s.broken(ctx, fmt.Errorf("read application %s: %w", appID, err))
	}
	return &client{sp: sp}, nil
}

// broken logs a fault of ours and gives the client an error that says nothing of it.
func (s *Service) broken(ctx context.Context, err error) error {
	s.log.ErrorContext(ctx, "sign-in request broken off", "error", err)
	return oidc.ErrServerError().WithDescription("AADSTS90033: A transient error has occurred. Please try again.")
}

// VerifyAuthRequest implements op.Server.
func (i *issuer) VerifyAuthRequest(ctx context.Context, r *op.Request[oidc.AuthRequest]) (*op.ClientRequest[oidc.AuthRequest], error) {
	if r.Data.ClientID == "" {
		return nil, oidc.ErrInvalidRequest().WithDescription("AADSTS900144: The request body must contain the following parameter: 'client_id'.")
	}
	c, err := i.s.findClient(ctx, r.Data.ClientID)
	if err != nil {
		return nil, err
	}
	if c.sp.Disabled {
		return nil, disabledClient(c.sp)
	}
	if len(r.Data.Scopes) == 0 && doorOf(ctx).shape != shapeV2 {
		r.Data.Scopes = oidc.SpaceDelimitedArray{oidc.ScopeOpenID} // v1 and AD FS clients send resource alone
	}
	return &op.ClientRequest[oidc.AuthRequest]{Request: r, Client: c}, nil
}

// Authorize implements op.Server: on to the sign-in page, or straight back with a
// code for a browser that is signed in already.
func (i *issuer) Authorize(ctx context.Context, r *op.ClientRequest[oidc.AuthRequest]) (*op.Redirect, error) {
	a, d, c := r.Data, doorOf(ctx), r.Client.(*client)
	if a.RequestParam != "" {
		return nil, oidc.ErrRequestNotSupported().WithDescription("AADSTS90052: Request objects are not supported.")
	}
	switch {
	case a.CodeChallenge == "" && c.sp.Public:
		return nil, oidc.ErrInvalidRequest().WithDescription("AADSTS501491: Proof Key for Code Exchange is required for this client: send 'code_challenge' with the method S256.")
	case a.CodeChallenge != "" && a.CodeChallengeMethod != oidc.CodeChallengeMethodS256:
		return nil, oidc.ErrInvalidRequest().WithDescription("AADSTS501481: The code challenge method must be S256.")
	case a.CodeChallenge != "" && len(a.CodeChallenge) != 43:
		return nil, oidc.ErrInvalidRequest().WithDescription("AADSTS501491: Invalid size of Code_Challenge parameter.")
	case len(a.State) > 4096 || len(a.Nonce) > 512:
		return nil, oidc.ErrInvalidRequest().WithDescription("AADSTS90023: The parameter 'state' or 'nonce' is too long.")
	}
	// Asked for with the scopes as they came: the library has taken out what it does not know.
	resource, scope, err := i.s.resourceOf(fields(r.Form.Get("scope")), r.Form.Get("resource"), d)
	if err != nil {
		return nil, err
	}
	p := pending{
		Base: d.base, Shape: d.shape, AppID: c.sp.AppID, App: c.sp.DisplayName, RedirectURI: a.RedirectURI, State: a.State, Nonce: a.Nonce,
		Mode: string(a.ResponseMode), Challenge: a.CodeChallenge, Resource: resource, Scope: scope, Hint: clip(a.LoginHint), Made: i.s.now(),
	}
	return i.s.signInOrOn(ctx, a, p)
}

// signInOrOn decides whether a person has to be asked.
func (s *Service) signInOrOn(ctx context.Context, a *oidc.AuthRequest, p pending) (*op.Redirect, error) {
	session, user, signedIn := s.session(ctx, requestOf(ctx))
	tooOld := a.MaxAge != nil && s.now().Sub(session.AuthTime).Seconds() > float64(*a.MaxAge)
	p.Fresh = tooOld || slices.Contains(a.Prompt, oidc.PromptLogin)
	never := slices.Contains(a.Prompt, oidc.PromptNone)
	if signedIn && !p.Fresh && (never || len(a.Prompt) == 0) && p.Mode != string(oidc.ResponseModeFormPost) {
		to, err := s.codeURL(ctx, p, user.ObjectID, session)
		if err != nil {
			return nil, s.broken(ctx, err)
		}
		return op.NewRedirect(to), nil
	}
	if never {
		return nil, oidc.ErrLoginRequired().WithDescription("AADSTS50058: A silent sign-in request was sent but no user is signed in.")
	}
	return op.NewRedirect(p.Base + "/signin?request=" + url.QueryEscape(s.seal(p))), nil
}

// EndSession implements op.Server.
func (i *issuer) EndSession(ctx context.Context, r *op.Request[oidc.EndSessionRequest]) (*op.Redirect, error) {
	if err := i.s.endSession(ctx, requestOf(ctx)); err != nil {
		return nil, i.s.broken(ctx, err)
	}
	to := doorOf(ctx).base + "/signout"
	if r.Data.ClientID != "" && r.Data.PostLogoutRedirectURI != "" {
		c, err := i.s.findClient(ctx, r.Data.ClientID)
		if err != nil {
			return nil, err
		}
		if slices.Contains(c.sp.RedirectURIs, r.Data.PostLogoutRedirectURI) {
			to = r.Data.PostLogoutRedirectURI
		}
	}
	out := op.NewRedirect(to)
	out.Header.Add("Set-Cookie", sessionCookie("", -1).String())
	return out, nil
}

// client is an application as the library sees it.
type client struct {
	sp     directory.ServicePrincipal
	proved bool // showed its secret
}
