package agentapi

import (
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/bootloader"
)

var (
	sunday   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	wish     = []bootloader.Desired{{Component: "agent", Version: "2.0.0", Manifest: "/m"}, {Component: "sxs-stack", Version: "2.0.0", Manifest: "/m"}}
	runsOld  = []deskyard.Component{{Name: "agent", Version: "1.0.0", State: bootloader.Running}, {Name: "sxs-stack", Version: "1.0.0", State: bootloader.Running}}
	runsNew  = []deskyard.Component{{Name: "agent", Version: "2.0.0", State: bootloader.Running}, {Name: "sxs-stack", Version: "2.0.0", State: bootloader.Running}}
	rolled   = []deskyard.Component{{Name: "agent", Version: "1.0.0", State: bootloader.Running, Failed: "2.0.0", Detail: "it did not announce itself"}, {Name: "sxs-stack", Version: "2.0.0"}}
	missing  = []deskyard.Component{runsOld[0], {Name: "sxs-stack", State: bootloader.Failed, Failed: "2.0.0", Detail: "no space"}}
	newZone  = func(name string) *string { return &name }
	newHour  = func(h int) *deskyard.Integer { n := deskyard.Integer(h); return &n }
	sundays2 = &deskyard.AgentUpdate{Type: "Scheduled", MaintenanceWindowTimeZone: newZone("UTC"),
		MaintenanceWindows: []deskyard.MaintenanceWindow{{DayOfWeek: "Sunday", Hour: newHour(2)}}}
)

func record(state string, at time.Time, attempts int) deskyard.UpdateRecord {
	return deskyard.UpdateRecord{State: state, At: at, Target: "2.0.0", Attempts: attempts}
}

