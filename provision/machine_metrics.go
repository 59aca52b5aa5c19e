package provision

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// machineMetrics count what becomes of machines.
type machineMetrics struct {
	ended   *prometheus.CounterVec
	seconds prometheus.Histogram
	removed prometheus.Counter
	up      *prometheus.GaugeVec
	free    *prometheus.GaugeVec
	orphans prometheus.Gauge
}

// newMachineMetrics registers the metrics; without a registry they count for nobody.
func newMachineMetrics(r prometheus.Registerer) *machineMetrics {
	m := &machineMetrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskyard_machines_made_total", Help: "Machines whose making ended, by outcome."}, []string{"state"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "deskyard_machine_seconds", Help: "Time from the first step of a machine's making to its end.",
			Buckets: []float64{1, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800}}),
		removed: prometheus.NewCounter(prometheus.CounterOpts{Name: "deskyard_machines_removed_total", Help: "Machines removed with all that was theirs."}),
		up:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "deskyard_hypervisor_up", Help: "1 when the hypervisor answered last time."}, []string{"hypervisor"}),
		free: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "deskyard_hypervisor_free_memory_bytes", Help: "Free memory as the hypervisor tells it."}, []string{"hypervisor"}),
		orphans: prometheus.NewGauge(prometheus.GaugeOpts{Name: "deskyard_orphans", Help: "Things without their counterpart at the last sweep."}),
	}
	if r != nil {
		r.MustRegister(m.ended, m.seconds, m.removed, m.up, m.free, m.orphans)
	}
	return m
}

func (m *machineMetrics) made(state string, took time.Duration) {
	m.ended.WithLabelValues(state).Inc()
	m.seconds.Observe(took.Seconds())
}

func (m *machineMetrics) host(name string, v hostView) {
	if v.err != nil {
		m.up.WithLabelValues(name).Set(0)
		return
	}
	m.up.WithLabelValues(name).Set(1)
	m.free.WithLabelValues(name).Set(float64(v.caps.FreeMemMB) * (1 << 20))
}
