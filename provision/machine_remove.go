package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reconcile"
)

// remove takes a machine away: first what the hypervisor has of it, then, in one
// transaction, all that the store has. A machine whose row somebody else deleted is
// taken away likewise.
func (m *machineRun) remove(ctx context.Context) (reconcile.Result, error) {
	if err := m.removeMade(ctx); err != nil {
		if ctx.Err() == nil && !m.gone {
			said := fmt.Sprintf("The machine is not removed yet: %v. Nothing need be done: it is tried again.", err)
			err = errors.Join(err, m.reason(ctx, said))
		}
		return reconcile.Result{}, err
	}
	if m.st.MachineID != "" && m.s.o.Guests != nil {
		m.s.o.Guests.Forget(m.st.MachineID, "The machine was deleted.")
	}
	if err := m.s.forgetDevice(ctx, m.st.MachineID); err != nil {
		return reconcile.Result{}, err
	}
	var freed []arm.ResourceID
	err := m.s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		freed, err = m.s.forgetMachine(ctx, tx, m)
		return err
	})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("forget %s: %w", m.id, err)
	}
	m.s.machines.forget(m.id)
	m.s.bootOver(m.st.Place.Host)
	m.s.machines.metrics.removed.Inc()
	m.s.log.Info("machine removed", "machine", m.id, "hypervisor", m.st.Place.Host)
	for _, id := range freed {
		m.s.resourceChanged(ctx, id)
	}
	m.s.wakeWaiters(ctx, m.id)
	return reconcile.Result{Done: true}, nil
}

// removeMade removes what the hypervisor has of the machine.
func (m *machineRun) removeMade(ctx context.Context) error {
	if m.st.Place.Host == "" || m.st.MachineID == "" {
		return nil
	}
	h, err := m.host()
	if err != nil {
		return err
	}
	if err := m.s.onHost(ctx, h, func(ctx context.Context) error { return h.Driver.Remove(ctx, m.st.MachineID) }); err != nil {
		return fmt.Errorf("remove %s from %s: %w", m.id.Name(), h.Name, err)
	}
	return nil
}

// forgetMachine deletes a machine's rows: guest, steps, interfaces and disk that go
// with it, itself. It tells which resources are gone.
func (s *Service) forgetMachine(ctx context.Context, tx deskyard.Tx, m *machineRun) ([]arm.ResourceID, error) {
	gone := []arm.ResourceID{m.id}
	w, err := tx.Work(ctx, deskyard.WorkMachine, m.id)
	if arm.IsMissing(err) {
		return gone, nil
	}
	if err != nil {
		return nil, err
	}
	st, _, err := s.openMachine(w) // orders may have come since the turn began
	if err != nil {
		return nil, err
	}
	if st.MachineID != "" {
		if err := tx.DeleteGuest(ctx, st.MachineID); err != nil {
			return nil, err
		}
	}
	companions, err := s.forgetCompanions(ctx, tx, m.id, st)
	if err != nil {
		return nil, err
	}
	gone = append(gone, companions...)
	for _, kind := range []string{deskyard.WorkExtension, deskyard.WorkCommand} {
		steps, err := tx.Works(ctx, deskyard.WorkQuery{Kind: kind, Scope: guestOwner(m.id)})
		if err != nil {
			return nil, err
		}
		for _, step := range steps.Items {
			if err := tx.DeleteWork(ctx, kind, step.ID); err != nil {
				return nil, err
			}
			gone = append(gone, step.ID)
		}
	}
	for _, o := range st.Orders {
		status, failure := stateSucceeded, (*arm.Error)(nil)
		if o.Verb != deskyard.JobDelete {
			status, failure = stateCanceled, arm.Errorf(arm.Conflicting, "OperationPreempted", "The machine '%s' was deleted meanwhile.", m.id.Name())
		}
		if err := endOperation(ctx, tx, o.Operation, status, s.now(), failure); err != nil {
			return nil, err
		}
	}
	if err := tx.DeleteResource(ctx, m.id); err != nil && !arm.IsMissing(err) {
		return nil, err
	}
	return gone, tx.DeleteWork(ctx, deskyard.WorkMachine, m.id)
}

// forgetCompanions frees the machine's interfaces, and deletes those interfaces and
// the disk that its row says go with it.
func (s *Service) forgetCompanions(ctx context.Context, tx deskyard.Tx, id arm.ResourceID, st machineState) (gone []arm.ResourceID, err error) {
	var p machineProperties
	row, err := tx.Resource(ctx, id)
	if err != nil && !arm.IsMissing(err) {
		return nil, err
	}
	if err == nil {
		if err := readProperties(row, &p); err != nil {
			return nil, err
		}
	}
	nics := st.NICs
	doomed := map[string]bool{}
	for _, n := range p.Network.Interfaces {
		nics = append(nics, n.ID)
		doomed[parsed(n.ID).Key()] = n.Properties.Delete == "Delete"
	}
	for _, text := range nics {
		nic := parsed(text)
		if nic.IsZero() {
			continue
		}
		if err := attachNIC(ctx, tx, nic, id, false); err != nil {
			return nil, err
		}
		if doomed[nic.Key()] {
			if err := tx.DeleteResource(ctx, nic); err != nil && !arm.IsMissing(err) {
				return nil, err
			}
			gone = append(gone, nic)
		}
	}
	if disk := parsed(p.Storage.OSDisk.Managed.ID); !disk.IsZero() && p.Storage.OSDisk.Delete != "Detach" {
		if err := tx.DeleteResource(ctx, disk); err != nil && !arm.IsMissing(err) {
			return nil, err
		}
		gone = append(gone, disk)
	}
	return gone, nil
}

// wakeWaiters wakes the work that waits for a machine to be gone: removals of hosts
// and of whole groups.
func (s *Service) wakeWaiters(ctx context.Context, id arm.ResourceID) {
	for _, kind := range []string{deskyard.WorkRemoval, workGroup} {
		rows, err := s.o.Store.Works(ctx, deskyard.WorkQuery{Kind: kind})
		if err != nil {
			s.log.Warn("waiting removals not woken; they look by themselves", "after", id, "err", err)
			return
		}
		for _, w := range rows.Items {
			s.Wake(kind, w.ID)
		}
	}
}
