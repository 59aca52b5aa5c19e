package federation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/uuid"
	"golang.org/x/oauth2"
)

// OIDCOptions say which OpenID provider to ask. All but Client are required.
type OIDCOptions struct {
	Name         string // as people read it on the button
	Issuer       string // URL; its discovery document is read at the first sign-in
	ClientID     string
	ClientSecret string
	RedirectURL  string       // where the provider sends people back to
	Client       *http.Client // nil: one with a timeout of 10 seconds
}

// OIDC sends people to an OpenID provider and reads who comes back.
type OIDC struct {
	o OIDCOptions

	mu       sync.Mutex // guards provider
	provider *oidc.Provider
}

// NewOIDC checks the options; the provider is not asked before the first sign-in, and
// asked again as long as it does not answer.
func NewOIDC(o OIDCOptions) (*OIDC, error) {
	if o.Name == "" || o.Issuer == "" || o.ClientID == "" || o.ClientSecret == "" || o.RedirectURL == "" {
		return nil, errors.New("use an OpenID provider: name, issuer, client id, client secret and redirect URL are required")
	}
	if !strings.HasPrefix(o.Issuer, "https://") {
		return nil, fmt.Errorf("use the OpenID provider %s: its address does not start with https://", o.Issuer)
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second}
	}
	return &OIDC{o: o}, nil
}

// Name is what the provider is called.
func (p *OIDC) Name() string { return p.o.Name }

// Begin is where to send a person. state and nonce come back with them; verifier is the
// secret of PKCE, kept until Finish.
func (p *OIDC) Begin(ctx context.Context, state, nonce, verifier string) (string, error) {
	provider, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return p.client(provider).AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// Finish redeems the code that a person came back with.
func (p *OIDC) Finish(ctx context.Context, code, nonce, verifier string) (Person, error) {
	provider, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	ctx = oidc.ClientContext(ctx, p.o.Client)
	token, err := p.client(provider).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return Person{}, fmt.Errorf("%w: redeem the code at %s: %w", ErrRefused, p.o.Issuer, err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: p.o.ClientID}).Verify(ctx, raw)
	if err != nil {
		return Person{}, fmt.Errorf("%w: verify the ID token of %s: %w", ErrRefused, p.o.Issuer, err)
	}
	if id.Nonce != nonce {
		return Person{}, fmt.Errorf("%w: the ID token of %s is for another sign-in", ErrRefused, p.o.Issuer)
	}
	return p.person(id)
}

func (p *OIDC) person(id *oidc.IDToken) (Person, error) {
	var c struct {
		UPN      string   `json:"upn"`
		Username string   `json:"preferred_username"`
		Email    string   `json:"email"`
		Verified *bool    `json:"email_verified"`
		Name     string   `json:"name"`
		AMR      []string `json:"amr"`
	}
	if err := id.Claims(&c); err != nil {
		return Person{}, fmt.Errorf("read the ID token of %s: %w", p.o.Issuer, err)
	}
	who := Person{ID: subjectID(id.Issuer, id.Subject), DisplayName: c.Name, MFA: slices.Contains(c.AMR, "mfa")}
	email := c.Email
	if c.Verified != nil && !*c.Verified {
		email = "" // anybody may claim it
	}
	for _, name := range []string{c.UPN, c.Username, email} {
		if strings.Contains(name, "@") {
			who.UPN = name
			return who, nil
		}
	}
	return Person{}, fmt.Errorf("%w: %s tells no name of the form name@domain (upn, preferred_username or a verified email)", ErrRefused, p.o.Issuer)
}

// subjectID is a GUID that is the same whenever the same person comes.
func subjectID(issuer, subject string) string {
	return uuid.NewHash(sha256.New(), uuid.NameSpaceURL, []byte(issuer+"\n"+subject), 8).String()
}

func (p *OIDC) client(provider *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.o.ClientID, ClientSecret: p.o.ClientSecret, Endpoint: provider.Endpoint(), RedirectURL: p.o.RedirectURL,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}
}

// discover reads the provider's document once. The provider refreshes its keys with the
// client of this context, so it must not be a request's.
func (p *OIDC) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.provider != nil {
		return p.provider, nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.o.Client), p.o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("reach the OpenID provider %s: %w", p.o.Issuer, err)
	}
	p.provider = provider
	return provider, nil
}
