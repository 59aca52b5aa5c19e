package connect

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are the package's metrics.
type counts struct {
	decided  *prometheus.CounterVec
	took     prometheus.Histogram
	admitted *prometheus.CounterVec
	released *prometheus.CounterVec
}

func newCounts(r prometheus.Registerer) *counts {
	c := &counts{
		decided: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskyard_connect_decisions_total",
			Help: "Connections that users asked for, by door and by what came of the decision (ok, or the failure's symbol)."}, []string{"door", "result"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "deskyard_connect_decision_seconds",
			Help: "Time from a user's wish to the durable decision.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
		admitted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskyard_connect_admissions_total",
			Help: "Tickets that gateways showed, by door and result."}, []string{"door", "result"}),
		released: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskyard_connect_slots_released_total",
			Help: "Slots of session hosts given back, by reason."}, []string{"reason"}),
	}
	if r != nil {
		r.MustRegister(c.decided, c.took, c.admitted, c.released)
	}
	return c
}

func (c *counts) decision(door, result string, took time.Duration) {
	c.decided.WithLabelValues(door, result).Inc()
	c.took.Observe(took.Seconds())
}
