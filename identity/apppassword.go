package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
	"github.com/deskyard/deskyard/ntlm"
)

// maxAppPasswords bounds the app passwords of a user.
const maxAppPasswords = 20

// AddAppPassword generates a password for a client that can show no sign-in page, such
// as a subscription to a workspace feed. It is shown once and good for nothing else.
func (s *Service) AddAppPassword(ctx context.Context, objectID, name string) (password string, err error) {
	if s.options.Seal == nil {
		return "", errors.New("add an app password: the service has no key to seal it with")
	}
	if name = strings.TrimSpace(name); name == "" {
		name = "Workspace feed"
	}
	if len([]rune(name)) > maxFactorName {
		return "", badRequest("name", "The name must have at most %d characters.", maxFactorName)
	}
	var raw [20]byte
	_, _ = rand.Read(raw[:]) // never fails
	password = strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
	a := directory.AppPassword{ID: uuid.NewString(), Name: name, CreatedAt: s.now().UTC()}
	hash := ntlm.HashOf(password)
	a.Hash = s.options.Seal.Seal(hash[:], "app password "+a.ID)
	u, err := s.store.UpdateUser(ctx, objectID, func(u *directory.User) error {
		if len(u.AppPasswords) >= maxAppPasswords {
			return arm.Errorf(arm.Conflicting, "TooManyAppPasswords", "A user has at most %d app passwords. Remove one first.", maxAppPasswords)
		}
		u.AppPasswords = append(u.AppPasswords, a)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("add an app password to user %s: %w", objectID, err)
	}
	s.noteMethod(ctx, "add", u, "app password "+a.Name)
	return password, nil
}

// RemoveAppPassword ends an app password; arm.Missing where there is none of that id.
func (s *Service) RemoveAppPassword(ctx context.Context, objectID, id string) error {
	var gone directory.AppPassword
	u, err := s.store.UpdateUser(ctx, objectID, func(u *directory.User) error {
		i := slices.IndexFunc(u.AppPasswords, func(a directory.AppPassword) bool { return strings.EqualFold(a.ID, id) })
		if i < 0 {
			return notFound(id)
		}
		gone, u.AppPasswords = u.AppPasswords[i], slices.Delete(u.AppPasswords, i, i+1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove an app password of user %s: %w", objectID, err)
	}
	s.noteMethod(ctx, "remove", u, "app password "+gone.Name)
	return nil
}

// NTLM finds the user whose app password an answer proves. domain completes a name
// without an @. The error is arm.Unauthenticated, and the same for every reason.
func (s *Service) NTLM(ctx context.Context, a ntlm.Answer, nonce [8]byte, domain string) (deskyard.Principal, error) {
	refused := arm.Errorf(arm.Unauthenticated, "InvalidAuthenticationToken", "The user name or the app password is wrong.")
	name := a.User
	if !strings.Contains(name, "@") {
		name += "@" + domain
	}
	u, err := s.store.UserByName(ctx, name)
	if arm.IsMissing(err) || err == nil && u.Disabled {
		return deskyard.Principal{}, refused
	}
	if err != nil {
		return deskyard.Principal{}, fmt.Errorf("read user: %w", err)
	}
	for _, p := range u.AppPasswords {
		if s.options.Seal == nil {
			break
		}
		box, err := s.options.Seal.Open(p.Hash, "app password "+p.ID)
		if err != nil {
			return deskyard.Principal{}, fmt.Errorf("open app password %s: %w", p.ID, err)
		}
		if !a.Proves(ntlm.Hash(box), nonce) {
			continue
		}
		var left *oidc.Error
		if err := s.stillThere(ctx, u); errors.As(err, &left) {
			s.noteSignIn(ctx, u, "AADSTS50057", left.Description)
			return deskyard.Principal{}, refused
		} else if err != nil {
			return deskyard.Principal{}, err
		}
		groups, err := s.GroupsOf(ctx, u.ObjectID)
		if err != nil {
			return deskyard.Principal{}, err
		}
		return deskyard.Principal{ObjectID: u.ObjectID, TenantID: s.tenant.ID, Name: u.UPN, Kind: "User", Groups: groups}, nil
	}
	s.noteSignIn(ctx, u, "AADSTS50126", "wrong app password")
	return deskyard.Principal{}, refused
}
