package identity

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

const machineOne = "6A6F1C9E-0000-4000-8000-000000000001"

func TestAMachineThatJoinsAgainKeepsItsDevice(t *testing.T) {
	y := newYard(t)
	joined := directory.Device{DeviceID: machineOne, DisplayName: "host-1", OS: "Linux", OSVersion: "Debian 12", Resource: "/subscriptions/x"}
	for range 2 {
		if err := y.AddDevice(t.Context(), joined); err != nil {
			t.Fatal(err)
		}
	}
	list := y.must(200, "GET", "/graph/v1.0/devices", "")
	ids := list.members("id")
	if len(ids) != 1 || strings.Join(list.members("deviceId"), "") != strings.ToLower(machineOne) || !strings.Contains(list.text, "[AzureResourceId]:/subscriptions/x") {
		t.Fatalf("devices %s", list.text)
	}
	for filter, n := range map[string]int{"deviceId eq '" + machineOne + "'": 1, "displayName eq 'HOST-1'": 1, "startswith(displayName,'x')": 0, "accountEnabled eq true": 1, "id eq '" + ids[0] + "'": 1} {
		if got := y.must(200, "GET", "/v1.0/devices"+filterBy(filter), "").members("id"); len(got) != n {
			t.Errorf("%s: %q", filter, got)
		}
	}
	y.must(204, "PATCH", "/graph/v1.0/devices/"+ids[0], `{"accountEnabled":false}`)
	if err := y.AddDevice(t.Context(), joined); err != nil {
		t.Fatal(err)
	}
	if d, err := y.Device(t.Context(), machineOne); err != nil || !d.Disabled || d.ObjectID != ids[0] {
		t.Errorf("joined again while disabled: %+v, %v", d, err)
	}
	if err := y.AddDevice(t.Context(), directory.Device{DeviceID: "nobody"}); err == nil {
		t.Error("a device without a machine was made")
	}
	y.denied["Microsoft.Directory/devices/delete"] = true
	if a := y.graph("DELETE", "/graph/v1.0/devices/"+ids[0], ""); a.status != 403 {
		t.Errorf("deleted without the right: %d", a.status)
	}
	for _, want := range []bool{true, false} {
		if removed, err := y.RemoveDevice(t.Context(), machineOne); err != nil || removed != want {
			t.Errorf("removed %v, %v, want %v", removed, err, want)
		}
	}
	y.must(404, "GET", "/graph/v1.0/devices/"+ids[0], "")
}

func TestASignInToAMachineTellsTheIssuersReason(t *testing.T) {
	y := newYard(t)
	ann, password, err := y.CreateUser(t.Context(), NewUser{UPN: "ann@desk.test"})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/agent/v1/guest/signin", nil)
	try := func(name, password, want string) {
		t.Helper()
		p, err := y.Service.SignIn(t.Context(), r, machineOne, name, password)
		var e *arm.Error
		switch {
		case want == "" && (err != nil || p.ObjectID != ann.ObjectID || p.Name != "ann@desk.test" || p.Kind != "User"):
			t.Errorf("%s: %+v, %v", name, p, err)
		case want != "" && (!errors.As(err, &e) || e.Code != "SignInRefused" || !strings.HasPrefix(e.Message, want)):
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	try("ANN@desk.test", password, "")
	try("nobody@desk.test", password, "AADSTS50126")
	for range freeAttempts {
		try("ann@desk.test", "wrong", "AADSTS50126")
	}
	try("ann@desk.test", password, "AADSTS50126") // locked, in the words of a wrong password
	y.clock.advance(lockMost)
	try("ann@desk.test", password, "")
	factor := func(f ...directory.Factor) {
		t.Helper()
		if _, err := y.db.UpdateUser(t.Context(), ann.ObjectID, func(u *directory.User) error { u.Factors = f; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	factor(directory.Factor{ID: "f"})
	try("ann@desk.test", password, "AADSTS50076")
	factor()
	off := true
	if _, err := y.UpdateUser(t.Context(), ann.ObjectID, UserChange{Disabled: &off}); err != nil {
		t.Fatal(err)
	}
	try("ann@desk.test", password, "AADSTS50057")
}

func TestAttemptsAreCountedForEachMachine(t *testing.T) {
	y := newYard(t)
	r := httptest.NewRequest("POST", "/agent/v1/guest/signin", nil)
	last := func(machine string) string {
		_, err := y.Service.SignIn(t.Context(), r, machine, "nobody@desk.test", "x")
		if err == nil {
			t.Fatal("nobody signed in")
		}
		return err.Error()
	}
	said := ""
	for range 31 {
		said = last(machineOne)
	}
	if !strings.Contains(said, "AADSTS90056") {
		t.Errorf("the 31st attempt at once from a machine: %s", said)
	}
	if said := last("another"); !strings.Contains(said, "AADSTS50126") {
		t.Errorf("another machine behind the same address: %s", said)
	}
}
