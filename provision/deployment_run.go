package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reconcile"
	"github.com/deskyard/deskyard/template"
)

const (
	// stepsAtOnce bounds the calls of one deployment that are under way: they end in
	// one store with one writer, so that more would only wait there.
	stepsAtOnce = 16
	// deploymentsAtOnce bounds the deployments that take a turn at one time; one that waits
	// takes none.
	deploymentsAtOnce = 16
	// stepRetries is how often a call is tried that the service itself could not answer.
	stepRetries = 5
	// lookEvery is how often a deployment looks by itself at what it waits for; whoever
	// ends a resource says so at once.
	lookEvery = 10 * time.Second
	// retryStep is the pause before a call that was throttled is made again.
	retryStep = time.Second
)

// deploymentRun is one run of a deployment in memory: its plan, and how far each node
// is. It is made of the rows whenever it is not there, so that losing it costs time
// only. What stands below the line belongs to the goroutine of the row's turn.
//
//	            ┌────────── ready ◀──────────┐ (everything it depends on is done)
//	waitsFor ───┤                            │
//	            └─▶ executing ─▶ waiting ─▶ done | failed
//	                   │  PUT       │ row's provisioningState
//	                   └────────────┴──▶ one transaction writes what came of steps and begins the next
type deploymentRun struct {
	s     *Service
	id    arm.ResourceID
	st    deploymentState
	bound *template.Bound
	plan  *template.Plan
	nodes []runNode

	canceled atomic.Bool // set from outside the turn

	// ----
	steps     []*step // by node; nil: not begun
	begun     bool    // and shown so
	looked    time.Time
	fresh     map[int]bool // steps that wait since a call that just returned: what they wait for may have changed during it
	executing int
	results   chan outcome
	pruning   *pruning // Complete mode, once every node is done
}

// runNode is a node of the plan with what the engine knows of it.
type runNode struct {
	n     *template.Node
	id    arm.ResourceID
	users []int // nodes that depend on it
	left  int   // nodes that it still waits for
	skip  bool  // its condition is false, or it only names what exists
}

// outcome is what came of one call.
type outcome struct {
	node  int
	step  step // as it is to be written
	again bool // the call is to be made once more, later
}

// index links the plan's nodes to each other.
func (r *deploymentRun) index() error {
	r.nodes = make([]runNode, len(r.plan.Nodes))
	r.steps = make([]*step, len(r.plan.Nodes))
	r.fresh = map[int]bool{}
	for i, n := range r.plan.Nodes {
		r.nodes[i].n = n
		r.nodes[i].id = groupID(n.ID)
		r.nodes[i].skip = !n.Condition || n.Existing
		for _, d := range n.DependsOn {
			if d < 0 || d >= len(r.plan.Nodes) {
				return fmt.Errorf("plan %s: %s depends on node %d, which there is not", r.id, n.Path, d)
			}
			r.nodes[d].users = append(r.nodes[d].users, i)
			r.nodes[i].left++
		}
	}
	for i := range r.nodes {
		if r.nodes[i].skip {
			r.release(i)
		}
	}
	return nil
}

// groupID turns the id of a resource group written as a provider's resource into
// the one it has.
func groupID(id arm.ResourceID) arm.ResourceID {
	if len(id.Segments) == 1 && strings.EqualFold(id.Type(), "Microsoft.Resources/resourceGroups") {
		return arm.ResourceID{Subscription: id.Subscription, ResourceGroup: id.Name()}
	}
	return id
}

// release counts a done node off at its users.
func (r *deploymentRun) release(i int) {
	for _, u := range r.nodes[i].users {
		r.nodes[u].left--
	}
}

