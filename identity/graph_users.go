package identity

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// wireUser is a user as Graph writes it. lockedUntil and failedSignIns are ours.
func wireUser(u directory.User) map[string]any {
	w := map[string]any{
		"id": u.ObjectID, "userPrincipalName": u.UPN, "displayName": u.DisplayName, "mail": u.UPN, "accountEnabled": !u.Disabled,
		"createdDateTime": wireTime(u.CreatedAt), "userType": "Member", "businessPhones": []string{},
		"givenName": nil, "surname": nil, "jobTitle": nil, "mobilePhone": nil, "officeLocation": nil, "preferredLanguage": nil,
	}
	if u.Failed > 0 {
		w["failedSignIns"] = u.Failed
	}
	if !u.LockedUntil.IsZero() {
		w["lockedUntil"] = wireTime(u.LockedUntil)
	}
	return w
}

func wireTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func userAttributes(u directory.User) attributes {
	return func(p string) ([]string, bool) {
		switch strings.ToLower(p) {
		case "id":
			return []string{u.ObjectID}, true
		case "userprincipalname", "mail":
			return []string{u.UPN}, true
		case "displayname":
			return []string{u.DisplayName}, true
		case "mailnickname":
			name, _, _ := strings.Cut(u.UPN, "@")
			return []string{name}, true
		case "accountenabled":
			return []string{boolText(!u.Disabled)}, true
		case "usertype":
			return []string{"Member"}, true
		}
		return nil, false
	}
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func (c *graphCall) listUsers(ctx context.Context) (int, any, error) {
	return list(ctx, c, listing[directory.User]{
		of: "users", fetch: c.s.store.Users, attr: userAttributes, render: wireUser,
		look: func(ctx context.Context, f *filter) (*directory.User, bool, error) {
			for _, property := range []string{"userPrincipalName", "mail"} {
				if name, ok := f.equals(property); ok {
					return orNone(c.s.store.UserByName(ctx, name))
				}
			}
			return nil, false, nil
		},
	})
}

// orNone turns a row that is missing into an empty result.
func orNone[T any](row T, err error) (*T, bool, error) {
	if arm.IsMissing(err) {
		return nil, true, nil
	}
	return &row, true, err
}

// me is the caller, a user or a service principal.
func (c *graphCall) me(ctx context.Context) (int, any, error) {
	if c.who.Kind != "User" {
		return 0, nil, badRequest("me", "/me request is only valid with delegated authentication flow.")
	}
	u, err := c.s.store.User(ctx, c.who.ObjectID)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.one("users", wireUser(u)), nil
}

func (c *graphCall) organization(context.Context) (int, any, error) {
	t := c.s.tenant
	return http.StatusOK, map[string]any{"@odata.context": c.context("organization"), "value": []any{map[string]any{
		"id": t.ID, "displayName": t.DisplayName, "createdDateTime": wireTime(t.CreatedAt), "tenantType": "AAD", "verifiedDomains": []any{},
	}}}, nil
}

// userNamed finds the user of a path: object id or user principal name.
func (c *graphCall) userNamed(ctx context.Context) (directory.User, error) {
	u, err := c.s.User(ctx, c.ids[0])
	if arm.IsMissing(err) {
		err = notFound(c.ids[0])
	}
	return u, err
}

func (c *graphCall) getUser(ctx context.Context) (int, any, error) {
	u, err := c.userNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.one("users", wireUser(u)), nil
}

// userBody is what may be written of a user; Graph's other properties are ignored.
type userBody struct {
	UPN         *string `json:"userPrincipalName"`
	DisplayName *string `json:"displayName"`
	Enabled     *bool   `json:"accountEnabled"`
	Profile     *struct {
		Password string `json:"password"`
	} `json:"passwordProfile"`
}

func (c *graphCall) createUser(ctx context.Context) (int, any, error) {
	var b userBody
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	if b.UPN == nil {
		return 0, nil, badRequest("userPrincipalName", "A value is required for property 'userPrincipalName' of resource 'User'.")
	}
	n := NewUser{UPN: *b.UPN, Disabled: b.Enabled != nil && !*b.Enabled}
	set(&n.DisplayName, b.DisplayName)
	if b.Profile != nil {
		n.Password = b.Profile.Password
	}
	u, made, err := c.s.CreateUser(ctx, n)
	if err != nil {
		return 0, nil, err
	}
	c.object = u.ObjectID
	w := c.one("users", wireUser(u))
	if made != "" {
		w["passwordProfile"] = map[string]any{"password": made, "forceChangePasswordNextSignIn": false}
	}
	return http.StatusCreated, w, nil
}

func (c *graphCall) patchUser(ctx context.Context) (int, any, error) {
	var b userBody
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	u, err := c.userNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	if b.Profile != nil && b.Profile.Password != "" {
		if err := c.s.allow(ctx, c.who, "Microsoft.Directory/users/password/write"); err != nil {
			return 0, nil, err
		}
		if _, err := c.s.SetPassword(ctx, u.ObjectID, b.Profile.Password); err != nil {
			return 0, nil, err
		}
	}
	change := UserChange{UPN: b.UPN, DisplayName: b.DisplayName}
	if b.Enabled != nil {
		off := !*b.Enabled
		change.Disabled = &off
		if off {
			if err := c.notSelf(u.ObjectID); err != nil {
				return 0, nil, err
			}
		}
	}
	if change != (UserChange{}) {
		if _, err := c.s.UpdateUser(ctx, u.ObjectID, change); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusNoContent, nil, nil
}

// notSelf keeps callers from locking themselves out: the last administrator could
// not be brought back.
func (c *graphCall) notSelf(objectID string) error {
	if strings.EqualFold(objectID, c.who.ObjectID) {
		return badRequest("id", "You cannot remove or disable the account that you are signed in with. Sign in with another one.")
	}
	return nil
}

func (c *graphCall) deleteUser(ctx context.Context) (int, any, error) {
	u, err := c.userNamed(ctx)
	if err == nil {
		err = c.notSelf(u.ObjectID)
	}
	if err == nil {
		err = c.s.DeleteUser(ctx, u.ObjectID)
	}
	return http.StatusNoContent, nil, err
}

// resetPassword takes {"password": …}, or makes one and answers with it.
func (c *graphCall) resetPassword(ctx context.Context) (int, any, error) {
	var b struct {
		Password string `json:"password"`
	}
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	u, err := c.userNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	made, err := c.s.SetPassword(ctx, u.ObjectID, b.Password)
	if err != nil || made == "" {
		return http.StatusNoContent, nil, err
	}
	return http.StatusOK, map[string]any{"newPassword": made}, nil
}

func (c *graphCall) unlockUser(ctx context.Context) (int, any, error) {
	u, err := c.userNamed(ctx)
	if err == nil {
		err = c.s.Unlock(ctx, u.ObjectID)
	}
	return http.StatusNoContent, nil, err
}

func (c *graphCall) revokeUser(ctx context.Context) (int, any, error) {
	u, err := c.userNamed(ctx)
	if err == nil {
		err = c.s.RevokeSignIns(ctx, u.ObjectID)
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"@odata.context": c.context("Edm.Boolean"), "value": true}, nil
}
