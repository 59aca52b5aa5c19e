package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/sqlstore"
)

// hosts stores n hosts of a pool and gives their object ids.
func hosts(t *testing.T, db *sqlstore.DB, poolName string, n int) []string {
	t.Helper()
	var ids []string
	for i := range n {
		h := host(poolName, i)
		if _, err := putHost(t, db, h); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, h.ObjectID)
	}
	return ids
}

func reserve(t *testing.T, db *sqlstore.DB, s deskyard.Slot, limit int) error {
	return db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return tx.ReserveSlot(ctx, s, limit) })
}

func pending(hostID, user, connection string) deskyard.Slot {
	return deskyard.Slot{Host: hostID, User: user, Connection: connection, State: deskyard.SlotPending, Since: start, Due: start.Add(time.Minute)}
}

func TestTwoHundredUsersNeverExceedTheLimitOfAHost(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		const users, limit = 200, 15
		ids := hosts(t, db, "HP1", 10) // room for 150
		var wg sync.WaitGroup
		placed := make(chan bool, users)
		for u := range users {
			wg.Go(func() {
				for i := range ids { // each from another host on
					err := reserve(t, db, pending(ids[(i+u)%len(ids)], fmt.Sprintf("U%d@example.org", u), "c"), limit)
					if err == nil {
						placed <- true
						return
					}
					if !errors.Is(err, deskyard.ErrHostFull) {
						t.Errorf("user %d: %v", u, err)
						return
					}
				}
			})
		}
		wg.Wait()
		if n := len(placed); n != len(ids)*limit {
			t.Errorf("%d users were placed where there is room for %d", n, len(ids)*limit)
		}
		all := found(db.Slots(t.Context(), deskyard.SlotQuery{Pool: pool("hp1")}))(t)
		count := map[string]int{}
		for _, s := range all {
			count[s.Host]++
		}
		for id, n := range count {
			if n != limit {
				t.Errorf("host %s has %d of %d slots", id, n, limit)
			}
		}
	})
}

func TestAUserHoldsOneSlotOfAHost(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		id := hosts(t, db, "HP1", 1)[0]
		must(t, reserve(t, db, pending(id, "Ann@Example.org", "c1"), 1))
		second := pending(strings.ToUpper(id), "ann@example.ORG", "c2")
		second.Due = start.Add(time.Hour)
		must(t, reserve(t, db, second, 1)) // the host is full of nobody but ann
		if err := reserve(t, db, pending(id, "bob@example.org", "c3"), 1); !errors.Is(err, deskyard.ErrHostFull) {
			t.Fatalf("a second user on a host for one: %v", err)
		}
		want := deskyard.Slot{Host: strings.ToLower(id), User: "ann@example.org", Connection: "c2", State: deskyard.SlotPending, Since: start, Due: start.Add(time.Hour)}
		same(t, found(db.Slots(t.Context(), deskyard.SlotQuery{Host: id}))(t), []deskyard.Slot{want})

		active := want
		active.State, active.Due = deskyard.SlotActive, time.Time{}
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutSlot(ctx, active) })
		must(t, reserve(t, db, pending(id, "ann@example.org", "c4"), 1))
		active.Connection, active.Due = "c4", start.Add(time.Minute) // and active it stays
		same(t, found(db.Slots(t.Context(), deskyard.SlotQuery{Host: id}))(t), []deskyard.Slot{active})
	})
}

func TestASlotIsReleasedByWhoeverStillHoldsIt(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		id := hosts(t, db, "HP1", 1)[0]
		must(t, reserve(t, db, pending(id, "ann", "c1"), 5))
		release := func(s deskyard.Slot) (gone bool) {
			write(t, db, func(ctx context.Context, tx deskyard.Tx) (err error) {
				gone, err = tx.ReleaseSlot(ctx, s)
				return err
			})
			return gone
		}
		active := pending(id, "ann", "c1")
		active.State = deskyard.SlotActive
		if release(pending(id, "ann", "c0")) || release(active) || !release(pending(id, "ANN", "c1")) || release(pending(id, "ann", "c1")) {
			t.Fatal("released by another, or not by its holder")
		}
		due := found(db.Slots(t.Context(), deskyard.SlotQuery{DueBy: start.Add(time.Hour)}))(t)
		if len(due) != 0 {
			t.Fatalf("left: %v", due)
		}
	})
}

func TestSlotsGoWithTheirHostAndFollowItsId(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		id := hosts(t, db, "HP1", 1)[0]
		must(t, reserve(t, db, pending(id, "ann", "c1"), 5))
		h := found(db.SessionHostByObjectID(t.Context(), id))(t)
		h.ObjectID = "0000b000-0000-0000-0000-000000000000"
		h = found(putHost(t, db, h))(t)
		if got := found(db.Slots(t.Context(), deskyard.SlotQuery{Host: h.ObjectID}))(t); len(got) != 1 {
			t.Fatalf("after the host got another id: %v", got)
		}
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteSessionHost(ctx, h.ID) })
		if got := found(db.Slots(t.Context(), deskyard.SlotQuery{DueBy: start.Add(time.Hour)}))(t); len(got) != 0 {
			t.Fatalf("after the host went: %v", got)
		}
		if err := reserve(t, db, pending(h.ObjectID, "ann", "c1"), 5); !errors.Is(err, deskyard.ErrHostFull) {
			t.Fatalf("a slot on a host that is gone: %v", err)
		}
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
			return tx.PutSlot(ctx, pending(h.ObjectID, "ann", "c1"))
		})
	})
}

