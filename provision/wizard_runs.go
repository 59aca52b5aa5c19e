package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// run is a run of the wizard, and the deployment that it is.
type run struct {
	runState
	deployment arm.ResourceID
}

// runsWithin are the runs that are known within a scope.
func runsWithin(ctx context.Context, reader deskyard.Reader, scope arm.ResourceID) ([]run, error) {
	works, err := reader.Works(ctx, deskyard.WorkQuery{Kind: workRun, Scope: scope})
	if err != nil {
		return nil, err
	}
	runs := make([]run, len(works.Items))
	for i, w := range works.Items {
		runs[i].deployment = w.ID
		if err := json.Unmarshal(w.State, &runs[i].runState); err != nil {
			return nil, fmt.Errorf("read the run %s: %w", w.ID, err)
		}
	}
	return runs, nil
}

// runs are a pool's, of whatever group their machines are in.
func (s *Service) runs(ctx context.Context, pool arm.ResourceID) ([]run, error) {
	all, err := runsWithin(ctx, s.o.Store, arm.ResourceID{Subscription: pool.Subscription})
	return slices.DeleteFunc(all, func(r run) bool { return r.Pool.Key() != pool.Key() }), err
}

// Runs are a pool's runs that are known, the newest first.
func (s *Service) Runs(ctx context.Context, pool arm.ResourceID) ([]deskyard.SessionHostRun, error) {
	runs, err := s.runs(ctx, pool)
	if err != nil {
		return nil, err
	}
	all := []deskyard.SessionHostRun{}
	for _, r := range runs {
		listed := deskyard.SessionHostRun{Name: r.deployment.Name(), Deployment: r.deployment.String(), State: stateRunning, Names: r.Names, Began: r.Began}
		_, d, err := s.readWork(ctx, s.o.Store, r.deployment)
		if err != nil && !arm.IsMissing(err) {
			return nil, err
		}
		if err == nil && d.over() {
			listed.State, listed.Ended = d.Status, &d.Ended
		}
		if listed.State == stateSucceeded && s.now().Before(d.Ended.Add(checksTime)) { // its hosts may not be ready
			p, err := s.progress(ctx, r)
			if err != nil {
				return nil, err
			}
			listed.State = p.State
		}
		if listed.State == stateRunning {
			listed.Ended = nil
		}
		all = append(all, listed)
	}
	slices.SortFunc(all, func(a, b deskyard.SessionHostRun) int {
		return cmp.Or(b.Began.Compare(a.Began), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}
