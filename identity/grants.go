package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// Lives of grants. The code's is from RFC 6749 (ten minutes at most) kept short as
// it passes through a browser; the others are Entra's defaults.
const (
	codeLife    = time.Minute
	deviceLife  = 15 * time.Minute
	refreshLife = 90 * 24 * time.Hour
	sessionLife = 12 * time.Hour

	// refreshGrace is how long a refresh token that was used may be used again: two
	// az commands at once share one, and an answer can be lost on the way. After
	// that, a used token in somebody's hand means it was stolen.
	refreshGrace = time.Minute

	deviceInterval = 5 * time.Second
)

// tokenResponse is the answer of the token endpoint. The v1 endpoint writes its
// numbers as strings.
type tokenResponse struct {
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope,omitempty"`
	ExpiresIn    any    `json:"expires_in"`
	ExtExpiresIn any    `json:"ext_expires_in"`
	ExpiresOn    string `json:"expires_on,omitempty"`
	NotBefore    string `json:"not_before,omitempty"`
	Resource     string `json:"resource,omitempty"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"`
}

// answerFor makes the members that do not depend on who asks.
func answerFor(d door, c claims, token string) tokenResponse {
	seconds := int(tokenLife.Seconds()) - 1 // as Entra: one second for the way
	a := tokenResponse{TokenType: "Bearer", ExpiresIn: seconds, ExtExpiresIn: seconds, AccessToken: token}
	if d.shape == shapeV1 {
		a.ExpiresIn, a.ExtExpiresIn = strconv.Itoa(seconds), strconv.Itoa(seconds)
		a.ExpiresOn, a.NotBefore = strconv.FormatInt(c.Expires, 10), strconv.FormatInt(c.NotBefore, 10)
		a.Resource = c.Audience
	}
	return a
}

// ClientCredentialsExchange implements op.Server.
func (i *issuer) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	s, d, c := i.s, doorOf(ctx), r.Client.(*client)
	if !c.proved {
		return nil, oidc.ErrInvalidClient()
	}
	resource, err := s.appResourceOf(fields(r.Form.Get("scope")), r.Form.Get("resource"), d)
	if err != nil {
		return nil, err
	}
	groups, err := s.store.GroupsOf(ctx, c.sp.ObjectID)
	if err != nil {
		return nil, s.broken(ctx, fmt.Errorf("read the groups of %s: %w", c.sp.ObjectID, err))
	}
	t := s.newClaims(d, resource, c.sp.ObjectID)
	t.Kind, t.AppID, t.AppACR = kindApp, c.sp.AppID, "1"
	t.carry(groups)
	token, err := s.sign(t)
	if err != nil {
		return nil, s.broken(ctx, err)
	}
	s.tokens.WithLabelValues("client_credentials").Inc()
	return op.NewResponse(answerFor(d, t, token)), nil
}

// CodeExchange implements op.Server.
func (i *issuer) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	s, now := i.s, i.s.now()
	g, err := s.store.UpdateGrant(ctx, directory.GrantCode, hashOf(r.Data.Code), func(g *directory.Grant) error {
		switch {
		case !strings.EqualFold(g.AppID, r.Client.GetID()):
			return errMalformed
		case !g.UsedAt.IsZero():
			return errReplayed
		case !now.Before(g.ExpiresAt):
			return errExpired
		case g.RedirectURI != r.Data.RedirectURI:
			return invalidGrant("AADSTS50011: The redirect URI specified in the request does not match the one the code was issued for.")
		case !verifierMatches(g.Challenge, r.Data.CodeVerifier):
			return invalidGrant("AADSTS501481: The Code_Verifier does not match the code_challenge supplied in the authorization request.")
		}
		g.UsedAt = now
		return nil
	})
	if errors.Is(err, errReplayed) {
		// Somebody else has the code too: what came of it is not to be trusted (RFC 6749, 4.1.2).
		return nil, s.revokeFamily(ctx, directory.GrantCode, hashOf(r.Data.Code),
			invalidGrant("AADSTS54005: OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token."))
	}
	if err != nil {
		return nil, s.grantRefused(ctx, err)
	}
	return s.answerUser(ctx, g, "authorization_code")
}

// RefreshToken implements op.Server. The token is replaced by each use; one that
// comes back after its grace ends its whole family.
func (i *issuer) RefreshToken(ctx context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	s, now, d := i.s, i.s.now(), doorOf(ctx)
	hash := hashOf(r.Data.RefreshToken)
	g, err := s.store.UpdateGrant(ctx, directory.GrantRefresh, hash, func(g *directory.Grant) error {
		switch {
		case !strings.EqualFold(g.AppID, r.Client.GetID()):
			return errMalformed
		case !now.Before(g.ExpiresAt):
			return errExpired
		case !g.UsedAt.IsZero() && now.Sub(g.UsedAt) > refreshGrace:
			return errReplayed
		}
		if g.UsedAt.IsZero() {
			g.UsedAt = now
		}
		return nil
	})
	if errors.Is(err, errReplayed) {
		return nil, s.revokeFamily(ctx, directory.GrantRefresh, hash, errRevoked())
	}
	if err != nil {
		return nil, s.grantRefused(ctx, err)
	}
	if asked := fields(r.Form.Get("scope")); len(asked) > 0 || r.Form.Get("resource") != "" {
		if g.Resource, g.Scope, err = s.resourceOf(asked, r.Form.Get("resource"), d); err != nil {
			return nil, err
		}
		if !slices.Contains(asked, oidc.ScopeOfflineAccess) {
			g.Scope += " " + oidc.ScopeOfflineAccess // it had that, or there would be no refresh token
		}
	}
	g.Nonce = ""
	return s.answerUser(ctx, g, "refresh_token")
}

