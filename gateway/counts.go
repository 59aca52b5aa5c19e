package gateway

import (
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/relay"
)

// counts are the gateway's metrics.
type counts struct {
	refusals *prometheus.CounterVec
	ends     *prometheus.CounterVec
	bytes    *prometheus.CounterVec
}

func newCounts(r prometheus.Registerer, sessions func() int) *counts {
	c := &counts{
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskyard_gateway_refusals_total", Help: "Clients that were not let through, by door and symbol."}, []string{"door", "symbol"}),
		ends:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskyard_gateway_sessions_ended_total", Help: "Sessions that ended, by door and reason."}, []string{"door", "reason"}),
		bytes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskyard_gateway_bytes_total", Help: "Bytes relayed in sessions that ended, by door and direction."}, []string{"door", "from"}),
	}
	if r != nil {
		live := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "deskyard_gateway_sessions", Help: "Sessions being relayed."}, func() float64 { return float64(sessions()) })
		r.MustRegister(c.refusals, c.ends, c.bytes, live)
	}
	return c
}

func (c *counts) refused(door string, err error) {
	symbol := "error"
	var f *deskyard.ConnectionFailure
	if errors.As(err, &f) {
		symbol = f.Symbol
	}
	c.refusals.WithLabelValues(door, symbol).Inc()
}

func (c *counts) ended(door string, e relay.End) {
	reason, _, _ := strings.Cut(e.Reason, ":") // a fault's words are not bounded
	c.ends.WithLabelValues(door, reason).Inc()
	c.bytes.WithLabelValues(door, "client").Add(float64(e.FromClient))
	c.bytes.WithLabelValues(door, "host").Add(float64(e.FromHost))
}
