package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// The lock of an account: so many attempts are free, then each one more doubles the
// time for which none is looked at. The upper bound keeps an attacker from shutting
// a person out for long; at it, a guesser has 96 attempts a day.
const (
	freeAttempts = 5
	lockBase     = 30 * time.Second
	lockMost     = 15 * time.Minute
)

// lockFor is how long an account is locked after so many failures.
func lockFor(failed int) time.Duration {
	if failed < freeAttempts {
		return 0
	}
	d := lockBase
	for range failed - freeAttempts {
		if d *= 2; d >= lockMost {
			return lockMost
		}
	}
	return d
}

// Why a person is not signed in. The first is all that a wrong name, a wrong
// password and a locked account have in common, so that none tells which names exist.
var (
	errCredentials = errors.New("wrong name or password, or account locked")
	errDisabled    = errors.New("account disabled")
	errTooMany     = errors.New("too many attempts from one address")
	errFactor      = errors.New("a second factor is needed")

	errLocked = errors.New("account locked") // inside verifyUser only
)

// refusalGrid is what the time until a refusal is rounded up to. Counting an attempt
// is a write to disk that only a name that exists causes; the grid hides it.
const refusalGrid = 250 * time.Millisecond

// verifyUser checks a name and a password. Whatever is wrong with them, the answer
// and the time that it takes are the same.
func (s *Service) verifyUser(ctx context.Context, r *http.Request, name, password string) (directory.User, error) {
	return s.verifyFrom(ctx, r, originKey(s.address(r)), name, password)
}

// verifyFrom is verifyUser with the origin that attempts are counted for.
func (s *Service) verifyFrom(ctx context.Context, r *http.Request, origin, name, password string) (directory.User, error) {
	start := time.Now()
	u, err := s.checkUser(ctx, r, origin, name, password)
	if errors.Is(err, errCredentials) && s.grid > 0 {
		rest := time.NewTimer(s.grid - time.Since(start)%s.grid)
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-ctx.Done():
		}
	}
	return u, err
}

// checkUser counts every attempt before the password is looked at, so that many at
// once gain nothing, and hashes once in any case.
func (s *Service) checkUser(ctx context.Context, r *http.Request, origin, name, password string) (directory.User, error) {
	if !s.attempts.allow(origin) {
		s.signIns.WithLabelValues("throttled").Inc()
		return directory.User{}, errTooMany
	}
	ctx = context.WithValue(ctx, requestKey, r)
	u, err := s.store.UserByName(ctx, name)
	if err != nil && !arm.IsMissing(err) {
		return directory.User{}, fmt.Errorf("read user: %w", err)
	}
	if s.options.Directory != nil && (arm.IsMissing(err) || u.Source == directory.SourceLDAP) {
		return s.checkElsewhere(ctx, u, name, password)
	}
	if arm.IsMissing(err) {
		if _, err := s.passwords.Verify(ctx, "", password); err != nil {
			return directory.User{}, err
		}
		s.noteSignIn(ctx, directory.User{UPN: clip(name)}, "AADSTS50034", "no such user")
		return directory.User{}, errCredentials
	}
	now := s.now()
	u, err = s.store.UpdateUser(ctx, u.ObjectID, func(u *directory.User) error {
		if now.Before(u.LockedUntil) {
			return errLocked
		}
		u.Failed++
		u.LockedUntil = now.Add(lockFor(u.Failed))
		return nil
	})
	locked := errors.Is(err, errLocked)
	if err != nil && !locked {
		return directory.User{}, fmt.Errorf("count the attempt: %w", err)
	}
	ok, err := s.passwords.Verify(ctx, u.PasswordHash, password) // of a locked account, only for the time it takes
	switch {
	case err != nil:
		return directory.User{}, fmt.Errorf("verify password: %w", err)
	case locked:
		s.noteSignIn(ctx, directory.User{UPN: clip(name)}, "AADSTS50053", "account locked after too many attempts")
		return directory.User{}, errCredentials
	case !ok:
		s.noteSignIn(ctx, u, "AADSTS50126", fmt.Sprintf("wrong password, attempt %d", u.Failed))
		return directory.User{}, errCredentials
	}
	return s.admit(ctx, u, password)
}

// admit ends the count of failures of a person who knew the password.
func (s *Service) admit(ctx context.Context, u directory.User, password string) (directory.User, error) {
	fresh := ""
	if s.passwords.outdated(u.PasswordHash) {
		var err error
		if fresh, err = s.passwords.Hash(ctx, password); err != nil {
			return directory.User{}, fmt.Errorf("hash the password anew: %w", err)
		}
	}
	old := u.PasswordHash
	u, err := s.store.UpdateUser(ctx, u.ObjectID, func(u *directory.User) error {
		u.LockedUntil = time.Time{}
		if needsFactor(*u) {
			u.Failed-- // this attempt; those at the factor count until it is proved
		} else {
			u.Failed = 0
		}
		if fresh != "" && u.PasswordHash == old {
			u.PasswordHash = fresh
		}
		return nil
	})
	if err != nil {
		return directory.User{}, fmt.Errorf("note the sign-in: %w", err)
	}
	if u.Disabled {
		s.noteSignIn(ctx, u, "AADSTS50057", "account disabled")
		return directory.User{}, errDisabled
	}
	if !needsFactor(u) {
		s.noteSignIn(ctx, u, "", "")
	}
	return u, nil
}

