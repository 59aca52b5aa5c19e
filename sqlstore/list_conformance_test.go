package sqlstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/sqlstore"
)

const (
	poolType       = "Microsoft.DesktopVirtualization/hostpools" // any case
	appGroupType   = "Microsoft.DesktopVirtualization/applicationGroups"
	assignmentType = "Microsoft.Authorization/roleAssignments"
)

func located(id arm.ResourceID, tags map[string]string, refs ...deskyard.Ref) deskyard.Resource {
	return deskyard.Resource{ID: id, Envelope: arm.Envelope{Location: "l", Tags: tags}, Refs: refs}
}

func TestListsHoldWhatTheScopeAndTheTypeSay(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		neighbour := id("/subscriptions/0b1f/resourceGroups/RG-2/providers/Microsoft.DesktopVirtualization/hostPools/n1")
		elsewhere := id("/subscriptions/0b1f0/resourceGroups/RG/providers/Microsoft.DesktopVirtualization/hostPools/e1")
		put(t, db,
			located(pool("b"), nil), located(pool("A"), map[string]string{"Env": "prod"}), located(pool("c"), map[string]string{"env": "test", "x": ""}),
			located(appGroup("ag"), map[string]string{"ENV": "prod"}),
			deskyard.Resource{ID: appGroup("ag").Child("applications", "app")},
			deskyard.Resource{ID: pool("A").Provider("Microsoft.Authorization", "roleAssignments", "ra")},
			located(id("%s", group), map[string]string{"env": "prod"}), deskyard.Resource{ID: id("/subscriptions/0b1f")},
			located(neighbour, nil), located(elsewhere, nil))
		for _, c := range []struct {
			what string
			q    deskyard.ResourceQuery
			want string
		}{
			{"a group's pools", deskyard.ResourceQuery{Scope: id("%s", group), Type: poolType}, "A b c"},
			{"descending", deskyard.ResourceQuery{Scope: id("%s", group), Type: poolType, Descending: true}, "c b A"},
			{"a subscription's pools", deskyard.ResourceQuery{Scope: id("/subscriptions/0B1F"), Type: poolType}, "n1 A b c"},
			{"everybody's pools", deskyard.ResourceQuery{Type: poolType}, "n1 A b c e1"},
			{"tracked resources", deskyard.ResourceQuery{Scope: id("%s", group)}, "ag A b c"},
			{"children", deskyard.ResourceQuery{Scope: appGroup("AG"), Type: appGroupType + "/applications"}, "app"},
			{"assignments below", deskyard.ResourceQuery{Scope: id("%s", group), Type: assignmentType}, "ra"},
			{"groups", deskyard.ResourceQuery{Scope: id("/subscriptions/0b1f"), Type: "Microsoft.Resources/resourceGroups"}, "RG"},
			{"tag", deskyard.ResourceQuery{TagName: "eNV"}, "ag A c"},
			{"tag and value", deskyard.ResourceQuery{TagName: "env", TagValue: "prod"}, "ag A"},
			{"tag's value in another case", deskyard.ResourceQuery{TagName: "env", TagValue: "PROD"}, ""},
			{"tag of a type", deskyard.ResourceQuery{TagName: "env", TagValue: "prod", Type: poolType}, "A"},
			{"limit", deskyard.ResourceQuery{Type: poolType, Limit: 2}, "n1 A"},
			{"skip", deskyard.ResourceQuery{Type: poolType, Skip: 1, Limit: 2}, "A b"},
			{"skip without limit", deskyard.ResourceQuery{Type: poolType, Skip: 3}, "c e1"},
			{"skip past the end", deskyard.ResourceQuery{Type: poolType, Skip: 30}, ""},
			{"a scope that only starts alike", deskyard.ResourceQuery{Scope: id("/subscriptions/0b1"), Type: poolType}, ""},
		} {
			p, err := db.Resources(t.Context(), c.q)
			if got := names(p.Items); err != nil || got != c.want {
				t.Errorf("%s: %q, %v; want %q", c.what, got, err, c.want)
			}
		}
	})
}

func TestTagsFollowTheirResource(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		count := func(name string) int {
			p, err := db.Resources(t.Context(), deskyard.ResourceQuery{TagName: name})
			if err != nil {
				t.Fatal(err)
			}
			return len(p.Items)
		}
		r := put(t, db, located(pool("a"), map[string]string{"old": "1"}))[0]
		r.Envelope.Tags = map[string]string{"new": "1"}
		put(t, db, r)
		if count("old") != 0 || count("new") != 1 {
			t.Fatalf("old %d, new %d", count("old"), count("new"))
		}
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteResource(ctx, r.ID) })
		put(t, db, located(pool("a"), nil))
		if count("new") != 0 {
			t.Fatal("a deleted resource's tag came back with its successor")
		}
	})
}

