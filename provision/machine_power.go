package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
)

// obey carries out the oldest order of a machine whose making has ended, or looks
// whether it still is as it was.
func (m *machineRun) obey(ctx context.Context) (next bool, wait time.Duration, err error) {
	if len(m.st.Orders) == 0 {
		return false, 0, m.look(ctx)
	}
	o := m.st.Orders[0]
	switch o.Verb {
	case deskyard.JobPut:
		return true, 0, m.put(ctx)
	case jobRemake:
		return true, 0, m.remake(ctx)
	}
	if m.st.Step == stepFailed && m.st.Place.Host == "" {
		return true, 0, m.refuse(ctx, arm.Errorf(arm.Conflicting, "OperationNotAllowed",
			"The machine '%s' was never made: %s Repeat its PUT first.", m.id.Name(), m.st.Reason))
	}
	if m.facts, err = readMachine(ctx, m.s.o.Store, m.row); err != nil {
		var refused *arm.Error
		if errors.As(err, &refused) {
			return true, 0, m.refuse(ctx, refused)
		}
		return false, 0, err
	}
	want, err := m.power(ctx, o)
	switch {
	case errors.Is(err, compute.ErrUnreachable) || ctx.Err() != nil:
		return false, 0, err
	case err != nil:
		return true, 0, m.refuse(ctx, powerRefusal(m, o, err))
	}
	return true, 0, m.obeyed(ctx, want)
}

// power carries one order out and says what power state it leaves.
func (m *machineRun) power(ctx context.Context, o order) (want string, err error) {
	h, err := m.host()
	if err != nil {
		return "", err
	}
	do := func(p compute.Power) error {
		return m.s.onHost(ctx, h, func(ctx context.Context) error { return h.Driver.Power(ctx, m.st.MachineID, p) })
	}
	switch o.Verb {
	case deskyard.JobStart:
		return powerRunning, m.start(ctx, h, do)
	case deskyard.JobPowerOff:
		if skips(o.Settings) {
			return powerStopped, do(compute.PowerOff)
		}
		return powerStopped, do(compute.Shutdown)
	case deskyard.JobDeallocate:
		return powerDeallocated, do(compute.Shutdown)
	case deskyard.JobHibernate:
		return powerHibernated, m.hibernate(do)
	case deskyard.JobRestart:
		return powerRunning, m.restart(ctx, o, h, do)
	}
	return "", arm.Errorf(arm.Invalid, "InvalidParameter", "A machine has no verb '%s'.", o.Verb)
}

// start takes the machine's place again if it gave it up, and starts it there: its
// disk is there and nowhere else.
func (m *machineRun) start(ctx context.Context, h Hypervisor, do func(compute.Power) error) error {
	if m.st.Place.Released {
		if err := m.s.reclaim(ctx, m.id, m.st.Place, h, func(p place) error {
			return m.alter(ctx, func(_ context.Context, c change) error {
				c.st.Place = p
				return nil
			})
		}); err != nil {
			return err
		}
	}
	if err := m.filter(ctx, h); err != nil {
		return err
	}
	if m.s.o.Guests != nil {
		m.s.o.Guests.Describe(m.st.MachineID, m.metadata())
	}
	return do(compute.Start)
}

func (m *machineRun) hibernate(do func(compute.Power) error) error {
	if !m.facts.Capabilities.Hibernation {
		return arm.Errorf(arm.Conflicting, "OperationNotAllowed",
			"The machine '%s' was not made with hibernation enabled (additionalCapabilities.hibernationEnabled). Deallocate it instead.", m.id.Name())
	}
	return do(compute.Hibernate)
}

