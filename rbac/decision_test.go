package rbac

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const (
	sub       = "/subscriptions/11111111-1111-1111-1111-111111111111"
	group     = sub + "/resourceGroups/rg1"
	pool      = group + "/providers/Microsoft.DesktopVirtualization/hostPools/hp1"
	host      = pool + "/sessionHosts/h1.example"
	alice     = "aaaaaaaa-0000-0000-0000-000000000001"
	desktops  = "aaaaaaaa-0000-0000-0000-0000000000aa" // a group
	poolWrite = "Microsoft.DesktopVirtualization/hostpools/write"
	poolRead  = "Microsoft.DesktopVirtualization/hostpools/read"
	readKey   = "Microsoft.DesktopVirtualization/hostpools/retrieveRegistrationToken/action"
)

func roleNamed(t *testing.T, name string) RoleDefinition {
	t.Helper()
	for _, r := range BuiltIn() {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no role %q", name)
	return RoleDefinition{}
}

func given(t *testing.T, principal, role, scope string) Assignment {
	t.Helper()
	return Assignment{
		Name: "bbbbbbbb-0000-0000-0000-000000000001", Scope: arm.MustParseID(scope),
		RoleGUID: roleNamed(t, role).GUID, PrincipalID: principal, PrincipalType: "User",
	}
}

func TestRolesDecideAsAzureDocumentsThem(t *testing.T) {
	type want struct {
		action, scope string
		allowed       bool
	}
	session := host + "/userSessions/1"
	for role, wants := range map[string][]want{
		"Owner":                     {{"Microsoft.Authorization/roleAssignments/write", group, true}, {poolWrite, pool, true}},
		"Contributor":               {{poolWrite, pool, true}, {readKey, pool, true}, {"Microsoft.Authorization/roleAssignments/write", group, false}, {"Microsoft.Authorization/roleAssignments/delete", group, false}, {"Microsoft.Authorization/roleAssignments/read", group, true}},
		"Reader":                    {{poolRead, pool, true}, {readKey, pool, false}, {poolWrite, pool, false}},
		"User Access Administrator": {{"Microsoft.Authorization/roleAssignments/write", pool, true}, {poolWrite, pool, false}, {poolRead, pool, true}},
		"Desktop Virtualization Host Pool Contributor": {{poolWrite, pool, true}, {readKey, pool, true}, {"Microsoft.DesktopVirtualization/hostPools/sessionHosts/delete", host, true}, {"Microsoft.DesktopVirtualization/workspaces/write", group, false}, {"Microsoft.Authorization/roleAssignments/write", pool, false}},
		"Desktop Virtualization Session Host Operator": {{poolRead, pool, true}, {readKey, pool, false}, {poolWrite, pool, false}, {"Microsoft.DesktopVirtualization/hostpools/sessionhosts/write", host, true}, {"Microsoft.DesktopVirtualization/hostpools/sessionhosts/usersessions/disconnect/action", session, true}},
		"Desktop Virtualization User Session Operator": {{"Microsoft.DesktopVirtualization/hostpools/sessionhosts/write", host, false}, {"Microsoft.DesktopVirtualization/hostpools/sessionhosts/delete", host, false}, {"Microsoft.DesktopVirtualization/hostpools/sessionhosts/usersessions/sendMessage/action", session, true}},
		"Desktop Virtualization User":                  {{"Microsoft.DesktopVirtualization/applicationGroups/read", group, false}},
		"Desktop Virtualization Power On Contributor":  {{"Microsoft.Compute/virtualMachines/start/action", group, true}, {"Microsoft.Compute/virtualMachines/deallocate/action", group, false}},
	} {
		x := NewIndex(nil, []Assignment{given(t, alice, role, group)})
		for _, w := range wants {
			if got := x.Allowed(deskyard.Principal{ObjectID: alice}, w.action, arm.MustParseID(w.scope)); got != w.allowed {
				t.Errorf("%s: %s at %s allowed %v, want %v", role, w.action, w.scope, got, w.allowed)
			}
		}
	}
}

func TestAssignmentsReachDownAndNotUpOrAside(t *testing.T) {
	x := NewIndex(nil, []Assignment{given(t, alice, "Contributor", group)})
	p := deskyard.Principal{ObjectID: strings.ToUpper(alice)}
	for scope, want := range map[string]bool{
		group: true, strings.ToUpper(group): true, pool: true, host: true,
		sub: false, "/": false, sub + "/resourceGroups/rg10": false, sub + "/resourceGroups/rg": false,
		group + "/providers/Microsoft.DesktopVirtualization/hostPools": true, // the collection
	} {
		if got := x.Allowed(p, poolRead, arm.MustParseID(scope)); got != want {
			t.Errorf("at %s allowed %v, want %v", scope, got, want)
		}
	}
}

func TestAnAssignmentAtTheRootReachesEverything(t *testing.T) {
	x := NewIndex(nil, []Assignment{given(t, alice, "Owner", "/")})
	for _, scope := range []string{"/", sub, host, "/providers/Microsoft.Authorization/roleDefinitions/x"} {
		if !x.Allowed(deskyard.Principal{ObjectID: alice}, poolWrite, arm.MustParseID(scope)) {
			t.Errorf("the root's owner is refused at %s", scope)
		}
	}
}

func TestGroupsCarryRolesToTheirMembers(t *testing.T) {
	x := NewIndex(nil, []Assignment{given(t, desktops, "Desktop Virtualization User", group)})
	scope := arm.MustParseID(group + "/providers/Microsoft.DesktopVirtualization/applicationGroups/ag")
	if x.AllowedData(deskyard.Principal{ObjectID: alice}, UseApplications, scope) {
		t.Error("a stranger may use the application group")
	}
	if !x.AllowedData(deskyard.Principal{ObjectID: alice, Groups: []string{desktops}}, UseApplications, scope) {
		t.Error("a member of the group may not use the application group")
	}
}

func TestDataActionsAndActionsAreTwoSets(t *testing.T) {
	p := deskyard.Principal{ObjectID: alice}
	scope := arm.MustParseID(group)
	user := NewIndex(nil, []Assignment{given(t, alice, "Desktop Virtualization User", group)})
	if user.Allowed(p, UseApplications, scope) {
		t.Error("a data action is allowed as a management action")
	}
	owner := NewIndex(nil, []Assignment{given(t, alice, "Owner", group)})
	if owner.AllowedData(p, UseApplications, scope) {
		t.Error("Owner, who has no data actions, may use an application group")
	}
}

func TestNotActionsOfOneRoleDoNotTakeFromAnother(t *testing.T) {
	x := NewIndex(nil, []Assignment{
		given(t, alice, "Contributor", group), given(t, alice, "User Access Administrator", pool),
	})
	p := deskyard.Principal{ObjectID: alice}
	if !x.Allowed(p, "Microsoft.Authorization/roleAssignments/write", arm.MustParseID(pool)) {
		t.Error("Contributor's notActions took away what User Access Administrator gives")
	}
	if x.Allowed(p, "Microsoft.Authorization/roleAssignments/write", arm.MustParseID(group)) {
		t.Error("a role on the pool reached up to its group")
	}
}

func TestACustomRoleGrantsWhatItLists(t *testing.T) {
	d := RoleDefinition{
		GUID: "cccccccc-0000-0000-0000-000000000001", Name: "Key Clerk", Custom: true,
		Permissions:      []Permission{{Actions: []string{"Microsoft.DesktopVirtualization/hostPools/*"}, NotActions: []string{"*/delete"}}},
		AssignableScopes: []arm.ResourceID{arm.MustParseID(sub)},
	}
	a := given(t, alice, "Reader", group)
	a.RoleGUID = strings.ToUpper(d.GUID)
	p := deskyard.Principal{ObjectID: alice}
	x := NewIndex([]RoleDefinition{d}, []Assignment{a})
	if !x.Allowed(p, readKey, arm.MustParseID(pool)) {
		t.Error("the custom role does not give what it lists")
	}
	if x.Allowed(p, "Microsoft.DesktopVirtualization/hostPools/delete", arm.MustParseID(pool)) {
		t.Error("the custom role gives what its notActions exclude")
	}
	if gone := NewIndex(nil, []Assignment{a}); gone.Allowed(p, readKey, arm.MustParseID(pool)) {
		t.Error("an assignment of a role that no longer exists grants something")
	}
	if !d.AssignableAt(arm.MustParseID(pool)) || d.AssignableAt(arm.MustParseID("/")) {
		t.Error("assignable scopes are not at and below the subscription")
	}
}

func TestPermissionsListEachRoleOnce(t *testing.T) {
	x := NewIndex(nil, []Assignment{
		given(t, alice, "Reader", sub), given(t, alice, "Reader", group), given(t, desktops, "Desktop Virtualization User", "/"),
	})
	got := x.Permissions(deskyard.Principal{ObjectID: alice, Groups: []string{desktops}}, arm.MustParseID(pool))
	want := append(append([]Permission{}, roleNamed(t, "Reader").Permissions...), roleNamed(t, "Desktop Virtualization User").Permissions...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
	if got := x.Permissions(deskyard.Principal{ObjectID: "nobody"}, arm.MustParseID(pool)); got == nil || len(got) != 0 {
		t.Errorf("a stranger's permissions are %v, want an empty list", got)
	}
}

func TestHasAnySeesRolesAboveAndBelow(t *testing.T) {
	p := deskyard.Principal{ObjectID: alice}
	for scope, want := range map[string]bool{"/": true, sub: true, group: true, pool: true,
		strings.Replace(pool, "1111", "2222", 1): false} {
		if got := NewIndex(nil, []Assignment{given(t, alice, "Reader", scope)}).HasAny(p, arm.MustParseID(sub)); got != want {
			t.Errorf("with a role at %s, HasAny at the subscription is %v, want %v", scope, got, want)
		}
	}
}

func TestCarriesSeesAssignmentsAtAndBelow(t *testing.T) {
	x := NewIndex(nil, []Assignment{given(t, alice, "Reader", pool)})
	for scope, want := range map[string]bool{"/": true, sub: true, group: true, strings.ToUpper(pool): true,
		host: false, pool + "0": false, sub + "/resourceGroups/rg": false, sub + "/resourceGroups/zz": false} {
		if got := x.Carries(arm.MustParseID(scope)); got != want {
			t.Errorf("Carries(%s) is %v, want %v", scope, got, want)
		}
	}
	if a, ok := x.Assignment(x.Assignments()[0].ID()); !ok || !a.SameGrant(x.Assignments()[0]) {
		t.Error("an assignment is not found by its id")
	}
}

func TestDeniedSpeaksInARMsWords(t *testing.T) {
	err := Denied(deskyard.Principal{ObjectID: alice, Name: "alice@example.com"}, poolWrite, arm.MustParseID(pool))
	want := "The client 'alice@example.com' with object id '" + alice + "' does not have authorization to perform action '" +
		poolWrite + "' over scope '" + pool + "' or the scope is invalid. If access was recently granted, please refresh your credentials."
	if err.Code != "AuthorizationFailed" || err.Kind != arm.Forbidden || err.Message != want {
		t.Errorf("got %v %s: %s", err.Kind, err.Code, err.Message)
	}
}

func TestBuiltInRolesAreWellFormed(t *testing.T) {
	guid := regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	action := regexp.MustCompile(`^(\*|\*/read|Microsoft\.[A-Za-z0-9]+(/[A-Za-z0-9]+|/\*)*/?(\*|[A-Za-z]+))$`)
	guids, names := map[string]bool{}, map[string]bool{}
	for _, r := range BuiltIn() {
		if !guid.MatchString(r.GUID) || guids[r.GUID] || names[r.Name] || r.Description == "" {
			t.Errorf("role %s (%s) is malformed or stands twice", r.Name, r.GUID)
		}
		guids[r.GUID], names[r.Name] = true, true
		for _, a := range append(append([]string{}, r.Permissions[0].Actions...), r.Permissions[0].DataActions...) {
			if !action.MatchString(a) {
				t.Errorf("role %s: %q does not look like an action", r.Name, a)
			}
		}
	}
	for _, name := range strings.Split("Contributor,Reader,User,Host Pool Contributor,Host Pool Reader,Application Group Contributor,Application Group Reader,Workspace Contributor,Workspace Reader,User Session Operator,Session Host Operator,Power On Contributor,Power On Off Contributor,Virtual Machine Contributor", ",") {
		if !names["Desktop Virtualization "+name] {
			t.Errorf("Desktop Virtualization %s is missing", name)
		}
	}
}

func TestScopeKeysAreTheKeysOfScopes(t *testing.T) {
	name := rapid.StringMatching(`[A-Za-z0-9İK.ß_-]{1,8}`)
	rapid.Check(t, func(t *rapid.T) {
		id := arm.ResourceID{}
		if rapid.Bool().Draw(t, "in a subscription") {
			id.Subscription = name.Draw(t, "subscription")
			if rapid.Bool().Draw(t, "in a group") {
				id.ResourceGroup = name.Draw(t, "group")
			}
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "segments") {
			s := arm.Segment{Collection: name.Draw(t, "collection"), Name: name.Draw(t, "name")}
			if i == 0 || rapid.Bool().Draw(t, "provider") {
				s.Namespace = name.Draw(t, "namespace")
			}
			id.Segments = append(id.Segments, s)
		}
		var want []string
		for _, s := range id.Scopes() {
			want = append(want, s.Key())
		}
		if diff := cmp.Diff(want, scopeKeys(id)); diff != "" {
			t.Fatalf("scopes of %s (-Scopes +scopeKeys):\n%s", id, diff)
		}
	})
}

func TestRowsKeepAssignmentsAndRoles(t *testing.T) {
	a := given(t, alice, "Reader", pool)
	a.Description, a.CreatedBy = "for the audit", alice
	row, err := a.Row()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseAssignment(row)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, back); diff != "" {
		t.Errorf("assignment after the store (-before +after):\n%s", diff)
	}
	d := RoleDefinition{
		GUID: "cccccccc-0000-0000-0000-000000000001", Name: "Key Clerk", Custom: true,
		Permissions:      []Permission{{Actions: []string{"*/read"}}},
		AssignableScopes: []arm.ResourceID{arm.MustParseID(sub)},
	}
	d.Resource = d.IDAt(arm.MustParseID(group))
	if row, err = d.Row(); err != nil {
		t.Fatal(err)
	}
	backRole, err := ParseDefinition(row)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, backRole); diff != "" {
		t.Errorf("role after the store (-before +after):\n%s", diff)
	}
}

