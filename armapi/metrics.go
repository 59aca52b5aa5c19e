package armapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts requests; nil registers and counts nothing.
type metrics struct {
	requests *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	if r == nil {
		return &metrics{}
	}
	m := &metrics{requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "deskyard_arm_request_seconds",
		Help:    "Time to answer a request of the management API, by resource type, verb and status.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, []string{"type", "verb", "status"})}
	r.MustRegister(m.requests)
	return m
}

func (m *metrics) observe(typ, verb string, status int, took time.Duration) {
	if m.requests == nil {
		return
	}
	switch verb {
	case "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE":
	default:
		verb = "other" // the caller chooses the word: it must not make a series
	}
	m.requests.WithLabelValues(typ, verb, strconv.Itoa(status)).Observe(took.Seconds())
}
