package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/reconcile"
)

// Times of making a machine.
const (
	// DefaultBootDeadline is how long a guest may take from its start to its first link:
	// under emulation a desktop image takes one to two minutes, Windows' first boot ten.
	DefaultBootDeadline = 15 * time.Minute
	adminTime           = 5 * time.Minute  // for the step that names the guest and makes its administrator
	linkLook            = 15 * time.Second // how often a booting machine is looked at; its link wakes it at once
	invitationSlack     = time.Hour        // an invitation outlives the deadline, so that a late guest is told so and not refused
	triesBeforeFailure  = 6                // of a driver that fails for no reason it can name: about a minute
)

// machinesAtOnce and groupsAtOnce bound the turns at a time. Nearly all of a turn's
// time is its wait for a hypervisor, each of which has its own bound.
const (
	machinesAtOnce = 256
	groupsAtOnce   = 4
)

// reconcileMachine takes a machine from whatever was written down of it to what its
// row asks for. It goes on until there is something to wait for.
func (s *Service) reconcileMachine(ctx context.Context, w deskyard.Work) (reconcile.Result, error) {
	m, err := s.runOf(ctx, w)
	if err != nil {
		return reconcile.Result{}, err
	}
	s.machines.note(m.id, m.st)
	if m.gone || m.st.deleting() {
		return m.remove(ctx)
	}
	for {
		next, wait, err := m.step(ctx)
		if err != nil {
			return m.stuck(ctx, w.Attempts, err)
		}
		if !next {
			return reconcile.Result{After: wait}, nil
		}
		if m.st.deleting() {
			return m.remove(ctx)
		}
	}
}

// runOf reads all that a turn needs. A machine whose facts cannot be read any more
// (its network is gone) can still be stopped and removed.
func (s *Service) runOf(ctx context.Context, w deskyard.Work) (*machineRun, error) {
	m := &machineRun{s: s, id: w.ID}
	var err error
	if m.st, m.secrets, err = s.openMachine(w); err != nil {
		return nil, err
	}
	m.row, err = s.o.Store.Resource(ctx, w.ID)
	if arm.IsMissing(err) {
		m.gone = true
		return m, nil
	}
	return m, err
}

// step takes the next step; next is false when there is something to wait for, which
// a Wake or the time tells.
func (m *machineRun) step(ctx context.Context) (next bool, wait time.Duration, err error) {
	if m.st.Step == stepReady || m.st.Step == stepFailed {
		return m.obey(ctx)
	}
	if m.facts, err = readMachine(ctx, m.s.o.Store, m.row); err != nil {
		return false, 0, err
	}
	switch m.st.Step {
	case stepNew:
		return true, 0, m.place(ctx)
	case stepPlaced:
		return true, 0, m.make(ctx)
	case stepMade:
		return m.boot(ctx)
	case stepStarted:
		return m.await(ctx)
	case stepLinked:
		return m.personalise(ctx)
	}
	return false, 0, fmt.Errorf("go on with %s: the step %q is not known", m.id, m.st.Step)
}

// place chooses the host and invites the guest: from here on the host is settled,
// whatever becomes of this process.
func (m *machineRun) place(ctx context.Context) error {
	image, err := m.image(ctx)
	if err != nil {
		return err
	}
	need := m.facts.needs(image)
	return m.s.reserve(ctx, m.id, need, func(p place) error {
		return m.alter(ctx, func(ctx context.Context, c change) error {
			if c.st.MachineID == "" {
				c.st.MachineID = m.facts.VMID
			}
			if c.st.MachineID == "" {
				return fmt.Errorf("place %s: its row has no vmId", m.id)
			}
			c.st.Step, c.st.Place, c.st.Want = stepPlaced, p, powerRunning
			if c.st.Began.IsZero() {
				c.st.Began = c.now
			}
			for _, n := range m.facts.nics {
				c.st.NICs = append(c.st.NICs, n.id.String())
			}
			if err := m.attach(ctx, c.tx, true); err != nil {
				return err
			}
			if err := recordImage(ctx, c.tx, m.id, image); err != nil {
				return err
			}
			return m.invite(ctx, c)
		})
	})
}

// attach writes into the interfaces' rows whose they are, or that they are free.
func (m *machineRun) attach(ctx context.Context, tx deskyard.Tx, attached bool) error {
	for _, n := range m.facts.nics {
		if err := attachNIC(ctx, tx, n.id, m.id, attached); err != nil {
			return err
		}
	}
	return nil
}