// DeviceAuthorization implements op.Server.
func (i *issuer) DeviceAuthorization(ctx context.Context, r *op.ClientRequest[oidc.DeviceAuthorizationRequest]) (*op.Response, error) {
	s, d, now := i.s, doorOf(ctx), i.s.now()
	resource, scope, err := s.resourceOf(fields(r.Form.Get("scope")), r.Form.Get("resource"), d)
	if err != nil {
		return nil, err
	}
	// Nine of 27 characters, as Entra's: 42 bits for fifteen minutes, tried at a bounded rate.
	code, typed := randomHandle(32), randomText("ABCDEFGHJKLMNPQRSTUVWXYZ234", 9)
	err = s.store.PutGrant(ctx, directory.Grant{
		Kind: directory.GrantDevice, Hash: hashOf(code), UserCode: hashOf(typed), Family: uuid.NewString(),
		AppID: r.Client.GetID(), Resource: resource, Scope: scope, CreatedAt: now, ExpiresAt: now.Add(deviceLife),
	})
	if err != nil {
		return nil, s.broken(ctx, fmt.Errorf("store device code: %w", err))
	}
	page := d.base + "/devicelogin"
	return op.NewResponse(map[string]any{
		"device_code": code, "user_code": typed, "verification_uri": page, "verification_url": page,
		"verification_uri_complete": page + "?user_code=" + typed,
		"expires_in":                int(deviceLife.Seconds()), "interval": int(deviceInterval.Seconds()),
		"message": "To sign in, use a web browser to open the page " + page + " and enter the code " + typed + " to authenticate.",
	}), nil
}

