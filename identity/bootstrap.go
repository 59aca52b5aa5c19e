package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// Foundation says how to found a directory; every field may be empty.
//
// The ids may be chosen by the caller, so that role assignments for them can be
// stored first: they reach nobody until the accounts exist, whereas accounts without
// roles after a crash could never be repaired, their secrets being shown once.
type Foundation struct {
	TenantID   string // GUID
	TenantName string // "Deskyard"
	AdminID    string // object id of the administrator
	AdminUPN   string // "admin@deskyard.local"
	ClientID   string // object id of the service principal (not its application id)
	ClientName string // "deskyard-automation"

	Passwords *Passwords       // nil: NewPasswords()
	Now       func() time.Time // nil: time.Now
}

// Credentials are what Bootstrap made. The password and the secret are nowhere
// else: only their hashes are stored.
type Credentials struct {
	TenantID       string
	AdminID        string
	AdminUPN       string
	AdminPassword  string
	ClientObjectID string
	ClientID       string // application id, to be used as client_id
	ClientSecret   string
}

// String hides the secrets from logs.
func (c Credentials) String() string {
	return fmt.Sprintf("tenant %s, administrator %s, client %s, secrets redacted", c.TenantID, c.AdminUPN, c.ClientID)
}

// GoString hides the secrets from %#v.
func (c Credentials) GoString() string { return c.String() }

// Bootstrap founds the directory: tenant, administrator and service principal, in
// one transaction. founded is false, and only TenantID is set, when there is one.
func Bootstrap(ctx context.Context, store Store, f Foundation) (c Credentials, founded bool, err error) {
	t, err := store.Tenant(ctx)
	if err == nil {
		return Credentials{TenantID: t.ID}, false, nil
	}
	if !arm.IsMissing(err) {
		return Credentials{}, false, fmt.Errorf("read the tenant: %w", err)
	}
	now, passwords := time.Now, f.Passwords
	if f.Now != nil {
		now = f.Now
	}
	if passwords == nil {
		passwords = NewPasswords()
	}
	at := now().UTC()
	c = Credentials{
		TenantID: newID(f.TenantID), AdminID: newID(f.AdminID), AdminUPN: cmp.Or(f.AdminUPN, "admin@deskyard.local"), AdminPassword: GeneratePassword(),
	}
	if err := checkUPN(c.AdminUPN); err != nil {
		return Credentials{}, false, fmt.Errorf("found the directory: %w", err)
	}
	hash, err := passwords.Hash(ctx, c.AdminPassword)
	if err != nil {
		return Credentials{}, false, fmt.Errorf("hash the administrator's password: %w", err)
	}
	sp := newServicePrincipal(NewServicePrincipal{DisplayName: cmp.Or(f.ClientName, "deskyard-automation")}, at)
	sp.ObjectID = newID(f.ClientID)
	secret, text := newSecret("bootstrap", at, at.Add(SecretLife))
	sp.Secrets = []directory.Secret{secret}
	c.ClientObjectID, c.ClientID, c.ClientSecret = sp.ObjectID, sp.AppID, text

	err = store.Found(ctx,
		directory.Tenant{ID: c.TenantID, DisplayName: cmp.Or(f.TenantName, "Deskyard"), CreatedAt: at},
		directory.User{ObjectID: c.AdminID, UPN: c.AdminUPN, DisplayName: "Administrator", PasswordHash: hash, CreatedAt: at}, sp)
	var conflict *arm.Error
	if errors.As(err, &conflict) && conflict.Kind == arm.Conflicting { // another node was faster
		if t, err := store.Tenant(ctx); err == nil {
			return Credentials{TenantID: t.ID}, false, nil
		}
	}
	if err != nil {
		return Credentials{}, false, fmt.Errorf("found the directory: %w", err)
	}
	return c, true, nil
}

func newID(chosen string) string {
	if chosen != "" {
		return strings.ToLower(chosen)
	}
	return uuid.NewString()
}
