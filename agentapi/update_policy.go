package agentapi

import (
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/bootloader"
)

// States of an update, as AVD names them.
const (
	updateInitial   = "Initial"
	updatePending   = "Pending"
	updateStarted   = "Started"
	updateSucceeded = "Succeeded"
	updateFailed    = "Failed"
)

// Pace of updates (scheduled-agent-updates article, where it gives a figure).
const (
	windowLength   = 2 * time.Hour
	forcedAfter    = 4                // attempts in windows, or windows that were missed
	retryDefault   = time.Hour        // after a failure, without windows
	retryMissing   = 5 * time.Minute  // after a failure, while a component is not installed at all
	retryForced    = 24 * time.Hour   // after a forced attempt has failed too
	startedAtMost  = 30 * time.Minute // fetching, starting and rolling back four components
	failureSettles = 30 * time.Second // an earlier attempt's failure may still be reported
)

// updatePolicy is a pool's say in its hosts' updates.
type updatePolicy struct {
	agentUpdate *deskyard.AgentUpdate // nil: at any time
	validation  bool                  // the ring that gets new versions first
}

// updateCase is all that a decision on one host's update rests on.
type updateCase struct {
	now        time.Time
	record     deskyard.UpdateRecord
	components []deskyard.Component // as the host reports them
	desired    []bootloader.Desired
	policy     *deskyard.AgentUpdate
	offset     int  // the host's clock, seconds east of UTC
	asked      bool // an administrator wants it now
}

// decideUpdate gives the host's next update record, and what to tell it to install
// now (nil: nothing).
func decideUpdate(u updateCase) (deskyard.UpdateRecord, []bootloader.Desired) {
	r := u.record
	if len(u.components) == 0 && len(u.desired) > 0 {
		return r, nil // no boot loader answers on that host
	}
	target, behind := targetOf(u.desired), u.behind()
	if len(behind) == 0 {
		if r.State == updateSucceeded && r.Target == target {
			return r, nil
		}
		return deskyard.UpdateRecord{State: updateSucceeded, At: u.now, Target: target}, nil
	}
	if r.State == "" || r.State == updateInitial {
		return u.start(deskyard.UpdateRecord{Target: target}, behind) // the first installation waits for no window
	}
	if r.State == updateSucceeded || r.Target != target {
		r = deskyard.UpdateRecord{State: updatePending, At: u.now, Target: target}
	}
	if r.State == updateStarted {
		if why := u.failure(r, behind); why != "" {
			return deskyard.UpdateRecord{State: updateFailed, At: u.now, Target: target, Attempts: r.Attempts + 1, Error: why}, nil
		}
		return r, nil
	}
	if u.mayStart(r) {
		return u.start(r, behind)
	}
	return r, nil
}

func (u updateCase) start(r deskyard.UpdateRecord, behind []bootloader.Desired) (deskyard.UpdateRecord, []bootloader.Desired) {
	push := slices.Clone(behind)
	for i := range push {
		push[i].Force = r.Attempts > 0 // the boot loader remembers the failure
	}
	return deskyard.UpdateRecord{State: updateStarted, At: u.now, Target: r.Target, Attempts: r.Attempts}, push
}

// mayStart says whether a pending or failed update may start now.
func (u updateCase) mayStart(r deskyard.UpdateRecord) bool {
	if u.asked {
		return true
	}
	since := u.now.Sub(r.At)
	if r.State == updateFailed && r.Attempts > forcedAfter {
		return since >= retryForced
	}
	if u.lacks() && r.Attempts < forcedAfter { // such a host serves nobody: no window protects its users
		return r.State == updatePending || since >= retryMissing
	}
	if u.policy == nil || u.policy.Type != "Scheduled" {
		return r.State == updatePending || since >= retryDefault || r.Attempts >= forcedAfter
	}
	missed := 0
	if r.State == updatePending { // a host that is off in a window has used up that attempt
		missed = u.windowsEnded(r.At)
	}
	if r.Attempts+missed >= forcedAfter {
		return true
	}
	return u.inWindow() && (r.State == updatePending || since >= windowLength)
}

// behind is the desired components that the host does not run.
func (u updateCase) behind() []bootloader.Desired {
	var behind []bootloader.Desired
	for _, d := range u.desired {
		i := slices.IndexFunc(u.components, func(c deskyard.Component) bool { return c.Name == d.Component })
		if i < 0 || u.components[i].Version != d.Version {
			behind = append(behind, d)
		}
	}
	return behind
}

// lacks reports whether a desired component is not installed in any version.
func (u updateCase) lacks() bool {
	for _, d := range u.desired {
		if !slices.ContainsFunc(u.components, func(c deskyard.Component) bool { return c.Name == d.Component && c.Version != "" }) {
			return true
		}
	}
	return false
}

// failure says why a started update has failed, "" while it has not.
func (u updateCase) failure(r deskyard.UpdateRecord, behind []bootloader.Desired) string {
	since := u.now.Sub(r.At)
	for _, d := range behind {
		for _, c := range u.components {
			old := r.Attempts > 0 && since < failureSettles
			if c.Name == d.Component && c.Failed == d.Version && c.State != bootloader.Installing && !old {
				return d.Component + " " + d.Version + " did not come up, " + orNone(c.Version) + " runs again: " + c.Detail
			}
		}
	}
	if since > startedAtMost {
		return "The update to " + r.Target + " did not end within " + startedAtMost.String() + ". Look at the boot loader's log on the host."
	}
	return ""
}

func orNone(version string) string {
	if version == "" {
		return "no version"
	}
	return version
}

// targetOf names what is aimed at: one version when all components share it.
func targetOf(desired []bootloader.Desired) string {
	var all []string
	same := true
	for _, d := range desired {
		same = same && d.Version == desired[0].Version
		all = append(all, d.Component+" "+d.Version)
	}
	if len(desired) > 0 && same {
		return desired[0].Version
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// zone is where the pool's windows are: the host's own clock, or a named zone.
func (u updateCase) zone() *time.Location {
	if u.policy.UseSessionHostLocalTime {
		return time.FixedZone("host", u.offset)
	}
	if u.policy.MaintenanceWindowTimeZone != nil {
		if z, err := deskyard.LoadZone(*u.policy.MaintenanceWindowTimeZone); err == nil {
			return z
		}
	}
	return time.UTC // the article's default
}

// lastStart is the latest start of a window at or before t.
func lastStart(w deskyard.MaintenanceWindow, zone *time.Location, t time.Time) (time.Time, bool) {
	if w.Hour == nil {
		return time.Time{}, false
	}
	local := t.In(zone)
	for back := range 8 {
		start := time.Date(local.Year(), local.Month(), local.Day()-back, int(*w.Hour), 0, 0, 0, zone)
		if start.Weekday().String() == w.DayOfWeek && !start.After(t) {
			return start, true
		}
	}
	return time.Time{}, false
}

func (u updateCase) inWindow() bool {
	zone := u.zone()
	for _, w := range u.policy.MaintenanceWindows {
		if start, ok := lastStart(w, zone, u.now); ok && u.now.Sub(start) < windowLength {
			return true
		}
	}
	return false
}

// windowsEnded counts the windows that began after since and have ended, up to forcedAfter.
func (u updateCase) windowsEnded(since time.Time) int {
	zone, n := u.zone(), 0
	for _, w := range u.policy.MaintenanceWindows {
		at := u.now.Add(-windowLength)
		for n < forcedAfter {
			start, ok := lastStart(w, zone, at)
			if !ok || !start.After(since) {
				break
			}
			n++
			at = start.Add(-time.Second)
		}
	}
	return n
}
