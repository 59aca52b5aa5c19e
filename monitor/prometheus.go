package monitor

import "github.com/prometheus/client_golang/prometheus"

// collector shows the newest measurement to Prometheus.
type collector struct{ m *Monitor }

// gauges are the metrics and where each comes from.
var gauges = []struct {
	desc  *prometheus.Desc
	value func(Metrics) float64
}{
	{describe("cpu_percent", "Busy share of all cores over the last interval."), func(m Metrics) float64 { return m.CPUPercent }},
	{describe("cpu_cores", "Cores of the machine."), func(m Metrics) float64 { return float64(m.Cores) }},
	{describe("load1", "Runnable processes, one-minute mean."), func(m Metrics) float64 { return m.Load1 }},
	{describe("memory_bytes", "Memory of the machine."), func(m Metrics) float64 { return float64(m.MemoryTotal) }},
	{describe("memory_available_bytes", "Memory that programs can have without swapping."), func(m Metrics) float64 { return float64(m.MemoryFree) }},
	{describe("disk_bytes", "Size of the system's file system."), func(m Metrics) float64 { return float64(m.DiskTotal) }},
	{describe("disk_free_bytes", "Free space of the system's file system."), func(m Metrics) float64 { return float64(m.DiskFree) }},
	{describe("uptime_seconds", "Time since the machine started."), func(m Metrics) float64 { return m.Uptime }},
	{describe("sessions_active", "Sessions with a user at them."), func(m Metrics) float64 { return float64(m.SessionsActive) }},
	{describe("sessions_disconnected", "Sessions whose user is away."), func(m Metrics) float64 { return float64(m.SessionsDisconnected) }},
	{describe("round_trip_seconds", "Round trip of the control link; 0 without one."), func(m Metrics) float64 { return m.RoundTripSeconds }},
}

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("deskyard_host_"+name, help, nil, nil)
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range gauges {
		ch <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	n, err := c.m.Newest()
	for _, g := range gauges {
		if err != nil {
			ch <- prometheus.NewInvalidMetric(g.desc, err)
			continue
		}
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(n))
	}
}
