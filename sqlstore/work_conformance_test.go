package sqlstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/sqlstore"
)

func vm(name string) arm.ResourceID {
	return arm.ResourceID{Subscription: "s", ResourceGroup: "rg"}.Provider("Microsoft.Compute", "virtualMachines", name)
}

func putWork(t testing.TB, db *sqlstore.DB, w deskyard.Work) (deskyard.Work, error) {
	t.Helper()
	var stored deskyard.Work
	err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		stored, err = tx.PutWork(ctx, w)
		return err
	})
	return stored, err
}

func TestWorkComesBackAsItWasStoredAndRefusesAStaleWriter(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		want := deskyard.Work{Kind: deskyard.WorkMachine, ID: vm("Vm1"), Due: start, Attempts: 2, Problem: "p",
			State: json.RawMessage(`{"a":1}`), Sealed: []byte{0, 1, 255}, Created: start, Changed: start}
		first, err := putWork(t, db, want)
		if err != nil {
			t.Fatal(err)
		}
		want.Version = 1
		same(t, first, want)
		got, err := db.Work(t.Context(), deskyard.WorkMachine, vm("VM1"))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
		if _, err := putWork(t, db, first); err != nil {
			t.Fatal(err)
		}
		var e *arm.Error
		if _, err := putWork(t, db, first); !errors.As(err, &e) || e.Kind != arm.Precondition {
			t.Fatalf("a stale write gave %v", err)
		}
		again := want
		again.Version = 0
		if _, err := putWork(t, db, again); !errors.As(err, &e) || e.Kind != arm.Precondition {
			t.Fatalf("a second insert gave %v", err)
		}
	})
}

func TestWorksGivesWhatIsDueSoonestFirstAndWhatIsBelowAScope(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		for i, due := range []time.Time{start.Add(2 * time.Second), start, {}, start.Add(time.Hour)} {
			if _, err := putWork(t, db, deskyard.Work{Kind: deskyard.WorkMachine, ID: vm(fmt.Sprint("vm", i)), Due: due}); err != nil {
				t.Fatal(err)
			}
			if _, err := putWork(t, db, deskyard.Work{Kind: deskyard.WorkExtension, ID: vm(fmt.Sprint("vm", i)).Child("extensions", "x")}); err != nil {
				t.Fatal(err)
			}
		}
		due, err := db.Works(ctx, deskyard.WorkQuery{DueBy: start.Add(time.Minute)})
		if err != nil || len(due.Items) != 2 || due.Items[0].ID.Name() != "vm1" || due.Items[1].ID.Name() != "vm0" {
			t.Fatalf("due: %+v, %v", due.Items, err)
		}
		next, err := db.NextWork(ctx)
		if err != nil || !next.Equal(start) {
			t.Fatalf("next: %v, %v", next, err)
		}
		of, err := db.Works(ctx, deskyard.WorkQuery{Scope: vm("vm1")})
		if err != nil || len(of.Items) != 2 {
			t.Fatalf("below vm1: %+v, %v", of.Items, err)
		}
		var seen []string
		for q := (deskyard.WorkQuery{Kind: deskyard.WorkExtension, Limit: 3}); ; {
			page, err := db.Works(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range page.Items {
				seen = append(seen, w.ID.Parent().Name())
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		same(t, seen, []string{"vm0", "vm1", "vm2", "vm3"})
		err = db.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
			return tx.DeleteWork(ctx, deskyard.WorkMachine, vm("vm1"))
		})
		if err != nil {
			t.Fatal(err)
		}
		var e *arm.Error
		if _, err := db.Work(ctx, deskyard.WorkMachine, vm("vm1")); !errors.As(err, &e) || e.Kind != arm.Missing {
			t.Fatalf("deleted work gave %v", err)
		}
	})
}

func TestAGuestComesBackAsItWasStored(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		want := deskyard.Guest{MachineID: "0000aaaa-1", VM: vm("vm1"), TokenHash: []byte{1}, TokenExpires: start, PublicKey: []byte{2},
			EnrolledAt: start, Facts: deskyard.Machine{Hostname: "vm1"}, BootLoader: "1.0", LastSeen: start}
		put := func(g deskyard.Guest) error {
			return db.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
				_, err := tx.PutGuest(ctx, g)
				return err
			})
		}
		if err := put(want); err != nil {
			t.Fatal(err)
		}
		got, err := db.Guest(ctx, "0000AAAA-1")
		if err != nil {
			t.Fatal(err)
		}
		want.Version = 1
		same(t, got, want)
		if err := put(got); err != nil {
			t.Fatal(err)
		}
		var e *arm.Error
		if err := put(got); !errors.As(err, &e) || e.Kind != arm.Precondition {
			t.Fatalf("a stale write gave %v", err)
		}
		err = db.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteGuest(ctx, "0000AAAA-1") })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Guest(ctx, "0000aaaa-1"); !errors.As(err, &e) || e.Kind != arm.Missing {
			t.Fatalf("a deleted guest gave %v", err)
		}
	})
}