// DeviceToken implements op.Server.
func (i *issuer) DeviceToken(ctx context.Context, r *op.ClientRequest[oidc.DeviceAccessTokenRequest]) (*op.Response, error) {
	s, now, hash := i.s, i.s.now(), hashOf(r.Data.DeviceCode)
	if !s.polls.allow(hash) {
		return nil, oidc.ErrSlowDown().WithDescription("AADSTS50196: The client polls too often. Keep to the interval that came with the device code.")
	}
	g, err := s.store.UpdateGrant(ctx, directory.GrantDevice, hash, func(g *directory.Grant) error {
		switch {
		case !strings.EqualFold(g.AppID, r.Client.GetID()):
			return errMalformed
		case !g.UsedAt.IsZero():
			return errReplayed
		case !now.Before(g.ExpiresAt):
			return oidc.ErrExpiredDeviceCode().WithDescription("AADSTS70019: Verification code expired. Have the user retry the sign-in.")
		case g.Denied:
			return (&oidc.Error{ErrorType: "authorization_declined"}).WithDescription("AADSTS70018: The user declined the sign-in.")
		case g.Subject == "":
			return oidc.ErrAuthorizationPending().WithDescription("AADSTS70016: OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
		}
		g.UsedAt = now
		return nil
	})
	if errors.Is(err, errReplayed) {
		return nil, s.revokeFamily(ctx, directory.GrantDevice, hash, invalidGrant("AADSTS54005: The device code was already redeemed. Start the sign-in anew."))
	}
	if err != nil {
		return nil, s.grantRefused(ctx, err)
	}
	return s.answerUser(ctx, g, "device_code")
}

// answerUser mints the tokens for a person who has proved who they are.
func (s *Service) answerUser(ctx context.Context, g directory.Grant, grantType string) (*op.Response, error) {
	d := doorOf(ctx)
	u, err := s.store.User(ctx, g.Subject)
	if err != nil && !arm.IsMissing(err) {
		return nil, s.broken(ctx, fmt.Errorf("read user %s: %w", g.Subject, err))
	}
	switch {
	case err != nil, g.AuthTime.Before(u.ValidFrom):
		return nil, errRevoked()
	case u.Disabled:
		return nil, invalidGrant("AADSTS50057: The user account is disabled.")
	}
	if err := s.stillThere(ctx, u); err != nil {
		return nil, s.grantRefused(ctx, err)
	}
	groups, err := s.store.GroupsOf(ctx, u.ObjectID)
	if err != nil {
		return nil, s.broken(ctx, fmt.Errorf("read the groups of %s: %w", u.ObjectID, err))
	}
	t := s.newClaims(d, g.Resource, u.ObjectID)
	t.Kind, t.AppID, t.AppACR, t.Scope = kindUser, g.AppID, "0", "user_impersonation"
	t.describe(u, g)
	t.carry(groups)
	token, err := s.sign(t)
	if err != nil {
		return nil, s.broken(ctx, err)
	}
	a := answerFor(d, t, token)
	// MSAL files the token under these scopes and looks for it under those it asked for.
	a.Scope = strings.TrimSpace(g.Resource + "/user_impersonation " + g.Resource + "/.default")
	asked := fields(g.Scope)
	if a.IDToken, err = s.idToken(d, u, g, asked); err != nil {
		return nil, s.broken(ctx, err)
	}
	if d.shape != shapeV2 || slices.Contains(asked, oidc.ScopeOfflineAccess) {
		if a.RefreshToken, err = s.newRefreshToken(ctx, g); err != nil {
			return nil, s.broken(ctx, err)
		}
	}
	if a.ClientInfo, err = clientInfo(u.ObjectID, s.tenant.ID); err != nil {
		return nil, s.broken(ctx, err)
	}
	s.tokens.WithLabelValues(grantType).Inc()
	return op.NewResponse(a), nil
}

func (s *Service) idToken(d door, u directory.User, g directory.Grant, asked []string) (string, error) {
	if d.shape == shapeV2 && !slices.Contains(asked, oidc.ScopeOpenID) {
		return "", nil
	}
	id := s.newClaims(d, g.AppID, u.ObjectID)
	id.describe(u, g)
	id.Nonce = g.Nonce
	return s.sign(id)
}

// newRefreshToken stores the successor of the grant that was just used.
func (s *Service) newRefreshToken(ctx context.Context, used directory.Grant) (string, error) {
	handle, now := randomHandle(48), s.now()
	err := s.store.PutGrant(ctx, directory.Grant{
		Kind: directory.GrantRefresh, Hash: hashOf(handle), Family: used.Family, Subject: used.Subject, AppID: used.AppID,
		Resource: used.Resource, Scope: used.Scope, Claims: used.Claims, AuthTime: used.AuthTime,
		CreatedAt: now, ExpiresAt: now.Add(refreshLife),
	})
	if err != nil {
		return "", fmt.Errorf("store refresh token: %w", err)
	}
	return handle, nil
}

// clientInfo is what MSAL names an account by.
func clientInfo(user, tenant string) (string, error) {
	b, err := json.Marshal(map[string]string{"uid": user, "utid": tenant})
	if err != nil {
		return "", fmt.Errorf("encode client_info: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// Why a grant is not honoured.
var (
	errMalformed = errors.New("grant unknown, or another client's")
	errExpired   = errors.New("grant expired")
	errReplayed  = errors.New("grant used before")
)

func errRevoked() error {
	return invalidGrant("AADSTS50173: The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password.")
}

func invalidGrant(format string, args ...any) error {
	return oidc.ErrInvalidGrant().WithDescription(format, args...)
}

// grantRefused words the reason for the client.
func (s *Service) grantRefused(ctx context.Context, err error) error {
	var known *oidc.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errMalformed), arm.IsMissing(err):
		return invalidGrant("AADSTS70000: Provided grant is invalid or malformed.")
	case errors.Is(err, errExpired):
		return invalidGrant("AADSTS70008: The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.")
	}
	return s.broken(ctx, fmt.Errorf("redeem grant: %w", err))
}

// revokeFamily ends everything that came of one sign-in, and gives back answer.
func (s *Service) revokeFamily(ctx context.Context, kind, hash string, answer error) error {
	g, err := s.store.Grant(ctx, kind, hash)
	if err == nil {
		_, err = s.store.DeleteGrants(ctx, directory.GrantQuery{Family: g.Family})
	}
	if err != nil {
		return s.broken(ctx, fmt.Errorf("revoke what came of a replayed %s: %w", kind, err))
	}
	s.log.WarnContext(ctx, "grant replayed, its family revoked", "kind", kind, "user", g.Subject, "app", g.AppID)
	s.note(ctx, event{action: actionReplay, id: g.Subject, kind: "User", code: "AADSTS50173", status: 400, detail: "a used " + kind + " came back; every token of that sign-in was revoked"})
	return answer
}

// verifierMatches checks PKCE's proof; a client that sent no challenge must send no
// verifier (RFC 9700, 4.8.2: a stripped challenge is an attack).
func verifierMatches(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// hashOf is what is kept of a handle.
func hashOf(handle string) string {
	sum := sha256.Sum256([]byte(handle))
	return hex.EncodeToString(sum[:])
}

// Sweep removes grants that have been over for a day: until then they still tell a
// replay from a handle that never existed.
func (s *Service) Sweep(ctx context.Context) error {
	n, err := s.store.DeleteGrants(ctx, directory.GrantQuery{ExpiredBefore: s.now().Add(-24 * time.Hour)})
	if err != nil {
		return fmt.Errorf("remove expired grants: %w", err)
	}
	if n > 0 {
		s.log.DebugContext(ctx, "expired grants removed", "count", n)
	}
	return nil
}