func TestAnIndexChangedStepByStepIsTheIndexBuiltAtOnce(t *testing.T) {
	scopes := []string{"/", sub, group, pool}
	people := []string{alice, desktops}
	rapid.Check(t, func(t *rapid.T) {
		x := NewIndex(nil, nil)
		left := map[string]Assignment{}
		for i := range rapid.IntRange(1, 12).Draw(t, "changes") {
			a := Assignment{
				Name:        fmt.Sprintf("bbbbbbbb-0000-0000-0000-%012d", rapid.IntRange(0, 4).Draw(t, "name")),
				Scope:       arm.MustParseID(rapid.SampledFrom(scopes).Draw(t, "scope")),
				RoleGUID:    rapid.SampledFrom([]string{Owner, Reader, "cccccccc-0000-0000-0000-00000000dead"}).Draw(t, "role"),
				PrincipalID: rapid.SampledFrom(people).Draw(t, "principal"),
				Description: fmt.Sprint(i),
			}
			if rapid.Bool().Draw(t, "put") {
				x, left[a.ID().Key()] = x.with(a), a
			} else {
				x = x.without(a.ID())
				delete(left, a.ID().Key())
			}
		}
		var all []Assignment
		for _, a := range left {
			all = append(all, a)
		}
		want := NewIndex(nil, all)
		if diff := cmp.Diff(want.Assignments(), x.Assignments(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("assignments (-at once +step by step):\n%s", diff)
		}
		for _, s := range scopes {
			for _, who := range people {
				for _, action := range []string{poolRead, poolWrite} {
					p, scope := deskyard.Principal{ObjectID: who}, arm.MustParseID(s)
					if want.Allowed(p, action, scope) != x.Allowed(p, action, scope) || want.HasAny(p, scope) != x.HasAny(p, scope) {
						t.Fatalf("%s at %s for %s differs", action, s, who)
					}
				}
			}
		}
	})
}

// manyAssignments are 10,000 on as many pools in 100 groups, for 2,000 principals.
func manyAssignments() []Assignment {
	assignments := make([]Assignment, 10_000)
	for i := range assignments {
		assignments[i] = Assignment{
			Name:        fmt.Sprintf("bbbbbbbb-0000-0000-0000-%012d", i),
			Scope:       arm.MustParseID(fmt.Sprintf("%s/resourceGroups/rg%d/providers/Microsoft.DesktopVirtualization/hostPools/hp%d", sub, i%100, i)),
			RoleGUID:    desktopRoles[i%len(desktopRoles)].guid,
			PrincipalID: fmt.Sprintf("dddddddd-0000-0000-0000-%012d", i%2000),
		}
	}
	return assignments
}

// BenchmarkAllowed decides with 10,000 assignments, for a user in 20 groups who is
// allowed by the last of them, at the depth of a session.
func BenchmarkAllowed(b *testing.B) {
	p := deskyard.Principal{ObjectID: alice}
	for i := range 20 {
		p.Groups = append(p.Groups, fmt.Sprintf("dddddddd-0000-0000-0000-%012d", i))
	}
	x := NewIndex(nil, append(manyAssignments(), Assignment{
		Name: "bbbbbbbb-0000-0000-0001-000000000000", Scope: arm.MustParseID(group), RoleGUID: Contributor, PrincipalID: p.Groups[19],
	}))
	scope := arm.MustParseID(host + "/userSessions/2")
	b.ReportAllocs()
	for b.Loop() {
		if !x.Allowed(p, "Microsoft.DesktopVirtualization/hostpools/sessionhosts/usersessions/read", scope) {
			b.Fatal("denied")
		}
	}
}

// BenchmarkLoad reads and arranges 10,000 assignments: what a change costs every node.
func BenchmarkLoad(b *testing.B) {
	store := &memory{}
	for _, a := range manyAssignments() {
		row, err := a.Row()
		if err != nil {
			b.Fatal(err)
		}
		store.rows = append(store.rows, row)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(b.Context(), store); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPut adds an assignment of this node's own to 10,000.
func BenchmarkPut(b *testing.B) {
	x := NewIndex(nil, manyAssignments())
	a := Assignment{Name: "bbbbbbbb-0000-0000-0001-000000000000", Scope: arm.MustParseID(group), RoleGUID: Contributor, PrincipalID: alice}
	b.ReportAllocs()
	for b.Loop() {
		x.with(a)
	}
}
