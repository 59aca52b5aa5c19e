package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/deskyard/deskyard/directory"
)

// keyHolder is a user as the WebAuthn library sees one.
type keyHolder struct {
	user directory.User
	keys []webauthn.Credential
}

func (h keyHolder) WebAuthnID() []byte                         { return []byte(h.user.ObjectID) }
func (h keyHolder) WebAuthnName() string                       { return h.user.UPN }
func (h keyHolder) WebAuthnDisplayName() string                { return h.user.DisplayName }
func (h keyHolder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

func holderOf(u directory.User) (keyHolder, error) {
	h := keyHolder{user: u}
	for _, f := range u.Factors {
		if f.Kind != directory.FactorWebAuthn {
			continue
		}
		var c webauthn.Credential
		if err := json.Unmarshal(f.Credential, &c); err != nil {
			return h, fmt.Errorf("read security key %s of user %s: %w", f.ID, u.ObjectID, err)
		}
		h.keys = append(h.keys, c)
	}
	return h, nil
}

// keyDoor is the relying party that a base URL is. Browsers bind keys to a DNS name: a
// service that is reached by its address has none, and ok is false.
func keyDoor(base string) (w *webauthn.WebAuthn, ok bool, err error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, false, fmt.Errorf("read base URL %s: %w", base, err)
	}
	if net.ParseIP(u.Hostname()) != nil {
		return nil, false, nil
	}
	w, err = webauthn.New(&webauthn.Config{RPID: u.Hostname(), RPDisplayName: "Deskyard", RPOrigins: []string{base}})
	if err != nil {
		return nil, false, fmt.Errorf("use security keys at %s: %w", base, err)
	}
	return w, true, nil
}

// askKey makes a challenge for u's security keys: for the browser, and to check its
// answer by; both nil where there are none.
func askKey(base string, u directory.User) (*protocol.CredentialAssertion, *webauthn.SessionData, error) {
	h, err := holderOf(u)
	if err != nil || len(h.keys) == 0 {
		return nil, nil, err
	}
	w, ok, err := keyDoor(base)
	if err != nil || !ok {
		return nil, nil, err
	}
	ask, session, err := w.BeginLogin(h)
	if err != nil {
		return nil, nil, fmt.Errorf("challenge the security keys of user %s: %w", u.ObjectID, err)
	}
	return ask, session, nil
}

// checkKey proves the second factor of a user by the answer of a security key.
func (s *Service) checkKey(ctx context.Context, base, objectID string, session webauthn.SessionData, answer []byte) (directory.User, error) {
	u, err := s.countAttempt(ctx, objectID)
	if err != nil {
		return u, err
	}
	refused := func(why error) (directory.User, error) {
		s.noteSignIn(ctx, u, "AADSTS500121", "security key refused: "+clip(why.Error()))
		return directory.User{}, errWrongCode
	}
	h, err := holderOf(u)
	if err != nil {
		return u, err
	}
	w, ok, err := keyDoor(base)
	if err != nil || !ok {
		return u, errors.Join(errWrongCode, err)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return refused(err)
	}
	used, err := w.ValidateLogin(h, session, parsed)
	if err != nil {
		return refused(err)
	}
	if used.Authenticator.CloneWarning {
		return refused(errors.New("its counter went back: there is a copy of it"))
	}
	doc, err := json.Marshal(used)
	if err != nil {
		return u, fmt.Errorf("encode security key: %w", err)
	}
	i := slices.IndexFunc(h.keys, func(c webauthn.Credential) bool { return slices.Equal(c.ID, used.ID) })
	return s.admitFactor(ctx, u, factorOfKey(u, i), func(f *directory.Factor) error { f.Credential = doc; return nil })
}

// factorOfKey is the id of the n-th security key of u.
func factorOfKey(u directory.User, n int) string {
	for _, f := range u.Factors {
		if f.Kind != directory.FactorWebAuthn {
			continue
		}
		if n == 0 {
			return f.ID
		}
		n--
	}
	return ""
}

// offerKey makes what a browser needs to add a security key; nil where it cannot.
func offerKey(base string, u directory.User) (*protocol.CredentialCreation, *webauthn.SessionData, error) {
	w, ok, err := keyDoor(base)
	if err != nil || !ok {
		return nil, nil, err
	}
	h, err := holderOf(u)
	if err != nil {
		return nil, nil, err
	}
	offer, session, err := w.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()))
	if err != nil {
		return nil, nil, fmt.Errorf("offer to add a security key to user %s: %w", u.ObjectID, err)
	}
	return offer, session, nil
}

// addKey stores a security key that a browser made.
func (s *Service) addKey(ctx context.Context, base string, u directory.User, name string, session webauthn.SessionData, answer []byte) error {
	w, ok, err := keyDoor(base)
	if err != nil || !ok {
		return errors.Join(errWrongCode, err)
	}
	h, err := holderOf(u)
	if err != nil {
		return err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrongCode, err)
	}
	made, err := w.CreateCredential(h, session, parsed)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrongCode, err)
	}
	doc, err := json.Marshal(made)
	if err != nil {
		return fmt.Errorf("encode security key: %w", err)
	}
	return s.addFactor(ctx, u.ObjectID, directory.Factor{ID: uuid.NewString(), Kind: directory.FactorWebAuthn, Name: name, Credential: doc})
}
