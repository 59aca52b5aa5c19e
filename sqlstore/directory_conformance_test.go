package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
	"github.com/deskyard/deskyard/sqlstore"
)

func person(n int) directory.User {
	return directory.User{ObjectID: fmt.Sprintf("user-%03d", n), UPN: fmt.Sprintf("Person%03d@Example.org", n), DisplayName: "P",
		PasswordHash: "$argon2id$", Disabled: true, Failed: 2, LockedUntil: start, ValidFrom: start.Add(time.Second), CreatedAt: start}
}

func application(n int) directory.ServicePrincipal {
	return directory.ServicePrincipal{ObjectID: fmt.Sprintf("sp-%d", n), AppID: fmt.Sprintf("App-%d", n), ApplicationID: fmt.Sprintf("Reg-%d", n),
		DisplayName: "tool", RedirectURIs: []string{"http://localhost"}, Public: true, Disabled: true, ValidFrom: start, CreatedAt: start,
		Secrets: []directory.Secret{{ID: "s", DisplayName: "d", Hint: "abc", Hash: []byte{0, 255}, CreatedAt: start, ExpiresAt: start.Add(time.Hour)}}}
}

func grant(n int) directory.Grant {
	return directory.Grant{Kind: directory.GrantRefresh, Hash: fmt.Sprintf("hash%d", n), Family: "Family", Subject: "user-001", AppID: "App-1",
		Resource: "https://management.core.windows.net/", Scope: "a b", RedirectURI: "r", Challenge: "c", Nonce: "n", Claims: "pwd mfa",
		Denied: true, AuthTime: start, CreatedAt: start, ExpiresAt: start.Add(time.Hour), UsedAt: start}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// found answers what a read found, or stops the test.
func found[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func TestATenantIsFoundedOnceAndWhole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		_, err := db.Tenant(ctx)
		wantKind(t, err, arm.Missing)
		tenant := directory.Tenant{ID: "t", DisplayName: "T", CreatedAt: start}
		twice := application(1)
		twice.ObjectID = person(1).ObjectID // fails after tenant and user are written
		wantKind(t, db.Found(ctx, tenant, person(1), twice), arm.Conflicting)
		_, err = db.Tenant(ctx)
		wantKind(t, err, arm.Missing)
		must(t, db.Found(ctx, tenant, person(1), application(1)))
		wantKind(t, db.Found(ctx, directory.Tenant{ID: "u"}, person(2), application(2)), arm.Conflicting)
		same(t, found(db.Tenant(ctx))(t), tenant)
		same(t, found(db.User(ctx, "USER-001"))(t), person(1))
		_, err = db.User(ctx, "user-002")
		wantKind(t, err, arm.Missing)
	})
}

func TestDirectoryObjectsAreFoundUnderEachOfTheirNames(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		must(t, db.CreateUser(ctx, person(1)))
		must(t, db.CreateServicePrincipal(ctx, application(1)))
		same(t, found(db.UserByName(ctx, "pERSON001@example.ORG"))(t), person(1))
		same(t, found(db.ServicePrincipal(ctx, "SP-1"))(t), application(1))
		same(t, found(db.ServicePrincipalByAppID(ctx, "APP-1"))(t), application(1))
		same(t, found(db.ServicePrincipalByApplicationID(ctx, "reg-1"))(t), application(1))
		for _, read := range []func(context.Context, string) error{
			func(ctx context.Context, n string) error { _, err := db.User(ctx, n); return err },
			func(ctx context.Context, n string) error { _, err := db.UserByName(ctx, n); return err },
			func(ctx context.Context, n string) error { _, err := db.Group(ctx, n); return err },
			func(ctx context.Context, n string) error { _, err := db.ServicePrincipalByAppID(ctx, n); return err },
			func(ctx context.Context, n string) error { return db.DeleteGroup(ctx, n) },
			func(ctx context.Context, n string) error { return db.RemoveMember(ctx, n, n) },
		} {
			for _, n := range []string{"sp-1", "", "nul\x00", "\xff"} { // sp-1 is no user and no group
				wantKind(t, read(ctx, n), arm.Missing)
			}
		}
		again := person(2)
		again.UPN = strings.ToUpper(person(1).UPN)
		wantKind(t, db.CreateUser(ctx, again), arm.Conflicting)
		_, err := db.User(ctx, again.ObjectID)
		wantKind(t, err, arm.Missing) // nothing of the refused one is left
		sp := application(2)
		sp.AppID = "aPP-1"
		wantKind(t, db.CreateServicePrincipal(ctx, sp), arm.Conflicting)
		nameless := person(3)
		nameless.UPN = "a\x00b"
		wantKind(t, db.CreateUser(ctx, nameless), arm.Invalid)
	})
}