func TestPagesOfTenThousandHostsMissNoneAndRepeatNone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		const hosts, size = 10_000, 999
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
			for i := range hosts {
				if _, err := tx.PutSessionHost(ctx, host("big", i)); err != nil {
					return err
				}
			}
			_, err := tx.PutSessionHost(ctx, host("big2", hosts))
			return err
		})
		for _, descending := range []bool{false, true} {
			q := deskyard.HostQuery{Pool: pool("BIG"), Descending: descending, Limit: size}
			seen, pages := 0, 0
			for {
				p, err := db.SessionHosts(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range p.Items {
					want := seen
					if descending {
						want = hosts - 1 - seen
					}
					if h.ID.Name() != fmt.Sprintf("host%05d", want) {
						t.Fatalf("host %d of the list is %s", seen, h.ID.Name())
					}
					seen++
				}
				pages++
				if p.Next == "" {
					break
				}
				q.After = p.Next
			}
			if seen != hosts || pages != hosts/size+1 {
				t.Fatalf("%d hosts in %d pages", seen, pages)
			}
		}
		n, err := db.CountSessionHosts(t.Context(), pool("Big"))
		if err != nil || n != hosts {
			t.Fatalf("count %d, %v", n, err)
		}
		p, err := db.SessionHosts(t.Context(), deskyard.HostQuery{Scope: id("%s", group), Skip: hosts})
		if err != nil || len(p.Items) != 1 || p.Next != "" {
			t.Fatalf("%d hosts of the group behind the first %d, %v", len(p.Items), hosts, err)
		}
	})
}

func TestTheLastFullPageHasNoNext(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		put(t, db, located(pool("a"), nil), located(pool("b"), nil))
		p, err := db.Resources(t.Context(), deskyard.ResourceQuery{Type: poolType, Limit: 2})
		if err != nil || len(p.Items) != 2 || p.Next != "" {
			t.Fatalf("%d items, next %q, %v", len(p.Items), p.Next, err)
		}
	})
}

func TestReferrersAreThoseThatExistAndStillPoint(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		to := func(name string) deskyard.Ref { return deskyard.Ref{Relation: "hostPool", Target: pool(name)} }
		all := put(t, db, located(pool("p"), nil), located(pool("q"), nil),
			located(appGroup("B"), nil, to("P")), located(appGroup("a"), nil, to("p"), to("p"), deskyard.Ref{Relation: "other", Target: pool("q")}),
			located(appGroup("gone"), nil, to("p")), located(appGroup("moved"), nil, to("p")))
		moved := all[5]
		moved.Refs = []deskyard.Ref{to("q")}
		put(t, db, moved)
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteResource(ctx, appGroup("gone")) })
		targets := []arm.ResourceID{pool("P"), pool("Q"), pool("none")}
		for i := range 600 { // more than one statement's worth
			targets = append(targets, pool(fmt.Sprint("none", i)))
		}
		got, err := db.Referrers(t.Context(), "hostPool", targets...)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, map[string][]arm.ResourceID{
			pool("p").Key(): {appGroup("a"), appGroup("B")},
			pool("q").Key(): {appGroup("moved")},
		})
		if none, err := db.Referrers(t.Context(), "hostPool"); err != nil || len(none) > 0 {
			t.Fatalf("%v, %v", none, err)
		}
	})
}

func TestDeletingTakesAlongWhatIsBelowAndNothingBeside(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		assignment := func(at arm.ResourceID) deskyard.Resource {
			return deskyard.Resource{ID: at.Provider("Microsoft.Authorization", "roleAssignments", "ra")}
		}
		doomed, alike, host1 := pool("hp_1"), pool("hpx1"), host("hp_1", 1)
		put(t, db, located(id("%s", group), nil), located(doomed, nil), located(alike, nil), located(pool("hp_1-2"), nil),
			assignment(doomed), assignment(host1.ID), assignment(alike), assignment(id("%s", group)),
			deskyard.Resource{ID: doomed.Child("privateEndpointConnections", "c")})
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
			for _, h := range []deskyard.SessionHost{host1, host("hpx1", 2)} {
				if _, err := tx.PutSessionHost(ctx, h); err != nil {
					return err
				}
			}
			for _, k := range []deskyard.RegistrationKey{key("k1", "hp_1"), key("k2", "hpx1")} {
				if err := tx.PutRegistrationKey(ctx, k); err != nil {
					return err
				}
			}
			return tx.DeleteResource(ctx, pool("HP_1"))
		})
		for _, gone := range []arm.ResourceID{doomed, assignment(doomed).ID, assignment(host1.ID).ID, doomed.Child("privateEndpointConnections", "c")} {
			_, err := db.Resource(ctx, gone)
			wantKind(t, err, arm.Missing)
		}
		_, err := db.SessionHost(ctx, host1.ID)
		wantKind(t, err, arm.Missing)
		_, err = db.RegistrationKey(ctx, "k1")
		wantKind(t, err, arm.Missing)
		for _, kept := range []arm.ResourceID{alike, pool("hp_1-2"), assignment(alike).ID, assignment(id("%s", group)).ID} {
			if _, err := db.Resource(ctx, kept); err != nil {
				t.Errorf("%s: %v", kept, err)
			}
		}
		if _, err := db.RegistrationKey(ctx, "k2"); err != nil {
			t.Error(err)
		}
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteResource(ctx, id("%s", group)) })
		if p, err := db.Resources(ctx, deskyard.ResourceQuery{}); err != nil || len(p.Items) != 0 {
			t.Fatalf("%s outlived their group, %v", names(p.Items), err)
		}
		_, err = db.SessionHost(ctx, host("hpx1", 2).ID)
		wantKind(t, err, arm.Missing)
		_, err = db.RegistrationKey(ctx, "k2")
		wantKind(t, err, arm.Missing)
	})
}