// enough refuses a person whose password is not all that has to be proved, where no
// page can ask for more.
func (s *Service) enough(ctx context.Context, u directory.User) error {
	if !needsFactor(u) {
		return nil
	}
	s.noteSignIn(ctx, u, "AADSTS50076", "a second factor is needed")
	return errFactor
}

func (s *Service) noteSignIn(ctx context.Context, u directory.User, code, detail string) {
	status, result := http.StatusOK, "succeeded"
	if code != "" {
		status, result = http.StatusUnauthorized, "failed"
	}
	s.signIns.WithLabelValues(result).Inc()
	s.note(ctx, event{action: actionSignIn, id: u.ObjectID, name: u.UPN, kind: "User", status: status, code: code, detail: detail})
}

// What people and programs are told.
const (
	textCredentials = "AADSTS50126: Error validating credentials due to invalid username or password, or the account is locked for a while after too many attempts."
	textDisabled    = "AADSTS50057: The user account is disabled."
	textNameTaken   = "AADSTS50020: Your account in the other directory has the name of an account that exists here. Ask your administrator to rename one of them."
	textFactor      = "AADSTS50076: You must use multi-factor authentication to sign in. Sign in with a browser or a device code; a password alone is not enough for this account."
	textTooMany     = "AADSTS90056: Too many sign-in attempts from this address. Try again in a minute."
)

// signInText words a refusal of verifyUser; ok is false for a fault of ours.
func signInText(err error) (text string, ok bool) {
	var elsewhere *elsewhereError
	switch {
	case errors.As(err, &elsewhere) && elsewhere.open:
		return elsewhere.text, true
	case errors.Is(err, errCredentials):
		return textCredentials, true
	case errors.Is(err, errDisabled):
		return textDisabled, true
	case errors.Is(err, errNameTaken):
		return textNameTaken, true
	case errors.Is(err, errFactor):
		return textFactor, true
	case errors.Is(err, errTooMany):
		return textTooMany, true
	}
	var e *arm.Error
	if errors.As(err, &e) && e.Kind == arm.Throttled { // the queue for hashing is full
		return textTooMany, true
	}
	return "", false
}

// session finds the person that a browser is signed in as.
func (s *Service) session(ctx context.Context, r *http.Request) (directory.Grant, directory.User, bool) {
	c, err := r.Cookie(sessionCookieName)
	if err != nil || c.Value == "" {
		return directory.Grant{}, directory.User{}, false
	}
	g, err := s.store.Grant(ctx, directory.GrantSession, hashOf(c.Value))
	if err != nil || !s.now().Before(g.ExpiresAt) {
		if err != nil && !arm.IsMissing(err) {
			s.log.ErrorContext(ctx, "browser session not read", "error", err)
		}
		return directory.Grant{}, directory.User{}, false
	}
	u, ok := s.sessionFor(ctx, g)
	if !ok {
		return directory.Grant{}, directory.User{}, false
	}
	return g, u, true
}

// endSession forgets the browser's session.
func (s *Service) endSession(ctx context.Context, r *http.Request) error {
	c, err := r.Cookie(sessionCookieName)
	if err != nil || c.Value == "" {
		return nil // no session: nothing to end
	}
	g, err := s.store.Grant(ctx, directory.GrantSession, hashOf(c.Value))
	if arm.IsMissing(err) {
		return nil
	}
	if err == nil {
		_, err = s.store.DeleteGrants(ctx, directory.GrantQuery{Family: g.Family})
	}
	if err != nil {
		return fmt.Errorf("end browser session: %w", err)
	}
	return nil
}

// servePasswordGrant answers "az login -u NAME -p PASSWORD". The OpenID library has
// no such grant: OAuth 2.1 drops it, as it hands a person's password to a program.
func (s *Service) servePasswordGrant(w http.ResponseWriter, r *http.Request) {
	a, err := s.passwordGrant(r)
	if err == nil {
		writeJSON(w, http.StatusOK, a)
		return
	}
	var e *oidc.Error
	if !errors.As(err, &e) {
		errors.As(s.broken(r.Context(), err), &e)
	}
	status := http.StatusBadRequest
	switch e.ErrorType {
	case oidc.ServerError:
		status = http.StatusInternalServerError
	case oidc.InvalidClient:
		status = http.StatusUnauthorized
	}
	writeJSON(w, status, e)
}

func (s *Service) passwordGrant(r *http.Request) (any, error) {
	ctx, d := r.Context(), doorOf(r.Context())
	if s.options.NoPasswordGrant {
		return nil, oidc.ErrUnsupportedGrantType().WithDescription("AADSTS70003: The app requested an unsupported grant type 'password'. This service is configured not to take passwords from programs; sign in with a browser or a device code.")
	}
	cc, err := passwordClient(r)
	if err != nil {
		return nil, err
	}
	c, err := s.verifyClient(ctx, cc)
	if err != nil {
		return nil, err
	}
	resource, scope, err := s.resourceOf(fields(r.PostForm.Get("scope")), r.PostForm.Get("resource"), d)
	if err != nil {
		return nil, err
	}
	u, err := s.verifyUser(ctx, r, r.PostForm.Get("username"), r.PostForm.Get("password"))
	if err == nil {
		err = s.enough(ctx, u)
	}
	if err != nil {
		if text, ok := signInText(err); ok {
			return nil, oidc.ErrInvalidGrant().WithDescription("%s", text)
		}
		return nil, err
	}
	a, err := s.answerUser(ctx, s.newGrant(u, c.sp.AppID, resource, scope, methodPassword), "password")
	if err != nil {
		return nil, err
	}
	return a.Data, nil
}