func TestAnUpdateStartsWhenItsPoolAllows(t *testing.T) {
	inWindow := time.Date(2026, 11, 22, 3, 59, 0, 0, time.UTC)
	succeeded := deskyard.UpdateRecord{State: updateSucceeded, Target: "1.0.0"}
	local := &deskyard.AgentUpdate{Type: "Scheduled", UseSessionHostLocalTime: true, MaintenanceWindows: sundays2.MaintenanceWindows}
	chicago := &deskyard.AgentUpdate{Type: "Scheduled", MaintenanceWindowTimeZone: newZone("Central Standard Time"), MaintenanceWindows: sundays2.MaintenanceWindows}
	for _, c := range []struct {
		name   string
		record deskyard.UpdateRecord
		has    []deskyard.Component
		policy *deskyard.AgentUpdate
		offset int
		now    time.Time
		state  string
		pushed bool
		force  bool
		asked  bool
	}{
		{name: "whenever an administrator asks for it", record: record(updatePending, sunday, 0), has: runsOld, policy: sundays2, now: sunday, asked: true, state: updateStarted, pushed: true},
		{name: "after any failure too", record: record(updateFailed, sunday, 5), has: rolled, policy: sundays2, now: sunday, asked: true, state: updateStarted, pushed: true, force: true},
		{name: "but not twice at once", record: record(updateStarted, sunday, 0), has: runsOld, now: sunday.Add(time.Minute), asked: true, state: updateStarted},
		{name: "nor where there is nothing new", record: succeeded, has: runsNew, now: sunday, asked: true, state: updateSucceeded},
		{name: "the first installation waits for no window", record: record(updateInitial, sunday, 0), has: runsOld[:1], policy: sundays2, now: sunday, state: updateStarted, pushed: true},
		{name: "the first installation of a host that has everything", record: record(updateInitial, sunday, 0), has: runsNew, now: sunday, state: updateSucceeded},
		{name: "without windows at once", record: succeeded, has: runsOld, now: sunday, state: updateStarted, pushed: true},
		{name: "outside the window later", record: succeeded, has: runsOld, policy: sundays2, now: sunday, state: updatePending},
		{name: "inside the window", record: succeeded, has: runsOld, policy: sundays2, now: inWindow, state: updateStarted, pushed: true},
		{name: "a window is two hours long", record: record(updatePending, inWindow, 0), has: runsOld, policy: sundays2, now: inWindow.Add(time.Minute), state: updatePending},
		{name: "the window is in the pool's zone", record: record(updatePending, inWindow, 0), has: runsOld, policy: chicago, now: time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC), state: updateStarted, pushed: true},
		{name: "or in the host's own", record: record(updatePending, inWindow, 0), has: runsOld, policy: local, offset: 9 * 3600, now: time.Date(2026, 11, 21, 17, 30, 0, 0, time.UTC), state: updateStarted, pushed: true},
		{name: "not by the host's clock when the pool has a zone", record: record(updatePending, inWindow, 0), has: runsOld, policy: sundays2, offset: 9 * 3600, now: time.Date(2026, 11, 21, 17, 30, 0, 0, time.UTC), state: updatePending},
		{name: "a host that was off in four windows is forced", record: record(updatePending, sunday, 0), has: runsOld, policy: sundays2, now: sunday.AddDate(0, 0, 28), state: updateStarted, pushed: true},
		{name: "three windows are not four", record: record(updatePending, sunday, 0), has: runsOld, policy: sundays2, now: sunday.AddDate(0, 0, 27), state: updatePending},
		{name: "what is under way goes on", record: record(updateStarted, sunday, 0), has: runsOld, now: sunday.Add(time.Minute), state: updateStarted},
		{name: "it has come up", record: record(updateStarted, sunday, 0), has: runsNew, now: sunday.Add(time.Minute), state: updateSucceeded},
		{name: "it was rolled back", record: record(updateStarted, sunday, 0), has: rolled, now: sunday.Add(time.Minute), state: updateFailed},
		{name: "it takes too long", record: record(updateStarted, sunday, 0), has: runsOld, now: sunday.Add(31 * time.Minute), state: updateFailed},
		{name: "the last attempt's failure is not this one's", record: record(updateStarted, sunday, 1), has: rolled, now: sunday.Add(10 * time.Second), state: updateStarted},
		{name: "a failure rests an hour", record: record(updateFailed, sunday, 1), has: rolled, now: sunday.Add(59 * time.Minute), state: updateFailed},
		{name: "and is tried again by force", record: record(updateFailed, sunday, 1), has: rolled, now: sunday.Add(time.Hour), state: updateStarted, pushed: true, force: true},
		{name: "in windows not in the same one", record: record(updateFailed, inWindow.Add(-time.Hour), 1), has: rolled, policy: sundays2, now: inWindow, state: updateFailed},
		{name: "but in the next", record: record(updateFailed, inWindow, 1), has: rolled, policy: sundays2, now: inWindow.AddDate(0, 0, 7), state: updateStarted, pushed: true, force: true},
		{name: "after four attempts without a window", record: record(updateFailed, inWindow, 4), has: rolled, policy: sundays2, now: sunday, state: updateStarted, pushed: true, force: true},
		{name: "a forced one that failed rests a day", record: record(updateFailed, sunday, 5), has: rolled, policy: sundays2, now: sunday.Add(23 * time.Hour), state: updateFailed},
		{name: "a newer version begins anew", record: deskyard.UpdateRecord{State: updateFailed, At: sunday, Target: "1.9.0", Attempts: 5}, has: runsOld, now: sunday, state: updateStarted, pushed: true},
		{name: "a component that is missing waits for no window", record: succeeded, has: runsOld[:1], policy: sundays2, now: sunday, state: updateStarted, pushed: true},
		{name: "nor long after a failure", record: record(updateFailed, sunday, 1), has: missing, policy: sundays2, now: sunday.Add(5 * time.Minute), state: updateStarted, pushed: true, force: true},
		{name: "but a little", record: record(updateFailed, sunday, 1), has: missing, policy: sundays2, now: sunday.Add(4 * time.Minute), state: updateFailed},
		{name: "without a boot loader nothing", record: record(updateInitial, sunday, 0), now: sunday, state: updateInitial},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, push := decideUpdate(updateCase{now: c.now, record: c.record, components: c.has, desired: wish, policy: c.policy, offset: c.offset, asked: c.asked})
			if got.State != c.state || (push != nil) != c.pushed {
				t.Fatalf("state %s, pushed %v; want %s, %v", got.State, push, c.state, c.pushed)
			}
			if c.pushed && push[0].Force != c.force {
				t.Errorf("force %v, want %v", push[0].Force, c.force)
			}
			if got.State == updateFailed && got.Error == "" && c.record.State != updateFailed {
				t.Error("failed without saying why")
			}
			if again, _ := decideUpdate(updateCase{now: c.now, record: got, components: c.has, desired: wish, policy: c.policy, offset: c.offset, asked: c.asked}); !c.pushed && again != got {
				t.Errorf("decided again at the same moment: %+v, then %+v", got, again)
			}
		})
	}
}

func TestAFailureCountsOneAttemptAndNamesTheComponent(t *testing.T) {
	got, _ := decideUpdate(updateCase{now: sunday.Add(time.Minute), record: record(updateStarted, sunday, 2), components: rolled, desired: wish})
	if got.Attempts != 3 || got.Error != "agent 2.0.0 did not come up, 1.0.0 runs again: it did not announce itself" {
		t.Fatalf("%+v", got)
	}
}

func TestOnlyWhatIsBehindIsPushed(t *testing.T) {
	_, push := decideUpdate(updateCase{now: sunday, record: record(updateInitial, sunday, 0), desired: wish,
		components: []deskyard.Component{runsNew[0]}})
	if len(push) != 1 || push[0].Component != "sxs-stack" {
		t.Fatalf("pushed %+v", push)
	}
}
