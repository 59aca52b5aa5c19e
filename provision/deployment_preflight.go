package provision

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/template"
)

// maxPreflightFaults bounds how many faults one answer lists.
const maxPreflightFaults = 50

// preflight checks a planned deployment whole, nested ones included, before anything
// of it is made: types, api-versions, names, bodies, locations, the caller's rights,
// and whether its machines can be made, all of them together.
func (s *Service) preflight(ctx context.Context, r *deploymentRun) error {
	c := &preflightCheck{s: s, plan: plan{Reader: s.o.Store, rows: map[string]deskyard.Resource{}, later: map[string]bool{}}}
	if err := c.run(ctx, r); err != nil {
		return err
	}
	if err := c.machines(ctx, &c.plan); err != nil {
		return err
	}
	if len(c.faults) == 0 {
		return nil
	}
	e := arm.Errorf(arm.Invalid, "InvalidTemplateDeployment",
		"The template deployment '%s' is not valid according to the validation procedure. The tracking id is '%s'. See inner errors for details.",
		r.id.Name(), trackingID(r))
	e.Details = c.faults
	return e
}

func trackingID(r *deploymentRun) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(r.id.Key()+r.st.Run)).String()
}

// preflightCheck gathers the faults of a deployment.
type preflightCheck struct {
	s      *Service
	plan   plan
	faults []arm.Error
}

// run looks at each node. Its error is a fault of the service, or ends the check.
func (c *preflightCheck) run(ctx context.Context, r *deploymentRun) error {
	for i := range r.nodes {
		if len(c.faults) >= maxPreflightFaults {
			return nil
		}
		n := &r.nodes[i]
		if n.skip {
			continue
		}
		if err := c.fault(c.node(ctx, r, i), r.at(i)); err != nil {
			return err
		}
	}
	return nil
}

// at is where a node stands in its template.
func (r *deploymentRun) at(i int) step {
	n := &r.nodes[i]
	return step{Target: n.id, Path: n.n.Path, Line: n.n.Pos.Line}
}

// fault notes what is wrong with the resource at a place; nil is nothing. What is no
// fault of the deployment's is handed back.
func (c *preflightCheck) fault(err error, at step) error {
	if err == nil || errors.Is(err, errNotYet) {
		return nil // what cannot be told yet, its own step tells
	}
	e, ok := armError(err)
	if !ok || e.Kind == arm.Throttled || e.Kind == arm.Unavailable {
		return err
	}
	at.Error = refine(e, at.Target)
	c.faults = append(c.faults, at.detail())
	c.plan.open = true // what it would make is not known
	return nil
}

// refine says a refusal of rights in the words of a deployment.
func refine(e *arm.Error, id arm.ResourceID) *arm.Error {
	if e.Kind != arm.Forbidden {
		return e
	}
	f := *e
	f.Message = "Authorization failed for template resource '" + id.Name() + "' of type '" + id.Type() + "'. " + e.Message
	return &f
}

func (c *preflightCheck) node(ctx context.Context, r *deploymentRun, i int) error {
	n := &r.nodes[i]
	call := Call{Principal: r.st.Caller, Method: "PUT", ID: n.id, Version: n.n.APIVersion, Correlation: r.st.Correlation, CheckOnly: true}
	if !n.n.IsDeployment() {
		if !n.n.Runtime() {
			body, err := n.n.Evaluate(ctx, noRuntime{})
			if err != nil {
				return err
			}
			call.Body = json.RawMessage(body.Reveal())
		}
		reply, err := c.s.o.Resources.Do(ctx, call)
		if err != nil {
			return err
		}
		return c.plan.add(ctx, r.at(i), reply.Row)
	}
	if _, err := c.s.o.Resources.Do(ctx, call); err != nil {
		return err
	}
	if n.n.Runtime() {
		c.plan.open = true
		return nil // its parameters are not known yet: it is checked when it starts
	}
	d, err := n.n.Deployment(ctx, noRuntime{})
	if errors.Is(err, errNotYet) {
		c.plan.open = true
		return nil
	}
	if err != nil {
		return err
	}
	in, err := c.s.nestedIntent(ctx, r, i, d)
	if err != nil {
		return err
	}
	if err := checkDeploymentName(in.id.Name()); err != nil {
		return err
	}
	child, err := c.s.planIntent(in)
	if err != nil {
		return err
	}
	return c.run(ctx, child)
}

// errNotYet is what reference() answers before anything is deployed.
var errNotYet = errors.New("the resources of the deployment do not stand yet")

// noRuntime is a world without resources.
type noRuntime struct{}

func (noRuntime) Reference(context.Context, arm.ResourceID, string, bool) (template.Value, error) {
	return template.Value{}, errNotYet
}

func (noRuntime) List(context.Context, arm.ResourceID, string, string, template.Value) (template.Value, error) {
	return template.Value{}, errNotYet
}
