package history

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// batch bounds one transaction, so that other writes wait no longer than some
// milliseconds.
const batch = 500

// Store keeps chunks.
type Store interface {
	// AppendPoints appends each chunk's points to the stored chunk of its subject, step and
	// start, in one transaction. Of a subject that is gone nothing is kept.
	AppendPoints(ctx context.Context, chunks []Chunk) error
	// Points lists the chunks of a subject that begin at since or later, and before until.
	Points(ctx context.Context, k Kind, key string, s Step, since, until time.Time) ([]Chunk, error)
	// PointsOfAll lists the chunks of all subjects that begin at an instant, by key, limit
	// at most, after a key.
	PointsOfAll(ctx context.Context, k Kind, s Step, since time.Time, after string, limit int) ([]Chunk, error)
	// SummedUp is the start of the hour before which all hours are summed up; zero where
	// none is.
	SummedUp(ctx context.Context) (time.Time, error)
	SetSummedUp(ctx context.Context, before time.Time) error
	// PrunePoints removes the chunks of a step that begin before an instant.
	PrunePoints(ctx context.Context, s Step, before time.Time) error

	// AppendStatuses keeps changes of status, StatusesKept of a host at most. Of a host that
	// is gone nothing is kept.
	AppendStatuses(ctx context.Context, all []Status) error
	// Statuses lists those of a host, newest first, limit at most.
	Statuses(ctx context.Context, key string, limit int) ([]Status, error)
	// PruneStatuses removes those from before an instant.
	PruneStatuses(ctx context.Context, before time.Time) error
}

// Measurement is what a subject is like now.
type Measurement struct {
	Key    string
	Values []float64 // by series
}

// Recorder notes once a minute what every subject is like. Its fields are not changed once
// it runs.
type Recorder struct {
	Store Store
	Hosts func() []Measurement
	Pools func(context.Context) ([]Measurement, error)
	Now   func() time.Time
	Log   *slog.Logger

	summedUp time.Time // hours before this one are summed up
}

// Run records until ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	for {
		now := r.Now()
		wait := time.NewTimer(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		if err := r.Record(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("measurements not kept", "err", err)
		}
	}
}

// Record notes what all subjects are like in this minute, sums up the hours that have
// passed, and forgets what is too old.
func (r *Recorder) Record(ctx context.Context) error {
	now := r.Now().UTC().Truncate(time.Minute)
	if err := r.append(ctx, Hosts, r.Hosts(), now); err != nil {
		return err
	}
	pools, err := r.Pools(ctx)
	if err != nil {
		return fmt.Errorf("count pools: %w", err)
	}
	if err := r.append(ctx, Pools, pools, now); err != nil {
		return err
	}
	return r.passHours(ctx, now.Truncate(time.Hour))
}

// passHours sums up the hours that ended since it was done last, over restarts too.
func (r *Recorder) passHours(ctx context.Context, hour time.Time) error {
	if !r.summedUp.Before(hour) {
		return nil
	}
	from, err := r.Store.SummedUp(ctx)
	if err != nil {
		return fmt.Errorf("read which hours are summed up: %w", err)
	}
	if oldest := hour.Add(-MinutesFor); from.Before(oldest) {
		from = oldest
	}
	for ; from.Before(hour); from = from.Add(time.Hour) {
		for _, k := range []Kind{Hosts, Pools} {
			if err := r.sumUp(ctx, k, from); err != nil {
				return fmt.Errorf("sum up the hour %s of %ss: %w", from.Format(time.RFC3339), k, err)
			}
		}
		if err := r.Store.SetSummedUp(ctx, from.Add(time.Hour)); err != nil {
			return fmt.Errorf("note which hours are summed up: %w", err)
		}
	}
	if err := r.Store.PrunePoints(ctx, Minute, hour.Add(-MinutesFor)); err != nil {
		return err
	}
	if err := r.Store.PrunePoints(ctx, Hour, hour.Add(-HoursFor).Truncate(Hour.length())); err != nil {
		return err
	}
	if err := r.Store.PruneStatuses(ctx, hour.Add(-StatusesFor)); err != nil {
		return err
	}
	r.summedUp = hour
	return nil
}

// sumUp appends a point of an hour to the days of all subjects that have minutes in it.
func (r *Recorder) sumUp(ctx context.Context, k Kind, hour time.Time) error {
	for after := ""; ; {
		minutes, err := r.Store.PointsOfAll(ctx, k, Minute, hour, after, batch)
		if err != nil {
			return err
		}
		hours := make([]Chunk, 0, len(minutes))
		for _, c := range minutes {
			h, ok, err := hourOf(c)
			if err != nil {
				r.Log.Error("hour not summed up", "of", c.Key, "err", err)
			}
			if ok {
				hours = append(hours, h)
			}
		}
		if len(hours) > 0 {
			if err := r.Store.AppendPoints(ctx, hours); err != nil {
				return err
			}
		}
		if len(minutes) < batch {
			return nil
		}
		after = minutes[len(minutes)-1].Key
	}
}

func (r *Recorder) append(ctx context.Context, k Kind, all []Measurement, now time.Time) error {
	since := now.Truncate(Minute.length())
	place := int(now.Sub(since) / time.Minute)
	chunks := make([]Chunk, 0, batch)
	for len(all) > 0 {
		n := min(batch, len(all))
		for _, m := range all[:n] {
			steps, err := pack(k, m.Values)
			if err != nil {
				return err
			}
			chunks = append(chunks, Chunk{Kind: k, Key: m.Key, Step: Minute, Since: since, Points: record(place, steps)})
		}
		if err := r.Store.AppendPoints(ctx, chunks); err != nil {
			return fmt.Errorf("keep %d measurements of %ss: %w", len(chunks), k, err)
		}
		all, chunks = all[n:], chunks[:0]
	}
	return nil
}
