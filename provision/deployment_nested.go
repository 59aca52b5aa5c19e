package provision

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/template"
)

// callNested starts a deployment that a template holds or links: a deployment of its
// own, whose end is awaited like that of any resource.
func (r *deploymentRun) callNested(ctx context.Context, o outcome, rt *callerAPI) outcome {
	d, err := r.nodes[o.node].n.Deployment(ctx, rt)
	if err != nil {
		return r.refused(o, templateRefusal(err))
	}
	at, begun, err := r.adopt(ctx, o)
	if err != nil {
		return r.refused(o, err)
	}
	if begun {
		return at
	}
	in, err := r.s.nestedIntent(ctx, r, o.node, d)
	if err != nil {
		return r.refused(o, templateRefusal(err))
	}
	child, err := r.s.startNested(ctx, r, in, r.nodes[o.node].n.Runtime())
	if err != nil {
		return r.refused(o, templateRefusal(err))
	}
	r.s.DeploymentStarted(&PreparedDeployment{run: child})
	o.step.State, o.step.Status = stepWaiting, statusName(http.StatusCreated)
	return o
}

// adopt finds the nested deployment that this step started before the service died.
func (r *deploymentRun) adopt(ctx context.Context, o outcome) (outcome, bool, error) {
	_, st, err := r.s.readWork(ctx, r.s.o.Store, o.step.Target)
	if arm.IsMissing(err) {
		return o, false, nil
	}
	if err != nil {
		return o, false, err
	}
	if p := st.Parent; p == nil || p.Run != r.st.Run || p.Node != o.node || !p.ID.Equal(r.id) {
		return o, false, nil
	}
	r.s.Wake(deskyard.WorkDeployment, o.step.Target)
	o, err = r.look(ctx, o)
	return o, true, err
}

// nestedIntent is the intent of a nested deployment.
func (s *Service) nestedIntent(ctx context.Context, r *deploymentRun, node int, d *template.Nested) (*intent, error) {
	if r.st.Depth+1 > maxNesting {
		return nil, arm.Errorf(arm.Invalid, "InvalidTemplate", "Deployments are nested deeper than %d levels.", maxNesting)
	}
	in := &intent{id: d.ID, template: d.Template, params: d.Parameters, nested: d}
	st := &in.st
	var err error
	if st.Mode, err = deploymentMode(d.Mode); err != nil {
		return nil, err
	}
	if st.Mode == modeComplete {
		return nil, arm.Errorf(arm.Invalid, "InvalidNestedDeploymentMode",
			"The nested deployment '%s' has the mode 'Complete'; a nested deployment is 'Incremental'.", d.ID.Name())
	}
	if st.Link, err = readLink(d.TemplateLink, "templateLink"); err != nil {
		return nil, err
	}
	if st.ParamsLink, err = readLink(d.ParametersLink, "parametersLink"); err != nil {
		return nil, err
	}
	if err := in.complete(); err != nil {
		return nil, err
	}
	st.Caller, st.Correlation, st.Debug = r.st.Caller, r.st.Correlation, r.st.Debug
	st.Run, st.Began, st.Depth = uuid.NewString(), s.now().UTC(), r.st.Depth+1
	st.Location = canonicalPlace(r.nodes[node].n.Location)
	if st.Location == "" && d.ID.ResourceGroup == "" {
		st.Location = r.st.Location
	}
	st.Parent = &parentRun{ID: r.id, Run: r.st.Run, Node: node}
	if st.Scope = r.st.Scope; !d.ID.Parent().Equal(r.id.Parent()) {
		st.Scope = s.scopeFacts(ctx, in, r.st.Scope.Environment)
	}
	return in, s.follow(ctx, in, r)
}

// startNested plans a nested deployment and writes it down. What could not be looked
// at when the outermost one was submitted is checked now.
func (s *Service) startNested(ctx context.Context, parent *deploymentRun, in *intent, unchecked bool) (*deploymentRun, error) {
	if err := s.mayDeploy(ctx, in); err != nil {
		return nil, err
	}
	if err := s.fits(ctx, in); err != nil {
		return nil, err
	}
	child, err := s.planIntent(in)
	if err != nil {
		return nil, err
	}
	if unchecked {
		if err := s.preflight(ctx, child); err != nil {
			return nil, err
		}
	}
	err = s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		if _, err := s.putRun(ctx, tx, child, in.sealed); err != nil {
			return err
		}
		return s.auditWrite(ctx, tx, child, http.StatusCreated, "", "nested in "+parent.id.Name())
	})
	return child, err
}

// mayDeploy asks whether the caller may deploy at the scope of an intent.
func (s *Service) mayDeploy(ctx context.Context, in *intent) error {
	_, err := s.o.Resources.Do(ctx, Call{
		Principal: in.st.Caller, Method: "PUT", ID: in.id, Version: deploymentsVersion, Correlation: in.st.Correlation, CheckOnly: true,
	})
	return err
}

// rereadNested takes the template and parameters of a nested deployment that goes on
// from the deployment that it stands in, which runs for as long as it does.
func (s *Service) rereadNested(ctx context.Context, in *intent) error {
	p := in.st.Parent
	w, st, err := s.readWork(ctx, s.o.Store, p.ID)
	if err != nil {
		return err
	}
	if st.Run != p.Run || st.over() {
		return arm.Errorf(arm.Conflicting, "DeploymentCanceled", "The deployment '%s' that holds this one has ended.", p.ID.Name())
	}
	r := s.deploy.find(p.ID, st.Run)
	if r == nil { // its own turn comes later; here its plan is enough
		outer, err := s.rereadIntent(ctx, w, st)
		if err != nil {
			return err
		}
		if r, err = s.planIntent(outer); err != nil {
			return err
		}
	}
	if p.Node >= len(r.nodes) {
		return fmt.Errorf("read %s: its place in %s is gone", in.id, p.ID)
	}
	d, err := r.nodes[p.Node].n.Deployment(ctx, &callerAPI{s, in.st.Caller, in.st.Correlation})
	if err != nil {
		return err
	}
	in.nested, in.params, in.template = d, d.Parameters, d.Template
	return nil
}
