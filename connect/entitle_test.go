package connect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/connect"
)

func ptr[T any](v T) *T { return &v }

// apps publishes a RemoteApp group with two applications in a workspace of its own.
func (y *yard) apps(name string, change func(*deskyard.ApplicationGroup)) arm.ResourceID {
	y.t.Helper()
	id := group.Provider(desktopSpace, "applicationGroups", name)
	g := &deskyard.ApplicationGroup{HostPoolARMPath: y.pool.String(), ApplicationGroupType: "RemoteApp"}
	change(g)
	y.put(id, g)
	y.put(id.Child("applications", "writer"), &deskyard.Application{FriendlyName: ptr("Writer"), FilePath: ptr("/usr/bin/writer"),
		CommandLineSetting: "Require", CommandLineArguments: ptr("--new"), IconPath: ptr("/usr/share/writer.png")})
	y.put(id.Child("applications", "calc"), &deskyard.Application{FilePath: ptr("/usr/bin/calc"), CommandLineSetting: "DoNotAllow", CommandLineArguments: ptr("--x")})
	y.put(group.Provider(desktopSpace, "workspaces", "ws-"+name), &deskyard.Workspace{FriendlyName: ptr("Work of " + name), ApplicationGroupReferences: []string{id.String()}})
	return id
}

// sees is what a user's feed holds, as "workspace: names".
func (y *yard) sees(p deskyard.Principal) []string {
	y.t.Helper()
	workspaces, err := y.s.Resources(y.t.Context(), p)
	if err != nil {
		y.t.Fatal(err)
	}
	var all []string
	for _, w := range workspaces {
		var names []string
		for _, r := range w.Resources {
			names = append(names, r.Name)
		}
		all = append(all, w.Name+": "+strings.Join(names, ", "))
	}
	return all
}

func TestAFeedHoldsWhatIsAssignedAndShown(t *testing.T) {
	y := newYard(t, 0)
	same := func(t *testing.T, p deskyard.Principal, want ...string) {
		t.Helper()
		if d := cmp.Diff(want, y.sees(p)); d != "" {
			t.Error(d)
		}
	}
	ann := user("ann")
	same(t, ann, "ws: SessionDesktop")

	tools := y.apps("tools", func(*deskyard.ApplicationGroup) {})
	same(t, ann, "ws: SessionDesktop") // nothing of it is assigned
	y.assign(tools, ann.ObjectID)
	same(t, ann, "ws: SessionDesktop") // the pool prefers desktops where both are assigned
	same(t, user("bob"), "ws: SessionDesktop")

	prefers := func(kind string) {
		p := &deskyard.HostPool{HostPoolType: "Pooled", LoadBalancerType: "BreadthFirst", PreferredAppGroupType: kind}
		p.Default(nil)
		y.put(y.pool, p)
	}
	prefers("RailApplications")
	same(t, ann, "Work of tools: Writer, calc")
	same(t, user("bob"), "ws: SessionDesktop") // who has one kind only sees that one
	prefers("None")
	same(t, ann, "ws: SessionDesktop")
	prefers("RailApplications")

	y.apps("tools", func(g *deskyard.ApplicationGroup) { g.ShowInFeed = ptr(false) })
	same(t, ann, "ws: SessionDesktop")
	// What is not shown can be opened all the same.
	y.addHost("h")
	if _, err := y.s.Connect(t.Context(), ann, tools.Child("applications", "writer"), connect.Ask{}); err != nil {
		t.Error(err)
	}
	y.put(group.Provider(desktopSpace, "workspaces", "ws"), &deskyard.Workspace{ApplicationGroupReferences: []string{y.desktop.Parent().String()}, PublicNetworkAccess: ptr("Disabled")})
	same(t, ann)
	y.put(group.Provider(desktopSpace, "workspaces", "ws"), &deskyard.Workspace{}) // a group in no workspace is in no feed
	same(t, ann)
}

func TestAnApplicationSaysWhatItStarts(t *testing.T) {
	y := newYard(t, 1)
	tools := y.apps("tools", func(*deskyard.ApplicationGroup) {})
	ann := user("ann")
	ann.Groups = nil // tools and nothing else
	y.assign(tools, ann.ObjectID)
	workspaces, err := y.s.Resources(t.Context(), ann)
	if err != nil || len(workspaces) != 1 {
		t.Fatal(workspaces, err)
	}
	apps := workspaces[0].Resources
	i := slices.IndexFunc(apps, func(r connect.Resource) bool { return r.Name == "Writer" })
	writer, calc := apps[i], apps[1-i]
	if writer.Kind != connect.KindRemoteApp || writer.Application != (connect.Application{Program: "/usr/bin/writer", Arguments: "--new", IconPath: "/usr/share/writer.png"}) {
		t.Errorf("writer: %+v", writer)
	}
	if calc.Application.Arguments != "" || !strings.Contains(calc.Properties, "drivestoredirect") || calc.PoolName != "hp" {
		t.Errorf("calc: %+v", calc)
	}
}

func TestAPersonalDesktopHasItsHostsFriendlyName(t *testing.T) {
	y := newYard(t, 2, personal)
	y.alter(y.hosts[1], func(h *deskyard.SessionHost) { h.AssignedUser, h.FriendlyName = "Ann@example.org", "Ann's machine" })
	if d := cmp.Diff([]string{"ws: Ann's machine"}, y.sees(user("ann"))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"ws: SessionDesktop"}, y.sees(user("bob"))); d != "" {
		t.Error(d)
	}
}

func TestWhatIfChangesNothing(t *testing.T) {
	y := newYard(t, 2, startsVMs)
	for range 2 {
		all, err := y.s.WhatIf(t.Context(), "ann@example.org", arm.ResourceID{})
		if err != nil || len(all) != 1 || all[0].Failure != nil || all[0].Decision.Host != "h00000" || all[0].Decision.Considered != 2 {
			t.Fatalf("%+v, %v", all, err)
		}
	}
	if got := y.slots(y.hosts[0]); got != "" {
		t.Errorf("slots: %s", got)
	}
	for i, id := range y.hosts {
		y.down[id] = true
		y.power["h0000"+string(rune('0'+i))] = "stopped"
	}
	all, err := y.s.WhatIf(t.Context(), "ann@example.org", y.pool)
	if err != nil || len(all) != 1 || all[0].Failure == nil || all[0].Starts != "h00000" || len(y.ordered) != 0 {
		t.Fatalf("%+v, %v; ordered %v", all, err, y.ordered)
	}
	if all, err := y.s.WhatIf(t.Context(), "ann@example.org", y.pool.Parent()); err != nil || len(all) != 0 {
		t.Errorf("of another pool: %v, %v", all, err)
	}
	if got, err := y.s.Connections(t.Context(), deskyard.ConnectionQuery{}); err != nil || len(got.Items) != 0 {
		t.Errorf("records: %v, %v", got.Items, err)
	}
}

func TestADesktopThatNobodyNamedHasItsGroupsName(t *testing.T) {
	y := newYard(t, 1)
	id := y.desktop.Parent()
	y.put(id, &deskyard.ApplicationGroup{HostPoolARMPath: y.pool.String(), ApplicationGroupType: "Desktop", FriendlyName: ptr("Office")})
	if d := cmp.Diff([]string{"ws: Office"}, y.sees(user("ann"))); d != "" {
		t.Error(d)
	}
	desktop := deskyard.NewSessionDesktop("d-1")
	desktop.FriendlyName = ptr("Desk")
	y.put(y.desktop, desktop)
	if d := cmp.Diff([]string{"ws: Desk"}, y.sees(user("ann"))); d != "" {
		t.Error(d)
	}
}
