package monitor

import "time"

// Metrics are one measurement of a machine.
type Metrics struct {
	Version     string    `json:"version"` // of the monitoring agent
	At          time.Time `json:"at"`
	CPUPercent  float64   `json:"cpuPercent"` // of all cores, since the measurement before
	Cores       int       `json:"cores"`
	Load1       float64   `json:"load1"` // runnable processes, one-minute mean; 0 on Windows
	MemoryTotal uint64    `json:"memoryTotal"`
	MemoryFree  uint64    `json:"memoryFree"` // available to programs without swapping
	DiskTotal   uint64    `json:"diskTotal"`  // of the system's file system
	DiskFree    uint64    `json:"diskFree"`
	Uptime      float64   `json:"uptimeSeconds"`
	FromAgent
}

// FromAgent is what only the infrastructure agent knows.
type FromAgent struct {
	SessionsActive       int     `json:"sessionsActive"`
	SessionsDisconnected int     `json:"sessionsDisconnected"`
	RoundTripSeconds     float64 `json:"roundTripSeconds"` // of the control link; 0: no link
}

// reading is what a machine is asked for; CPU times are totals since it started.
type reading struct {
	cpuBusy, cpuTotal   float64
	load1               float64
	memTotal, memFree   uint64
	diskTotal, diskFree uint64
	uptime              float64
}

// percent is the share of busy time between two readings.
func percent(before, now reading) float64 {
	total := now.cpuTotal - before.cpuTotal
	if total <= 0 {
		return 0
	}
	return min(100, max(0, 100*(now.cpuBusy-before.cpuBusy)/total))
}
