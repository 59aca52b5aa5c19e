package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reconcile"
)

// commandTime is Azure's bound on runCommand.
const commandTime = 90 * time.Minute

// maxCommands is how many commands may wait for one machine.
const maxCommands = 16

// commandState are the commands that wait for a machine, the first being under way.
type commandState struct {
	Waiting []waitingCommand `json:"waiting"`
}

type waitingCommand struct {
	Operation string    `json:"operation"` // also the step's id
	Until     time.Time `json:"until"`
	Begun     bool      `json:"begun,omitempty"` // the guest may have it: its link is waited for
}

// commandBodies are their texts and parameters, by operation; sealed.
type commandBodies map[string]json.RawMessage

func commandBox(id arm.ResourceID) string { return "command " + id.Key() }

// submitCommand puts a command behind those that a machine has before it.
func (s *Service) submitCommand(ctx context.Context, tx deskyard.Tx, j deskyard.Job, op *deskyard.Operation) error {
	now := s.now()
	w, err := tx.Work(ctx, deskyard.WorkCommand, j.ID)
	if arm.IsMissing(err) {
		w, err = deskyard.Work{Kind: deskyard.WorkCommand, ID: j.ID, Created: now}, nil
	}
	if err != nil {
		return err
	}
	st, bodies, err := s.openCommands(w)
	if err != nil {
		return err
	}
	if len(st.Waiting) >= maxCommands {
		return arm.Errorf(arm.Conflicting, "Conflict", "%d commands wait for the machine '%s' already. Try again when some of them have ended.", len(st.Waiting), j.ID.Name())
	}
	st.Waiting = append(st.Waiting, waitingCommand{Operation: op.ID, Until: now.Add(commandTime)})
	bodies[op.ID] = j.Secrets
	w.State, w.Sealed = encoded(st), s.o.Seal.Seal(encoded(bodies), commandBox(j.ID))
	w.Due, w.Changed, w.Attempts, w.Problem = now, now, 0, ""
	_, err = tx.PutWork(ctx, w)
	return err
}

func (s *Service) openCommands(w deskyard.Work) (st commandState, bodies commandBodies, err error) {
	bodies = commandBodies{}
	if len(w.State) > 0 {
		if err := json.Unmarshal(w.State, &st); err != nil {
			return st, nil, fmt.Errorf("read the commands for %s: %w", w.ID, err)
		}
	}
	if w.Sealed == nil {
		return st, bodies, nil
	}
	plain, err := s.o.Seal.Open(w.Sealed, commandBox(w.ID))
	if err == nil {
		err = json.Unmarshal(plain, &bodies)
	}
	if err != nil {
		return st, nil, fmt.Errorf("open the commands for %s: %w", w.ID, err)
	}
	return st, bodies, nil
}

// reconcileCommand has the first command run that waits for a machine.
func (s *Service) reconcileCommand(ctx context.Context, w deskyard.Work) (reconcile.Result, error) {
	st, bodies, err := s.openCommands(w)
	if err != nil {
		return reconcile.Result{}, err
	}
	if len(st.Waiting) == 0 {
		return reconcile.Result{}, nil // the row stays: another command may be on its way into it
	}
	first := st.Waiting[0]
	result, ended, err := s.command(ctx, w.ID, first, bodies[first.Operation])
	if err != nil {
		return reconcile.Result{}, err
	}
	if !ended {
		return reconcile.Result{After: extensionLook}, nil
	}
	more := false
	err = s.o.Store.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		more, err = s.endCommand(ctx, tx, w.ID, first.Operation, result)
		return err
	})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("write down the end of a command in %s: %w", w.ID.Name(), err)
	}
	if more {
		return reconcile.Result{After: time.Millisecond}, nil
	}
	return reconcile.Result{}, nil // the row stays: another command may be on its way into it
}

