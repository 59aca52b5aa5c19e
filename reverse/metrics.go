package reverse

import (
	"errors"
	"math"
)

// Metrics is what the monitoring agent measures on its host; memory and disk in
// bytes, of the system disk.
type Metrics struct {
	CPUPercent   float64 `json:"cpuPercent"` // of all processors, since the last message
	MemoryUsed   uint64  `json:"memoryUsed"`
	MemoryTotal  uint64  `json:"memoryTotal"`
	DiskUsed     uint64  `json:"diskUsed"`
	DiskTotal    uint64  `json:"diskTotal"`
	Load1        float64 `json:"load1"`
	Active       int     `json:"activeSessions"`
	Disconnected int     `json:"disconnectedSessions"`
	RTTMicros    int64   `json:"rttMicros"`
}

// Validate reports what is wrong with metrics.
func (m Metrics) Validate() error {
	if math.IsNaN(m.CPUPercent) || m.CPUPercent < 0 || m.CPUPercent > 100 || m.Load1 < 0 || m.Active < 0 || m.Disconnected < 0 || m.RTTMicros < 0 {
		return errors.New("metrics: a value is out of range")
	}
	return nil
}
