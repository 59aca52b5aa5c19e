package identity

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// NewServicePrincipal says what application to create.
type NewServicePrincipal struct {
	DisplayName  string
	RedirectURIs []string // where authorization codes may go
	Public       bool     // it has no secret
}

// ServicePrincipalChange says what to change; nil leaves a value as it is.
type ServicePrincipalChange struct {
	DisplayName  *string
	RedirectURIs *[]string
	Disabled     *bool
}

// Bounds of a service principal's secrets. The life is Entra's for secrets made in
// the portal.
const (
	SecretLife     = 2 * 365 * 24 * time.Hour
	maxSecrets     = 20
	maxRedirects   = 50
	secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	secretLength   = 43 // 256 bits of that alphabet
)

// CreateServicePrincipal adds an application without a secret.
func (s *Service) CreateServicePrincipal(ctx context.Context, n NewServicePrincipal) (directory.ServicePrincipal, error) {
	if err := checkName("displayName", n.DisplayName); err != nil {
		return directory.ServicePrincipal{}, err
	}
	if err := checkRedirects(n.RedirectURIs); err != nil {
		return directory.ServicePrincipal{}, err
	}
	sp := newServicePrincipal(n, s.now())
	if err := s.store.CreateServicePrincipal(ctx, sp); err != nil {
		return directory.ServicePrincipal{}, fmt.Errorf("create service principal %s: %w", n.DisplayName, err)
	}
	s.accounts.forget()
	return sp, nil
}

func newServicePrincipal(n NewServicePrincipal, now time.Time) directory.ServicePrincipal {
	return directory.ServicePrincipal{
		ObjectID: uuid.NewString(), AppID: uuid.NewString(), ApplicationID: uuid.NewString(),
		DisplayName: n.DisplayName, RedirectURIs: n.RedirectURIs, Public: n.Public, CreatedAt: now.UTC(),
	}
}

// ServicePrincipal finds a service principal by its object id or its application's id.
func (s *Service) ServicePrincipal(ctx context.Context, id string) (directory.ServicePrincipal, error) {
	id = strings.ToLower(id)
	sp, err := s.store.ServicePrincipal(ctx, id)
	if arm.IsMissing(err) {
		return s.store.ServicePrincipalByAppID(ctx, id)
	}
	return sp, err
}

// UpdateServicePrincipal changes an application. Disabling ends its tokens at once.
func (s *Service) UpdateServicePrincipal(ctx context.Context, objectID string, c ServicePrincipalChange) (directory.ServicePrincipal, error) {
	if c.DisplayName != nil {
		if err := checkName("displayName", *c.DisplayName); err != nil {
			return directory.ServicePrincipal{}, err
		}
	}
	if c.RedirectURIs != nil {
		if err := checkRedirects(*c.RedirectURIs); err != nil {
			return directory.ServicePrincipal{}, err
		}
	}
	return s.changeServicePrincipal(ctx, objectID, func(sp *directory.ServicePrincipal) error {
		set(&sp.DisplayName, c.DisplayName)
		set(&sp.RedirectURIs, c.RedirectURIs)
		if c.Disabled != nil && *c.Disabled && !sp.Disabled {
			sp.ValidFrom = s.now().UTC()
		}
		set(&sp.Disabled, c.Disabled)
		return nil
	})
}

// AddSecret makes a secret and returns it: it cannot be read again. A zero expires
// is SecretLife from now.
func (s *Service) AddSecret(ctx context.Context, objectID, name string, expires time.Time) (record directory.Secret, secret string, err error) {
	if len(name) > 0 {
		if err := checkName("displayName", name); err != nil {
			return record, "", err
		}
	}
	now := s.now().UTC()
	if expires.IsZero() {
		expires = now.Add(SecretLife)
	}
	if !expires.After(now) {
		return record, "", badRequest("passwordCredential.endDateTime", "The secret would expire at %s, which is not in the future.", expires.UTC().Format(time.RFC3339))
	}
	record, secret = newSecret(name, now, expires)
	_, err = s.changeServicePrincipal(ctx, objectID, func(sp *directory.ServicePrincipal) error {
		if sp.Public {
			return badRequest("passwordCredential", "The application is a public client, which cannot have a secret.")
		}
		if len(sp.Secrets) >= maxSecrets {
			return arm.Errorf(arm.Conflicting, "Directory_QuotaExceeded", "The application has %d secrets, which is the most it may have. Remove one first.", len(sp.Secrets))
		}
		sp.Secrets = append(slices.Clone(sp.Secrets), record)
		return nil
	})
	if err != nil {
		return directory.Secret{}, "", err
	}
	return record, secret, nil
}

// RemoveSecret takes a secret away; tokens got with it hold until they expire.
func (s *Service) RemoveSecret(ctx context.Context, objectID, secretID string) error {
	_, err := s.changeServicePrincipal(ctx, objectID, func(sp *directory.ServicePrincipal) error {
		i := slices.IndexFunc(sp.Secrets, func(x directory.Secret) bool { return strings.EqualFold(x.ID, secretID) })
		if i < 0 {
			return arm.Errorf(arm.Missing, "Request_ResourceNotFound", "The application has no secret with the keyId '%s'.", clip(secretID))
		}
		sp.Secrets = slices.Delete(slices.Clone(sp.Secrets), i, i+1)
		return nil
	})
	return err
}

// DeleteServicePrincipal removes an application; its tokens are refused from now on.
func (s *Service) DeleteServicePrincipal(ctx context.Context, objectID string) error {
	if err := s.store.DeleteServicePrincipal(ctx, objectID); err != nil {
		return fmt.Errorf("delete service principal %s: %w", objectID, err)
	}
	s.accounts.forget()
	return nil
}

func (s *Service) changeServicePrincipal(ctx context.Context, objectID string, f func(*directory.ServicePrincipal) error) (directory.ServicePrincipal, error) {
	sp, err := s.store.UpdateServicePrincipal(ctx, objectID, f)
	if err != nil {
		return directory.ServicePrincipal{}, fmt.Errorf("change service principal %s: %w", objectID, err)
	}
	s.accounts.forget()
	return sp, nil
}

func newSecret(name string, now, expires time.Time) (directory.Secret, string) {
	secret := randomText(secretAlphabet, secretLength)
	sum := sha256.Sum256([]byte(secret))
	return directory.Secret{ID: uuid.NewString(), DisplayName: name, Hint: secret[:3], Hash: sum[:], CreatedAt: now.UTC(), ExpiresAt: expires.UTC()}, secret
}

// checkRedirects refuses redirect URIs that would carry codes in the clear, except to
// the person's own machine.
func checkRedirects(uris []string) error {
	if len(uris) > maxRedirects {
		return badRequest("redirectUris", "There are %d redirect URIs; %d are the most.", len(uris), maxRedirects)
	}
	for _, raw := range uris {
		u, err := url.Parse(raw)
		if err != nil || len(raw) > 512 || u.Scheme == "" || u.Fragment != "" || strings.Contains(raw, "*") {
			return badRequest("redirectUris", "Redirect URI %q is not an absolute URL without fragment and wildcards.", clip(raw))
		}
		host := u.Hostname()
		if u.Scheme == "http" && host != "localhost" && host != "127.0.0.1" && host != "::1" {
			return badRequest("redirectUris", "Redirect URI %q must use https: only localhost may be reached by http.", clip(raw))
		}
		if slices.Contains([]string{"javascript", "data", "file", "vbscript", "blob"}, strings.ToLower(u.Scheme)) {
			return badRequest("redirectUris", "Redirect URI %q has a scheme that would run in the browser.", clip(raw))
		}
	}
	return nil
}