// command runs one command; ended is false while the guest cannot be asked.
func (s *Service) command(ctx context.Context, id arm.ResourceID, c waitingCommand, body json.RawMessage) (r deskyard.StepResult, ended bool, err error) {
	row, err := s.o.Store.Resource(ctx, id)
	if arm.IsMissing(err) {
		return failedStep("ResourceNotFound", "The machine is gone."), true, nil
	}
	if err != nil {
		return r, false, err
	}
	var p machineProperties
	if err := readProperties(row, &p); err != nil {
		return r, false, err
	}
	late := !s.now().Before(c.Until)
	if !late && !c.Begun && (s.o.Guests == nil || !s.o.Guests.Connected(p.VMID)) {
		return failedStep("VMAgentNotReady", "The boot loader inside the machine has no link to the service, so no command can be run. Check that the machine runs; its boot diagnostics say more."), true, nil
	}
	if late || s.o.Guests == nil {
		return failedStep("OperationTimedOut", "The command did not end in time."), true, nil
	}
	if !c.Begun {
		if err := s.beginCommand(ctx, id, c.Operation); err != nil {
			return r, false, err
		}
	}
	ctx, cancel := context.WithDeadline(ctx, time.Now().Add(c.Until.Sub(s.now())))
	defer cancel()
	r, err = s.o.Guests.Do(ctx, p.VMID, deskyard.Step{ID: c.Operation, Kind: deskyard.StepCommand, Secrets: body, Timeout: commandTime})
	if errors.Is(err, deskyard.ErrGuestUnreachable) || errors.Is(err, context.DeadlineExceeded) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("run a command in %s: %w", id.Name(), err)
	}
	return r, true, nil
}

// beginCommand notes that the guest is about to hear of a command, so that the loss of
// its link, or the service's restart, does not end a command that runs.
func (s *Service) beginCommand(ctx context.Context, id arm.ResourceID, operation string) error {
	return s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		w, err := tx.Work(ctx, deskyard.WorkCommand, id)
		if err != nil {
			return err
		}
		st, _, err := s.openCommands(w)
		if err != nil {
			return err
		}
		for i := range st.Waiting {
			st.Waiting[i].Begun = st.Waiting[i].Begun || st.Waiting[i].Operation == operation
		}
		w.State, w.Changed = encoded(st), s.now()
		_, err = tx.PutWork(ctx, w)
		return err
	})
}

// endCommand ends a command's operation with its output and takes it off the list.
func (s *Service) endCommand(ctx context.Context, tx deskyard.Tx, id arm.ResourceID, operation string, r deskyard.StepResult) (more bool, err error) {
	op, err := tx.Operation(ctx, operation)
	if err == nil && !op.Done() {
		op.Status, op.Ended, op.Percent = stateSucceeded, s.now(), 100
		op.Result = encoded(map[string]any{"value": []any{map[string]any{
			"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded",
			"message": "Enable succeeded: \n[stdout]\n" + r.Output + "\n[stderr]\n" + exitWords(r),
		}}})
		// A script that ends with another code than 0 has run, as in Azure; one that was
		// never run has failed.
		if r.State != deskyard.StepSucceeded && r.Code != "CommandFailed" {
			op.Status, op.Result = stateFailed, nil
			op.Error = arm.Errorf(arm.Conflicting, r.Code, "%s", r.Message)
		}
		err = tx.PutOperation(ctx, op)
	}
	if err != nil && !arm.IsMissing(err) {
		return false, err
	}
	w, err := tx.Work(ctx, deskyard.WorkCommand, id)
	if arm.IsMissing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	st, bodies, err := s.openCommands(w)
	if err != nil {
		return false, err
	}
	var left commandState
	for _, c := range st.Waiting {
		if c.Operation != operation {
			left.Waiting = append(left.Waiting, c)
		}
	}
	delete(bodies, operation)
	w.State, w.Sealed, w.Changed = encoded(left), s.o.Seal.Seal(encoded(bodies), commandBox(id)), s.now()
	_, err = tx.PutWork(ctx, w)
	return len(left.Waiting) > 0, err
}

// exitWords tells of an exit code other than 0.
func exitWords(r deskyard.StepResult) string {
	if r.ExitCode == 0 {
		return ""
	}
	return r.Message
}