// restart stops and starts the machine, in that order even across a kill: a guest is
// asked to shut down, so that its users' work is saved.
func (m *machineRun) restart(ctx context.Context, o order, h Hypervisor, do func(compute.Power) error) error {
	if !o.Halfway {
		if m.st.Want != powerRunning {
			return fmt.Errorf("restart: %w", compute.ErrNotRunning)
		}
		if err := do(compute.Shutdown); err != nil {
			return err
		}
		if err := m.alter(ctx, func(_ context.Context, c change) error {
			if len(c.st.Orders) > 0 {
				c.st.Orders[0].Halfway = true
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return m.start(ctx, h, do)
}

// skips reports whether a powerOff asks to pull the plug.
func skips(settings json.RawMessage) bool {
	var s struct {
		Skip any `json:"skipShutdown"`
	}
	if json.Unmarshal(settings, &s) != nil {
		return false
	}
	return s.Skip == true || strings.EqualFold(fmt.Sprint(s.Skip), "true")
}

// obeyed writes down that the oldest order was carried out.
func (m *machineRun) obeyed(ctx context.Context, want string) error {
	verb := m.st.Orders[0].Verb
	err := m.alter(ctx, func(ctx context.Context, c change) error {
		c.st.Want, c.st.Reason = want, ""
		c.st.Place.Released = want == powerDeallocated || want == powerHibernated
		c.st.Seen = sighting{Power: want, At: c.now}
		if err := c.endFirst(ctx, nil); err != nil {
			return err
		}
		if c.st.Step == stepFailed {
			return nil // its row says why it failed; its power is told live
		}
		return showState(ctx, c.tx, m.id, rowState{Provisioning: stateSucceeded})
	})
	if err == nil {
		m.s.log.Info("machine's power changed", "machine", m.id, "verb", verb, "power", want)
		m.s.resourceChanged(ctx, m.id)
	}
	return err
}

// refuse ends the oldest order with a failure; the machine stays as it is.
func (m *machineRun) refuse(ctx context.Context, why *arm.Error) error {
	verb := m.st.Orders[0].Verb
	err := m.alter(ctx, func(ctx context.Context, c change) error {
		if err := c.endFirst(ctx, why); err != nil {
			return err
		}
		if c.st.Step == stepFailed {
			return nil
		}
		return showState(ctx, c.tx, m.id, rowState{Provisioning: stateSucceeded, Reason: c.st.Reason})
	})
	if err == nil {
		m.s.log.Warn("machine's order failed", "machine", m.id, "verb", verb, "reason", why.Message)
		m.s.resourceChanged(ctx, m.id)
	}
	return err
}

// endFirst ends the oldest order.
func (c change) endFirst(ctx context.Context, failure *arm.Error) error {
	if len(c.st.Orders) == 0 {
		return nil
	}
	o := c.st.Orders[0]
	c.st.Orders = c.st.Orders[1:]
	status := stateSucceeded
	if failure != nil {
		status = stateFailed
	}
	return endOperation(ctx, c.tx, o.Operation, status, c.now, failure)
}

func powerRefusal(m *machineRun, o order, err error) *arm.Error {
	var refused *arm.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, compute.ErrNotRunning):
		return arm.Errorf(arm.Conflicting, "OperationNotAllowed",
			"The machine '%s' does not run, so that '%s' is not possible. Start it first.", m.id.Name(), o.Verb)
	case errors.Is(err, compute.ErrNotFound):
		return arm.Errorf(arm.Conflicting, "VMNotFoundOnHost",
			"The machine '%s' is gone from the hypervisor '%s' though nobody asked for it. Replace it: deskyard sessionhost replace.", m.id.Name(), m.st.Place.Host)
	case errors.Is(err, compute.ErrUnsupported):
		return arm.Errorf(arm.Conflicting, "OperationNotAllowed", "The hypervisor '%s' cannot do '%s': %v.", m.st.Place.Host, o.Verb, err)
	case errors.Is(err, compute.ErrNoSpace):
		return arm.Errorf(arm.Conflicting, "AllocationFailed",
			"The hypervisor '%s' has no room to start '%s' now: %v. Stop another machine there and try again.", m.st.Place.Host, m.id.Name(), err)
	}
	return arm.Errorf(arm.Conflicting, "VMOperationFailed", "'%s' of the machine '%s' failed: %v. Try again.", o.Verb, m.id.Name(), err)
}

// put makes a changed row true: rules and metadata at once. A machine that failed is
// tried again from where it stuck; one whose guest never came is made anew.
func (m *machineRun) put(ctx context.Context) error {
	if m.st.Step == stepFailed {
		return m.retry(ctx)
	}
	var err error
	if m.facts, err = readMachine(ctx, m.s.o.Store, m.row); err != nil {
		return m.refuse(ctx, wordsOf(err))
	}
	h, err := m.host()
	if err != nil {
		return err
	}
	if err := m.filter(ctx, h); errors.Is(err, compute.ErrUnsupported) {
		return m.refuse(ctx, wordsOf(err))
	} else if err != nil {
		return err
	}
	if m.s.o.Guests != nil {
		m.s.o.Guests.Describe(m.st.MachineID, m.metadata())
	}
	err = m.alter(ctx, func(ctx context.Context, c change) error {
		if err := c.endFirst(ctx, nil); err != nil {
			return err
		}
		return showState(ctx, c.tx, m.id, rowState{Provisioning: stateSucceeded, Reason: c.st.Reason})
	})
	if err == nil {
		m.s.resourceChanged(ctx, m.id)
	}
	return err
}

// wordsOf is an error as the API tells it.
func wordsOf(err error) *arm.Error {
	var refused *arm.Error
	if errors.As(err, &refused) {
		return refused
	}
	return arm.Errorf(arm.Conflicting, "OperationNotAllowed", "%v. Change the request and repeat it.", err)
}

// retry makes a failed machine again.
func (m *machineRun) retry(ctx context.Context) error {
	if m.st.Place.Host != "" && m.st.Linked {
		return m.restartFrom(ctx, stepStarted) // its guest was there: it need not be made anew
	}
	return m.remake(ctx)
}

// remake makes a machine anew from its image, with a guest that is invited anew. Its
// disk is lost; its row, place and address stay.
func (m *machineRun) remake(ctx context.Context) error {
	if m.st.Place.Host == "" {
		return m.restartFrom(ctx, stepNew)
	}
	h, err := m.host()
	if err != nil {
		return err
	}
	if err := m.s.onHost(ctx, h, func(ctx context.Context) error { return h.Driver.Remove(ctx, m.st.MachineID) }); err != nil {
		return fmt.Errorf("remove %s to make it anew: %w", m.id.Name(), err)
	}
	return m.restartFrom(ctx, stepPlaced)
}

// restartFrom has the making begin again at a step.
func (m *machineRun) restartFrom(ctx context.Context, from machineStep) error {
	facts, err := readMachine(ctx, m.s.o.Store, m.row)
	if err != nil {
		return m.fail(ctx, wordsOf(err))
	}
	m.facts = facts
	return m.alter(ctx, func(ctx context.Context, c change) error {
		c.st.Step, c.st.Reason, c.st.Began = from, "", c.now
		c.st.Round++
		c.st.BootBy, c.st.Linked = c.now.Add(m.s.o.BootDeadline), from == stepStarted
		c.st.Place.Released = false
		if from == stepPlaced {
			if err := m.invite(ctx, c); err != nil {
				return err
			}
		}
		return showState(ctx, c.tx, m.id, rowState{Provisioning: "Updating"})
	})
}

// look compares a machine with what was seen of it last and writes what changed.
//
// A guest that ends by itself or crashes stays down, as in Azure: starting it again
// would hide why. Machines that were lost while nobody looked, for the host or this
// service was down, are started again, as Azure does after a host's reboot.
func (m *machineRun) look(ctx context.Context) error {
	if m.st.Place.Host == "" {
		return nil
	}
	h, err := m.host()
	if err != nil {
		return m.see(ctx, sighting{Power: powerUnknown, Problem: err.Error()})
	}
	seen, err := h.Driver.Observe(ctx, m.st.MachineID)
	now := m.st.sees(seen, err, h.Name)
	if now.Power == powerStopped && seen.State == compute.Crashed && m.st.Want == powerRunning && m.st.Step == stepReady && m.s.machines.missedSince(h.Name, m.id) {
		m.s.log.Info("starting a machine that its host lost", "machine", m.id, "hypervisor", h.Name, "reason", seen.Reason)
		if m.facts, err = readMachine(ctx, m.s.o.Store, m.row); err != nil {
			return err
		}
		if err := h.Driver.Power(ctx, m.st.MachineID, compute.Start); err != nil {
			return fmt.Errorf("start %s again on %s: %w", m.id.Name(), h.Name, err)
		}
		now = sighting{Power: powerRunning}
	}
	m.s.machines.looked(m.id)
	if m.st.Step == stepReady && now.Power != powerUnknown {
		err := m.refilter(ctx, h)
		if errors.Is(err, compute.ErrUnsupported) {
			now.Problem = fmt.Sprintf("Its security rules changed and are not enforced: %v. Change them back, or move the machine to a hypervisor with a bridged network.", err)
		} else if err != nil {
			return err
		}
	}
	return m.see(ctx, now)
}

// see writes a sighting that differs from the last one.
func (m *machineRun) see(ctx context.Context, now sighting) error {
	if now.Power == m.st.Seen.Power && now.Problem == m.st.Seen.Problem {
		return nil
	}
	m.s.log.Info("machine seen changed", "machine", m.id, "power", now.Power, "problem", now.Problem)
	return m.alter(ctx, func(ctx context.Context, c change) error {
		now.At = c.now
		c.st.Seen = now
		if c.st.Step == stepFailed {
			return nil
		}
		c.st.Reason = now.Problem
		return showState(ctx, c.tx, m.id, rowState{Reason: now.Problem})
	})
}

// sees puts an observation into the words of the instance view.
func (st *machineState) sees(o compute.Observation, err error, host string) sighting {
	switch {
	case errors.Is(err, compute.ErrNotFound):
		if st.Step != stepReady {
			return sighting{Power: powerStopped}
		}
		return sighting{powerUnknown, fmt.Sprintf("The machine is gone from the hypervisor '%s' though nobody asked for it. Replace it: deskyard sessionhost replace.", host), time.Time{}}
	case err != nil:
		return sighting{powerUnknown, fmt.Sprintf("The hypervisor '%s' does not answer (%v). Nothing need be done: the machine is looked at again every %s.", host, err, watchEvery), time.Time{}}
	}
	switch o.State {
	case compute.Running:
		return sighting{Power: powerRunning}
	case compute.Hibernated:
		return sighting{Power: powerHibernated}
	case compute.Paused:
		return sighting{powerStopped, "The hypervisor paused the machine" + because(o.Reason) + ". Remove the cause, then start it: az vm start.", time.Time{}}
	case compute.Crashed:
		return sighting{powerStopped, "The machine ended without anybody's asking" + because(o.Reason) + ". Look at its boot diagnostics, then start it: az vm start.", time.Time{}}
	}
	if st.Want == powerDeallocated {
		return sighting{Power: powerDeallocated}
	}
	if st.Want == powerRunning && st.Step == stepReady {
		return sighting{powerStopped, "The guest shut itself down. Start it: az vm start.", time.Time{}}
	}
	return sighting{Power: powerStopped}
}
