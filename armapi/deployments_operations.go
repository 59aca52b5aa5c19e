package armapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/template"
)

// cancelDeployment asks a running deployment to stop: 204, or 409 when it does not run.
func (s *Server) cancelDeployment(ctx context.Context, req *Request) (Response, error) {
	if _, err := s.loadDeployment(ctx, req.ID); err != nil {
		return Response{}, err
	}
	err := req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		return s.opt.Deployments.CancelDeployment(ctx, tx, req.ID)
	})
	if err != nil {
		return Response{}, err
	}
	s.opt.Deployments.DeploymentCanceled(req.ID)
	return Response{Status: http.StatusNoContent}, nil
}

// deleteDeployment removes a deployment from the history: 202 and an operation that
// is over, or 204 when there was none.
func (s *Server) deleteDeployment(ctx context.Context, req *Request) (Response, error) {
	if err := deploymentScope(req.ID.Parent()); err != nil {
		return Response{}, err
	}
	operation := uuid.NewString()
	err := req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.Resource(ctx, req.ID)
		if arm.IsMissing(err) {
			if err := s.groupExists(ctx, tx, req.ID); err != nil {
				return err
			}
			return errGone
		}
		if err != nil {
			return err
		}
		if err := s.opt.Deployments.DeleteDeployment(ctx, tx, req.ID); err != nil {
			return err
		}
		now := storeTime(s.now())
		return tx.PutOperation(ctx, deskyard.Operation{ID: operation, Scope: req.ID, Status: "Succeeded", Started: now, Ended: now, Percent: 100})
	})
	if errors.Is(err, errGone) {
		return Response{Status: http.StatusNoContent}, nil
	}
	if err != nil {
		return Response{}, err
	}
	return Response{Status: http.StatusAccepted, Header: s.resultAt(req, operation)}, nil
}

// exportDeployment answers the template that a deployment was started with.
func (s *Server) exportDeployment(ctx context.Context, req *Request) (Response, error) {
	if _, err := s.loadDeployment(ctx, req.ID); err != nil {
		return Response{}, err
	}
	text, err := s.opt.Deployments.DeploymentTemplate(ctx, req.ID)
	if err != nil {
		return Response{}, err
	}
	return Response{Body: map[string]json.RawMessage{"template": text}}, nil
}

// operationOwner is the deployment whose operations are asked for, at either door.
func operationOwner(req *Request) (deployment arm.ResourceID, operation string) {
	if name, ok := req.Vars["deployment"]; ok {
		return req.ID.Provider(resourcesNamespace, "deployments", name), req.Vars["operation"]
	}
	if n := len(req.ID.Segments); n > 1 { // a single operation
		return req.ID.Parent(), req.ID.Name()
	}
	return req.ID, ""
}

// listDeploymentOperations lists what a deployment did, or does.
func (s *Server) listDeploymentOperations(ctx context.Context, req *Request) (Response, error) {
	p, err := req.Paging()
	if err != nil {
		return Response{}, err
	}
	id, _ := operationOwner(req)
	if _, err := s.loadDeployment(ctx, id); err != nil {
		return Response{}, err
	}
	found, err := s.opt.Deployments.DeploymentOperations(ctx, id, p.After, p.Size)
	if err != nil {
		return Response{}, err
	}
	items := make([]any, len(found.Items))
	for i, o := range found.Items {
		items[i] = o
	}
	return req.ListResponse(items, found.Next), nil
}

func (s *Server) getDeploymentOperation(ctx context.Context, req *Request) (Response, error) {
	id, operation := operationOwner(req)
	if _, err := s.loadDeployment(ctx, id); err != nil {
		return Response{}, err
	}
	o, err := s.opt.Deployments.DeploymentOperation(ctx, id, operation)
	return Response{Body: o}, err
}

// deploymentStatus is what Azure-AsyncOperation of a deployment points at.
func (s *Server) deploymentStatus(ctx context.Context, req *Request) (Response, error) {
	o, err := s.store.Operation(ctx, req.ID.Name())
	if arm.IsMissing(err) || err == nil && !o.Scope.Equal(req.ID.Parent()) {
		return Response{}, arm.Errorf(arm.Missing, "OperationNotFound", "The operation '%s' could not be found.", clip(req.ID.Name()))
	}
	if err != nil {
		return Response{}, err
	}
	return statusResponse(req, o), nil
}

// statusResponse is an operation's state as clients poll it.
func statusResponse(req *Request, o deskyard.Operation) Response {
	b := statusBody{ID: req.HTTP.URL.Path, Name: o.ID, Status: o.Status, StartTime: arm.Time{Time: o.Started},
		PercentComplete: o.Percent, Error: o.Error}
	if o.Done() {
		b.EndTime = &arm.Time{Time: o.Ended}
		return Response{Body: b}
	}
	return Response{Body: b, Header: http.Header{"Retry-After": {retrySoon}}}
}

// templateHash minifies a template and hashes it, as calculateTemplateHash does.
func (s *Server) templateHash(_ context.Context, req *Request) (Response, error) {
	v, err := template.ReadJSON(req.Body)
	if err != nil {
		var at *template.Error
		if errors.As(err, &at) {
			return Response{}, at.ARM()
		}
		return Response{}, err
	}
	return Response{Body: map[string]string{"minifiedTemplate": string(template.Minify(v)), "templateHash": template.Hash(v)}}, nil
}
