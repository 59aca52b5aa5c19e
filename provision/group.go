package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reconcile"
)

// workGroup is the kind of work that deletes a resource group: machines first, then
// everything in it at once.
const workGroup = "group"

// groupState is what the work that deletes a group keeps.
type groupState struct {
	Operations []string           `json:"operations"`
	Caller     deskyard.Principal `json:"caller"`
}

// submitGroup notes that a group is to go.
func (s *Service) submitGroup(ctx context.Context, tx deskyard.Tx, j deskyard.Job, op *deskyard.Operation) error {
	if j.Verb != deskyard.JobDelete {
		return fmt.Errorf("submit a job for %s: a group cannot %q", j.ID, j.Verb)
	}
	now := s.now()
	w, err := tx.Work(ctx, workGroup, j.ID)
	if arm.IsMissing(err) {
		w, err = deskyard.Work{Kind: workGroup, ID: j.ID, Created: now}, nil
	}
	if err != nil {
		return err
	}
	st := groupState{Caller: j.Caller}
	if len(w.State) > 0 {
		if err := json.Unmarshal(w.State, &st); err != nil {
			return fmt.Errorf("read how far the deletion of %s has come: %w", j.ID, err)
		}
	}
	st.Operations = append(st.Operations, op.ID)
	w.State, w.Due, w.Changed = encoded(st), now, now
	_, err = tx.PutWork(ctx, w)
	return err
}

// reconcileGroup asks for the deletion of the machines in a group, waits until they
// are gone, and then deletes the group with all that is left.
func (s *Service) reconcileGroup(ctx context.Context, w deskyard.Work) (reconcile.Result, error) {
	var st groupState
	if err := json.Unmarshal(w.State, &st); err != nil {
		return reconcile.Result{}, fmt.Errorf("read how far the deletion of %s has come: %w", w.ID, err)
	}
	waits, err := s.deleteMachinesOf(ctx, w.ID, st.Caller)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("delete the machines of the group %s: %w", w.ID.ResourceGroup, err)
	}
	if len(waits) > 0 {
		return reconcile.Result{After: linkLook}, nil // each machine's end wakes it too
	}
	if err := s.deleteGroup(ctx, w.ID, st); err != nil {
		return reconcile.Result{}, fmt.Errorf("delete the group %s: %w", w.ID.ResourceGroup, err)
	}
	s.log.Info("resource group deleted", "group", w.ID)
	return reconcile.Result{Done: true}, nil
}

// deleteMachinesOf orders the deletion of every machine in a group, and tells which
// are not gone yet.
func (s *Service) deleteMachinesOf(ctx context.Context, group arm.ResourceID, caller deskyard.Principal) (waits []arm.ResourceID, err error) {
	err = s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		waits = nil
		works, err := tx.Works(ctx, deskyard.WorkQuery{Kind: deskyard.WorkMachine, Scope: group})
		if err != nil {
			return err
		}
		for _, machine := range works.Items {
			waits = append(waits, machine.ID)
			if err := s.askToDelete(ctx, tx, machine, caller); err != nil {
				return err
			}
		}
		return nil
	})
	for _, id := range waits {
		s.Wake(deskyard.WorkMachine, id)
	}
	return waits, err
}

// groupVersion is the api-version that the group itself is deleted with.
const groupVersion = "2021-04-01"

// deleteGroup deletes a group without machines through the API, which knows what
// goes with each of its resources, and then the work that belonged to it.
func (s *Service) deleteGroup(ctx context.Context, id arm.ResourceID, st groupState) error {
	if s.o.Resources == nil {
		return errors.New("the service has no API to act through")
	}
	_, err := s.o.Resources.Do(ctx, Call{Principal: st.Caller, Method: http.MethodDelete, ID: id, Version: groupVersion})
	if err != nil && !arm.IsMissing(err) {
		return err
	}
	return s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error { return s.forgetGroup(ctx, tx, id, st) })
}

// askToDelete adds an order to delete a machine to its work, unless it has one.
func (s *Service) askToDelete(ctx context.Context, tx deskyard.Tx, w deskyard.Work, caller deskyard.Principal) error {
	st, secrets, err := s.openMachine(w)
	if err != nil {
		return err
	}
	if st.deleting() {
		return nil
	}
	op := deskyard.Operation{ID: uuid.NewString(), Scope: w.ID, Status: stateRunning, Started: s.now()}
	st.Orders = append(st.Orders, order{Verb: deskyard.JobDelete, Operation: op.ID, Caller: caller})
	if err := s.closeMachine(&w, st, secrets); err != nil {
		return err
	}
	w.Due, w.Attempts, w.Problem = s.now(), 0, ""
	if _, err := tx.PutWork(ctx, w); err != nil {
		return err
	}
	if err := showState(ctx, tx, w.ID, rowState{Provisioning: deskyard.StateDeleting}); err != nil {
		return err
	}
	return tx.PutOperation(ctx, op)
}

// forgetGroup deletes a group's work of every kind and ends its operations.
func (s *Service) forgetGroup(ctx context.Context, tx deskyard.Tx, id arm.ResourceID, st groupState) error {
	if err := s.ForgetDeployments(ctx, tx, id); err != nil {
		return err
	}
	left, err := tx.Works(ctx, deskyard.WorkQuery{Scope: id})
	if err != nil {
		return err
	}
	for _, w := range left.Items {
		if w.Kind == workGroup {
			continue // this one's, which the loop deletes
		}
		if err := tx.DeleteWork(ctx, w.Kind, w.ID); err != nil {
			return err
		}
	}
	for _, op := range st.Operations {
		if err := endOperation(ctx, tx, op, stateSucceeded, s.now(), nil); err != nil {
			return err
		}
	}
	return nil
}
