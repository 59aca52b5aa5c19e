// Package monitor is the session host's monitoring agent: it measures the machine
// (CPU, memory, disk, load, network) and keeps what the infrastructure agent tells
// it (sessions, round trip to the service), for Prometheus on loopback and for the
// agent, which passes it on to the service.
package monitor
