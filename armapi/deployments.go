package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/provision"
	"github.com/deskyard/deskyard/template"
)

// Deployments are what the doors of Microsoft.Resources/deployments ask of whoever
// runs templates; package provision's Service is one.
type Deployments interface {
	// PrepareDeployment checks a deployment whole and writes nothing.
	PrepareDeployment(ctx context.Context, req provision.DeploymentRequest) (*provision.PreparedDeployment, error)
	// StartDeployment writes its rows; DeploymentStarted sets it going after the commit.
	StartDeployment(ctx context.Context, tx deskyard.Tx, p *provision.PreparedDeployment) (deskyard.Operation, error)
	DeploymentStarted(p *provision.PreparedDeployment)
	// CancelDeployment asks a running one to stop; DeploymentCanceled makes it felt after the commit.
	CancelDeployment(ctx context.Context, tx deskyard.Tx, id arm.ResourceID) error
	DeploymentCanceled(id arm.ResourceID)
	// DeleteDeployment removes one that has ended from the history.
	DeleteDeployment(ctx context.Context, tx deskyard.Tx, id arm.ResourceID) error
	// WhatIf foretells changes; StartWhatIf keeps the answer for who polls.
	WhatIf(ctx context.Context, req provision.DeploymentRequest, format string) ([]provision.WhatIfChange, error)
	StartWhatIf(ctx context.Context, tx deskyard.Tx, scope arm.ResourceID, result []byte) (string, error)
	// DeploymentTemplate, DeploymentOperations and DeploymentOperation read.
	DeploymentTemplate(ctx context.Context, id arm.ResourceID) (json.RawMessage, error)
	DeploymentOperations(ctx context.Context, id arm.ResourceID, after string, limit int) (deskyard.Page[provision.DeploymentOperation], error)
	DeploymentOperation(ctx context.Context, id arm.ResourceID, operation string) (provision.DeploymentOperation, error)
}

const (
	deploymentsType       = resourcesNamespace + "/deployments"
	deploymentsPermission = deploymentsType
)

// deploymentTypes are the rows of deployments, which live in resource groups and in
// subscriptions. Their properties are written by the engine, so that no generic verb
// applies; without an engine the types do not exist.
func (s *Server) deploymentTypes() []ResourceType {
	if s.opt.Deployments == nil {
		return nil
	}
	const permission = deploymentsPermission
	row := func(path string, actions []Action) ResourceType {
		return ResourceType{Namespace: resourcesNamespace, Path: path, Versions: resourcesVersions, AnyVersion: true, Level: Extension,
			New: func() Model { return new(asSent) }, Actions: actions}
	}
	read := permission + "/read"
	return []ResourceType{
		row("deployments", []Action{
			{Method: http.MethodGet, Collection: true, Permission: read, Handle: s.listDeployments},
			{Method: http.MethodGet, Permission: read, Handle: s.getDeployment},
			{Method: http.MethodHead, Permission: read, Handle: s.headDeployment},
			{Method: http.MethodPut, Permission: permission + "/write", Handle: s.putDeployment},
			{Method: http.MethodDelete, Permission: permission + "/delete", Handle: s.deleteDeployment},
			{Path: "cancel", Permission: permission + "/cancel/action", Handle: s.cancelDeployment},
			{Path: "validate", Permission: permission + "/validate/action", Handle: s.validateDeployment},
			{Path: "whatIf", Permission: permission + "/whatIf/action", Handle: s.whatIf},
			{Path: "exportTemplate", Permission: permission + "/exportTemplate/action", Handle: s.exportDeployment},
		}),
		row("deployments/operations", []Action{
			{Method: http.MethodGet, Collection: true, Permission: permission + "/operations/read", Handle: s.listDeploymentOperations},
			{Method: http.MethodGet, Permission: permission + "/operations/read", Handle: s.getDeploymentOperation},
		}),
		row("deployments/operationStatuses", []Action{
			// As with every operation's status, its id cannot be guessed: it is enough to be signed in.
			{Method: http.MethodGet, Handle: s.deploymentStatus},
		}),
	}
}

