package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
	"github.com/deskyard/deskyard/federation"
)

// PasswordDirectory is a directory elsewhere that checks names and passwords, and is
// asked again whether it still knows somebody. package federation's LDAP is one.
type PasswordDirectory interface {
	Verify(ctx context.Context, name, password string) (federation.Person, error)
	Person(ctx context.Context, id string) (federation.Person, error)
}

// Provider is an OpenID provider. package federation's OIDC is one.
type Provider interface {
	Name() string
	Begin(ctx context.Context, state, nonce, verifier string) (redirect string, err error)
	Finish(ctx context.Context, code, nonce, verifier string) (federation.Person, error)
}

// syncEvery is how old what we know of a person of another directory may be when a token
// is refreshed: Entra's own for changes of groups is about an hour.
const syncEvery = 15 * time.Minute

// providerFor is how long a sign-in at an OpenID provider lasts: it tells nobody who left
// it, so people prove each working day that it still lets them in.
const providerFor = sessionLife

// errNameTaken is answered where a person elsewhere is called as a user of ours: they
// need not be the same, and must not become it.
var errNameTaken = errors.New("a user of that name exists here")

// checkElsewhere verifies a password at the other directory. known is the user of a
// former sign-in, or zero.
func (s *Service) checkElsewhere(ctx context.Context, known directory.User, name, password string) (directory.User, error) {
	if known.ObjectID != "" {
		if _, err := s.countAttempt(ctx, known.ObjectID); err != nil {
			return directory.User{}, err
		}
	}
	p, err := s.options.Directory.Verify(ctx, name, password)
	if errors.Is(err, federation.ErrUnknown) || errors.Is(err, federation.ErrRefused) {
		no := refusedElsewhere(err)
		code, _, _ := strings.Cut(no.text, ":")
		s.noteSignIn(ctx, directory.User{ObjectID: known.ObjectID, UPN: clip(name)}, code, err.Error())
		return directory.User{}, no
	}
	if err != nil {
		return directory.User{}, fmt.Errorf("verify password: %w", err)
	}
	u, err := s.adopt(ctx, p, directory.SourceLDAP)
	if err != nil {
		return directory.User{}, err
	}
	if !needsFactor(u) {
		s.noteSignIn(ctx, u, "", "")
	}
	return u, nil
}

// elsewhereError is another directory's no. To pages it is an errCredentials where it tells
// which names exist.
type elsewhereError struct {
	text string // the issuer's
	open bool   // only who knew the password is told so
}

func (e *elsewhereError) Error() string        { return e.text }
func (e *elsewhereError) Is(target error) bool { return target == errCredentials }

// refusedElsewhere words another directory's refusal in Entra's numbers.
func refusedElsewhere(err error) *elsewhereError {
	var r *federation.Refusal
	if !errors.As(err, &r) {
		return &elsewhereError{text: textCredentials}
	}
	switch r.Reason {
	case federation.Locked:
		return &elsewhereError{text: "AADSTS50053: The account is locked in its directory. Wait until the lock ends, or ask your administrator to end it."}
	case federation.Disabled:
		return &elsewhereError{text: textDisabled, open: true}
	case federation.Expired:
		return &elsewhereError{text: "AADSTS50057: The user account has expired. Ask your administrator to extend it.", open: true}
	case federation.PasswordExpired:
		return &elsewhereError{text: "AADSTS50055: The password has expired. Change it where you usually do, and sign in again.", open: true}
	case federation.MustChange:
		return &elsewhereError{text: "AADSTS50055: The password must be changed first. Change it where you usually do, and sign in again.", open: true}
	case federation.WrongTime, federation.WrongMachine, federation.NotGranted:
		return &elsewhereError{text: "AADSTS53003: Access has been blocked by the account's directory: " + string(r.Reason) + ". Ask your administrator.", open: true}
	}
	return &elsewhereError{text: textCredentials}
}