func attachNIC(ctx context.Context, tx deskyard.Tx, nic, vm arm.ResourceID, attached bool) error {
	return alterRow(ctx, tx, nic, func(p map[string]json.RawMessage) {
		var now reference
		if json.Unmarshal(p["virtualMachine"], &now) != nil {
			now = reference{}
		}
		switch {
		case attached:
			p["virtualMachine"] = encoded(reference{ID: vm.String()})
		case arm.ResourceID.Key(parsed(now.ID)) == vm.Key():
			delete(p, "virtualMachine")
		}
	})
}

// parsed is an id that a row holds; what cannot be read is the zero id.
func parsed(id string) arm.ResourceID {
	at, err := arm.ParseID(id)
	if err != nil {
		return arm.ResourceID{}
	}
	return at
}

// invite has the guest's record made and keeps what the machine is to be given.
func (m *machineRun) invite(ctx context.Context, c change) error {
	if m.s.o.Guests == nil || !m.facts.hasAgent() {
		return nil
	}
	life := m.s.o.BootDeadline + invitationSlack
	invitation, err := m.s.o.Guests.Invite(ctx, c.tx, guestOwner(m.id), c.st.MachineID, life)
	if err != nil {
		return fmt.Errorf("invite the guest of %s: %w", m.id, err)
	}
	c.secrets.Invitation = &invitation
	return nil
}

// make has the machine made, off, and its rules set before it ever runs.
func (m *machineRun) make(ctx context.Context) error {
	h, err := m.host()
	if err != nil {
		return err
	}
	image, err := m.image(ctx)
	if err != nil {
		return err
	}
	if m.staleInvitation() {
		return m.again(ctx, h)
	}
	spec, err := m.spec(image, h)
	if err != nil {
		return err
	}
	err = m.s.onHost(ctx, h, func(ctx context.Context) error {
		if err := h.Driver.Ensure(ctx, spec); err != nil {
			return err
		}
		return m.filter(ctx, h)
	})
	if errors.Is(err, compute.ErrNoSpace) {
		return m.elsewhere(ctx, h, err)
	}
	if err != nil {
		return fmt.Errorf("make %s on %s: %w", m.id.Name(), h.Name, err)
	}
	return m.alter(ctx, func(_ context.Context, c change) error {
		c.st.Step = stepMade
		return nil
	})
}

// staleInvitation reports whether the invitation may expire before the guest can
// have used it; a machine that never ran is made anew with another.
func (m *machineRun) staleInvitation() bool {
	i := m.secrets.Invitation
	return i != nil && m.s.now().Add(m.s.o.BootDeadline).After(i.Expires)
}

// again removes what was made of a machine that never ran and invites its guest anew.
func (m *machineRun) again(ctx context.Context, h Hypervisor) error {
	if err := m.s.onHost(ctx, h, func(ctx context.Context) error { return h.Driver.Remove(ctx, m.st.MachineID) }); err != nil {
		return fmt.Errorf("remove %s to make it anew: %w", m.id.Name(), err)
	}
	return m.alter(ctx, func(ctx context.Context, c change) error {
		c.st.Step = stepPlaced
		return m.invite(ctx, c)
	})
}

// elsewhere gives a host up that turned out to be full, once nothing of the machine
// is left on it; another is looked for.
func (m *machineRun) elsewhere(ctx context.Context, h Hypervisor, cause error) error {
	if err := h.Driver.Remove(ctx, m.st.MachineID); err != nil {
		return fmt.Errorf("clear up %s on %s, which is full: %w", m.id.Name(), h.Name, err)
	}
	m.s.machines.full(h.Name, m.s.now())
	if err := m.alter(ctx, func(_ context.Context, c change) error {
		c.st.Step, c.st.Place = stepNew, place{}
		return nil
	}); err != nil {
		return err
	}
	m.s.log.Warn("hypervisor full; placing the machine elsewhere", "machine", m.id, "hypervisor", h.Name, "err", cause)
	return nil
}

