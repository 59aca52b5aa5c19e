package sqlstore_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/history"
)

// BenchmarkAMinuteOfTenThousandHosts is what the recorder costs each minute: an op is one.
func BenchmarkAMinuteOfTenThousandHosts(b *testing.B) {
	const hosts = 10_000
	db := openSQLite(b)
	all := make([]history.Measurement, hosts)
	write(b, db, func(ctx context.Context, tx deskyard.Tx) error {
		for i := range all {
			h := host("hp", i)
			all[i] = history.Measurement{Key: h.ID.Key(), Values: []float64{12, 50, 30, 0.4, 2, 1, 1.5}}
			if _, err := tx.PutSessionHost(ctx, h); err != nil {
				return err
			}
		}
		return nil
	})
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	r := &history.Recorder{Store: db, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		Hosts: func() []history.Measurement { return all },
		Pools: func(context.Context) ([]history.Measurement, error) { return nil, nil }}
	for b.Loop() {
		now = now.Add(time.Minute)
		if err := r.Record(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