func TestAnUpdateOfTheDirectoryIsAllOrNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		must(t, db.CreateUser(ctx, person(1)))
		must(t, db.CreateUser(ctx, person(2)))
		refusal := errors.New("no")
		_, err := db.UpdateUser(ctx, "user-001", func(u *directory.User) error { u.Failed = 9; return refusal })
		if err != refusal {
			t.Fatalf("error %v, want the closure's own", err)
		}
		_, err = db.UpdateUser(ctx, "user-001", func(u *directory.User) error { u.UPN = person(2).UPN; return nil })
		wantKind(t, err, arm.Conflicting)
		same(t, found(db.UserByName(ctx, person(1).UPN))(t), person(1))
		renamed, err := db.UpdateUser(ctx, "USER-001", func(u *directory.User) error { u.UPN = "new@example.org"; return nil })
		must(t, err)
		same(t, found(db.UserByName(ctx, "new@example.org"))(t), renamed)
		_, err = db.UserByName(ctx, person(1).UPN)
		wantKind(t, err, arm.Missing)
		if _, err := db.UpdateUser(ctx, "user-001", func(u *directory.User) error { u.ObjectID = "x"; return nil }); err == nil {
			t.Fatal("an object id was changed")
		}
		_, err = db.UpdateGroup(ctx, "user-001", func(*directory.Group) error { return nil })
		wantKind(t, err, arm.Missing)
	})
}

func TestCountsOfFailedSignInsAreNotLostBetweenCallers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		u := person(1)
		u.Failed = 0
		must(t, db.CreateUser(t.Context(), u))
		const callers = 20
		errs := make(chan error, callers)
		for range callers {
			go func() {
				_, err := db.UpdateUser(t.Context(), u.ObjectID, func(u *directory.User) error { u.Failed++; return nil })
				errs <- err
			}()
		}
		for range callers {
			must(t, <-errs)
		}
		if got := found(db.User(t.Context(), u.ObjectID))(t); got.Failed != callers {
			t.Fatalf("%d failures counted of %d", got.Failed, callers)
		}
	})
}

func TestDirectoryListsArePagedByName(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		const count = 25
		for i := range count {
			u := person(count - i)
			u.ObjectID = fmt.Sprint("id", i)
			must(t, db.CreateUser(ctx, u))
			must(t, db.CreateGroup(ctx, directory.Group{ObjectID: fmt.Sprint("g", i), DisplayName: "all alike"}))
		}
		must(t, db.CreateServicePrincipal(ctx, application(1)))
		q, seen := directory.Query{Limit: 10}, 0
		for {
			p := found(db.Users(ctx, q))(t)
			for _, u := range p.Items {
				if seen++; u.UPN != person(seen).UPN {
					t.Fatalf("user %d of the list is %s", seen, u.UPN)
				}
			}
			if q.After = p.Next; p.Next == "" {
				break
			}
		}
		ids := map[string]bool{}
		q = directory.Query{Limit: 10}
		for {
			p := found(db.Groups(ctx, q))(t)
			for _, g := range p.Items {
				ids[g.ObjectID] = true
			}
			if q.After = p.Next; p.Next == "" {
				break
			}
		}
		if all := found(db.ServicePrincipals(ctx, directory.Query{}))(t); seen != count || len(ids) != count || len(all.Items) != 1 {
			t.Fatalf("%d users, %d groups, %d service principals", seen, len(ids), len(all.Items))
		}
	})
}

func TestMembershipReachesThroughGroupsAndAroundCircles(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		must(t, db.CreateUser(ctx, person(1)))
		for _, g := range []string{"a", "b", "c", "d"} {
			must(t, db.CreateGroup(ctx, directory.Group{ObjectID: g, DisplayName: g}))
		}
		join := func(group, member, kind string) {
			t.Helper()
			must(t, db.AddMember(ctx, group, directory.Member{ObjectID: member, Kind: kind}))
		}
		join("A", "USER-001", directory.KindUser)
		join("b", "a", directory.KindGroup)
		join("c", "b", directory.KindGroup)
		join("a", "c", directory.KindGroup) // a circle
		same(t, found(db.GroupsOf(ctx, "User-001"))(t), []string{"a", "b", "c"})
		same(t, found(db.GroupsOf(ctx, "nobody"))(t), []string(nil))
		same(t, found(db.Members(ctx, "a", directory.Query{}))(t).Items,
			[]directory.Member{{ObjectID: "c", Kind: directory.KindGroup}, {ObjectID: "user-001", Kind: directory.KindUser}})
		first := found(db.Members(ctx, "a", directory.Query{Limit: 1}))(t)
		same(t, found(db.Members(ctx, "a", directory.Query{Limit: 1, After: first.Next}))(t).Items,
			[]directory.Member{{ObjectID: "user-001", Kind: directory.KindUser}})
		wantKind(t, db.AddMember(ctx, "a", directory.Member{ObjectID: "User-001", Kind: directory.KindUser}), arm.Conflicting)
		wantKind(t, db.AddMember(ctx, "none", directory.Member{ObjectID: "user-001"}), arm.Missing)
		_, err := db.Members(ctx, "none", directory.Query{})
		wantKind(t, err, arm.Missing)

		must(t, db.DeleteGroup(ctx, "b"))
		same(t, found(db.GroupsOf(ctx, "user-001"))(t), []string{"a"})
		must(t, db.RemoveMember(ctx, "a", "USER-001"))
		wantKind(t, db.RemoveMember(ctx, "a", "user-001"), arm.Missing)
		join("d", "user-001", directory.KindUser)
		must(t, db.DeleteUser(ctx, "user-001"))
		must(t, db.CreateUser(ctx, person(1)))
		same(t, found(db.GroupsOf(ctx, "user-001"))(t), []string(nil))
	})
}

func TestAGrantIsKeptUnderItsHashesOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		must(t, db.PutGrant(ctx, grant(1)))
		same(t, found(db.Grant(ctx, directory.GrantRefresh, "hash1"))(t), grant(1))
		wantKind(t, db.PutGrant(ctx, grant(1)), arm.Conflicting)
		device := grant(1)
		device.Kind, device.UserCode = directory.GrantDevice, "usercode"
		must(t, db.PutGrant(ctx, device)) // the same hash under another kind
		same(t, found(db.DeviceGrant(ctx, "usercode"))(t), device)
		device.Hash = "other"
		wantKind(t, db.PutGrant(ctx, device), arm.Conflicting) // the typed code is taken
		for _, none := range []string{"", "none", "\x00"} {
			_, err := db.DeviceGrant(ctx, none)
			wantKind(t, err, arm.Missing)
			_, err = db.Grant(ctx, directory.GrantRefresh, none)
			wantKind(t, err, arm.Missing)
		}
		used, err := db.UpdateGrant(ctx, directory.GrantRefresh, "hash1", func(g *directory.Grant) error { g.Subject, g.UsedAt = "user-002", start; return nil })
		must(t, err)
		same(t, found(db.Grant(ctx, directory.GrantRefresh, "hash1"))(t), used)
		if n := found(db.DeleteGrants(ctx, directory.GrantQuery{Subject: "user-002"}))(t); n != 1 {
			t.Fatalf("%d grants of the new subject", n)
		}
	})
}

func TestAGrantIsRedeemedByOneCallerOnly(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		g := grant(1)
		g.UsedAt = time.Time{}
		must(t, db.PutGrant(t.Context(), g))
		used := errors.New("used already")
		const callers = 20
		errs := make(chan error, callers)
		for range callers {
			go func() {
				_, err := db.UpdateGrant(t.Context(), g.Kind, g.Hash, func(g *directory.Grant) error {
					if !g.UsedAt.IsZero() {
						return used
					}
					g.UsedAt = start
					return nil
				})
				errs <- err
			}()
		}
		redeemed := 0
		for range callers {
			if err := <-errs; err == nil {
				redeemed++
			} else if err != used {
				t.Error(err)
			}
		}
		if redeemed != 1 {
			t.Fatalf("redeemed %d times", redeemed)
		}
	})
}

func TestGrantsAreDeletedByWhatTheQueryNames(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		must(t, db.CreateUser(ctx, person(1)))
		must(t, db.CreateServicePrincipal(ctx, application(1)))
		fill := func() {
			t.Helper()
			for i, change := range []func(*directory.Grant){
				func(g *directory.Grant) {}, func(g *directory.Grant) { g.Family = "f2" }, func(g *directory.Grant) { g.Subject = "user-002" },
				func(g *directory.Grant) { g.AppID = "app-2" }, func(g *directory.Grant) { g.ExpiresAt = start },
			} {
				g := grant(i)
				change(&g)
				must(t, db.PutGrant(ctx, g))
			}
		}
		for _, c := range []struct {
			q    directory.GrantQuery
			want int
		}{
			{directory.GrantQuery{}, 0},
			{directory.GrantQuery{Family: "FAMILY"}, 4},
			{directory.GrantQuery{Subject: "User-001", AppID: "APP-1"}, 3},
			{directory.GrantQuery{ExpiredBefore: start.Add(time.Nanosecond)}, 1},
			{directory.GrantQuery{ExpiredBefore: start}, 0},
		} {
			fill()
			if n := found(db.DeleteGrants(ctx, c.q))(t); n != c.want {
				t.Errorf("%+v deleted %d, want %d", c.q, n, c.want)
			}
			found(db.DeleteGrants(ctx, directory.GrantQuery{ExpiredBefore: start.Add(2 * time.Hour)}))(t)
		}
		fill()
		must(t, db.DeleteUser(ctx, "USER-001"))
		must(t, db.DeleteServicePrincipal(ctx, "SP-1"))
		wantKind(t, db.DeleteServicePrincipal(ctx, "sp-1"), arm.Missing)
		if n := found(db.DeleteGrants(ctx, directory.GrantQuery{ExpiredBefore: start.Add(2 * time.Hour)}))(t); n != 0 {
			t.Fatalf("%d grants outlived user and application", n)
		}
	})
}
