package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reconcile"
	"github.com/deskyard/deskyard/template"
)

// ending is how a run ends.
type ending struct {
	state     string
	err       *arm.Error
	outputs   json.RawMessage
	resources []resourceRef
	steps     []step         // to be written with it
	rollback  *deploymentRun // what onErrorDeployment starts
	sealed    sealedState    // of the rollback
}

// markRunning shows that the deployment has begun.
func (r *deploymentRun) markRunning(ctx context.Context, tx deskyard.Tx) error {
	if r.begun {
		return nil
	}
	row, err := tx.Resource(ctx, r.id)
	if arm.IsMissing(err) {
		return nil // deleted with its group; the next call says so
	}
	if err != nil {
		return err
	}
	var now struct {
		State string `json:"provisioningState"`
	}
	if err := json.Unmarshal(row.Properties, &now); err != nil {
		return fmt.Errorf("read stored properties of %s: %w", r.id, err)
	}
	if now.State != stateAccepted {
		return nil
	}
	return r.s.putShown(ctx, tx, r, stateRunning, nil)
}

// failure is what a deployment is answered with that failed: each operation that did,
// with its place in the template.
func (r *deploymentRun) failure() *arm.Error {
	e := arm.Errorf(arm.Conflicting, "DeploymentFailed",
		"At least one resource deployment operation failed. Please list deployment operations for details. Please see https://aka.ms/arm-deployment-operations for usage details.")
	e.Target = r.id.String()
	for _, p := range r.steps {
		if p == nil || p.State != stateFailed && p.State != stateCanceled || p.Error == nil {
			continue
		}
		e.Details = append(e.Details, p.detail())
	}
	return e
}

// detail is a failed step as its deployment's error carries it.
func (p *step) detail() arm.Error {
	d := *p.Error
	if d.Target == "" || len(p.Target.Segments) > 0 {
		d.Target = p.Target.String()
	}
	if p.Path != "" {
		d.Info = append(append([]arm.Additional(nil), d.Info...), violation(p.Path, p.Line, p.Target))
	}
	return d
}

// succeed evaluates the outputs of a deployment whose resources all stand, and ends it.
func (r *deploymentRun) succeed(ctx context.Context) (reconcile.Result, error) {
	now := r.s.now().UTC()
	p := step{Run: r.st.Run, Node: -1, Target: r.id, Verb: verbOutputs, Began: now, Ended: now, State: stateSucceeded, Status: "OK"}
	outputs, err := r.plan.Outputs(ctx, &callerAPI{r.s, r.st.Caller, r.st.Correlation})
	if err != nil {
		e, ok := armError(err)
		if !ok {
			return reconcile.Result{}, fmt.Errorf("evaluate the outputs of %s: %w", r.id, err)
		}
		p.State, p.Error, p.Status = stateFailed, e, kindName(e.Kind)
		all := r.failure()
		all.Details = append(all.Details, *e)
		return r.end(ctx, ending{state: stateFailed, err: all, steps: []step{p}})
	}
	e := ending{state: stateSucceeded}
	if len(outputs) > 0 {
		e.steps = []step{p}
		if e.outputs, err = showOutputs(outputs); err != nil {
			return reconcile.Result{}, fmt.Errorf("encode the outputs of %s: %w", r.id, err)
		}
	}
	return r.end(ctx, e)
}

// showOutputs is the outputs as ARM shows them; of a secret only the type.
func showOutputs(outputs []template.Output) (json.RawMessage, error) {
	all := template.NewObject()
	for _, o := range outputs {
		member := template.NewObject()
		member.Set("type", template.String(o.Type))
		if !secureType(o.Type) && !o.Value.HasSecure() {
			member.Set("value", o.Value)
		}
		all.Set(o.Name, template.Of(member))
	}
	return json.Marshal(template.Of(all))
}

func secureType(t string) bool {
	return strings.EqualFold(t, "secureString") || strings.EqualFold(t, "secureObject")
}

// finish ends a run that failed or was canceled.
func (r *deploymentRun) finish(ctx context.Context, state string, err *arm.Error) (reconcile.Result, error) {
	return r.end(ctx, ending{state: state, err: err})
}

