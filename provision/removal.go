package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reconcile"
)

// RemovalRequest asks for a session host to be taken away, or made anew.
type RemovalRequest struct {
	Host          arm.ResourceID
	Caller        deskyard.Principal
	DeleteMachine bool          // machine, disk, interface and security group of its own go too
	Force         bool          // do not wait for users, nor for a machine that does not answer
	Grace         time.Duration // that users have after the message
	Replace       bool          // the machine is made anew under the same name, for the same user
}

// removalState is what the row of work of a removal keeps.
type removalState struct {
	RemovalRequest
	Operation string        `json:"operation"`
	Memory    hostMemory    `json:"memory"`
	Steps     []removalStep `json:"steps"`
	SignOutBy time.Time     `json:"signOutBy,omitzero"`
	Told      bool          `json:"told,omitempty"` // users had the message

	VM        string   `json:"virtualMachineId,omitempty"` // resource id
	MachineID string   `json:"machineId,omitempty"`
	Also      []string `json:"also,omitempty"` // resources of the machine's own, in the order of their deletion
	Work      string   `json:"work,omitempty"` // id of the machine's work
	Asked     bool     `json:"asked,omitempty"`
	Key       string   `json:"key,omitempty"` // registration key for the machine made anew
}

// hostMemory is what a host has that its record alone knows.
type hostMemory struct {
	ObjectID     string `json:"objectId"`
	AssignedUser string `json:"assignedUser,omitempty"`
	FriendlyName string `json:"friendlyName,omitempty"`
	Allow        bool   `json:"allowNewSession"`
}

// removalStep is one step, as the operation's status shows it.
type removalStep struct {
	Name   string    `json:"name"`
	State  string    `json:"state"` // Pending | Running | Succeeded | Skipped | Failed
	Detail string    `json:"detail,omitempty"`
	Ended  time.Time `json:"ended,omitzero"`
}

// States of a step of a removal.
const (
	removalPending = "Pending"
	removalSkipped = "Skipped"
)

// Steps of a removal, in their order.
const (
	removeDrain   = "drain"
	removeSignOut = "signOut"
	removeLeave   = "leaveDirectory"
	removeMachine = "machine"
	removeRest    = "diskAndNetwork"
	removeDevice  = "directoryObject"
	removeRecord  = "record"
	replaceRemake = "newMachine"
	replaceSteps  = "extensions"
	replaceHost   = "register"
)

// did is what came of one look at a step: it ended, with a reason when it was passed
// over, or there is something to wait for.
type did struct {
	wait    time.Duration // 0: it ended
	skipped string
	failed  *arm.Error
	silent  *arm.Error // whoever the step needs has no link: what it fails with if that lasts
	last    time.Time  // when who is silent was last heard
}

// linkBack is how long a link is waited for: after a restart of the service, or a cut of
// the network, agents and boot loaders try again within a minute.
const linkBack = 75 * time.Second

// RemoveSessionHost notes a removal, or a replacement, and returns its operation.
// Asking again while one runs returns the one that runs; a failed one is taken up
// where it stopped.
func (s *Service) RemoveSessionHost(ctx context.Context, tx deskyard.Tx, r RemovalRequest) (deskyard.Operation, error) {
	host, err := tx.SessionHost(ctx, r.Host)
	if err != nil && !arm.IsMissing(err) {
		return deskyard.Operation{}, err
	}
	gone := arm.IsMissing(err)
	w, err := tx.Work(ctx, deskyard.WorkRemoval, r.Host)
	if err == nil {
		return s.removeAgain(ctx, tx, w, r)
	}
	if !arm.IsMissing(err) {
		return deskyard.Operation{}, err
	}
	if gone {
		return deskyard.Operation{}, arm.NotFound(r.Host)
	}
	now := s.now()
	st := removalState{RemovalRequest: r, Operation: uuid.NewString(), MachineID: host.VirtualMachineID, VM: host.ResourceID,
		Memory: hostMemory{host.ObjectID, host.AssignedUser, host.FriendlyName, host.AllowNewSession}}
	if st.MachineID == "" {
		st.MachineID = host.Machine.SMBIOSID
	}
	if err := s.planRemoval(ctx, tx, &st); err != nil {
		return deskyard.Operation{}, err
	}
	op := deskyard.Operation{ID: st.Operation, Scope: r.Host, Status: stateRunning, Started: now, Result: st.result()}
	if _, err := tx.PutWork(ctx, deskyard.Work{Kind: deskyard.WorkRemoval, ID: r.Host, State: encoded(st), Due: now, Created: now, Changed: now}); err != nil {
		return op, err
	}
	return op, tx.PutOperation(ctx, op)
}

