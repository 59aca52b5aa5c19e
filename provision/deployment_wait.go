package provision

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// deployments is what the service knows in memory of those that run. All of it can be
// made again of the rows.
type deployments struct {
	links   *linkReader
	metrics *deploymentMetrics

	mu    sync.Mutex                           // guards what follows
	runs  map[string]*deploymentRun            // by the deployment's key
	waits map[string]map[string]arm.ResourceID // by the key of a resource: who waits for it
	news  map[string]map[string]bool           // by the deployment's key: resources that changed
}

func newDeployments(o Options) *deployments {
	return &deployments{
		links: newLinkReader(o.Links), metrics: newDeploymentMetrics(o.Registry),
		runs: map[string]*deploymentRun{}, waits: map[string]map[string]arm.ResourceID{}, news: map[string]map[string]bool{},
	}
}

// resourceChanged wakes the deployments that wait for a resource: its provisioning
// state is final, or it is gone. Call it after the commit; for what nobody waits for
// it does nothing.
func (s *Service) resourceChanged(_ context.Context, id arm.ResourceID) {
	for _, d := range s.deploy.note(id) {
		s.Wake(deskyard.WorkDeployment, d)
	}
}

// wakeDeployments has those looked at that ran when the service was stopped: what they
// waited for may have ended meanwhile.
func (s *Service) wakeDeployments(ctx context.Context) {
	rows, err := s.o.Store.Works(ctx, deskyard.WorkQuery{Kind: deskyard.WorkDeployment})
	if err != nil {
		s.log.Error("deployments not taken up at once; each is when it is due", "err", err)
		return
	}
	for _, w := range rows.Items {
		var st deploymentState
		if err := json.Unmarshal(w.State, &st); err != nil {
			s.log.Error("deployment not taken up", "deployment", w.ID, "err", err)
			continue
		}
		if !st.over() {
			s.deploy.metrics.began()
			s.Wake(deskyard.WorkDeployment, w.ID)
		}
	}
}

// note writes the change down for each deployment that waits for it.
func (d *deployments) note(id arm.ResourceID) []arm.ResourceID {
	d.mu.Lock()
	defer d.mu.Unlock()
	var woken []arm.ResourceID
	for key, deployment := range d.waits[id.Key()] {
		if d.news[key] == nil {
			d.news[key] = map[string]bool{}
		}
		d.news[key][id.Key()] = true
		woken = append(woken, deployment)
	}
	return woken
}

// watch has a deployment told of changes of a resource.
func (d *deployments) watch(deployment, resource arm.ResourceID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := resource.Key()
	if d.waits[k] == nil {
		d.waits[k] = map[string]arm.ResourceID{}
	}
	d.waits[k][deployment.Key()] = deployment
}

// changed takes the resources that changed since it was last asked; nil for none.
func (d *deployments) changed(deployment arm.ResourceID) map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := deployment.Key()
	news := d.news[k]
	delete(d.news, k)
	return news
}

// find is a run in memory; nil when there is none, or one of another operation.
func (d *deployments) find(id arm.ResourceID, run string) *deploymentRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.runs[id.Key()]; r != nil && r.st.Run == run {
		return r
	}
	return nil
}

// keep remembers a run.
func (d *deployments) keep(r *deploymentRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs[r.id.Key()] = r
}

// drop forgets a run, and what it waited for.
func (d *deployments) drop(id arm.ResourceID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := id.Key()
	r := d.runs[k]
	delete(d.runs, k)
	delete(d.news, k)
	if r == nil {
		return
	}
	for i := range r.nodes {
		resource := r.nodes[i].id.Key()
		delete(d.waits[resource], k)
		if len(d.waits[resource]) == 0 {
			delete(d.waits, resource)
		}
	}
}

// cancel stops a run that is in memory from starting anything more.
func (d *deployments) cancel(id arm.ResourceID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.runs[id.Key()]; r != nil {
		r.canceled.Store(true)
	}
}
