package identity

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// NewUser says what user to create.
type NewUser struct {
	UPN         string // name@domain; the domain is free
	DisplayName string // the name part of UPN when empty
	Password    string // a random one is made when empty
	Disabled    bool
}

// UserChange says what to change of a user; nil leaves a value as it is.
type UserChange struct {
	UPN         *string
	DisplayName *string
	Disabled    *bool
}

// upnForm is Entra's: letters, digits and . - _ ! # ^ ~ ' (plus signs are common
// in addresses, so they are allowed too).
var upnForm = regexp.MustCompile(`^[A-Za-z0-9._!#^~'+-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]{0,62}\.)*[A-Za-z0-9-]{1,63}$`)

// maxName bounds display names, in characters (Entra's bound).
const maxName = 256

// CreateUser adds a user. It returns the password when it made one.
func (s *Service) CreateUser(ctx context.Context, n NewUser) (u directory.User, password string, err error) {
	if err := checkUPN(n.UPN); err != nil {
		return u, "", err
	}
	if n.DisplayName == "" {
		n.DisplayName, _, _ = strings.Cut(n.UPN, "@")
	}
	if err := checkName("displayName", n.DisplayName); err != nil {
		return u, "", err
	}
	chosen := n.Password
	if chosen == "" {
		chosen = GeneratePassword()
		password = chosen
	} else if err := checkPassword(chosen, n.UPN); err != nil {
		return u, "", err
	}
	hash, err := s.passwords.Hash(ctx, chosen)
	if err != nil {
		return u, "", err
	}
	u = directory.User{ObjectID: uuid.NewString(), UPN: n.UPN, DisplayName: n.DisplayName, PasswordHash: hash, Disabled: n.Disabled, CreatedAt: s.now().UTC()}
	if err := s.store.CreateUser(ctx, u); err != nil {
		return directory.User{}, "", fmt.Errorf("create user %s: %w", n.UPN, err)
	}
	s.accounts.forget()
	return u, password, nil
}

// User finds a user by object id or user principal name.
func (s *Service) User(ctx context.Context, idOrName string) (directory.User, error) {
	if isGUID(idOrName) {
		return s.store.User(ctx, strings.ToLower(idOrName))
	}
	return s.store.UserByName(ctx, idOrName)
}

// UpdateUser changes a user. Disabling ends what the user is signed in to.
func (s *Service) UpdateUser(ctx context.Context, objectID string, c UserChange) (directory.User, error) {
	if c.UPN != nil {
		if err := checkUPN(*c.UPN); err != nil {
			return directory.User{}, err
		}
	}
	if c.DisplayName != nil {
		if err := checkName("displayName", *c.DisplayName); err != nil {
			return directory.User{}, err
		}
	}
	return s.changeUser(ctx, objectID, func(u *directory.User) {
		set(&u.UPN, c.UPN)
		set(&u.DisplayName, c.DisplayName)
		if c.Disabled != nil && *c.Disabled && !u.Disabled {
			u.ValidFrom = s.now().UTC()
		}
		set(&u.Disabled, c.Disabled)
	})
}

// SetPassword gives a user a new password, a random one when password is empty, and
// ends every sign-in made with the old one. It returns the password it made.
func (s *Service) SetPassword(ctx context.Context, objectID, password string) (made string, err error) {
	u, err := s.store.User(ctx, objectID)
	if err != nil {
		return "", err
	}
	if u.Source != "" {
		return "", arm.Errorf(arm.Conflicting, "UserOfAnotherDirectory", "The password of '%s' is that of another directory (%s). Change it there.", u.UPN, u.Source)
	}
	if password == "" {
		made = GeneratePassword()
		password = made
	} else if err := checkPassword(password, u.UPN); err != nil {
		return "", err
	}
	hash, err := s.passwords.Hash(ctx, password)
	if err != nil {
		return "", err
	}
	_, err = s.changeUser(ctx, objectID, func(u *directory.User) {
		u.PasswordHash, u.Failed, u.LockedUntil, u.ValidFrom = hash, 0, time.Time{}, s.now().UTC()
	})
	if err != nil {
		return "", err
	}
	return made, s.dropGrants(ctx, objectID)
}

// Unlock lets a user try to sign in again at once.
func (s *Service) Unlock(ctx context.Context, objectID string) error {
	_, err := s.changeUser(ctx, objectID, func(u *directory.User) { u.Failed, u.LockedUntil = 0, time.Time{} })
	return err
}

// RevokeSignIns ends every browser session, refresh token and access token of a user.
func (s *Service) RevokeSignIns(ctx context.Context, objectID string) error {
	// A token says when it was issued in whole seconds; those of this second end too.
	_, err := s.changeUser(ctx, objectID, func(u *directory.User) { u.ValidFrom = s.now().UTC().Truncate(time.Second).Add(time.Second) })
	if err != nil {
		return err
	}
	return s.dropGrants(ctx, objectID)
}

// DeleteUser removes a user with its memberships and sign-ins.
func (s *Service) DeleteUser(ctx context.Context, objectID string) error {
	if err := s.store.DeleteUser(ctx, objectID); err != nil {
		return fmt.Errorf("delete user %s: %w", objectID, err)
	}
	s.accounts.forget()
	return nil
}

func (s *Service) changeUser(ctx context.Context, objectID string, f func(*directory.User)) (directory.User, error) {
	u, err := s.store.UpdateUser(ctx, objectID, func(u *directory.User) error { f(u); return nil })
	if err != nil {
		return directory.User{}, fmt.Errorf("change user %s: %w", objectID, err)
	}
	s.accounts.forget()
	return u, nil
}

