package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reconcile"
)

// pruning is Complete mode's second half: what the group holds beside the template is
// deleted, users before what they use. Nobody knows that order better than the
// resources themselves: the newest is tried first, and what is in use is tried again
// once something else is gone.
type pruning struct {
	steps map[string]*step // by the resource's key
	order []string
}

// prune deletes until nothing more can be; done is false while it waits.
func (r *deploymentRun) prune(ctx context.Context) (done bool, res reconcile.Result, err error) {
	if r.pruning == nil {
		if r.pruning, err = r.superfluous(ctx); err != nil {
			return false, res, err
		}
	}
	p := r.pruning
	for {
		waiting, moved, inUse := 0, false, map[string]*arm.Error{}
		for _, k := range p.order {
			st := p.steps[k]
			if !st.open() {
				continue
			}
			if r.canceled.Load() {
				res, err = r.cancelAll(ctx)
				return false, res, err
			}
			refused, err := r.deleteOne(ctx, st)
			if err != nil {
				return false, res, err
			}
			switch {
			case refused != nil:
				inUse[k] = refused
			case st.open():
				waiting++
			default:
				moved = true
			}
		}
		switch {
		case moved && len(inUse) > 0:
		case waiting > 0:
			return false, reconcile.Result{After: lookEvery}, nil
		default:
			return true, res, r.failInUse(ctx, inUse)
		}
	}
}

// superfluous are the resources of the group that the template does not name: those
// that stand in it themselves, have a location and are managed by nobody else.
func (r *deploymentRun) superfluous(ctx context.Context) (*pruning, error) {
	kept := map[string]bool{}
	for i := range r.nodes {
		if n := &r.nodes[i]; n.n.Condition {
			for _, id := range n.id.Scopes() {
				kept[id.Key()] = true
			}
		}
	}
	e := ending{}
	r.outputResources(ctx, &e)
	for _, made := range e.resources {
		if id, err := arm.ParseID(made.ID); err == nil {
			for _, at := range id.Scopes() {
				kept[at.Key()] = true
			}
		}
	}
	rows, err := r.s.o.Store.Resources(ctx, deskyard.ResourceQuery{Scope: r.id.Parent()})
	if err != nil {
		return nil, err
	}
	sort.SliceStable(rows.Items, func(i, j int) bool {
		return rows.Items[i].Envelope.SystemData.CreatedAt.After(rows.Items[j].Envelope.SystemData.CreatedAt)
	})
	p := &pruning{steps: map[string]*step{}}
	for _, row := range rows.Items {
		if len(row.ID.Segments) != 1 || kept[row.ID.Key()] || row.Envelope.ManagedBy != "" {
			continue
		}
		version, err := r.s.newestVersion(row.ID.Type())
		if err != nil {
			continue // not a type of the API's: not for it to delete
		}
		p.order = append(p.order, row.ID.Key())
		p.steps[row.ID.Key()] = &step{Run: r.st.Run, Node: -1, Target: row.ID, Version: version, Verb: verbDelete,
			State: stepExecuting, Began: r.s.now().UTC()}
	}
	return p, nil
}

// deleteOne asks for a deletion, or looks whether one that was accepted is through.
// refused says that the resource is in use.
func (r *deploymentRun) deleteOne(ctx context.Context, p *step) (refused *arm.Error, err error) {
	r.s.deploy.watch(r.id, p.Target)
	if p.State == stepWaiting {
		return nil, r.lookAtDeletion(ctx, p)
	}
	reply, err := r.s.o.Resources.Do(ctx, Call{
		Principal: r.st.Caller, Method: "DELETE", ID: p.Target, Version: p.Version, Correlation: r.st.Correlation,
	})
	var e *arm.Error
	switch {
	case errors.As(err, &e) && e.Kind == arm.Conflicting:
		return e, nil
	case errors.As(err, &e) && e.Kind != arm.Throttled && e.Kind != arm.Unavailable:
		return nil, r.endPrune(ctx, p, stateFailed, kindName(e.Kind), e)
	case err != nil:
		return nil, err // the turn is made again
	case reply.Status == 202:
		p.State, p.Status = stepWaiting, statusName(reply.Status)
		return nil, r.putPrune(ctx, p)
	}
	return nil, r.endPrune(ctx, p, stateSucceeded, statusName(reply.Status), nil)
}

// lookAtDeletion ends a deletion whose resource is gone, or that was given up.
func (r *deploymentRun) lookAtDeletion(ctx context.Context, p *step) error {
	row, err := r.s.o.Store.Resource(ctx, p.Target)
	if arm.IsMissing(err) {
		return r.endPrune(ctx, p, stateSucceeded, "OK", nil)
	}
	if err != nil {
		return err
	}
	var at resourceState
	if err := json.Unmarshal(row.Properties, &at); err != nil {
		return fmt.Errorf("read stored properties of %s: %w", row.ID, err)
	}
	if at.failed() {
		return r.endPrune(ctx, p, stateFailed, "Conflict", at.problem(p.Target))
	}
	return nil
}

func (r *deploymentRun) endPrune(ctx context.Context, p *step, state, status string, e *arm.Error) error {
	p.State, p.Status, p.Error, p.Ended = state, status, e, r.s.now().UTC()
	r.s.deploy.metrics.stepped(state, p.Ended.Sub(p.Began))
	return r.putPrune(ctx, p)
}

func (r *deploymentRun) putPrune(ctx context.Context, p *step) error {
	return r.s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		return p.put(ctx, tx, r.id, r.s.now().UTC())
	})
}

// failInUse ends what stayed in use when nothing else was left to delete.
func (r *deploymentRun) failInUse(ctx context.Context, inUse map[string]*arm.Error) error {
	for _, k := range r.pruning.order {
		if e := inUse[k]; e != nil {
			if err := r.endPrune(ctx, r.pruning.steps[k], stateFailed, "Conflict", e); err != nil {
				return err
			}
		}
	}
	return nil
}

// failure is nil when everything superfluous is gone.
func (p *pruning) failure() *arm.Error {
	var names []string
	e := arm.Errorf(arm.Conflicting, "DeploymentFailed", "")
	for _, k := range p.order {
		if st := p.steps[k]; st.State == stateFailed {
			names = append(names, st.Target.Name())
			e.Details = append(e.Details, st.detail())
		}
	}
	if names == nil {
		return nil
	}
	e.Message = "The template was deployed, but resources of the group that it does not name could not be deleted: " + strings.Join(names, ", ") + "."
	return e
}
