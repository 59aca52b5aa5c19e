package cli

import (
	"encoding/base64"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/rbac"
)

func TestTheRoleThatIsAdvisedGivesTheAction(t *testing.T) {
	const dv = "Microsoft.DesktopVirtualization/"
	actions := []string{
		dv + "hostpools/read", dv + "hostpools/write", dv + "hostpools/delete", dv + "hostPools/retrieveRegistrationToken/action",
		dv + "hostPools/listRegistrationKeys/action", dv + "hostpools/sessionhosts/read", dv + "hostpools/sessionhosts/write",
		dv + "hostpools/sessionhosts/delete", dv + "hostpools/sessionhosts/usersessions/read", dv + "hostpools/sessionhosts/usersessions/delete",
		dv + "hostPools/sessionHosts/userSessions/disconnect/action", dv + "applicationgroups/read", dv + "applicationgroups/write",
		dv + "applicationGroups/applications/write", dv + "workspaces/read", dv + "workspaces/write", dv + "scalingplans/write", dv + "scalingPlans/read",
		"Microsoft.Resources/subscriptions/resourceGroups/read", "Microsoft.Resources/subscriptions/resourceGroups/write",
		"Microsoft.Authorization/roleAssignments/read", "Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete",
		"Microsoft.Insights/eventtypes/values/read",
	}
	p, scope := deskyard.Principal{ObjectID: "somebody"}, arm.MustParseID("/subscriptions/s/resourceGroups/g")
	for _, action := range actions {
		granted := false
		for _, role := range rbac.BuiltIn() {
			if role.Name == roleFor(action) {
				x := rbac.NewIndex(nil, []rbac.Assignment{{Name: "a", Scope: scope, RoleGUID: role.GUID, PrincipalID: p.ObjectID}})
				granted = x.Allowed(p, action, scope)
			}
		}
		if !granted {
			t.Errorf("for %s the role %q is advised, which does not give it", action, roleFor(action))
		}
	}
}

func TestARoleIsAdvisedForTheGroupOrWhatIsAboveIt(t *testing.T) {
	for _, c := range []struct{ scope, action, want string }{
		{"/subscriptions/s/resourceGroups/g/providers/a/b/c", "x/write", "/subscriptions/s/resourceGroups/g"},
		{"/subscriptions/s/resourceGroups/g", "x/read", "/subscriptions/s/resourceGroups/g"},
		{"/subscriptions/s/resourceGroups/new", "Microsoft.Resources/subscriptions/resourceGroups/write", "/subscriptions/s"},
		{"/subscriptions/s", "x/read", "/subscriptions/s"},
		{"/", "x/read", "/"},
	} {
		if got := scopeOf(c.scope, c.action); got != c.want {
			t.Errorf("for %s at %s the scope %s is advised, want %s", c.action, c.scope, got, c.want)
		}
	}
}

func FuzzClaimsNeverPanic(f *testing.F) {
	f.Add("e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"tid":"t","oid":"o"}`)) + ".sig")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		c := readClaims(token)
		if c != (claims{}) && len(token) < 4 {
			t.Errorf("%q gave %+v", token, c)
		}
	})
}
