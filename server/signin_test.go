package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/agentapi"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
	"github.com/deskyard/deskyard/identity"
	"github.com/deskyard/deskyard/rbac"
)

// Roles of the catalogue, by what they let people do on machines.
const (
	userLogin  = "fb879df8-f326-4884-b1cf-06f3ad86be52"
	adminLogin = "1c0163c0-47e6-4577-8991-ea5c82e286e4"
)

func TestARoleOnTheMachineLetsPeopleSignInToIt(t *testing.T) {
	s := &service{config: install(t).config, log: slog.New(slog.DiscardHandler), now: time.Now, registry: prometheus.NewRegistry()}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	for _, open := range []func(context.Context) error{s.openFolder, s.openStore, s.openIdentity} {
		if err := open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rg := arm.ResourceID{Subscription: s.instance.SubscriptionID, ResourceGroup: "rg"}
	vm, arc := rg.Provider("Microsoft.Compute", "virtualMachines", "vm-1"), rg.Provider("Microsoft.HybridCompute", "machines", "arc-1")
	const machine = "6a6f1c9e-0000-4000-8000-000000000001"
	try := func(at arm.ResourceID, u directory.User, password, code string, administrator bool) {
		t.Helper()
		who, err := s.signIn(t.Context(), agentapi.SignIn{Machine: machine, VM: at, Name: u.UPN, Password: password, Request: httptest.NewRequest("POST", "/", nil)})
		var e *arm.Error
		switch {
		case code == "" && (err != nil || who.ObjectID != u.ObjectID || who.UPN != u.UPN || who.Administrator != administrator):
			t.Errorf("%s at %s: %+v, %v", u.UPN, at.Name(), who, err)
		case code != "" && (!errors.As(err, &e) || e.Code != "SignInRefused" || who.ObjectID != ""):
			t.Errorf("%s at %s: %+v, %v, want a refusal", u.UPN, at.Name(), who, err)
		}
	}
	ann, annPassword := s.newPerson(t, "ann@test.local")
	bob, bobPassword := s.newPerson(t, "bob@test.local")
	eve, evePassword := s.newPerson(t, "eve@test.local")
	s.assign(t, ann.ObjectID, userLogin, vm)
	s.assign(t, bob.ObjectID, adminLogin, rg)
	try(vm, ann, annPassword, "refused", false) // the machine has not joined
	if err := s.identity.AddDevice(t.Context(), directory.Device{DeviceID: machine, DisplayName: "vm-1"}); err != nil {
		t.Fatal(err)
	}
	try(vm, ann, annPassword, "", false)
	try(vm, ann, "wrong", "refused", false)
	try(arc, ann, annPassword, "refused", false)
	try(vm, bob, bobPassword, "", true)
	try(arc, bob, bobPassword, "", true)
	try(vm, eve, evePassword, "refused", false)
	s.assign(t, eve.ObjectID, rbac.Owner, rg) // may manage machines, and still not sign in to them
	try(vm, eve, evePassword, "refused", false)
	d, err := s.identity.Device(t.Context(), machine)
	if err == nil {
		_, err = s.store.UpdateDevice(t.Context(), d.ObjectID, func(d *directory.Device) error { d.Disabled = true; return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	try(vm, ann, annPassword, "refused", false)
	s.wantAudited(t, rbac.LogIn, vm, map[string]int{"ann@test.local 200": 1, "eve@test.local 403": 2})
}

func (s *service) newPerson(t *testing.T, upn string) (directory.User, string) {
	t.Helper()
	u, password, err := s.identity.CreateUser(t.Context(), identity.NewUser{UPN: upn})
	if err != nil {
		t.Fatal(err)
	}
	return u, password
}

func (s *service) assign(t *testing.T, person, role string, scope arm.ResourceID) {
	t.Helper()
	row, err := rbac.Assignment{Name: uuid.NewString(), Scope: scope, RoleGUID: role, PrincipalID: person, PrincipalType: "User"}.Row()
	if err == nil {
		err = s.store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
			_, err := tx.PutResource(ctx, row)
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.roles.Changed()
}

func (s *service) wantAudited(t *testing.T, action string, scope arm.ResourceID, want map[string]int) {
	t.Helper()
	page, err := s.store.AuditEvents(t.Context(), deskyard.AuditQuery{Action: action})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Items {
		status := " 200"
		if e.Status != 200 {
			status = " 403"
		}
		if e.Scope == scope.String() {
			want[e.Caller+status]--
		}
	}
	for line, left := range want {
		if left != 0 {
			t.Errorf("%d audit lines are missing: %s", left, line)
		}
	}
}
