package identity

import (
	"context"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// maxFactors bounds the factors of a user, maxFactorName their names, in characters.
const (
	maxFactors    = 10
	maxFactorName = 64
)

// The time-based codes that every authenticator application makes (RFC 6238).
const (
	totpPeriod = 30 // seconds
	totpSkew   = 1  // steps that a clock may be off, each way
)

var totpOptions = totp.ValidateOpts{Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// needsFactor reports whether a password alone does not sign u in.
func needsFactor(u directory.User) bool { return len(u.Factors) > 0 }

// proved reports whether methods (claim amr) are all that u has to prove.
func proved(u directory.User, methods string) bool {
	return !needsFactor(u) || slices.Contains(strings.Fields(methods), "mfa")
}

// newTOTP draws a secret for an authenticator application, and the key that one reads.
func (s *Service) newTOTP(u directory.User) (*otp.Key, error) {
	return totp.Generate(totp.GenerateOpts{Issuer: "Deskyard", AccountName: u.UPN, Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
}

// stepOf finds the time step that a code belongs to; ok is false for a wrong code.
func stepOf(secret, code string, now time.Time) (step int64, ok bool, err error) {
	for skew := int64(-totpSkew); skew <= totpSkew; skew++ {
		at := now.Unix()/totpPeriod + skew
		want, err := totp.GenerateCodeCustom(secret, time.Unix(at*totpPeriod, 0), totpOptions)
		if err != nil {
			return 0, false, fmt.Errorf("compute one-time code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = at, true
		}
	}
	return step, ok, nil
}

// addTOTP gives u the factor that secret stands for, once a code shows that the
// application has it.
func (s *Service) addTOTP(ctx context.Context, objectID, name, secret, code string) error {
	if s.options.Seal == nil {
		return errors.New("add an authenticator application: the service has no key to seal its secret with")
	}
	step, ok, err := stepOf(secret, onlyDigits(code), s.now())
	if err != nil {
		return err
	}
	if !ok {
		return errWrongCode
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		return fmt.Errorf("read the shared secret: %w", err)
	}
	f := directory.Factor{ID: uuid.NewString(), Kind: directory.FactorTOTP, Name: name, Step: step}
	f.Secret = s.options.Seal.Seal(raw, "factor "+f.ID)
	return s.addFactor(ctx, objectID, f)
}

// addFactor stores a factor. Browsers that signed in without it are asked to sign in
// again; tokens from before go on until they end.
func (s *Service) addFactor(ctx context.Context, objectID string, f directory.Factor) error {
	if f.Name = strings.TrimSpace(f.Name); f.Name == "" {
		f.Name = map[string]string{directory.FactorTOTP: "Authenticator application", directory.FactorWebAuthn: "Security key"}[f.Kind]
	}
	if len([]rune(f.Name)) > maxFactorName {
		return badRequest("name", "The name must have at most %d characters.", maxFactorName)
	}
	f.CreatedAt, f.UsedAt = s.now().UTC(), s.now().UTC()
	u, err := s.store.UpdateUser(ctx, objectID, func(u *directory.User) error {
		if len(u.Factors) >= maxFactors {
			return arm.Errorf(arm.Conflicting, "TooManyFactors", "A user has at most %d factors. Remove one first.", maxFactors)
		}
		u.Factors = append(u.Factors, f)
		return nil
	})
	if err != nil {
		return fmt.Errorf("add a factor to user %s: %w", objectID, err)
	}
	s.noteMethod(ctx, "add", u, f.Kind+" "+f.Name)
	return nil
}

// RemoveFactor takes a factor from a user: who lost a telephone gets in again. The error
// is arm.Missing where the user has none of that id.
func (s *Service) RemoveFactor(ctx context.Context, objectID, factorID string) error {
	var gone directory.Factor
	u, err := s.store.UpdateUser(ctx, objectID, func(u *directory.User) error {
		i := slices.IndexFunc(u.Factors, func(f directory.Factor) bool { return strings.EqualFold(f.ID, factorID) })
		if i < 0 {
			return notFound(factorID)
		}
		gone, u.Factors = u.Factors[i], slices.Delete(u.Factors, i, i+1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove a factor of user %s: %w", objectID, err)
	}
	s.noteMethod(ctx, "remove", u, gone.Kind+" "+gone.Name)
	return nil
}

// noteMethod audits a change of how a user signs in.
func (s *Service) noteMethod(ctx context.Context, verb string, u directory.User, what string) {
	s.note(ctx, event{action: "Microsoft.Directory/users/authentication/" + verb, id: u.ObjectID, name: u.UPN, kind: "User",
		status: 200, detail: what})
}

// errWrongCode is a code or key that does not fit; it says no more.
var errWrongCode = errors.New("wrong or used code")

// checkTOTP proves the second factor of u by a code. Each attempt counts as one at the
// password does, so that codes cannot be guessed through; a right one ends the count.
func (s *Service) checkTOTP(ctx context.Context, objectID, code string) (directory.User, error) {
	u, err := s.countAttempt(ctx, objectID)
	if err != nil {
		return directory.User{}, err
	}
	factor, step, err := s.matchTOTP(u, onlyDigits(code))
	if err != nil {
		return directory.User{}, err
	}
	if factor == "" {
		s.noteSignIn(ctx, u, "AADSTS500121", "wrong one-time code")
		return directory.User{}, errWrongCode
	}
	return s.admitFactor(ctx, u, factor, func(f *directory.Factor) error {
		if step <= f.Step {
			return errWrongCode // used meanwhile by another sign-in
		}
		f.Step = step
		return nil
	})
}

// matchTOTP finds the factor whose code it is; "" for none.
func (s *Service) matchTOTP(u directory.User, code string) (factor string, step int64, err error) {
	for _, f := range u.Factors {
		if f.Kind != directory.FactorTOTP || s.options.Seal == nil {
			continue
		}
		raw, err := s.options.Seal.Open(f.Secret, "factor "+f.ID)
		if err != nil {
			return "", 0, fmt.Errorf("open the secret of factor %s: %w", f.ID, err)
		}
		at, ok, err := stepOf(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw), code, s.now())
		if err != nil {
			return "", 0, err
		}
		if ok && at > f.Step {
			return f.ID, at, nil
		}
	}
	return "", 0, nil
}

// countAttempt counts one more attempt before it is looked at, as checkUser does.
func (s *Service) countAttempt(ctx context.Context, objectID string) (directory.User, error) {
	now := s.now()
	u, err := s.store.UpdateUser(ctx, objectID, func(u *directory.User) error {
		if now.Before(u.LockedUntil) {
			return errLocked
		}
		u.Failed++
		u.LockedUntil = now.Add(lockFor(u.Failed))
		return nil
	})
	switch {
	case errors.Is(err, errLocked):
		return u, errCredentials
	case err != nil:
		return u, fmt.Errorf("count the attempt: %w", err)
	}
	return u, nil
}

// admitFactor ends the count of failures and notes what the factor learnt.
func (s *Service) admitFactor(ctx context.Context, u directory.User, factorID string, learn func(*directory.Factor) error) (directory.User, error) {
	u, err := s.store.UpdateUser(ctx, u.ObjectID, func(u *directory.User) error {
		for i := range u.Factors {
			if u.Factors[i].ID == factorID {
				u.Failed, u.LockedUntil = 0, time.Time{}
				u.Factors[i].UsedAt = s.now().UTC()
				return learn(&u.Factors[i])
			}
		}
		return errWrongCode // removed meanwhile
	})
	if err != nil && !errors.Is(err, errWrongCode) {
		return u, fmt.Errorf("note the sign-in: %w", err)
	}
	if err == nil && u.Disabled {
		return u, errDisabled
	}
	return u, err
}

// onlyDigits drops the blanks that applications show in a code.
func onlyDigits(code string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, clip(code))
}