// adopt makes a user of a person elsewhere, or brings the one up to date, with the groups.
func (s *Service) adopt(ctx context.Context, p federation.Person, source string) (directory.User, error) {
	if p.Disabled {
		s.noteSignIn(ctx, directory.User{ObjectID: p.ID, UPN: p.UPN}, "AADSTS50057", "account disabled in its directory")
		return directory.User{}, errDisabled
	}
	now := s.now().UTC()
	u, err := s.store.UpdateUser(ctx, p.ID, func(u *directory.User) error {
		if u.Source != source {
			return errNameTaken
		}
		u.UPN, u.DisplayName, u.SyncedAt = p.UPN, p.DisplayName, now
		if !needsFactor(*u) {
			u.Failed, u.LockedUntil = 0, time.Time{}
		}
		return nil
	})
	if arm.IsMissing(err) {
		if err := checkUPN(p.UPN); err != nil {
			return u, fmt.Errorf("adopt %q of another directory: %w", p.UPN, err)
		}
		u = directory.User{ObjectID: p.ID, UPN: p.UPN, DisplayName: p.DisplayName, Source: source, SyncedAt: now, CreatedAt: now}
		err = s.store.CreateUser(ctx, u)
	}
	var conflict *arm.Error
	if errors.As(err, &conflict) && conflict.Kind == arm.Conflicting {
		err = errNameTaken
	}
	if errors.Is(err, errNameTaken) {
		s.noteSignIn(ctx, directory.User{ObjectID: p.ID, UPN: p.UPN}, "AADSTS50034", errNameTaken.Error())
		return u, errNameTaken
	}
	if err != nil {
		return u, fmt.Errorf("adopt user %s: %w", p.UPN, err)
	}
	if u.Disabled {
		return u, errDisabled
	}
	if err := s.adoptGroups(ctx, u, p.Groups, source); err != nil {
		return u, err
	}
	s.accounts.forget()
	return u, nil
}

// adoptGroups makes the user a member of exactly those groups of its directory.
// Memberships in groups of ours are not touched.
func (s *Service) adoptGroups(ctx context.Context, u directory.User, groups []federation.Group, source string) error {
	for _, g := range groups {
		_, err := s.store.UpdateGroup(ctx, g.ID, func(x *directory.Group) error {
			if x.Source == source {
				x.DisplayName = g.Name
			}
			return nil
		})
		if arm.IsMissing(err) {
			err = s.store.CreateGroup(ctx, directory.Group{ObjectID: g.ID, DisplayName: g.Name, Source: source, CreatedAt: s.now().UTC()})
		}
		if err == nil {
			err = s.store.AddMember(ctx, g.ID, directory.Member{ObjectID: u.ObjectID, Kind: directory.KindUser})
		}
		var already *arm.Error
		if err != nil && !(errors.As(err, &already) && already.Kind == arm.Conflicting) {
			return fmt.Errorf("adopt group %s of %s: %w", g.Name, u.UPN, err)
		}
	}
	has, err := s.store.GroupsOf(ctx, u.ObjectID)
	if err != nil {
		return fmt.Errorf("read the groups of %s: %w", u.UPN, err)
	}
	for _, id := range has {
		if slices.ContainsFunc(groups, func(g federation.Group) bool { return strings.EqualFold(g.ID, id) }) {
			continue
		}
		g, err := s.store.Group(ctx, id)
		if err == nil && g.Source == source {
			err = s.store.RemoveMember(ctx, id, u.ObjectID)
		}
		if err != nil && !arm.IsMissing(err) {
			return fmt.Errorf("take %s out of group %s: %w", u.UPN, id, err)
		}
	}
	return nil
}

