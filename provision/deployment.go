package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/template"
)

// Modes of a deployment.
const (
	modeIncremental = "Incremental"
	modeComplete    = "Complete" // what the group holds and the template does not name is deleted
)

// States of deployments and of their operations, by ARM's names.
const (
	stateAccepted  = "Accepted"
	stateRunning   = "Running"
	stateSucceeded = "Succeeded"
	stateFailed    = "Failed"
	stateCanceled  = "Canceled"
)

// DeploymentRequest asks for a deployment to be checked, foretold or started.
type DeploymentRequest struct {
	ID          arm.ResourceID // of the deployment; what stands above it is where it deploys
	Caller      deskyard.Principal
	Correlation string // GUID; "" makes one
	// Body is a deployment as clients send it: {"location","tags","properties":{"mode",
	// "template" or "templateLink","parameters",…}}, read leniently.
	Body []byte
	// Environment is what environment() answers; null without.
	Environment template.Value
}

// PreparedDeployment is a deployment that was checked whole and may be started.
type PreparedDeployment struct {
	run    *deploymentRun
	sealed sealedState
}

// Operation is the id of the operation that clients will poll.
func (p *PreparedDeployment) Operation() string { return p.run.st.Run }

// deploymentState is what a deployment's row of work keeps: with the source's row,
// all that it takes to go on after kill -9. Both outlive the run, so that the template
// can be exported and deployed again.
type deploymentState struct {
	Run          string // GUID of the operation that clients poll; another PUT is another run
	Caller       deskyard.Principal
	Correlation  string
	Location     string            `json:",omitempty"`
	Tags         map[string]string `json:",omitempty"`
	Mode         string
	Debug        string          `json:",omitempty"` // debugSetting.detailLevel
	OnError      *onError        `json:",omitempty"`
	Began        time.Time       // what utcNow() answers
	Template     json.RawMessage `json:"-"` // secrets redacted; kept in the source's row
	TemplateHash string          // of the whole
	Link         *TemplateLink   `json:",omitempty"`
	ParamsLink   *TemplateLink   `json:",omitempty"`
	Parent       *parentRun      `json:",omitempty"` // of a nested deployment
	Depth        int             `json:",omitempty"` // of nesting
	Scope        scopeFacts      // as they were when it was started

	Cancel bool      `json:",omitempty"` // asked for
	Status string    `json:",omitempty"` // how it ended; "" while it runs
	Ended  time.Time `json:",omitzero"`
}

// over reports whether the run has ended.
func (st *deploymentState) over() bool { return st.Status != "" }

// parentRun names the step of another deployment that a nested one is.
type parentRun struct {
	ID   arm.ResourceID
	Run  string
	Node int
}

// sealedState is the part of a deployment's state that may hold secrets.
type sealedState struct {
	Source     []byte          `json:",omitempty"` // the request's body, or the linked template; nil: the parent's template holds it
	Query      string          `json:",omitempty"` // query string of the template's link
	Parameters json.RawMessage `json:",omitempty"` // as they were bound, in clear
}

// onError says what to deploy when a deployment fails.
type onError struct {
	Type string // LastSuccessful | SpecificDeployment
	Name string `json:",omitempty"` // of the deployment, once it is known
}

// TemplateLink says where a template or a file of parameters is.
type TemplateLink struct {
	URI            string `json:"uri,omitempty"` // without its query
	ID             string `json:"id,omitempty"`  // of a template spec's version
	RelativePath   string `json:"relativePath,omitempty"`
	ContentVersion string `json:"contentVersion,omitempty"`

	query string // with the URI's own; it may be a key to it
}

