package armapi

import (
	"context"
	"net/http"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/provision"
)

// SessionHosts is whoever adds session hosts to a pool with machines of its own
// making, and takes them away again. Machines that can do this have these doors.
type SessionHosts interface {
	// AddSessionHosts starts a run of the wizard's parameters; the operation is its deployment's.
	AddSessionHosts(ctx context.Context, r provision.AddRequest) (deskyard.AddedSessionHosts, deskyard.Operation, error)
	// ValidateSessionHosts checks the same and starts nothing.
	ValidateSessionHosts(ctx context.Context, r provision.AddRequest) (deskyard.AddedSessionHosts, error)
	// Runs are a pool's runs, the newest first.
	Runs(ctx context.Context, pool arm.ResourceID) ([]deskyard.SessionHostRun, error)
	// RunProgress tells how far each host of a run is.
	RunProgress(ctx context.Context, pool arm.ResourceID, deployment string) (deskyard.RunProgress, error)
	// RemoveSessionHost notes a removal or a replacement in tx; wake it after the commit.
	RemoveSessionHost(ctx context.Context, tx deskyard.Tx, r provision.RemovalRequest) (deskyard.Operation, error)
	// Orphans are things without their counterpart; CleanOrphans removes those that are
	// certainly this installation's and tells the others.
	Orphans(ctx context.Context) ([]provision.Orphan, error)
	CleanOrphans(ctx context.Context) ([]provision.Orphan, error)
}

// runDeploymentVersion is the api-version in the URL where a run's operation is polled.
const runDeploymentVersion = "2022-09-01"

// sessionHosts is whoever adds hosts, or the refusal of a service that makes no machines.
func (s *Server) sessionHosts() (SessionHosts, error) {
	if m, ok := s.opt.Machines.(SessionHosts); ok {
		return m, nil
	}
	return nil, arm.Errorf(arm.Conflicting, "NoHypervisor", "This service makes no machines. Start it with --hypervisors, or register machines of your own with the host pool's key.")
}

// runActions are the actions of a host pool that add session hosts.
func (s *Server) runActions() []Action {
	return []Action{
		{Path: "addSessionHosts", Permission: desktopAction("hostPools/write"), Audit: true, Handle: s.addSessionHosts},
		{Path: "validateSessionHosts", Permission: desktopAction("hostPools/read"), Handle: s.validateSessionHosts},
	}
}

// sessionHostRunType is how runs are read: they are made by addSessionHosts alone.
func (s *Server) sessionHostRunType() ResourceType {
	return ResourceType{
		Path: "hostPools/sessionHostRuns", Wire: "hostpools/sessionhostruns", Composite: true,
		Name: NameRule{Min: 1, Max: 64},
		Actions: []Action{
			{Method: http.MethodGet, Permission: desktopAction("hostPools/read"), Handle: s.getSessionHostRun},
			{Method: http.MethodGet, Collection: true, Permission: desktopAction("hostPools/read"), Handle: s.listSessionHostRuns},
		},
	}
}

// addRequest is whoever makes session hosts, and what a request asks of them.
func (s *Server) addRequest(q *Request) (SessionHosts, provision.AddRequest, error) {
	r := provision.AddRequest{Pool: q.ID, Caller: q.Principal}
	m, err := s.sessionHosts()
	if err != nil {
		return nil, r, err
	}
	return m, r, q.Decode(&r.Run)
}

func (s *Server) addSessionHosts(ctx context.Context, q *Request) (Response, error) {
	m, r, err := s.addRequest(q)
	if err != nil {
		return Response{}, err
	}
	added, op, err := m.AddSessionHosts(ctx, r)
	if err != nil {
		return Response{}, err
	}
	q.Detail = "deployment " + added.Deployment
	h := http.Header{}
	h.Set("Azure-AsyncOperation", q.BaseURL+added.Deployment+"/operationStatuses/"+op.ID+"?api-version="+runDeploymentVersion)
	h.Set("Retry-After", retrySoon)
	return Response{Status: http.StatusAccepted, Body: added, Header: h}, nil
}

func (s *Server) validateSessionHosts(ctx context.Context, q *Request) (Response, error) {
	m, r, err := s.addRequest(q)
	if err != nil {
		return Response{}, err
	}
	checked, err := m.ValidateSessionHosts(ctx, r)
	return Response{Body: checked}, err
}

func (s *Server) getSessionHostRun(ctx context.Context, q *Request) (Response, error) {
	m, err := s.sessionHosts()
	if err != nil {
		return Response{}, err
	}
	p, err := m.RunProgress(ctx, q.ID.Parent(), q.ID.Name())
	return Response{Body: p}, err
}

// listSessionHostRuns lists a pool's runs, the newest first; a service that makes no
// machines has none.
func (s *Server) listSessionHostRuns(ctx context.Context, q *Request) (Response, error) {
	if _, err := s.load(ctx, s.store, q.ID); err != nil { // the pool
		return Response{}, err
	}
	runs := []deskyard.SessionHostRun{}
	if m, ok := s.opt.Machines.(SessionHosts); ok {
		var err error
		if runs, err = m.Runs(ctx, q.ID); err != nil {
			return Response{}, err
		}
	}
	return Response{Body: wholeList[deskyard.SessionHostRun]{runs}}, nil
}