// stillThere asks the other directory again before a token of one of its people is
// refreshed. A directory that does not answer locks nobody out who was in it just now.
// A provider cannot be asked: its people must have come from it not long ago.
func (s *Service) stillThere(ctx context.Context, u directory.User) error {
	if u.Source == directory.SourceOIDC && s.now().Sub(u.SyncedAt) >= providerFor {
		return invalidGrant("AADSTS70043: The sign-in is too old. Sign in again at your identity provider.")
	}
	if u.Source != directory.SourceLDAP || s.options.Directory == nil || s.now().Sub(u.SyncedAt) < syncEvery {
		return nil
	}
	p, err := s.options.Directory.Person(ctx, u.ObjectID)
	switch {
	case errors.Is(err, federation.ErrUnknown):
		return errRevoked()
	case err != nil:
		s.log.WarnContext(ctx, "user not looked up again in the directory", "user", u.UPN, "err", err)
		return nil
	}
	_, err = s.adopt(ctx, p, directory.SourceLDAP)
	if errors.Is(err, errDisabled) {
		return invalidGrant("AADSTS50057: The user account is disabled.")
	}
	return err
}

// away is a sign-in that went to the provider; it travels through both, sealed.
type away struct {
	Request  string    `json:"r"`
	Browser  string    `json:"b"` // hash of the cookie of the browser that it began in
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // useless without our secret at the provider
	Made     time.Time `json:"t"`
}

const awayCookieName = "__Host-deskyard-away"

// goElsewhere sends a person to the provider.
func (s *Service) goElsewhere(w http.ResponseWriter, r *http.Request) error {
	sealed := r.URL.Query().Get("request")
	if _, err := s.unseal(sealed); err != nil || s.options.Provider == nil {
		s.showError(w, r, http.StatusBadRequest, textStale, "")
		return nil
	}
	browser, a := randomHandle(16), away{Request: sealed, Nonce: randomHandle(16), Verifier: randomHandle(32), Made: s.now()}
	a.Browser = hashOf(browser)
	to, err := s.options.Provider.Begin(r.Context(), s.sealed(sealAway, a), a.Nonce, a.Verifier)
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: awayCookieName, Value: browser, Path: "/", MaxAge: int(pendingLife.Seconds()), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// comeBack signs in who returns from the provider.
func (s *Service) comeBack(w http.ResponseWriter, r *http.Request) error {
	ctx, query := r.Context(), r.URL.Query()
	var a away
	err := s.unsealed(sealAway, query.Get("state"), &a)
	p, stale := s.unseal(a.Request)
	c, noCookie := r.Cookie(awayCookieName)
	if err != nil || stale != nil || noCookie != nil || hashOf(c.Value) != a.Browser || s.options.Provider == nil {
		s.showError(w, r, http.StatusBadRequest, textStale, "")
		return nil
	}
	http.SetCookie(w, &http.Cookie{Name: awayCookieName, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if query.Get("code") == "" {
		s.askSignIn(w, r, http.StatusUnauthorized, p, a.Request, s.options.Provider.Name()+" did not sign you in: "+clip(query.Get("error_description")+query.Get("error")))
		return nil
	}
	who, err := s.options.Provider.Finish(ctx, query.Get("code"), a.Nonce, a.Verifier)
	if errors.Is(err, federation.ErrRefused) {
		s.log.WarnContext(ctx, "sign-in at the provider refused", "err", err)
		s.askSignIn(w, r, http.StatusUnauthorized, p, a.Request, s.options.Provider.Name()+" did not sign you in. Try again, or ask your administrator.")
		return nil
	}
	if err != nil {
		return err
	}
	u, err := s.adopt(ctx, who, directory.SourceOIDC)
	if text, known := signInText(err); err != nil && known {
		_, text, _ = strings.Cut(text, ": ")
		s.askSignIn(w, r, http.StatusUnauthorized, p, a.Request, text)
		return nil
	}
	if err != nil {
		return err
	}
	if needsFactor(u) {
		return s.askFactor(w, r, http.StatusOK, p, a.Request, u, "")
	}
	s.noteSignIn(ctx, u, "", "")
	methods := methodElsewhere
	if who.MFA {
		methods += " mfa"
	}
	return s.begin(w, r, p, u, methods)
}

// elsewhereURL is where the sign-in page leads to the provider.
func elsewhereURL(sealed string) string {
	return "/signin/elsewhere?request=" + url.QueryEscape(sealed)
}
