package server

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/agentapi"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/rbac"
	"github.com/deskyard/deskyard/reverse"
)

// loginActions are the rights that Azure's roles Virtual Machine User Login and
// Virtual Machine Administrator Login give, by the machine's kind.
func loginActions(vm arm.ResourceID) (user, administrator string) {
	if strings.EqualFold(vm.Type(), "Microsoft.HybridCompute/machines") {
		return rbac.LogInHybrid, rbac.LogInHybridAsAdmin
	}
	return rbac.LogIn, rbac.LogInAsAdmin
}

// signIn decides who may sign in to a machine: the machine joined the directory and is
// not disabled in it, the password is right, and a role on the machine says so.
func (s *service) signIn(ctx context.Context, a agentapi.SignIn) (reverse.GuestSignedIn, error) {
	refused := func(format string, args ...any) error {
		return arm.Errorf(arm.Forbidden, reverse.GuestSignInRefused, format, args...)
	}
	device, err := s.identity.Device(ctx, a.Machine)
	switch {
	case arm.IsMissing(err):
		return reverse.GuestSignedIn{}, refused("AADSTS50097: The machine is not joined to this directory.")
	case err != nil:
		return reverse.GuestSignedIn{}, err
	case device.Disabled:
		return reverse.GuestSignedIn{}, refused("AADSTS50135: The machine is disabled in the directory.")
	}
	p, err := s.identity.SignIn(ctx, a.Request, a.Machine, a.Name, a.Password)
	if err != nil {
		return reverse.GuestSignedIn{}, err
	}
	user, administrator := loginActions(a.VM)
	admin, err := s.may(ctx, p, administrator, a.VM)
	if err != nil {
		return reverse.GuestSignedIn{}, err
	}
	allowed := admin
	if !allowed {
		if allowed, err = s.may(ctx, p, user, a.VM); err != nil {
			return reverse.GuestSignedIn{}, err
		}
	}
	event := deskyard.AuditEvent{
		Caller: p.Name, CallerID: p.ObjectID, CallerType: p.Kind, Address: s.proxies.Client(a.Request).String(),
		Action: user, Scope: a.VM.String(), Status: http.StatusOK, Detail: "signed in to the machine from " + orUnknown(a.From),
	}
	if admin {
		event.Action = administrator
	}
	if !allowed {
		event.Status, event.Code, event.Detail = http.StatusForbidden, "AuthorizationFailed", "no role gives the right to sign in"
	}
	if err := s.audit(ctx, event); err != nil {
		return reverse.GuestSignedIn{}, err
	}
	if !allowed {
		return reverse.GuestSignedIn{}, refused("The account %s may not sign in to this machine. The role 'Virtual Machine User Login' on the machine, its resource group or the subscription gives the right.", p.Name)
	}
	return reverse.GuestSignedIn{ObjectID: p.ObjectID, UPN: p.Name, Administrator: admin}, nil
}

// may asks for one right.
func (s *service) may(ctx context.Context, p deskyard.Principal, action string, scope arm.ResourceID) (bool, error) {
	err := s.roles.AllowData(ctx, p, action, scope)
	var denied *arm.Error
	if errors.As(err, &denied) && denied.Kind == arm.Forbidden {
		return false, nil
	}
	return err == nil, err
}

func orUnknown(from string) string {
	if from == "" {
		return "an unknown place"
	}
	return from
}
