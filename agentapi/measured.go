package agentapi

import (
	"strings"
	"time"

	"github.com/deskyard/deskyard/history"
)

// measuredFor is how long a measurement is the host's current one: agents send one each
// half minute.
const measuredFor = 100 * time.Second

// Measured is what the connected hosts measure now, for their history; hosts whose
// monitoring agent has fallen silent are left out.
func (s *Server) Measured() []history.Measurement {
	now := s.now()
	links := s.links.all()
	all := make([]history.Measurement, 0, len(links))
	for _, l := range links {
		l.state.Lock()
		m, taken := l.metrics, l.taken
		l.state.Unlock()
		if m == nil || now.Sub(taken) > measuredFor {
			continue
		}
		all = append(all, history.Measurement{Key: strings.ToLower(l.id), Values: []float64{
			m.CPUPercent, 100 - percent(m.MemoryUsed, m.MemoryTotal), percent(m.DiskUsed, m.DiskTotal), m.Load1,
			float64(m.Active), float64(m.Disconnected), float64(m.RTTMicros) / 1000,
		}})
	}
	return all
}

// percent is a share of a whole; of nothing it is nothing.
func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