// reconcileDeployment takes a deployment as far as it gets without waiting.
func (s *Service) reconcileDeployment(ctx context.Context, w deskyard.Work) (reconcile.Result, error) {
	var st deploymentState
	if err := json.Unmarshal(w.State, &st); err != nil {
		return reconcile.Result{}, fmt.Errorf("read the state of %s: %w", w.ID, err)
	}
	if st.over() {
		return reconcile.Result{}, nil
	}
	r, err := s.takeUp(ctx, w, st)
	var refused *arm.Error
	switch {
	case errors.As(err, &refused): // it was fine when it was submitted; what it names has changed
		r = &deploymentRun{s: s, id: w.ID, st: st}
		return r.finish(ctx, stateFailed, refused)
	case err != nil:
		return reconcile.Result{}, err
	}
	if st.Cancel {
		r.canceled.Store(true)
	}
	result, err := r.turn(ctx)
	if err != nil {
		s.deploy.drop(r.id) // what memory says may be ahead of the rows
	}
	return result, err
}

// takeUp finds the run in memory or makes it of its rows.
func (s *Service) takeUp(ctx context.Context, w deskyard.Work, st deploymentState) (*deploymentRun, error) {
	if r := s.deploy.find(w.ID, st.Run); r != nil {
		return r, nil
	}
	in, err := s.rereadIntent(ctx, w, st)
	if err != nil {
		return nil, err
	}
	r, err := s.planIntent(in)
	if err != nil {
		return nil, templateRefusal(err)
	}
	if err := r.readSteps(ctx); err != nil {
		return nil, err
	}
	s.deploy.keep(r)
	s.log.Info("deployment taken up again", "deployment", r.id, "nodes", len(r.nodes), "correlation", r.st.Correlation)
	return r, nil
}

// readSteps takes up what the rows say of a run that was interrupted. A step that was
// under way is begun again: every call is one that may be repeated.
func (r *deploymentRun) readSteps(ctx context.Context) error {
	rows, err := r.s.o.Store.Works(ctx, deskyard.WorkQuery{Kind: deskyard.WorkStep, Scope: r.id})
	if err != nil {
		return err
	}
	for _, w := range rows.Items {
		p := new(step)
		if err := p.read(w); err != nil {
			return err
		}
		if p.Run != r.st.Run || p.Node < 0 || p.Node >= len(r.nodes) {
			continue // of Complete mode, or the evaluation of outputs: done again
		}
		switch p.State {
		case stepExecuting:
			p.again = true
			r.steps[p.Node] = p
		case stateSucceeded:
			r.steps[p.Node] = p
			r.release(p.Node)
		default:
			r.steps[p.Node] = p
		}
		if p.State == stepWaiting {
			r.s.deploy.watch(r.id, p.Target)
		}
	}
	return nil
}

