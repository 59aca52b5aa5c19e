package sqlstore_test

import (
	"context"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/history"
	"github.com/deskyard/deskyard/sqlstore"
)

// day has a recorder note every minute of it: a host whose values rise, and its pool.
func day(t *testing.T, db *sqlstore.DB, from, until time.Time, key, poolKey string) {
	t.Helper()
	now := from
	r := &history.Recorder{Store: db, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		Hosts: func() []history.Measurement {
			m := float64(now.Minute())
			return []history.Measurement{{Key: key, Values: []float64{m, 100 - m, 40, m / 100, m, 1, 2.5}}, {Key: key + "-gone", Values: make([]float64, 7)}}
		},
		Pools: func(context.Context) ([]history.Measurement, error) {
			return []history.Measurement{{Key: poolKey, Values: []float64{2, 1, float64(now.Hour()), 3}}}, nil
		},
	}
	for ; now.Before(until); now = now.Add(time.Minute) {
		if err := r.Record(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHistoryIsKeptByTheMinuteAndByTheHour(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		h := host("hp", 1)
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
			if _, err := tx.PutResource(ctx, deskyard.Resource{ID: pool("hp"), Properties: []byte(`{}`)}); err != nil {
				return err
			}
			_, err := tx.PutSessionHost(ctx, h)
			return err
		})
		key, began := h.ID.Key(), time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)
		day(t, db, began, began.Add(2*time.Hour), key, pool("hp").Key())
		day(t, db, began.Add(2*time.Hour), began.Add(3*time.Hour), key, pool("hp").Key()) // after a restart
		now := began.Add(3 * time.Hour)

		cpu, err := history.Read(ctx, db, now, history.Hosts, key, []int{0, 1}, began, now, 30*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []float64{44.5, 14.5, 44.5, 14.5, 44.5, 14.5} {
			if b := cpu[0][i]; math.Abs(b.Mean-want) > 0.01 || b.Empty || math.Abs(cpu[1][i].Mean+b.Mean-100) > 0.02 {
				t.Errorf("half hour %d: %+v, want a mean of %v", i, b, want)
			}
		}
		later := now.Add(25 * time.Hour) // the minutes are too old to be asked for by then
		byHour, err := history.Read(ctx, db, later, history.Hosts, key, []int{0, 6}, began.Truncate(time.Hour), now, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []history.Bucket{{Mean: 44.5, Lo: 30, Hi: 59}, {Mean: 29.5, Lo: 0, Hi: 59}, {Mean: 29.5, Lo: 0, Hi: 59}, {Empty: true}} {
			if b := byHour[0][i]; b.Empty != want.Empty || !b.Empty && (math.Abs(b.Mean-want.Mean) > 0.01 || b.Lo != want.Lo || b.Hi != want.Hi) {
				t.Errorf("hour %d: %+v, want %+v", i, b, want)
			}
		}
		sessions, err := history.Read(ctx, db, now, history.Pools, pool("hp").Key(), []int{2}, began, now, time.Hour)
		if err != nil || sessions[0][0].Lo != 10 || sessions[0][2].Hi != 13 {
			t.Errorf("the pool's sessions: %+v, %v", sessions, err)
		}
		if gone, err := db.Points(ctx, history.Hosts, key+"-gone", history.Minute, time.Time{}, now); err != nil || len(gone) != 0 {
			t.Errorf("points of a host that is not: %v, %v", gone, err)
		}

		if err := db.PrunePoints(ctx, history.Minute, began.Add(time.Hour).Truncate(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if left, err := db.Points(ctx, history.Hosts, key, history.Minute, time.Time{}, now); err != nil || len(left) != 3 {
			t.Errorf("%d hours of minutes are left, %v; want 3", len(left), err)
		}
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteSessionHost(ctx, h.ID) })
		for _, s := range []history.Step{history.Minute, history.Hour} {
			if left, err := db.Points(ctx, history.Hosts, key, s, time.Time{}, now); err != nil || len(left) != 0 {
				t.Errorf("of a removed host there are %d chunks, %v", len(left), err)
			}
		}
	})
}

func TestStatusesOfAHostAreKeptUpToABound(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		h := host("hp", 1)
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { _, err := tx.PutSessionHost(ctx, h); return err })
		at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
		const more = 30
		var all []history.Status
		for i := range history.StatusesKept + more {
			all = append(all, history.Status{Key: h.ID.Key(), At: at.Add(time.Duration(i) * time.Minute), Status: "Unavailable", Reason: "It is so."})
		}
		all = append(all, history.Status{Key: h.ID.Key() + "-gone", At: at, Status: "Available"})
		if err := db.AppendStatuses(ctx, all); err != nil {
			t.Fatal(err)
		}
		kept, err := db.Statuses(ctx, h.ID.Key(), 1000)
		if err != nil || len(kept) != history.StatusesKept || !kept[0].At.Equal(all[len(all)-2].At) || kept[0].Reason != "It is so." {
			t.Fatalf("%d statuses, %v", len(kept), err)
		}
		if err := db.PruneStatuses(ctx, at.Add((more+50)*time.Minute)); err != nil {
			t.Fatal(err)
		}
		if kept, err = db.Statuses(ctx, h.ID.Key(), 1000); err != nil || len(kept) != history.StatusesKept-50 {
			t.Errorf("%d statuses are left, %v", len(kept), err)
		}
	})
}
