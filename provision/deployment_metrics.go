package provision

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// deploymentMetrics counts deployments and their steps; without a registry it counts
// for nobody.
type deploymentMetrics struct {
	running prometheus.Gauge
	ends    *prometheus.CounterVec
	steps   *prometheus.HistogramVec
}

func newDeploymentMetrics(r prometheus.Registerer) *deploymentMetrics {
	m := &deploymentMetrics{
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "deskyard_deployments_running",
			Help: "Deployments begun by this process, nested ones included, that have not ended.",
		}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskyard_deployments_total",
			Help: "Deployments that ended, by the state they ended in.",
		}, []string{"state"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "deskyard_deployment_step_seconds",
			Help:    "Time from a step's first call until its resource was ready, by the state it ended in; its rate is steps per second.",
			Buckets: []float64{.005, .02, .1, .5, 1, 5, 15, 60, 300, 900, 3600},
		}, []string{"state"}),
	}
	if r != nil {
		r.MustRegister(m.running, m.ends, m.steps)
	}
	return m
}

func (m *deploymentMetrics) began() { m.running.Inc() }

func (m *deploymentMetrics) ended(state string) {
	m.running.Dec()
	m.ends.WithLabelValues(state).Inc()
}

func (m *deploymentMetrics) stepped(state string, took time.Duration) {
	m.steps.WithLabelValues(state).Observe(took.Seconds())
}