// end writes the end of a run in one transaction and tells whoever waits for it.
func (r *deploymentRun) end(ctx context.Context, e ending) (reconcile.Result, error) {
	s := r.s
	r.outputResources(ctx, &e)
	r.prepareRollback(ctx, &e)
	gone := false
	err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		gone = false
		_, err := tx.Resource(ctx, r.id)
		if arm.IsMissing(err) { // deleted with its group
			gone = true
			return s.forget(ctx, tx, r.id)
		}
		if err != nil {
			return err
		}
		return r.writeEnd(ctx, tx, e)
	})
	if err != nil {
		return reconcile.Result{}, err
	}
	s.deploy.drop(r.id)
	s.deploy.metrics.ended(e.state)
	s.log.Info("deployment ended", "deployment", r.id, "state", e.state, "nodes", len(r.nodes),
		"took", s.now().Sub(r.st.Began), "correlation", r.st.Correlation)
	if e.rollback != nil {
		s.DeploymentStarted(&PreparedDeployment{run: e.rollback})
	}
	s.resourceChanged(ctx, r.id)
	return reconcile.Result{Done: gone}, nil
}

func (r *deploymentRun) writeEnd(ctx context.Context, tx deskyard.Tx, e ending) error {
	s, now := r.s, r.s.now().UTC()
	w, st, err := s.readWork(ctx, tx, r.id)
	if err != nil {
		return err
	}
	if st.Run != r.st.Run || st.over() {
		return fmt.Errorf("end %s: another run of it has begun", r.id)
	}
	for _, p := range e.steps {
		if err := p.put(ctx, tx, r.id, now); err != nil {
			return err
		}
	}
	st.Status, st.Ended = e.state, now
	if w.State, err = json.Marshal(st); err != nil {
		return fmt.Errorf("encode the state of %s: %w", r.id, err)
	}
	if st.Parent != nil || e.state != stateSucceeded {
		// Only a deployment that can be gone back to is run again from here.
		if err := dropSecrets(ctx, tx, r.id); err != nil {
			return err
		}
	}
	if _, err := tx.PutWork(ctx, w); err != nil {
		return err
	}
	if err := s.putShown(ctx, tx, r, e.state, e.show); err != nil {
		return err
	}
	op, err := tx.Operation(ctx, r.st.Run)
	if err != nil {
		return err
	}
	op.Status, op.Ended, op.Percent, op.Error = e.state, now, 100, e.err
	if err := tx.PutOperation(ctx, op); err != nil {
		return err
	}
	if e.rollback != nil {
		if _, err := s.putRun(ctx, tx, e.rollback, e.sealed); err != nil {
			return err
		}
	}
	return s.auditDeployment(ctx, tx, r, e)
}

// show puts the end into the deployment's row.
func (e *ending) show(d *shownDeployment) {
	d.Error, d.Outputs, d.Resources = e.err, e.outputs, e.resources
	if e.rollback != nil && d.OnError != nil {
		d.OnError.Name, d.OnError.State = e.rollback.id.Name(), stateRunning
	}
}

// auditDeployment notes the end of a run beside the writes that it made.
func (s *Service) auditDeployment(ctx context.Context, tx deskyard.Tx, r *deploymentRun, e ending) error {
	status, code := http.StatusOK, ""
	if e.err != nil {
		status, code = http.StatusConflict, e.err.Code
	}
	return s.auditWrite(ctx, tx, r, status, code, "deployment ended: "+e.state)
}

// auditWrite appends a line about a deployment to the audit log.
func (s *Service) auditWrite(ctx context.Context, tx deskyard.Tx, r *deploymentRun, status int, code, detail string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make an audit event's id: %w", err)
	}
	p := r.st.Caller
	return tx.AppendAudit(ctx, deskyard.AuditEvent{
		ID: id.String(), At: s.now().UTC(), Caller: p.Name, CallerID: p.ObjectID, CallerType: p.Kind,
		Action: "Microsoft.Resources/deployments/write", Scope: r.id.String(), Status: status, Code: code,
		Correlation: r.st.Correlation, Detail: detail,
	})
}

// outputResources are those that the deployment made, with those of the nested ones.
func (r *deploymentRun) outputResources(ctx context.Context, e *ending) {
	for i, p := range r.steps {
		if p == nil || p.State != stateSucceeded {
			continue
		}
		if !r.nodes[i].n.IsDeployment() {
			e.resources = append(e.resources, resourceRef{p.Target.String()})
			continue
		}
		nested, err := r.s.o.Store.Resource(ctx, p.Target)
		if err != nil {
			r.s.log.Warn("nested deployment not read", "deployment", p.Target, "err", err)
			continue
		}
		var shown shownDeployment
		if err := json.Unmarshal(nested.Properties, &shown); err != nil {
			r.s.log.Warn("nested deployment not read", "deployment", p.Target, "err", err)
			continue
		}
		e.resources = append(e.resources, shown.Resources...)
	}
}

