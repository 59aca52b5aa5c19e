package identity

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// pending is a request to sign in that waits for a person. It travels through the
// browser, authenticated, so that anybody's requests take no memory here.
type pending struct {
	Base        string    `json:"b"`
	Shape       shape     `json:"v"`
	AppID       string    `json:"a"`
	App         string    `json:"n"`
	RedirectURI string    `json:"r,omitempty"`
	State       string    `json:"s,omitempty"`
	Nonce       string    `json:"o,omitempty"`
	Mode        string    `json:"m,omitempty"`
	Challenge   string    `json:"c,omitempty"`
	Resource    string    `json:"u,omitempty"`
	Scope       string    `json:"p,omitempty"`
	Hint        string    `json:"h,omitempty"`
	Fresh       bool      `json:"f,omitempty"` // the password is asked for even when signed in
	Device      string    `json:"d,omitempty"` // hash of a device code: approve that instead of redirecting
	UserCode    string    `json:"k,omitempty"` // as typed, to be shown again
	Page        string    `json:"g,omitempty"` // a page of ours that waits, instead of a client
	Made        time.Time `json:"t"`
}

// pendingLife is how long a sign-in page may stay open.
const pendingLife = 15 * time.Minute

// errStale is answered for a sign-in page that was open too long, or was tampered with.
var errStale = errors.New("sign-in request expired or not ours")

// What is sealed for a browser to hand back, one purpose for each page.
const (
	sealSignIn = "sign-in"
	sealFactor = "factor"
	sealEnrol  = "enrol"
	sealAway   = "away"
)

// seal encodes a pending request with a MAC.
func (s *Service) seal(p pending) string { return s.sealed(sealSignIn, p) }

// unseal reads what seal wrote.
func (s *Service) unseal(text string) (p pending, err error) {
	if err := s.unsealed(sealSignIn, text, &p); err != nil {
		return pending{}, err
	}
	if s.now().Sub(p.Made) > pendingLife {
		return pending{}, errStale
	}
	return p, nil
}

// sealed encodes v with a MAC that holds for one purpose.
func (s *Service) sealed(purpose string, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("identity: what a page hands on cannot be encoded: " + err.Error()) // strings and times: it always can
	}
	payload := base64.RawURLEncoding.EncodeToString(b)
	return payload + "." + base64.RawURLEncoding.EncodeToString(s.keys.MAC([]byte(purpose+"\n"+payload)))
}

// unsealed reads what sealed wrote for that purpose.
func (s *Service) unsealed(purpose, text string, v any) error {
	payload, mac, ok := strings.Cut(text, ".")
	got, err := base64.RawURLEncoding.DecodeString(mac)
	if !ok || err != nil || !hmac.Equal(got, s.keys.MAC([]byte(purpose+"\n"+payload))) {
		return errStale
	}
	b, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || json.Unmarshal(b, v) != nil {
		return errStale
	}
	return nil
}

// Authentication methods (claim amr, RFC 8176).
const (
	methodPassword = "pwd"
	methodTOTP     = "pwd otp mfa"
	methodKey      = "pwd hwk mfa"

	methodElsewhere = "fed"
)

// newGrant is what a sign-in by these methods just now stands for.
func (s *Service) newGrant(u directory.User, appID, resource, scope, methods string) directory.Grant {
	now := s.now()
	return directory.Grant{
		Family: uuid.NewString(), Subject: u.ObjectID, AppID: appID, Resource: resource, Scope: scope,
		Claims: methods, AuthTime: now, CreatedAt: now,
	}
}

// startSession signs a browser in and gives its cookie and grant.
func (s *Service) startSession(ctx context.Context, u directory.User, methods string) (*http.Cookie, directory.Grant, error) {
	handle := randomHandle(32)
	g := s.newGrant(u, "", "", "", methods)
	g.Kind, g.Hash, g.ExpiresAt = directory.GrantSession, hashOf(handle), s.now().Add(sessionLife)
	if err := s.store.PutGrant(ctx, g); err != nil {
		return nil, g, fmt.Errorf("store browser session: %w", err)
	}
	return sessionCookie(handle, int(sessionLife.Seconds())), g, nil
}

// The prefix binds the cookie to this host, to https and to the whole path.
const sessionCookieName = "__Host-deskyard-session"

func sessionCookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: sessionCookieName, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, // Lax: other sites send people here to sign in
	}
}

// newCode stores an authorization code for a person who is signed in.
func (s *Service) newCode(ctx context.Context, p pending, subject string, session directory.Grant) (string, error) {
	handle, now := randomHandle(32), s.now()
	err := s.store.PutGrant(ctx, directory.Grant{
		Kind: directory.GrantCode, Hash: hashOf(handle), Family: uuid.NewString(), Subject: subject, AppID: p.AppID,
		Resource: p.Resource, Scope: p.Scope, RedirectURI: p.RedirectURI, Challenge: p.Challenge, Nonce: p.Nonce,
		Claims: session.Claims, AuthTime: session.AuthTime, CreatedAt: now, ExpiresAt: now.Add(codeLife),
	})
	if err != nil {
		return "", fmt.Errorf("store authorization code: %w", err)
	}
	return handle, nil
}

// codeURL is the client's redirect URI with a code in it.
func (s *Service) codeURL(ctx context.Context, p pending, subject string, session directory.Grant) (string, error) {
	code, err := s.newCode(ctx, p, subject, session)
	if err != nil {
		return "", err
	}
	return answerURL(p, &op.CodeResponseType{Code: code, State: p.State})
}

// answerURL puts an answer into the redirect URI as the client wants it.
func answerURL(p pending, answer any) (string, error) {
	to, err := op.AuthResponseURL(p.RedirectURI, oidc.ResponseTypeCode, oidc.ResponseMode(p.Mode), answer, oidc.NewEncoder())
	if err != nil {
		return "", fmt.Errorf("make the redirect to %s: %w", p.AppID, err)
	}
	return to, nil
}

// decideDevice answers a waiting device code; approve false declines it.
func (s *Service) decideDevice(ctx context.Context, p pending, session directory.Grant, approve bool) error {
	now := s.now()
	_, err := s.store.UpdateGrant(ctx, directory.GrantDevice, p.Device, func(g *directory.Grant) error {
		if g.Subject != "" || g.Denied || !now.Before(g.ExpiresAt) {
			return errExpired
		}
		if !approve {
			g.Denied = true
			return nil
		}
		g.Subject, g.Claims, g.AuthTime = session.Subject, session.Claims, session.AuthTime
		return nil
	})
	if errors.Is(err, errExpired) || arm.IsMissing(err) {
		return errExpired
	}
	if err != nil {
		return fmt.Errorf("answer device code: %w", err)
	}
	return nil
}

// passwordClient reads who the client of a password grant is.
func passwordClient(r *http.Request) (*op.ClientCredentials, error) {
	cc := &op.ClientCredentials{
		ClientID: r.PostForm.Get("client_id"), ClientSecret: r.PostForm.Get("client_secret"), ClientAssertion: r.PostForm.Get("client_assertion"),
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		return cc, nil
	}
	var err1, err2 error
	cc.ClientID, err1 = url.QueryUnescape(id)
	cc.ClientSecret, err2 = url.QueryUnescape(secret)
	if err := errors.Join(err1, err2); err != nil {
		return nil, oidc.ErrInvalidClient().WithDescription("AADSTS7000218: The Authorization header is not well formed.").WithParent(err)
	}
	return cc, nil
}
