package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reconcile"
)

// extensionTime is Azure's bound on an extension; extensionsAtOnce bounds how many are
// waited for: each is a goroutine and a poll that is held.
const (
	extensionTime    = 90 * time.Minute
	extensionLook    = 2 * time.Second
	extensionsAtOnce = 1024
)

// extensionState is how far an extension has come.
type extensionState struct {
	Operations []string  `json:"operations,omitempty"` // whom to tell of the end
	Delete     bool      `json:"delete,omitempty"`
	Step       string    `json:"step"`            // id of the step; a new one runs anew
	Digest     string    `json:"digest"`          // of what was asked for with that step
	Ended      bool      `json:"ended,omitempty"` // that step has told its result
	Good       bool      `json:"good,omitempty"`  // and it was a success
	Until      time.Time `json:"until"`
}

// submitExtension notes that an extension is to be run, or removed.
func (s *Service) submitExtension(ctx context.Context, tx deskyard.Tx, j deskyard.Job, op *deskyard.Operation) error {
	now := s.now()
	w, err := tx.Work(ctx, deskyard.WorkExtension, j.ID)
	if arm.IsMissing(err) {
		w, err = deskyard.Work{Kind: deskyard.WorkExtension, ID: j.ID, Created: now}, nil
	}
	if err != nil {
		return err
	}
	var st extensionState
	if len(w.State) > 0 {
		if err := json.Unmarshal(w.State, &st); err != nil {
			return fmt.Errorf("read the work on %s: %w", j.ID, err)
		}
	}
	st.Operations = append(st.Operations, op.ID)
	st.Delete = j.Verb == deskyard.JobDelete // the last word counts
	if st.Delete {
		st.Step = "" // one that is made again afterwards runs anew
	}
	st.Until = now.Add(extensionTime)
	if j.Secrets != nil {
		w.Sealed = s.o.Seal.Seal(j.Secrets, extensionBox(j.ID))
	}
	w.State, w.Due, w.Changed, w.Attempts, w.Problem = encoded(st), now, now, 0, ""
	_, err = tx.PutWork(ctx, w)
	return err
}

func extensionBox(id arm.ResourceID) string { return "extension " + id.Key() }

// admitExtension refuses an extension that there is no step for.
func (s *Service) admitExtension(r *deskyard.Resource) error {
	var e deskyard.VMExtension
	if err := readProperties(*r, &e); err != nil {
		return err
	}
	_, err := stepOf(e, encoded(map[string]string{"registrationInfoToken": "looked at when it runs", "commandToExecute": ""}), false)
	return err
}