// boot starts the machine, once its host has processors for that, and sets the deadline
// for its guest.
func (m *machineRun) boot(ctx context.Context) (next bool, wait time.Duration, err error) {
	h, err := m.host()
	if err != nil {
		return false, 0, err
	}
	if m.staleInvitation() {
		return true, 0, m.again(ctx, h)
	}
	if ok, boot, processors := m.s.takeBoot(m.id, h.Name); !ok {
		return false, linkLook, m.awaitBoot(ctx, boot, processors)
	}
	if m.s.o.Guests != nil {
		m.s.o.Guests.Describe(m.st.MachineID, m.metadata())
	}
	if err := m.s.onHost(ctx, h, func(ctx context.Context) error { return h.Driver.Power(ctx, m.st.MachineID, compute.Start) }); err != nil {
		return false, 0, fmt.Errorf("start %s on %s: %w", m.id.Name(), h.Name, err)
	}
	err = m.alter(ctx, func(ctx context.Context, c change) error {
		c.st.Step, c.st.BootBy = stepStarted, c.now.Add(m.s.o.BootDeadline)
		c.st.Seen = sighting{Power: powerRunning, At: c.now}
		if c.st.Reason == "" {
			return nil
		}
		c.st.Reason = "" // it waits no more
		return showState(ctx, c.tx, m.id, rowState{})
	})
	if err == nil {
		m.s.log.Info("machine started", "machine", m.id, "hypervisor", h.Name)
	}
	return true, 0, err
}

