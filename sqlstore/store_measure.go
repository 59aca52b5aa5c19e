package sqlstore

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// slowTurn is when a closure has held up every other writer for so long that the
// log should say so: a flush takes a few milliseconds.
const slowTurn = time.Second

// meter counts what happens to writes.
type meter struct {
	log     *slog.Logger
	now     func() time.Time
	batches prometheus.Histogram // SQLite: writes in a commit
	commits prometheus.Histogram // SQLite: seconds of a commit
	again   prometheus.Counter   // PostgreSQL: closures run again
}

func newMeter(o Options) (*meter, error) {
	m := &meter{
		log: o.Log, now: o.Now,
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "deskyard_store_batch_writes", Help: "Writes that shared one commit (SQLite).",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9), // up to maxBatch
		}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "deskyard_store_commit_seconds", Help: "Time to flush a batch of writes to the disk (SQLite).",
			Buckets: prometheus.ExponentialBuckets(0.000125, 2, 14), // to a second
		}),
		again: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "deskyard_store_collisions_total", Help: "Writes repeated because they collided with another (PostgreSQL).",
		}),
	}
	if o.Metrics == nil {
		return m, nil
	}
	var err error
	for _, c := range []prometheus.Collector{m.batches, m.commits, m.again} {
		err = errors.Join(err, o.Metrics.Register(c))
	}
	return m, err
}

// committed notes a commit that began at begin.
func (m *meter) committed(writes int, begin time.Time) {
	m.batches.Observe(float64(writes))
	m.commits.Observe(m.now().Sub(begin).Seconds())
}

// held notes how long a turn took that began at begin.
func (m *meter) held(begin time.Time) {
	if took := m.now().Sub(begin); took > slowTurn {
		m.log.Warn("write held up all others", "took", took)
	}
}