// reconcileExtension runs an extension in its guest, once.
func (s *Service) reconcileExtension(ctx context.Context, w deskyard.Work) (reconcile.Result, error) {
	var st extensionState
	if err := json.Unmarshal(w.State, &st); err != nil {
		return reconcile.Result{}, fmt.Errorf("read the work on %s: %w", w.ID, err)
	}
	row, err := s.o.Store.Resource(ctx, w.ID)
	if arm.IsMissing(err) {
		return reconcile.Result{Done: true}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if st.Delete {
		return s.dropExtension(ctx, w.ID)
	}
	if len(st.Operations) == 0 {
		return reconcile.Result{}, nil // it has run, and nobody asks for more
	}
	var e deskyard.VMExtension
	if err := readProperties(row, &e); err != nil {
		return reconcile.Result{}, err
	}
	var secrets json.RawMessage
	if w.Sealed != nil {
		if secrets, err = s.o.Seal.Open(w.Sealed, extensionBox(w.ID)); err != nil {
			return s.endExtension(ctx, w, st, failedStep("SecretsLost", "The extension's protected settings cannot be opened; send them again."))
		}
	}
	invited, err := s.invitedAt(ctx, w.ID.Parent())
	if err != nil {
		return reconcile.Result{}, err
	}
	if digest := extensionDigest(e, secrets, invited); st.Step == "" || st.Digest != digest || st.Ended && !st.Good {
		st.Step, st.Digest, st.Ended, st.Good = uuid.NewString(), digest, false, false
		if err := s.keepExtension(ctx, w.ID, st); err != nil {
			return reconcile.Result{}, err
		}
	} else if st.Good {
		return s.endExtension(ctx, w, st, deskyard.StepResult{ID: st.Step, State: deskyard.StepSucceeded, Started: s.now(), Ended: s.now()})
	}
	return s.runExtension(ctx, w, st, e, secrets)
}

// invitedAt tells one machine of a row from the one that replaced it: an extension that
// ran in the former has not run in the latter.
func (s *Service) invitedAt(ctx context.Context, parent arm.ResourceID) (string, error) {
	machine, err := s.machineOf(ctx, parent)
	if arm.IsMissing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	g, err := s.o.Store.Guest(ctx, machine.VMID)
	if arm.IsMissing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprint(g.TokenExpires.UnixMicro()), nil
}

// extensionDigest tells whether the same is asked for again: then nothing is run.
func extensionDigest(e deskyard.VMExtension, secrets json.RawMessage, invited string) string {
	tag := ""
	if e.ForceUpdateTag != nil {
		tag = *e.ForceUpdateTag
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{e.Publisher, e.Type, tag, string(e.Settings), string(secrets), invited}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// keepExtension writes the step's id down before the guest hears it.
func (s *Service) keepExtension(ctx context.Context, id arm.ResourceID, st extensionState) error {
	return s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		w, err := tx.Work(ctx, deskyard.WorkExtension, id)
		if err != nil {
			return err
		}
		var stands extensionState // with what was asked for meanwhile
		if err := json.Unmarshal(w.State, &stands); err != nil {
			return fmt.Errorf("read the work on %s: %w", id, err)
		}
		stands.Step, stands.Digest, stands.Ended, stands.Good = st.Step, st.Digest, st.Ended, st.Good
		w.State, w.Changed = encoded(stands), s.now()
		_, err = tx.PutWork(ctx, w)
		return err
	})
}

// runExtension asks the guest, if the machine is one that can be asked.
func (s *Service) runExtension(ctx context.Context, w deskyard.Work, st extensionState, e deskyard.VMExtension, secrets json.RawMessage) (reconcile.Result, error) {
	machine, err := s.machineOf(ctx, w.ID.Parent())
	if arm.IsMissing(err) {
		return s.endExtension(ctx, w, st, failedStep("ParentResourceNotFound", "The machine is gone."))
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	late := !s.now().Before(st.Until)
	switch {
	case machine.ProvisioningState == stateFailed:
		return s.endExtension(ctx, w, st, failedStep("VMNotReady", "The machine could not be made; its own error says why. Make it again, then the extension."))
	case machine.ProvisioningState != stateSucceeded && machine.ProvisioningState != "" && !late:
		return reconcile.Result{After: extensionLook}, nil
	case s.o.Guests == nil:
		return s.endExtension(ctx, w, st, failedStep("VMAgentNotReady", "The service has no link to guests."))
	case late:
		return s.endExtension(ctx, w, st, failedStep("VMExtensionProvisioningTimeout", "The machine's boot loader has not reported the extension's end in time. Check that the machine runs, then repeat the request."))
	}
	step, err := stepOf(e, secrets, machine.hci)
	if err != nil {
		var refused *arm.Error
		if errors.As(err, &refused) {
			return s.endExtension(ctx, w, st, failedStep(refused.Code, refused.Message))
		}
		return reconcile.Result{}, err
	}
	step.ID, step.Timeout = st.Step, extensionTime
	s.log.Info("extension runs", "extension", w.ID, "step", st.Step, "kind", step.Kind)
	ctx, cancel := context.WithDeadline(ctx, time.Now().Add(st.Until.Sub(s.now())))
	defer cancel()
	result, err := s.o.Guests.Do(ctx, machine.VMID, step)
	if errors.Is(err, deskyard.ErrGuestUnreachable) || errors.Is(err, context.DeadlineExceeded) {
		return reconcile.Result{After: extensionLook}, nil // until the time is over
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("run the extension %s in %s: %w", w.ID.Name(), w.ID.Parent().Name(), err)
	}
	if err := s.noteJoin(ctx, w.ID.Parent(), machine.machineProperties, step, result); err != nil {
		return reconcile.Result{}, err
	}
	return s.endExtension(ctx, w, st, result)
}

// machineOf is what an extension's parent says of its machine: a virtual machine, or
// the instance of Azure Stack HCI below a machine of HybridCompute.
func (s *Service) machineOf(ctx context.Context, parent arm.ResourceID) (f machineFacts, err error) {
	id := parent
	if f.hci = strings.EqualFold(parent.Type(), typeArc); f.hci {
		id = parent.Provider("Microsoft.AzureStackHCI", "virtualMachineInstances", "default")
	}
	r, err := s.o.Store.Resource(ctx, id)
	if err != nil {
		return f, err
	}
	if err := readProperties(r, &f.machineProperties); err != nil {
		return f, err
	}
	if f.hci {
		err = f.readArc(ctx, s.o.Store, r)
	}
	return f, err
}

func failedStep(code, message string) deskyard.StepResult {
	return deskyard.StepResult{State: deskyard.StepFailed, ExitCode: -1, Code: code, Message: message}
}

// endExtension writes down what came of an extension and tells those who wait.
func (s *Service) endExtension(ctx context.Context, w deskyard.Work, st extensionState, r deskyard.StepResult) (reconcile.Result, error) {
	now := s.now()
	good := r.State == deskyard.StepSucceeded
	shown := rowState{Provisioning: stateSucceeded}
	var failure *arm.Error
	if !good {
		failure = arm.Errorf(arm.Conflicting, "VMExtensionProvisioningError",
			"VM has reported a failure when processing extension '%s': %s (%s, exit code %d).", w.ID.Name(), r.Message, r.Code, r.ExitCode)
		failure.Details = []arm.Error{{Code: r.Code, Message: r.Message, Target: w.ID.Name()}}
		shown = rowState{Provisioning: stateFailed, Reason: r.Message, Error: failure}
	}
	told := st.Operations
	st.Operations, st.Ended, st.Good = nil, true, good
	err := s.o.Store.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx deskyard.Tx) error {
		if err := showState(ctx, tx, w.ID, shown); err != nil {
			return err
		}
		if err := showInstance(ctx, tx, w.ID, r, now); err != nil {
			return err
		}
		for _, op := range told {
			if err := endOperation(ctx, tx, op, shown.Provisioning, now, failure); err != nil {
				return err
			}
		}
		kept, err := tx.Work(ctx, deskyard.WorkExtension, w.ID)
		if err != nil {
			return err
		}
		var stands extensionState
		if err := json.Unmarshal(kept.State, &stands); err != nil {
			return err
		}
		if len(stands.Operations) > len(told) { // asked for again meanwhile
			if stands.Step == "" {
				st.Step = ""
			}
			st.Operations, st.Delete, st.Until = stands.Operations[len(told):], stands.Delete, stands.Until
			kept.Due = now
		}
		kept.State, kept.Changed = encoded(st), now
		_, err = tx.PutWork(ctx, kept)
		return err
	})
	if arm.IsMissing(err) {
		return reconcile.Result{Done: true}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("write down the end of %s: %w", w.ID, err)
	}
	s.log.Info("extension ended", "extension", w.ID, "state", shown.Provisioning, "code", r.Code)
	s.resourceChanged(ctx, w.ID)
	if len(st.Operations) > 0 {
		return reconcile.Result{After: time.Millisecond}, nil
	}
	return reconcile.Result{}, nil
}