// removeAgain takes up a removal that is known already.
func (s *Service) removeAgain(ctx context.Context, tx deskyard.Tx, w deskyard.Work, r RemovalRequest) (deskyard.Operation, error) {
	var st removalState
	if err := json.Unmarshal(w.State, &st); err != nil {
		return deskyard.Operation{}, fmt.Errorf("read the removal of %s: %w", w.ID, err)
	}
	if st.Replace != r.Replace {
		return deskyard.Operation{}, arm.Errorf(arm.Conflicting, "OperationNotAllowed", "The session host '%s' is being %s. Wait for its end.", r.Host.Name(), map[bool]string{true: "replaced", false: "removed"}[st.Replace])
	}
	st.Force = st.Force || r.Force
	if st.Force {
		st.SignOutBy = time.Time{}
	}
	op, err := tx.Operation(ctx, st.Operation)
	if err != nil || op.Done() {
		st.Operation = uuid.NewString()
		op = deskyard.Operation{ID: st.Operation, Scope: r.Host, Status: stateRunning, Started: s.now()}
	}
	for i := range st.Steps {
		if st.Steps[i].State == stateFailed {
			st.Steps[i].State, st.Steps[i].Detail = removalPending, ""
		}
	}
	op.Result = st.result()
	w.State, w.Due, w.Attempts, w.Problem = encoded(st), s.now(), 0, ""
	if _, err := tx.PutWork(ctx, w); err != nil {
		return op, err
	}
	return op, tx.PutOperation(ctx, op)
}

// planRemoval writes the steps down and what there is to delete: afterwards nobody
// knows any more what belonged to the machine.
func (s *Service) planRemoval(ctx context.Context, tx deskyard.Tx, st *removalState) error {
	names := []string{removeDrain, removeSignOut, removeLeave, removeMachine, removeRest, removeDevice, removeRecord}
	switch {
	case st.Replace:
		names = []string{removeDrain, removeSignOut, removeLeave, removeDevice, removeRecord, replaceRemake, replaceSteps, replaceHost}
		st.DeleteMachine = true
	case !st.DeleteMachine:
		names = []string{removeDrain, removeSignOut, removeLeave, removeDevice, removeRecord}
	}
	for _, n := range names {
		st.Steps = append(st.Steps, removalStep{Name: n, State: removalPending})
	}
	if !st.DeleteMachine {
		return nil
	}
	vm := parsed(st.VM)
	if vm.IsZero() && st.MachineID != "" {
		g, err := tx.Guest(ctx, st.MachineID)
		if err == nil {
			vm, st.VM = g.VM, g.VM.String()
		} else if !arm.IsMissing(err) {
			return err
		}
	}
	if vm.IsZero() {
		if st.Replace {
			return arm.Errorf(arm.Conflicting, "OperationNotAllowed", "The session host '%s' runs on a machine that this service did not make, so that it cannot make it anew. Replace the machine by your own means; its name is free once the host is removed.", st.Host.Name())
		}
		return nil
	}
	st.Work = workOfMachine(vm).String()
	row, err := tx.Resource(ctx, workOfMachine(vm))
	if arm.IsMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	facts, err := readMachine(ctx, tx, row)
	var refused *arm.Error
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	for _, n := range facts.nics {
		st.Also = append(st.Also, n.id.String())
	}
	for _, n := range facts.nics {
		if g := parsed(n.group); !g.IsZero() && g.Name() == vm.Name()+"-nsg" {
			st.Also = append(st.Also, g.String()) // the one that adding the host made for it alone
		}
	}
	if facts.hci {
		st.Also = append(st.Also, vm.String())
	}
	return nil
}

// workOfMachine is what a machine's work is about: itself, or its instance.
func workOfMachine(vm arm.ResourceID) arm.ResourceID {
	if equalType(vm, typeArc) {
		return vm.Provider("Microsoft.AzureStackHCI", "virtualMachineInstances", "default")
	}
	return vm
}

// removalRun is one turn at a removal.
type removalRun struct {
	s  *Service
	id arm.ResourceID
	st removalState
}

