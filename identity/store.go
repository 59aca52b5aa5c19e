package identity

import (
	"context"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/directory"
)

// Store keeps the directory. Package sqlstore implements it.
//
// Ids and names compare without regard to case. A missing row is answered with an
// *arm.Error of kind arm.Missing; a name, app id or membership that exists already
// with one of kind arm.Conflicting. Every write is durable when the call returns.
//
// The Update methods read the row, run f on a copy of it and write it back, all in
// one write transaction in which the row cannot change otherwise; they return what
// was written. f may run more than once, does no I/O, and its error rolls back and
// is returned as it is. Object ids, app ids, grant kinds and hashes never change.
type Store interface {
	// Tenant is the installation's directory; arm.Missing before Found.
	Tenant(ctx context.Context) (directory.Tenant, error)
	// Found stores the tenant with its first user and first service principal in one
	// transaction; arm.Conflicting, storing nothing, when there is a tenant already.
	Found(ctx context.Context, t directory.Tenant, u directory.User, sp directory.ServicePrincipal) error

	User(ctx context.Context, objectID string) (directory.User, error)
	UserByName(ctx context.Context, upn string) (directory.User, error)
	Users(ctx context.Context, q Query) (deskyard.Page[directory.User], error)
	CreateUser(ctx context.Context, u directory.User) error
	UpdateUser(ctx context.Context, objectID string, f func(*directory.User) error) (directory.User, error)
	// DeleteUser removes the user with its memberships and its grants.
	DeleteUser(ctx context.Context, objectID string) error

	Group(ctx context.Context, objectID string) (directory.Group, error)
	Groups(ctx context.Context, q Query) (deskyard.Page[directory.Group], error)
	CreateGroup(ctx context.Context, g directory.Group) error
	UpdateGroup(ctx context.Context, objectID string, f func(*directory.Group) error) (directory.Group, error)
	// DeleteGroup removes the group, its members' membership and its own memberships.
	DeleteGroup(ctx context.Context, objectID string) error

	Members(ctx context.Context, groupID string, q Query) (deskyard.Page[directory.Member], error)
	// AddMember is arm.Missing when the group does not exist.
	AddMember(ctx context.Context, groupID string, m directory.Member) error
	RemoveMember(ctx context.Context, groupID, memberID string) error
	// GroupsOf gives the object ids of all groups that hold an object, directly or
	// through other groups; a circle of groups does not hang it. An object that does
	// not exist is in no group.
	GroupsOf(ctx context.Context, objectID string) ([]string, error)

	ServicePrincipal(ctx context.Context, objectID string) (directory.ServicePrincipal, error)
	ServicePrincipalByAppID(ctx context.Context, appID string) (directory.ServicePrincipal, error)
	ServicePrincipalByApplicationID(ctx context.Context, applicationID string) (directory.ServicePrincipal, error)
	ServicePrincipals(ctx context.Context, q Query) (deskyard.Page[directory.ServicePrincipal], error)
	CreateServicePrincipal(ctx context.Context, sp directory.ServicePrincipal) error
	UpdateServicePrincipal(ctx context.Context, objectID string, f func(*directory.ServicePrincipal) error) (directory.ServicePrincipal, error)
	// DeleteServicePrincipal removes it with its memberships and the grants of its app id.
	DeleteServicePrincipal(ctx context.Context, objectID string) error

	Device(ctx context.Context, objectID string) (directory.Device, error)
	// DeviceByID finds a device by its machine's SMBIOS UUID.
	DeviceByID(ctx context.Context, deviceID string) (directory.Device, error)
	Devices(ctx context.Context, q Query) (deskyard.Page[directory.Device], error)
	CreateDevice(ctx context.Context, d directory.Device) error
	UpdateDevice(ctx context.Context, objectID string, f func(*directory.Device) error) (directory.Device, error)
	DeleteDevice(ctx context.Context, objectID string) error

	PutGrant(ctx context.Context, g directory.Grant) error
	Grant(ctx context.Context, kind, hash string) (directory.Grant, error)
	// DeviceGrant finds a device code by the hash of the code that a person types.
	DeviceGrant(ctx context.Context, userCodeHash string) (directory.Grant, error)
	UpdateGrant(ctx context.Context, kind, hash string, f func(*directory.Grant) error) (directory.Grant, error)
	// DeleteGrants removes the grants that q selects and says how many there were; a
	// zero q selects none.
	DeleteGrants(ctx context.Context, q directory.GrantQuery) (int, error)
}

// Query bounds a list; it is directory's so that a store need not import this package.
type Query = directory.Query
