package identity

import (
	"context"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Principal is a user as the user is now, with the groups that the user is in, found by
// object id or user principal name: for those who act for a user who is not asking at
// this moment. One that does not exist or is disabled is arm.Missing.
func (s *Service) Principal(ctx context.Context, idOrName string) (deskyard.Principal, error) {
	u, err := s.User(ctx, idOrName)
	if err != nil {
		return deskyard.Principal{}, err
	}
	a, err := s.account(ctx, u.ObjectID, kindUser)
	if err != nil {
		return deskyard.Principal{}, err
	}
	if !a.found || a.disabled {
		return deskyard.Principal{}, arm.Errorf(arm.Missing, "UserNotFound", "The user '%s' does not exist or is disabled.", idOrName)
	}
	return deskyard.Principal{ObjectID: u.ObjectID, TenantID: s.tenant.ID, Name: a.name, Kind: "User", Groups: a.groups}, nil
}
