package agentapi

import "github.com/prometheus/client_golang/prometheus"

// counts is what this door counts.
type counts struct {
	registrations, links, commands *prometheus.CounterVec
	writes                         prometheus.Counter
}

func newCounts(r prometheus.Registerer, linked func() int) *counts {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "deskyard", Subsystem: "agents", Name: name, Help: help}, labels)
	}
	c := &counts{
		registrations: counter("registrations_total", "Registrations, by result.", "result"),
		links:         counter("links_opened_total", "Control links asked for, by result.", "result"),
		commands:      counter("commands_total", "Commands to session hosts, by verb and result.", "verb", "result"),
		writes: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "deskyard", Subsystem: "agents", Name: "host_writes_total",
			Help: "Session host records written because of what their links told; heartbeats write none."}),
	}
	if r != nil {
		r.MustRegister(c.registrations, c.links, c.commands, c.writes, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "deskyard", Subsystem: "agents", Name: "linked", Help: "Session hosts with a control link."},
			func() float64 { return float64(linked()) }))
	}
	return c
}

func (c *counts) registered(result string)      { c.registrations.WithLabelValues(result).Inc() }
func (c *counts) opened(result string)          { c.links.WithLabelValues(result).Inc() }
func (c *counts) commanded(verb, result string) { c.commands.WithLabelValues(verb, result).Inc() }
func (c *counts) stored(hosts int)              { c.writes.Add(float64(hosts)) }