// attempt is the record of a connection that began a number of minutes after start.
func attempt(minutes int, user string) deskyard.Connection {
	at := start.Add(time.Duration(minutes) * time.Minute)
	id := uuid.Must(uuid.NewV7())
	ms := at.UnixMilli()
	for i := range 6 {
		id[5-i] = byte(ms >> (8 * i))
	}
	return deskyard.Connection{ID: id.String(), UserID: "o", User: user, Resource: appGroup("ag").Child("desktops", "SessionDesktop"), Pool: pool("HP1"),
		Host: pool("HP1").Child("sessionHosts", "h"), HostID: "0000A000-0000-0000-0000-000000000001", Door: deskyard.DoorWeb, Client: deskyard.ClientInfo{OS: "x"},
		State: deskyard.ConnectionStarted, Failure: &deskyard.ConnectionFailure{Symbol: "s", Retry: time.Second}, Started: at,
		Stages:   []deskyard.ConnectionStage{{Name: "decide", Took: time.Millisecond}},
		Decision: &deskyard.Decision{Rule: "r", Considered: 3, Candidates: []deskyard.Candidate{{Host: "h", Sessions: 1}}, Snapshot: at}}
}

func TestConnectionsComeBackNewestFirst(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		var all []deskyard.Connection
		for i := range 6 {
			c := attempt(i, []string{"Ann@example.org", "bob@example.org"}[i%2])
			all = append(all, c)
			write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutConnection(ctx, c) })
		}
		ctx := t.Context()
		same(t, found(db.Connection(ctx, strings.ToUpper(all[3].ID)))(t), all[3])
		all[3].State, all[3].HostID = deskyard.ConnectionCompleted, ""
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutConnection(ctx, all[3]) })
		same(t, found(db.Connection(ctx, all[3].ID))(t), all[3])
		for _, c := range []struct {
			q    deskyard.ConnectionQuery
			want []int
		}{
			{deskyard.ConnectionQuery{}, []int{5, 4, 3, 2, 1, 0}},
			{deskyard.ConnectionQuery{User: "ANN@example.org"}, []int{4, 2, 0}},
			{deskyard.ConnectionQuery{Host: all[0].HostID}, []int{5, 4, 2, 1, 0}},
			{deskyard.ConnectionQuery{Pool: pool("hp1"), Since: all[2].Started, Until: all[4].Started}, []int{3, 2}},
			{deskyard.ConnectionQuery{Pool: pool("hp2")}, nil},
			{deskyard.ConnectionQuery{After: all[3].ID, Limit: 2}, []int{2, 1}},
		} {
			got := found(db.Connections(ctx, c.q))(t)
			var want []deskyard.Connection
			for _, i := range c.want {
				want = append(want, all[i])
			}
			same(t, got.Items, want)
			if c.q.Limit > 0 && got.Next != all[1].ID {
				t.Errorf("next is %q", got.Next)
			}
		}
		all[4].State, all[4].Gateway = deskyard.ConnectionConnected, "edge-1"
		all[5].State, all[5].Gateway = deskyard.ConnectionConnected, "edge-2"
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
			return errors.Join(tx.PutConnection(ctx, all[4]), tx.PutConnection(ctx, all[5]))
		})
		same(t, found(db.Connections(ctx, deskyard.ConnectionQuery{Relayer: "edge-1"}))(t).Items, []deskyard.Connection{all[4]})
		same(t, found(db.Connections(ctx, deskyard.ConnectionQuery{Relayer: deskyard.AnyRelayer}))(t).Items, []deskyard.Connection{all[5], all[4]})
		all[4].State, all[4].Ended = deskyard.ConnectionCompleted, start
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutConnection(ctx, all[4]) })
		if left := found(db.Connections(ctx, deskyard.ConnectionQuery{Relayer: "edge-1"}))(t).Items; left != nil {
			t.Errorf("edge-1 still relays %v", left)
		}
		if n, err := db.PruneConnections(ctx, all[2].Started); n != 2 || err != nil {
			t.Fatalf("pruned %d, %v", n, err)
		}
		_, err := db.Connection(ctx, all[1].ID)
		wantKind(t, err, arm.Missing)
		found(db.Connection(ctx, all[2].ID))(t)
	})
}

func TestATicketIsRedeemedOnceByWhoeverComesFirst(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		c := attempt(0, "ann")
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutConnection(ctx, c) })
		var wg sync.WaitGroup
		won := make(chan bool, 20)
		for range cap(won) {
			wg.Go(func() {
				err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return tx.RedeemConnection(ctx, c.ID, start) })
				switch {
				case err == nil:
					won <- true
				case !errors.Is(err, deskyard.ErrTicketUsed):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d of %d redeemed the ticket", len(won), cap(won))
		}
		// Writing the record again does not make its ticket good again.
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutConnection(ctx, c) })
		err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return tx.RedeemConnection(ctx, c.ID, start) })
		if !errors.Is(err, deskyard.ErrTicketUsed) {
			t.Fatalf("a ticket used before: %v", err)
		}
	})
}