func (s *Service) dropGrants(ctx context.Context, subject string) error {
	if _, err := s.store.DeleteGrants(ctx, directory.GrantQuery{Subject: subject}); err != nil {
		return fmt.Errorf("end the sign-ins of %s: %w", subject, err)
	}
	return nil
}

// CreateGroup adds an empty group.
func (s *Service) CreateGroup(ctx context.Context, name, description string) (directory.Group, error) {
	if err := checkName("displayName", name); err != nil {
		return directory.Group{}, err
	}
	if utf8.RuneCountInString(description) > 1024 {
		return directory.Group{}, badRequest("description", "description has more than 1024 characters.")
	}
	g := directory.Group{ObjectID: uuid.NewString(), DisplayName: name, Description: description, CreatedAt: s.now().UTC()}
	if err := s.store.CreateGroup(ctx, g); err != nil {
		return directory.Group{}, fmt.Errorf("create group %s: %w", name, err)
	}
	return g, nil
}

// UpdateGroup renames or redescribes a group; nil leaves a value as it is.
func (s *Service) UpdateGroup(ctx context.Context, objectID string, name, description *string) (directory.Group, error) {
	if name != nil {
		if err := checkName("displayName", *name); err != nil {
			return directory.Group{}, err
		}
	}
	if description != nil && utf8.RuneCountInString(*description) > 1024 {
		return directory.Group{}, badRequest("description", "description has more than 1024 characters.")
	}
	g, err := s.store.UpdateGroup(ctx, objectID, func(g *directory.Group) error {
		set(&g.DisplayName, name)
		set(&g.Description, description)
		return nil
	})
	if err != nil {
		return directory.Group{}, fmt.Errorf("change group %s: %w", objectID, err)
	}
	return g, nil
}

// DeleteGroup removes a group; its members stay.
func (s *Service) DeleteGroup(ctx context.Context, objectID string) error {
	if err := s.store.DeleteGroup(ctx, objectID); err != nil {
		return fmt.Errorf("delete group %s: %w", objectID, err)
	}
	s.accounts.forget()
	return nil
}

// AddMember puts a user, a group or a service principal into a group.
func (s *Service) AddMember(ctx context.Context, groupID, memberID string) error {
	if strings.EqualFold(groupID, memberID) {
		return badRequest("members", "A group cannot be a member of itself.")
	}
	o, err := s.object(ctx, memberID)
	if err != nil {
		return err
	}
	if err := s.store.AddMember(ctx, groupID, directory.Member{ObjectID: o.id(), Kind: o.kind}); err != nil {
		return fmt.Errorf("add %s to group %s: %w", memberID, groupID, err)
	}
	s.accounts.forget()
	return nil
}

// RemoveMember takes a member out of a group.
func (s *Service) RemoveMember(ctx context.Context, groupID, memberID string) error {
	if err := s.store.RemoveMember(ctx, groupID, memberID); err != nil {
		return fmt.Errorf("take %s out of group %s: %w", memberID, groupID, err)
	}
	s.accounts.forget()
	return nil
}

// object is a directory object of any kind.
type object struct {
	kind  string // one of the directory.Kind constants
	user  directory.User
	group directory.Group
	sp    directory.ServicePrincipal
}

func (o object) id() string {
	switch o.kind {
	case directory.KindUser:
		return o.user.ObjectID
	case directory.KindGroup:
		return o.group.ObjectID
	}
	return o.sp.ObjectID
}

// object finds a user, a group or a service principal by its object id.
func (s *Service) object(ctx context.Context, objectID string) (object, error) {
	id := strings.ToLower(objectID)
	if !isGUID(id) {
		return object{}, notFound(objectID)
	}
	u, err := s.store.User(ctx, id)
	if err == nil {
		return object{kind: directory.KindUser, user: u}, nil
	}
	if !arm.IsMissing(err) {
		return object{}, err
	}
	sp, err := s.store.ServicePrincipal(ctx, id)
	if err == nil {
		return object{kind: directory.KindServicePrincipal, sp: sp}, nil
	}
	if !arm.IsMissing(err) {
		return object{}, err
	}
	g, err := s.store.Group(ctx, id)
	if err == nil {
		return object{kind: directory.KindGroup, group: g}, nil
	}
	if arm.IsMissing(err) {
		err = notFound(objectID)
	}
	return object{}, err
}

func notFound(id string) *arm.Error {
	return arm.Errorf(arm.Missing, "Request_ResourceNotFound", "Resource '%s' does not exist or one of its queried reference-property objects are not present.", clip(id))
}

func badRequest(target, format string, args ...any) *arm.Error {
	return arm.Errorf(arm.Invalid, "Request_BadRequest", format, args...).WithTarget(target)
}

func checkUPN(upn string) error {
	if len(upn) > 320 || !upnForm.MatchString(upn) {
		return badRequest("userPrincipalName", "userPrincipalName %q is not of the form name@domain with letters, digits and . - _ ! # ^ ~ ' +.", clip(upn))
	}
	return nil
}

func checkName(target, name string) error {
	n := utf8.RuneCountInString(name)
	if n == 0 || n > maxName || !utf8.ValidString(name) || strings.TrimSpace(name) == "" {
		return badRequest(target, "%s must have 1 to %d characters; it has %d.", target, maxName, n)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return badRequest(target, "%s contains control characters.", target)
	}
	return nil
}

// set overwrites a value when there is a new one.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}