// showInstance writes the step's own words into the row, as Azure's instance view has them.
func showInstance(ctx context.Context, tx deskyard.Tx, id arm.ResourceID, r deskyard.StepResult, at time.Time) error {
	level, word, state := "Info", "Provisioning succeeded", "succeeded"
	if r.State != deskyard.StepSucceeded {
		level, word, state = "Error", "Provisioning failed", "failed/"+r.Code
	}
	view := deskyard.VMExtensionInstance{
		Name:     id.Name(),
		Statuses: []deskyard.InstanceStatus{{Code: "ProvisioningState/" + state, Level: level, DisplayStatus: word, Message: r.Message, Time: &arm.Time{Time: at}}},
	}
	if r.Output != "" {
		view.Substatuses = []deskyard.InstanceStatus{{Code: "ComponentStatus/StdOut/" + strings.SplitN(state, "/", 2)[0], Level: level, DisplayStatus: word, Message: r.Output}}
	}
	return alterRow(ctx, tx, id, func(p map[string]json.RawMessage) { p["instanceView"] = encoded(view) })
}

// dropExtension removes an extension's row. What it did in the machine stays done, as
// in Azure.
func (s *Service) dropExtension(ctx context.Context, id arm.ResourceID) (reconcile.Result, error) {
	again := false
	err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		w, err := tx.Work(ctx, deskyard.WorkExtension, id)
		if err != nil {
			return err
		}
		var stands extensionState
		if err := json.Unmarshal(w.State, &stands); err != nil {
			return fmt.Errorf("read the work on %s: %w", id, err)
		}
		if again = !stands.Delete; again {
			return nil // asked for again meanwhile
		}
		if err := tx.DeleteResource(ctx, id); err != nil && !arm.IsMissing(err) {
			return err
		}
		for _, op := range stands.Operations {
			if err := endOperation(ctx, tx, op, stateSucceeded, s.now(), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !arm.IsMissing(err) {
		return reconcile.Result{}, fmt.Errorf("remove the extension %s: %w", id, err)
	}
	if again {
		return reconcile.Result{After: time.Millisecond}, nil
	}
	s.resourceChanged(ctx, id)
	return reconcile.Result{Done: true}, nil
}

// joinAccount is the account that a machine was joined to its domain with, by its
// extension: a computer may not delete its own object, whoever made it may. nil where
// there was no join.
func (s *Service) joinAccount(ctx context.Context, machine arm.ResourceID) (json.RawMessage, error) {
	rows, err := s.o.Store.Works(ctx, deskyard.WorkQuery{Kind: deskyard.WorkExtension, Scope: machine})
	if err != nil {
		return nil, err
	}
	for _, w := range rows.Items {
		row, err := s.o.Store.Resource(ctx, w.ID)
		if arm.IsMissing(err) || w.Sealed == nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		var e deskyard.VMExtension
		if err := readProperties(row, &e); err != nil {
			return nil, err
		}
		if !strings.EqualFold(e.Type, "JsonADDomainExtension") {
			continue
		}
		var settings struct{ Name, User string }
		var secrets struct{ Password string }
		plain, err := s.o.Seal.Open(w.Sealed, extensionBox(w.ID))
		if err != nil {
			return nil, fmt.Errorf("open the account that joined %s: %w", machine.Name(), err)
		}
		if err := errors.Join(decodeSecrets(e.Settings, &settings), decodeSecrets(plain, &secrets)); err != nil {
			return nil, err
		}
		return encoded(map[string]string{"user": settings.User, "domain": settings.Name, "password": secrets.Password}), nil
	}
	return nil, nil
}
