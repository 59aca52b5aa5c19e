package agent

import (
	"reflect"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
)

// board holds what the host has to report, and tells when that changes.
type board struct {
	mu      sync.Mutex // guards what follows
	report  deskyard.HostReport
	checked bool          // health checks have run
	changed chan struct{} // closed at the next change
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

// read gives the report, whether it holds checks, and what ends with the next change.
func (b *board) read() (deskyard.HostReport, bool, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.report, b.checked, b.changed
}

// edit changes the report, which edit must not keep. Nobody is told unless it
// differs in more than the times of its checks.
func (b *board) edit(f func(*deskyard.HostReport)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.report
	f(&next)
	first := !b.checked && len(next.Checks) > 0
	b.checked = b.checked || first
	same := reflect.DeepEqual(timeless(b.report), timeless(next))
	b.report = next
	if first || !same {
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

func timeless(r deskyard.HostReport) deskyard.HostReport {
	r.At = time.Time{}
	checks := make([]deskyard.HealthCheck, len(r.Checks))
	for i, c := range r.Checks {
		c.At = time.Time{}
		checks[i] = c
	}
	r.Checks = checks
	return r
}

// sessions counts those with a user at them and those without.
func (b *board) sessions() (active, disconnected int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.report.Sessions {
		if s.State == "Active" {
			active++
		} else {
			disconnected++
		}
	}
	return active, disconnected
}