// reconcileRemoval takes a host away step by step. Each step finds out by itself what
// is still to do; one that cannot be done fails the operation, and asking again goes
// on with it.
func (s *Service) reconcileRemoval(ctx context.Context, w deskyard.Work) (reconcile.Result, error) {
	r := &removalRun{s: s, id: w.ID}
	if err := json.Unmarshal(w.State, &r.st); err != nil {
		return reconcile.Result{}, fmt.Errorf("read the removal of %s: %w", w.ID, err)
	}
	for i := range r.st.Steps {
		switch r.st.Steps[i].State {
		case stateSucceeded, removalSkipped:
			continue
		case stateFailed:
			return reconcile.Result{}, nil // until somebody asks again
		}
		if r.st.Steps[i].State == removalPending {
			if err := r.note(ctx, i, stateRunning, "", nil); err != nil {
				return reconcile.Result{}, err
			}
		}
		d, err := r.do(ctx, r.st.Steps[i].Name)
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("remove the session host %s, step %s: %w", w.ID.Name(), r.st.Steps[i].Name, err)
		}
		if d, err = r.patient(ctx, i, d); err != nil {
			return reconcile.Result{}, err
		}
		switch {
		case d.failed != nil:
			return reconcile.Result{}, r.note(ctx, i, stateFailed, d.failed.Message, d.failed)
		case d.wait > 0:
			return reconcile.Result{After: d.wait}, nil
		case d.skipped != "":
			err = r.note(ctx, i, removalSkipped, d.skipped, nil)
		default:
			err = r.note(ctx, i, stateSucceeded, "", nil)
		}
		if err != nil {
			return reconcile.Result{}, err
		}
	}
	err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		return endOperation(ctx, tx, r.st.Operation, stateSucceeded, s.now(), nil)
	})
	if err == nil {
		s.log.Info("session host removed", "host", w.ID, "replaced", r.st.Replace, "machine", r.st.VM)
	}
	return reconcile.Result{Done: true}, err
}

// patient has whoever does not answer waited for, and looked for twice at least.
func (r *removalRun) patient(ctx context.Context, i int, d did) (did, error) {
	waiting := r.st.Steps[i].Detail != ""
	if d.silent == nil {
		if d.wait > 0 && waiting {
			return d, r.note(ctx, i, stateRunning, "", nil)
		}
		return d, nil
	}
	if d.last.Before(r.s.began) {
		d.last = r.s.began
	}
	until := d.last.Add(linkBack)
	if waiting && !r.s.now().Before(until) {
		return did{failed: d.silent}, nil
	}
	if !waiting {
		detail := fmt.Sprintf("There is no link to the machine of '%s'; it is waited for until %s.", r.id.Name(), until.UTC().Format(time.TimeOnly+" UTC"))
		if err := r.note(ctx, i, stateRunning, detail, nil); err != nil {
			return d, err
		}
	}
	return did{wait: silentLook}, nil
}

// note writes down how a step stands, in the work and for those who follow the operation.
func (r *removalRun) note(ctx context.Context, i int, state, detail string, failure *arm.Error) error {
	return r.alter(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		step := &r.st.Steps[i]
		step.State, step.Detail = state, detail
		if state != stateRunning {
			step.Ended = r.s.now()
		}
		if failure != nil {
			return endOperation(ctx, tx, r.st.Operation, stateFailed, r.s.now(), failure)
		}
		return nil
	})
}

// alter writes the removal's state, and what else belongs into the transaction.
func (r *removalRun) alter(ctx context.Context, f func(ctx context.Context, tx deskyard.Tx) error) error {
	return r.s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		w, err := tx.Work(ctx, deskyard.WorkRemoval, r.id)
		if err != nil {
			return err
		}
		var now removalState
		if err := json.Unmarshal(w.State, &now); err != nil {
			return fmt.Errorf("read the removal of %s: %w", r.id, err)
		}
		r.st.Force, r.st.Operation = now.Force, now.Operation // somebody may have asked again
		if err := f(ctx, tx); err != nil {
			return err
		}
		op, err := tx.Operation(ctx, r.st.Operation)
		if err == nil {
			op.Result, op.Percent = r.st.result(), r.st.percent()
			err = tx.PutOperation(ctx, op)
		}
		if err != nil && !arm.IsMissing(err) {
			return err
		}
		w.State, w.Changed = encoded(r.st), r.s.now()
		_, err = tx.PutWork(ctx, w)
		return err
	})
}

// result is what the operation's status shows under properties.
func (st *removalState) result() json.RawMessage { return encoded(map[string]any{"steps": st.Steps}) }

func (st *removalState) percent() float64 {
	ended := 0
	for _, s := range st.Steps {
		if s.State == stateSucceeded || s.State == removalSkipped {
			ended++
		}
	}
	return float64(100*ended) / float64(max(len(st.Steps), 1))
}