// turn does what can be done now, and says when to look again.
func (r *deploymentRun) turn(ctx context.Context) (reconcile.Result, error) {
	r.results = make(chan outcome, stepsAtOnce)
	err := r.work(ctx)
	for r.executing > 0 { // whoever starts a goroutine waits for it
		<-r.results
		r.executing--
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if r.canceled.Load() {
		return r.cancelAll(ctx)
	}
	waiting, again, failed := r.count()
	switch {
	case again > 0:
		return reconcile.Result{After: retryStep}, nil
	case waiting > 0:
		return reconcile.Result{After: lookEvery}, nil
	case failed > 0:
		return r.finish(ctx, stateFailed, r.failure())
	}
	if r.st.Mode == modeComplete {
		done, result, err := r.prune(ctx)
		if err != nil || !done {
			return result, err
		}
		if f := r.pruning.failure(); f != nil {
			return r.finish(ctx, stateFailed, f)
		}
	}
	return r.succeed(ctx)
}

// work starts what is ready and takes in what has ended, until nothing of the two is
// left. Each round is one transaction: what came of steps, and the beginning of the
// next ones.
func (r *deploymentRun) work(ctx context.Context) error {
	var ended []outcome
	for {
		for _, o := range ended {
			r.take(o)
		}
		moved, err := r.lookAtWaiting(ctx)
		if err != nil {
			return err
		}
		for _, o := range moved {
			r.take(o)
		}
		ended = append(ended, moved...)
		begun := r.begin()
		if len(ended)+len(begun) > 0 {
			if err := r.writeSteps(ctx, ended, begun); err != nil {
				return err
			}
		}
		for _, i := range begun {
			r.execute(ctx, i)
		}
		if r.executing == 0 {
			return nil
		}
		ended = ended[:0]
		select {
		case o := <-r.results:
			ended = append(ended, o)
		case <-ctx.Done():
			return ctx.Err()
		}
		ended = append(ended, r.endedToo()...)
		r.executing -= len(ended)
	}
}

// endedToo are the further results that are there already.
func (r *deploymentRun) endedToo() []outcome {
	var all []outcome
	for {
		select {
		case o := <-r.results:
			all = append(all, o)
		default:
			return all
		}
	}
}

// take notes what came of a step.
func (r *deploymentRun) take(o outcome) {
	p := o.step
	p.again = o.again
	r.steps[o.node] = &p
	if p.State == stateSucceeded {
		r.release(o.node)
	}
	if p.State == stepWaiting {
		r.fresh[o.node] = true
	}
	if !p.open() {
		r.s.deploy.metrics.stepped(p.State, p.Ended.Sub(p.Began))
	}
}

// begin picks the nodes to call next and makes their steps.
func (r *deploymentRun) begin() []int {
	var begun []int
	if r.canceled.Load() {
		return nil
	}
	now := r.s.now().UTC()
	for i := range r.nodes {
		if r.executing+len(begun) >= stepsAtOnce {
			break
		}
		n, p := &r.nodes[i], r.steps[i]
		if n.skip || n.left > 0 || p != nil && !p.due(now) {
			continue
		}
		if p == nil {
			p = &step{Run: r.st.Run, Node: i, Target: n.id, Version: n.n.APIVersion, Verb: verbCreate, Began: now, Path: n.n.Path, Line: n.n.Pos.Line}
		}
		next := *p
		next.State, next.again = stepExecuting, false
		r.steps[i] = &next
		begun = append(begun, i)
	}
	return begun
}

// execute calls for a node in a goroutine of its own.
func (r *deploymentRun) execute(ctx context.Context, i int) {
	r.executing++
	p := *r.steps[i]
	r.s.deploy.watch(r.id, p.Target) // before the call, so that no end of it is missed
	go func() { r.results <- r.call(ctx, i, p) }()
}

// call makes one node so.
func (r *deploymentRun) call(ctx context.Context, i int, p step) (o outcome) {
	o = outcome{node: i, step: p}
	defer func() {
		if fault := recover(); fault != nil {
			r.s.log.Error("step of a deployment panicked", "deployment", r.id, "step", p.Target, "panic", fault)
			o = r.refused(o, fmt.Errorf("the service met a fault of its own: %v", fault))
		}
	}()
	rt := &callerAPI{r.s, r.st.Caller, r.st.Correlation}
	if r.nodes[i].n.IsDeployment() {
		return r.callNested(ctx, o, rt)
	}
	body, err := r.nodes[i].n.Evaluate(ctx, rt)
	if err != nil {
		return r.refused(o, templateRefusal(err))
	}
	if r.shows("requestContent") {
		o.step.Request = redacted(body)
	}
	reply, err := r.s.o.Resources.Do(ctx, Call{
		Principal: r.st.Caller, Method: "PUT", ID: p.Target, Version: p.Version, Body: body.Reveal(), Correlation: r.st.Correlation,
	})
	if err != nil {
		return r.refused(o, err)
	}
	return r.accepted(o, reply, body.HasSecure())
}

// accepted reads from an answer whether the resource stands already.
func (r *deploymentRun) accepted(o outcome, reply Reply, secret bool) outcome {
	o.step.Status = statusName(reply.Status)
	if r.shows("responseContent") && !secret { // what a body with secrets is answered with may repeat them
		o.step.Response = redactedReply(reply.Body)
	}
	var body struct {
		Properties resourceState `json:"properties"`
	}
	if len(reply.Body) > 0 {
		if err := json.Unmarshal(reply.Body, &body); err != nil {
			return r.refused(o, fmt.Errorf("read the answer to PUT %s: %w", o.step.Target, err))
		}
	}
	return r.settled(o, body.Properties)
}

// settled moves a step to where its resource is.
func (r *deploymentRun) settled(o outcome, at resourceState) outcome {
	switch {
	case at.succeeded():
		o.step.State, o.step.Ended = stateSucceeded, r.s.now().UTC()
	case at.failed():
		o.step.State, o.step.Ended, o.step.Error = stateFailed, r.s.now().UTC(), at.problem(o.step.Target)
		o.step.Status = "Conflict"
	default:
		o.step.State = stepWaiting
	}
	return o
}

// refused is the outcome of a call that failed: for good where the API refuses it, to
// be tried again where the service could not answer.
func (r *deploymentRun) refused(o outcome, err error) outcome {
	var e *arm.Error
	switch {
	case errors.As(err, &e) && e.Kind != arm.Throttled && e.Kind != arm.Unavailable:
		o.step.State, o.step.Ended, o.step.Error, o.step.Status = stateFailed, r.s.now().UTC(), e, kindName(e.Kind)
		return o
	case o.step.Tries < stepRetries || e != nil && e.Kind == arm.Throttled:
		o.step.Tries++
		o.step.Retry = r.s.now().UTC().Add(retryStep * time.Duration(o.step.Tries))
		o.again = true
		return o
	}
	r.s.log.Error("step of a deployment failed", "deployment", r.id, "step", o.step.Target, "err", err)
	o.step.State, o.step.Ended, o.step.Status = stateFailed, r.s.now().UTC(), "InternalServerError"
	o.step.Error = e
	if e == nil {
		o.step.Error = arm.Errorf(arm.Unavailable, "InternalServerError",
			"The server encountered an internal error. Deploy again; if it persists, look for the correlation id %s in the service's log.", r.st.Correlation)
	}
	return o
}

// lookAtWaiting reads the rows of resources that steps wait for: those that were
// said to have changed, and now and then all of them.
func (r *deploymentRun) lookAtWaiting(ctx context.Context) ([]outcome, error) {
	changed := r.s.deploy.changed(r.id)
	now := r.s.now()
	all := now.Sub(r.looked) >= lookEvery
	if all {
		r.looked = now
	}
	fresh := r.fresh
	r.fresh = map[int]bool{}
	if !all && len(changed) == 0 && len(fresh) == 0 {
		return nil, nil
	}
	var moved []outcome
	for i, p := range r.steps {
		if p == nil || p.State != stepWaiting || !all && !fresh[i] && !changed[p.Target.Key()] {
			continue
		}
		o, err := r.look(ctx, outcome{node: i, step: *p})
		if err != nil {
			return nil, err
		}
		if o.step.State != stepWaiting {
			moved = append(moved, o)
		}
	}
	return moved, nil
}

// look reads one resource's row.
func (r *deploymentRun) look(ctx context.Context, o outcome) (outcome, error) {
	row, err := r.s.o.Store.Resource(ctx, o.step.Target)
	if arm.IsMissing(err) {
		o.step.State, o.step.Ended, o.step.Status = stateFailed, r.s.now().UTC(), "NotFound"
		o.step.Error = arm.Errorf(arm.Missing, "ResourceNotFound", "The resource '%s' was deleted while the deployment waited for it.", o.step.Target)
		return o, nil
	}
	if err != nil {
		return o, err
	}
	var at resourceState
	if len(row.Properties) > 0 {
		if err := json.Unmarshal(row.Properties, &at); err != nil {
			return o, fmt.Errorf("read stored properties of %s: %w", row.ID, err)
		}
	}
	return r.settled(o, at), nil
}

// count says how many steps wait for resources, are to be made again, and failed.
func (r *deploymentRun) count() (waiting, again, failed int) {
	for _, p := range r.steps {
		switch {
		case p == nil:
		case p.again:
			again++
		case p.State == stepWaiting:
			waiting++
		case p.State == stateFailed || p.State == stateCanceled:
			failed++
		}
	}
	return waiting, again, failed
}

// shows reports whether debugSetting asks for a part of the operations.
func (r *deploymentRun) shows(part string) bool {
	return strings.Contains(strings.ToLower(r.st.Debug), strings.ToLower(part))
}