// deploymentDoors are the paths that clients ask without the provider's name.
func (s *Server) deploymentDoors() []Door {
	if s.opt.Deployments == nil {
		return nil
	}
	const one = "/subscriptions/{subscription}/resourceGroups/{group}/deployments/{deployment}/operations"
	read := deploymentsPermission + "/operations/read"
	return []Door{
		{Method: http.MethodGet, Path: one, Permission: read, Handle: s.listDeploymentOperations},
		{Method: http.MethodGet, Path: one + "/{operation}", Permission: read, Handle: s.getDeploymentOperation},
		{Method: http.MethodPost, Path: "/providers/Microsoft.Resources/calculateTemplateHash", Handle: s.templateHash},
	}
}

// deploymentScope refuses deployments at what is neither a group nor a subscription.
func deploymentScope(id arm.ResourceID) error {
	if id.Subscription == "" || len(id.Segments) > 0 {
		return arm.Errorf(arm.Missing, "InvalidResourceType",
			"Deployments are made in a resource group or a subscription, not at '%s'.", id)
	}
	return nil
}

// deploymentRequest is the request as the engine takes it.
func (s *Server) deploymentRequest(req *Request) (provision.DeploymentRequest, error) {
	if err := deploymentScope(req.ID.Parent()); err != nil {
		return provision.DeploymentRequest{}, err
	}
	if len(req.Body) == 0 {
		return provision.DeploymentRequest{}, invalidContent("a request body is required")
	}
	environment, err := template.FromAny(s.cloud(req.BaseURL).document())
	if err != nil {
		return provision.DeploymentRequest{}, fmt.Errorf("describe the environment: %w", err)
	}
	return provision.DeploymentRequest{ID: req.ID, Caller: req.Principal, Correlation: req.audit.event.Correlation,
		Body: req.Body, Environment: environment}, nil
}

// prepareDeployment checks the deployment that a request asks for, and starts nothing.
func (s *Server) prepareDeployment(ctx context.Context, req *Request) (*provision.PreparedDeployment, error) {
	d, err := s.deploymentRequest(req)
	if err != nil {
		return nil, err
	}
	return s.opt.Deployments.PrepareDeployment(ctx, d)
}

// putDeployment checks a deployment, starts it and answers before it has done anything.
func (s *Server) putDeployment(ctx context.Context, req *Request) (Response, error) {
	prepared, err := s.prepareDeployment(ctx, req)
	if err != nil {
		return Response{}, err
	}
	status := http.StatusOK
	var row deskyard.Resource
	err = req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		status = http.StatusOK
		if _, err := tx.Resource(ctx, req.ID); arm.IsMissing(err) {
			status = http.StatusCreated
		}
		if err := s.groupExists(ctx, tx, req.ID); err != nil {
			return err
		}
		if _, err := s.opt.Deployments.StartDeployment(ctx, tx, prepared); err != nil {
			return err
		}
		var err error
		row, err = tx.Resource(ctx, req.ID)
		return err
	})
	if err != nil {
		return Response{}, err
	}
	s.opt.Deployments.DeploymentStarted(prepared)
	body, err := provision.ShowDeployment(row)
	if err != nil {
		return Response{}, err
	}
	h := http.Header{}
	h.Set("Azure-AsyncOperation", req.BaseURL+req.ID.String()+"/operationStatuses/"+prepared.Operation()+"?api-version="+req.Version)
	h.Set("Retry-After", retrySoon)
	return Response{Status: status, Body: body, Header: h}, nil
}

// validateDeployment answers what a PUT would: the deployment, or why not.
func (s *Server) validateDeployment(ctx context.Context, req *Request) (Response, error) {
	prepared, err := s.prepareDeployment(ctx, req)
	if err != nil {
		return Response{}, err
	}
	body, err := prepared.Show()
	return Response{Body: body}, err
}

