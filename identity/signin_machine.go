package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// SignIn checks the password of somebody who signs in to a machine of the tenant. A
// refusal is an *arm.Error of kind arm.Unauthenticated with the issuer's text, and the
// same for a name that does not exist as for a wrong password; that an account is locked
// is told where it is another directory's. Attempts are counted
// for the account as everywhere, and for the machine instead of the address: hundreds
// of machines may share one. A login screen has no place for a second factor, so who
// needs one comes by the web client, whose one-time credential needs no password.
func (s *Service) SignIn(ctx context.Context, r *http.Request, machineID, name, password string) (deskyard.Principal, error) {
	u, err := s.verifyFrom(ctx, r, "machine "+strings.ToLower(machineID), name, password)
	if err == nil {
		err = s.enough(ctx, u)
	}
	var elsewhere *elsewhereError
	if errors.As(err, &elsewhere) { // its own machines tell people as much
		return deskyard.Principal{}, arm.Errorf(arm.Unauthenticated, "SignInRefused", "%s", elsewhere.text)
	}
	if err != nil {
		if text, known := signInText(err); known {
			return deskyard.Principal{}, arm.Errorf(arm.Unauthenticated, "SignInRefused", "%s", text)
		}
		return deskyard.Principal{}, err
	}
	groups, err := s.GroupsOf(ctx, u.ObjectID)
	if err != nil {
		return deskyard.Principal{}, err
	}
	return deskyard.Principal{ObjectID: u.ObjectID, TenantID: s.tenant.ID, Name: u.UPN, Kind: "User", Groups: groups}, nil
}
