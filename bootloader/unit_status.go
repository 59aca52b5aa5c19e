package bootloader

import (
	"fmt"
	"os"
	"slices"
)

// publish makes the state readable by status.
func (u *unit) publish() {
	r := u.s.ledger.get(u.name)
	kept, err := u.disk.versions()
	if err != nil {
		u.log.Error("kept versions unknown", "error", err)
	}
	c := Component{
		Name: u.name, Title: u.title, Version: u.current, Desired: r.Desired.Version, Kept: kept,
		Failed: r.Failed, Attempts: r.Attempts, Restarts: u.restarts, Detail: u.problem,
	}
	if u.title == "" && u.current != "" {
		if m, err := u.disk.manifest(u.current); err == nil {
			u.title, c.Title = m.Title, m.Title
		}
	}
	if u.proc != nil {
		c.PID, c.StartedAt = u.proc.pid, u.proc.started
	}
	if u.self {
		c.Version, c.PID = u.s.o.SelfVersion, os.Getpid()
	}
	c.State = u.state(r)
	if r.Trial != "" && !u.self {
		c.Version, c.Detail = r.Previous, fmt.Sprintf("version %s is on trial", r.Trial)
	}
	switch {
	case c.State == Failed && c.Detail == "":
		c.Detail = fmt.Sprintf("version %s did not come up: %s", r.Failed, r.Reason)
	case c.State == Installing && c.Detail == "" && u.fetching == "":
		c.Detail = fmt.Sprintf("version %s has not announced itself ready yet", u.current)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.view, u.busy = c, u.fetching != "" || r.Trial != ""
}

func (u *unit) isBusy() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.busy
}

func (u *unit) state(r record) string {
	up := u.proc != nil || u.self
	failed := r.Failed != "" && (r.Failed == r.Desired.Version || r.Failed == u.current) && !(u.announced && r.Failed == u.current)
	switch {
	case u.fetching != "" || r.Trial != "":
		return Installing
	case failed:
		return Failed
	case up && (u.announced || u.self || r.good(u.current)):
		return Running
	case up || u.current == "":
		return Installing
	}
	return Stopped
}

func (u *unit) status() Component {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.view
	c.Name, c.Kept = u.name, slices.Clone(c.Kept)
	return c
}