// whatIf foretells a deployment. The answer is there at once, yet clients expect to
// poll for it.
func (s *Server) whatIf(ctx context.Context, req *Request) (Response, error) {
	d, err := s.deploymentRequest(req)
	if err != nil {
		return Response{}, err
	}
	changes, err := s.opt.Deployments.WhatIf(ctx, d, resultFormat(req.Body))
	if err != nil {
		return Response{}, err
	}
	result, err := json.Marshal(map[string]any{"status": "Succeeded", "properties": map[string]any{"changes": changes}})
	if err != nil {
		return Response{}, fmt.Errorf("encode the changes: %w", err)
	}
	var operation string
	err = req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		operation, err = s.opt.Deployments.StartWhatIf(ctx, tx, req.ID, result)
		return err
	})
	if err != nil {
		return Response{}, err
	}
	return Response{Status: http.StatusAccepted, Header: s.resultAt(req, operation)}, nil
}

// resultAt points to where an operation's result is polled for.
func (s *Server) resultAt(req *Request, operation string) http.Header {
	h := http.Header{}
	h.Set("Location", req.BaseURL+"/subscriptions/"+req.ID.Subscription+"/operationresults/"+operation+"?api-version="+req.Version)
	return h
}

// resultFormat is whatIfSettings.resultFormat of a body that PrepareDeployment reads.
func resultFormat(body []byte) string {
	read, err := template.ReadDeployment(body)
	if err != nil {
		return "" // WhatIf says what is wrong with it
	}
	return read.Body.Member("properties").Member("whatIfSettings").Str("resultFormat")
}

// loadDeployment reads a deployment's row.
func (s *Server) loadDeployment(ctx context.Context, id arm.ResourceID) (deskyard.Resource, error) {
	if err := deploymentScope(id.Parent()); err != nil {
		return deskyard.Resource{}, err
	}
	r, err := s.store.Resource(ctx, id)
	if !arm.IsMissing(err) {
		return r, err
	}
	if err := s.groupExists(ctx, s.store, id); err != nil {
		return r, err
	}
	return r, arm.Errorf(arm.Missing, "DeploymentNotFound", "Deployment '%s' could not be found.", id.Name())
}

func (s *Server) getDeployment(ctx context.Context, req *Request) (Response, error) {
	r, err := s.loadDeployment(ctx, req.ID)
	if err != nil {
		return Response{}, err
	}
	body, err := provision.ShowDeployment(r)
	return Response{Body: body}, err
}

func (s *Server) headDeployment(ctx context.Context, req *Request) (Response, error) {
	_, err := s.loadDeployment(ctx, req.ID)
	return Response{Status: http.StatusNoContent}, err
}

// listDeployments lists those of one scope: a subscription's list has none of its
// groups'. $filter takes provisioningState.
func (s *Server) listDeployments(ctx context.Context, req *Request) (Response, error) {
	if err := deploymentScope(req.ID); err != nil {
		return Response{}, err
	}
	p, err := req.Paging()
	if err != nil {
		return Response{}, err
	}
	var filter *odataFilter
	if text := strings.TrimSpace(req.Query("$filter")); text != "" {
		if filter, err = parseOData(text, "provisioningstate", "name"); err != nil {
			return Response{}, err
		}
	}
	if err := s.groupExists(ctx, s.store, req.ID); err != nil {
		return Response{}, err
	}
	keep := func(_ context.Context, r deskyard.Resource) (bool, error) {
		return r.ID.Parent().Equal(req.ID) && (filter == nil || filter.match(func(field string) []string { return deploymentField(r, field) })), nil
	}
	rows, next, err := s.collect(ctx, deskyard.ResourceQuery{Scope: req.ID, Type: deploymentsType}, p, keep)
	if err != nil {
		return Response{}, err
	}
	items := make([]any, len(rows))
	for i, r := range rows {
		if items[i], err = provision.ShowDeployment(r); err != nil {
			return Response{}, err
		}
	}
	return req.ListResponse(items, next), nil
}

// deploymentField is a field that a list of deployments can be filtered by.
func deploymentField(r deskyard.Resource, field string) []string {
	if field == "name" {
		return []string{r.ID.Name()}
	}
	var p struct {
		State string `json:"provisioningState"`
	}
	if err := json.Unmarshal(r.Properties, &p); err != nil {
		return nil // the engine wrote it; the row is shown where no filter asks
	}
	return []string{p.State}
}