// PrepareDeployment reads a request and checks it whole: links, template,
// parameters, names, and each resource's type, version, body and the caller's
// rights. Its errors are ARM's. It writes nothing.
func (s *Service) PrepareDeployment(ctx context.Context, req DeploymentRequest) (*PreparedDeployment, error) {
	in, err := s.readIntent(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := s.fits(ctx, in); err != nil {
		return nil, err
	}
	r, err := s.planIntent(in)
	if err != nil {
		return nil, templateRefusal(err)
	}
	if err := s.preflight(ctx, r); err != nil {
		return nil, err
	}
	return &PreparedDeployment{run: r, sealed: in.sealed}, nil
}

// fits holds a deployment against its scope and against one of the same name.
func (s *Service) fits(ctx context.Context, in *intent) error {
	id, st := in.id, &in.st
	if err := checkDeploymentName(id.Name()); err != nil {
		return err
	}
	if id.ResourceGroup != "" {
		if st.Location != "" && st.Parent == nil {
			return arm.Errorf(arm.Invalid, "InvalidDeployment",
				"The 'location' property is not allowed for '%s' at resource group scope. Please see https://aka.ms/deploy-to-subscription for usage details.", id.Name()).WithTarget("location")
		}
		_, err := s.o.Store.Resource(ctx, id.Group())
		if arm.IsMissing(err) {
			return arm.NotFound(id.Group())
		}
		return err
	}
	if st.Mode == modeComplete {
		return arm.Errorf(arm.Invalid, "InvalidDeploymentMode",
			"The deployment mode 'Complete' is not supported for '%s' at subscription scope: it would delete what the subscription holds.", id.Name()).WithTarget("properties.mode")
	}
	if st.Location == "" {
		return arm.Errorf(arm.Invalid, "LocationRequired",
			"The 'location' property must be specified for '%s'. Please see https://aka.ms/deploy-to-subscription for usage details.", id.Name()).WithTarget("location")
	}
	w, old, err := s.readWork(ctx, s.o.Store, id)
	if arm.IsMissing(err) {
		return nil
	}
	if err == nil && old.Location != "" && !strings.EqualFold(old.Location, st.Location) {
		return arm.Errorf(arm.Invalid, "InvalidDeploymentLocation",
			"Invalid deployment location '%s'. The deployment '%s' already exists in location '%s'.", st.Location, w.ID.Name(), old.Location).WithTarget("location")
	}
	return err
}

const maxDeploymentName = 64

func checkDeploymentName(name string) error {
	fine := name != "" && len(name) <= maxDeploymentName
	for _, c := range name {
		fine = fine && (c == '-' || c == '_' || c == '.' || c == '(' || c == ')' ||
			c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	}
	if fine {
		return nil
	}
	return arm.Errorf(arm.Invalid, "InvalidDeploymentName",
		"The deployment name '%s' is invalid. It must be 1 to %d characters long and hold only letters, digits, '-', '.', '_' and parentheses.", name, maxDeploymentName)
}

// StartDeployment writes a prepared deployment down, in place of an ended one of the
// same name; it runs once DeploymentStarted has been called after the commit.
func (s *Service) StartDeployment(ctx context.Context, tx deskyard.Tx, p *PreparedDeployment) (deskyard.Operation, error) {
	return s.putRun(ctx, tx, p.run, p.sealed)
}

// DeploymentStarted has a deployment looked at whose start was committed.
func (s *Service) DeploymentStarted(p *PreparedDeployment) {
	s.deploy.keep(p.run)
	s.deploy.metrics.began()
	s.Wake(deskyard.WorkDeployment, p.run.id)
}

// putRun writes the rows of a new run: the deployment, its work, its operation.
func (s *Service) putRun(ctx context.Context, tx deskyard.Tx, r *deploymentRun, sealed sealedState) (deskyard.Operation, error) {
	op := deskyard.Operation{ID: r.st.Run, Scope: r.id, Status: stateRunning, Started: r.st.Began}
	w, old, err := s.readWork(ctx, tx, r.id)
	switch {
	case arm.IsMissing(err):
		w = deskyard.Work{Kind: deskyard.WorkDeployment, ID: r.id, Created: r.st.Began}
	case err != nil:
		return op, err
	case !old.over():
		return op, active(r.id, old)
	}
	if err := forgetSteps(ctx, tx, r.id); err != nil {
		return op, err
	}
	if w.State, err = json.Marshal(r.st); err != nil {
		return op, fmt.Errorf("encode the state of %s: %w", r.id, err)
	}
	if err := s.putSource(ctx, tx, r, sealed); err != nil {
		return op, err
	}
	w.Due, w.Changed = r.st.Began, r.st.Began
	w.Attempts, w.Problem = 0, ""
	if _, err := tx.PutWork(ctx, w); err != nil {
		return op, err
	}
	if err := s.putShown(ctx, tx, r, stateAccepted, nil); err != nil {
		return op, err
	}
	return op, tx.PutOperation(ctx, op)
}

// active refuses to touch a deployment that runs.
func active(id arm.ResourceID, st deploymentState) *arm.Error {
	return arm.Errorf(arm.Conflicting, "DeploymentActive",
		"Unable to edit or replace deployment '%s': previous deployment from '%s' is still active. Wait for its end or cancel it. Please see https://aka.ms/arm-resource-deployment for usage details.",
		id.Name(), st.Began.UTC().Format(time.RFC3339))
}

// readWork is a deployment's row of work with its state; it is missing where no
// such deployment was ever started here.
func (s *Service) readWork(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) (deskyard.Work, deploymentState, error) {
	var st deploymentState
	w, err := reader.Work(ctx, deskyard.WorkDeployment, id)
	if err != nil {
		return w, st, err
	}
	if err := json.Unmarshal(w.State, &st); err != nil {
		return w, st, fmt.Errorf("read the state of %s: %w", id, err)
	}
	return w, st, nil
}

// CancelDeployment has a running deployment start nothing more and end as Canceled,
// with those nested in it. What it already asked for goes on by itself.
func (s *Service) CancelDeployment(ctx context.Context, tx deskyard.Tx, id arm.ResourceID) error {
	w, st, err := s.readWork(ctx, tx, id)
	if arm.IsMissing(err) {
		return arm.Errorf(arm.Missing, "DeploymentNotFound", "Deployment '%s' could not be found.", id.Name())
	}
	if err != nil {
		return err
	}
	if st.over() {
		return arm.Errorf(arm.Conflicting, "DeploymentCannotBeCancelled",
			"The deployment '%s' cannot be cancelled because its provisioning state is '%s'.", id.Name(), st.Status)
	}
	st.Cancel = true
	if w.State, err = json.Marshal(st); err != nil {
		return fmt.Errorf("encode the state of %s: %w", id, err)
	}
	_, err = tx.PutWork(ctx, w)
	return err
}

// DeploymentCanceled makes a cancellation felt at once; call it after the commit.
func (s *Service) DeploymentCanceled(id arm.ResourceID) {
	s.deploy.cancel(id)
	s.Wake(deskyard.WorkDeployment, id)
}

// DeleteDeployment removes a deployment that has ended from the history, with its
// operations. What it deployed stays.
func (s *Service) DeleteDeployment(ctx context.Context, tx deskyard.Tx, id arm.ResourceID) error {
	_, st, err := s.readWork(ctx, tx, id)
	if err != nil && !arm.IsMissing(err) {
		return err
	}
	if err == nil && !st.over() {
		return active(id, st)
	}
	if err := s.forget(ctx, tx, id); err != nil {
		return err
	}
	return tx.DeleteResource(ctx, id)
}

func newCorrelation(sent string) string {
	if id, err := uuid.Parse(sent); err == nil {
		return id.String()
	}
	return uuid.NewString()
}