// cancelAll ends a run whose cancellation was asked for: nested deployments are
// canceled too, resources that were accepted become ready or fail by themselves.
func (r *deploymentRun) cancelAll(ctx context.Context) (reconcile.Result, error) {
	e := ending{state: stateCanceled, err: arm.Errorf(arm.Conflicting, "DeploymentCanceled",
		"The deployment '%s' was canceled. What it had asked for already goes on.", r.id.Name())}
	now := r.s.now().UTC()
	for i, p := range r.steps {
		if p == nil || !p.open() {
			continue
		}
		if r.nodes[i].n.IsDeployment() {
			if err := r.cancelNested(ctx, p.Target); err != nil {
				return reconcile.Result{}, err
			}
		}
		q := *p
		q.State, q.Ended, q.Status, q.again = stateCanceled, now, "", false
		e.steps = append(e.steps, q)
	}
	return r.end(ctx, e)
}

func (r *deploymentRun) cancelNested(ctx context.Context, id arm.ResourceID) error {
	err := r.s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		return r.s.CancelDeployment(ctx, tx, id)
	})
	var e *arm.Error
	if errors.As(err, &e) && (e.Kind == arm.Conflicting || e.Kind == arm.Missing) {
		return nil // it ended by itself, or was not begun
	}
	if err == nil {
		r.s.DeploymentCanceled(id)
	}
	return err
}

// prepareRollback plans what onErrorDeployment asks for after a failure. What cannot
// be planned is said in the error's details and not done.
func (r *deploymentRun) prepareRollback(ctx context.Context, e *ending) {
	if e.state != stateFailed || r.st.OnError == nil || r.st.Parent != nil {
		return
	}
	again, sealed, err := r.s.rollback(ctx, r)
	if err != nil {
		failed := *e.err
		failed.Details = append(append([]arm.Error(nil), failed.Details...), arm.Error{Code: "OnErrorDeploymentFailed",
			Message: "The deployment to go back to was not started: " + err.Error(), Target: r.st.OnError.Name})
		e.err = &failed
		return
	}
	e.rollback, e.sealed = again, sealed
}

// rollback is a new run of the deployment that onErrorDeployment names.
func (s *Service) rollback(ctx context.Context, r *deploymentRun) (*deploymentRun, sealedState, error) {
	id, err := s.rollbackTarget(ctx, r)
	if err != nil {
		return nil, sealedState{}, err
	}
	w, st, err := s.readWork(ctx, s.o.Store, id)
	if err != nil {
		return nil, sealedState{}, err
	}
	if st.Status != stateSucceeded {
		return nil, sealedState{}, arm.Errorf(arm.Conflicting, "InvalidOnErrorDeployment", "The deployment '%s' has not succeeded.", id.Name())
	}
	in, err := s.rereadIntent(ctx, w, st)
	if err != nil {
		return nil, sealedState{}, err
	}
	in.st.Run, in.st.Began, in.st.Status, in.st.Cancel = uuid.NewString(), s.now().UTC(), "", false
	in.st.Caller, in.st.Correlation, in.st.OnError = r.st.Caller, r.st.Correlation, nil
	again, err := s.planIntent(in)
	return again, in.sealed, err
}

func (s *Service) rollbackTarget(ctx context.Context, r *deploymentRun) (arm.ResourceID, error) {
	scope := r.id.Parent()
	if r.st.OnError.Name != "" {
		return scope.Provider("Microsoft.Resources", "deployments", r.st.OnError.Name), nil
	}
	rows, err := s.o.Store.Works(ctx, deskyard.WorkQuery{Kind: deskyard.WorkDeployment, Scope: scope})
	if err != nil {
		return scope, err
	}
	var last deploymentState
	var found arm.ResourceID
	for _, w := range rows.Items {
		var st deploymentState
		if err := json.Unmarshal(w.State, &st); err != nil {
			return scope, fmt.Errorf("read the state of %s: %w", w.ID, err)
		}
		if st.Status == stateSucceeded && st.Parent == nil && w.ID.Parent().Equal(scope) && !w.ID.Equal(r.id) && st.Ended.After(last.Ended) {
			last, found = st, w.ID
		}
	}
	if found.IsZero() {
		return scope, arm.Errorf(arm.Missing, "DeploymentNotFound", "There is no earlier deployment that succeeded.")
	}
	return found, nil
}
