//go:build e2e

package machines

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// userLogin is Azure's role Virtual Machine User Login.
const userLogin = "fb879df8-f326-4884-b1cf-06f3ad86be52"

// TestAPersonOfTheDirectoryHasASessionOnAHostThatJoinedIt adds a host that joins the
// service's own directory. xrdp's session manager gives a session to a user whom the
// host has never seen; it is reported under the user principal name. Package
// e2e/signin tells the rest of that story.
func TestAPersonOfTheDirectoryHasASessionOnAHostThatJoinedIt(t *testing.T) {
	h := open(t, zones)
	ctx := yardtest.Deadline(t, madeFor)
	if err := h.add(ctx, t, "si", "--directory", "MicrosoftEntraID"); err != nil {
		t.Fatal(err)
	}
	h.wantDevices(ctx, t, "si-0")
	const upn, account = "Anna.Berg@deskyard.local", "anna.berg@deskyard.local"
	h.person(ctx, t, upn, "si-0")
	// The client of the session manager looks for IPv6, which this network has not.
	out, err := h.inside(ctx, "si-0", `ip -6 addr add fd00::1/128 dev lo; echo '::1 localhost' >>/etc/hosts
printf wrong | timeout 60 xrdp-sesrun -F 0 `+account+` 2>&1 | tail -1
printf '`+h.password+`' | timeout 60 xrdp-sesrun -F 0 `+account+` 2>&1 | tail -1
getent passwd `+account+`
runuser -u `+admin+` -- sh -c "echo '`+h.password+`' | su `+account+` -c 'id -un'"
journalctl -q -u deskyard-bootloader --no-pager | grep -c '`+h.password+`'`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"authentication error", "ok data=1", ":" + upn + ":/home/" + account + ":", "Password: " + account} {
		if !strings.Contains(out, want) {
			t.Errorf("the machine does not say %q:\n%s", want, out)
		}
	}
	began := time.Now()
	for {
		sessions, err := h.Pool.Sessions(ctx, "si-0")
		if err != nil {
			t.Fatal(err)
		}
		if len(sessions) > 0 {
			if p := sessions[0].Properties; p.UserPrincipalName != upn || p.ActiveDirectoryUserName != account {
				t.Errorf("the session is of %+v", p)
			}
			t.Logf("session reported %v after it was asked for: %+v", time.Since(began), sessions)
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no session is reported; the machine said %s", out)
		case <-time.After(500 * time.Millisecond):
		}
	}
	if err := h.Remove(ctx, yard.Pool, "si-0"); err != nil {
		t.Fatal(err)
	}
	h.wantDevices(ctx, t)
}

// wantDevices looks which machines the directory knows.
func (h *house) wantDevices(ctx context.Context, t *testing.T, names ...string) {
	t.Helper()
	var devices struct {
		Value []struct{ DisplayName string }
	}
	if err := h.Client.Do(ctx, "GET", "/graph/v1.0/devices", nil, &devices); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range devices.Value {
		got = append(got, d.DisplayName)
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("devices %q, want %q", got, names)
	}
}

// person makes a user of the directory who may sign in to a machine.
func (h *house) person(ctx context.Context, t *testing.T, upn, vm string) {
	t.Helper()
	var u struct{ ID string }
	err := h.Client.Do(ctx, "POST", "/graph/v1.0/users", map[string]any{
		"userPrincipalName": upn, "displayName": upn, "accountEnabled": true, "passwordProfile": map[string]any{"password": h.password},
	}, &u)
	if err == nil {
		err = h.Client.Do(ctx, "PUT", h.ID("Microsoft.Compute/virtualMachines/"+vm)+"/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString()+"?api-version=2022-04-01",
			map[string]any{"properties": map[string]any{"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + userLogin, "principalId": u.ID, "principalType": "User"}}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}