// await waits for the guest's link.
func (m *machineRun) await(ctx context.Context) (next bool, wait time.Duration, err error) {
	if m.s.o.Guests == nil || !m.facts.hasAgent() || m.s.o.Guests.Connected(m.st.MachineID) {
		err := m.alter(ctx, func(_ context.Context, c change) error {
			c.st.Step, c.st.Linked = stepLinked, m.s.o.Guests != nil && m.facts.hasAgent()
			c.secrets.Invitation = nil
			return nil
		})
		m.s.bootOver(m.st.Place.Host)
		return true, 0, err
	}
	h, err := m.host()
	if err != nil {
		return false, 0, err
	}
	seen, err := h.Driver.Observe(ctx, m.st.MachineID)
	if err != nil {
		return false, 0, fmt.Errorf("look at %s on %s while it boots: %w", m.id.Name(), h.Name, err)
	}
	left := m.st.BootBy.Sub(m.s.now())
	switch {
	case seen.State == compute.Paused:
		return false, 0, fmt.Errorf("wait for %s to boot: the hypervisor %s paused it: %s: %w", m.id.Name(), h.Name, seen.Reason, compute.ErrNoSpace)
	case seen.State != compute.Running:
		return true, 0, m.fail(ctx, m.neverCame(ctx, h, "it ended during its first boot"+because(seen.Reason)))
	case left <= 0:
		return true, 0, m.fail(ctx, m.neverCame(ctx, h, fmt.Sprintf("its boot loader did not reach the service within %s", m.s.o.BootDeadline)))
	}
	return false, min(linkLook, left), nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// personalise gives the guest its name and its administrator, and lets the row say
// that the machine is there.
func (m *machineRun) personalise(ctx context.Context) (next bool, wait time.Duration, err error) {
	if m.st.Linked {
		m.s.o.Guests.Describe(m.st.MachineID, m.metadata())
		ctx, cancel := context.WithTimeout(ctx, adminTime)
		defer cancel()
		result, err := m.s.o.Guests.Do(ctx, m.st.MachineID, m.adminStep())
		switch {
		case errors.Is(err, deskyard.ErrGuestUnreachable) && m.s.now().Before(m.st.BootBy.Add(adminTime)):
			return false, linkLook, m.reason(ctx, "The guest's link ended before it was given its name and its administrator. Nothing need be done: it goes on when the guest is back.")
		case err != nil && m.s.now().Before(m.st.BootBy.Add(adminTime)):
			return false, 0, fmt.Errorf("name the guest of %s: %w", m.id.Name(), err)
		case err != nil:
			return true, 0, m.fail(ctx, arm.Errorf(arm.Conflicting, "OSProvisioningInternalError",
				"The guest of '%s' could not be given its name and its administrator: %v. Look at its boot diagnostics, then repeat the request.", m.id.Name(), err))
		case result.State == deskyard.StepFailed:
			return true, 0, m.fail(ctx, arm.Errorf(arm.Conflicting, "OSProvisioningClientError",
				"The guest of '%s' refused its name or its administrator: %s (%s). Correct the request and repeat it.", m.id.Name(), result.Message, result.Code))
		}
	}
	return true, 0, m.succeed(ctx)
}

// succeed ends the making.
func (m *machineRun) succeed(ctx context.Context) error {
	took := m.s.now().Sub(m.st.Began)
	if err := m.balloonToStart(ctx); err != nil {
		return err
	}
	err := m.alter(ctx, func(ctx context.Context, c change) error {
		c.st.Step, c.st.FailedAt, c.st.Reason = stepReady, "", ""
		c.st.Seen = sighting{Power: powerRunning, At: c.now}
		if err := c.endOrders(ctx, nil); err != nil {
			return err
		}
		return showState(ctx, c.tx, m.id, rowState{Provisioning: stateSucceeded})
	})
	if err != nil {
		return err
	}
	m.s.log.Info("machine ready", "machine", m.id, "hypervisor", m.st.Place.Host, "after", took)
	m.s.machines.metrics.made(stateSucceeded, took)
	m.s.resourceChanged(ctx, m.id)
	return nil
}

// fail ends the making with a reason; what was made is kept for diagnosis.
func (m *machineRun) fail(ctx context.Context, why *arm.Error) error {
	took := m.s.now().Sub(m.st.Began)
	err := m.alter(ctx, func(ctx context.Context, c change) error {
		if c.st.Step != stepFailed {
			c.st.FailedAt = c.st.Step
		}
		c.st.Step, c.st.Reason = stepFailed, why.Message
		if err := c.endOrders(ctx, why); err != nil {
			return err
		}
		return showState(ctx, c.tx, m.id, rowState{Provisioning: stateFailed, Reason: why.Message, Error: why})
	})
	if err != nil {
		return err
	}
	m.s.log.Warn("machine failed", "machine", m.id, "hypervisor", m.st.Place.Host, "code", why.Code, "reason", why.Message)
	m.s.machines.metrics.made(stateFailed, took)
	m.s.bootOver(m.st.Place.Host)
	m.s.resourceChanged(ctx, m.id)
	return nil
}

// endOrders ends the orders that a making was for with its outcome.
func (c change) endOrders(ctx context.Context, failure *arm.Error) error {
	status := stateSucceeded
	if failure != nil {
		status = stateFailed
	}
	rest := c.st.Orders[:0:0]
	for _, o := range c.st.Orders {
		if o.Verb != deskyard.JobPut && o.Verb != jobRemake {
			rest = append(rest, o)
			continue
		}
		if err := endOperation(ctx, c.tx, o.Operation, status, c.now, failure); err != nil {
			return err
		}
	}
	c.st.Orders = rest
	return nil
}

// reason lets the row say what is being waited for, once.
func (m *machineRun) reason(ctx context.Context, sentence string) error {
	if m.st.Reason == sentence {
		return nil
	}
	return m.alter(ctx, func(ctx context.Context, c change) error {
		c.st.Reason = sentence
		return showState(ctx, c.tx, m.id, rowState{Reason: sentence})
	})
}

// stuck decides what becomes of a step's error: what can never succeed fails the
// machine, what a host's return mends is waited for, and what nobody can name is
// tried a few times.
func (m *machineRun) stuck(ctx context.Context, attempts int, err error) (reconcile.Result, error) {
	making := m.st.Step != stepReady && m.st.Step != stepFailed
	var refused *arm.Error
	switch {
	case ctx.Err() != nil:
		return reconcile.Result{}, err
	case errors.Is(err, compute.ErrUnreachable):
		said := fmt.Sprintf("The hypervisor '%s' does not answer. Nothing need be done: the work goes on when it does; deskyard doctor shows its state.", m.st.Place.Host)
		if m.st.Place.Host == "" { // none is chosen yet: the error tells of each
			said = fmt.Sprintf("No hypervisor can take it now (%v). Nothing need be done: the work goes on when one can; deskyard doctor shows their state.", err)
		}
		return reconcile.Result{}, errors.Join(err, m.reason(ctx, said))
	case making && errors.As(err, &refused) && refused.Kind != arm.Precondition && refused.Kind != arm.Unavailable:
		return reconcile.Result{}, m.fail(ctx, refused)
	case making && errors.Is(err, compute.ErrUnsupported):
		return reconcile.Result{}, m.fail(ctx, arm.Errorf(arm.Conflicting, "OperationNotAllowed",
			"The machine '%s' cannot be made on the hypervisor '%s': %v. Change the request, or add a hypervisor that can.", m.id.Name(), m.st.Place.Host, err))
	case making && errors.Is(err, compute.ErrNoSpace):
		return reconcile.Result{}, m.fail(ctx, arm.Errorf(arm.Conflicting, "AllocationFailed",
			"There is no room for the machine '%s' on the hypervisor '%s': %v. Free disk or memory there, then repeat the request.", m.id.Name(), m.st.Place.Host, err))
	case making && attempts+1 >= triesBeforeFailure:
		return reconcile.Result{}, m.fail(ctx, arm.Errorf(arm.Conflicting, "VMStartTimedOut",
			"The machine '%s' was not made after %d tries: %v. Look at the hypervisor '%s', then repeat the request.", m.id.Name(), attempts+1, err, m.st.Place.Host))
	}
	return reconcile.Result{}, err
}
