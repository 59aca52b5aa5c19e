package armapi

import (
	"context"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/provision"
)

// maxGrace bounds the time that users are given before they are signed out.
const maxGrace = 24 * time.Hour

// removalBody is what remove and replace are asked with.
type removalBody struct {
	DeleteMachine *bool `json:"deleteMachine"` // true when absent
	Force         bool  `json:"force"`
	GraceSeconds  int   `json:"graceSeconds"`
}

// removalActions take a session host out of service with its machine, and make it anew.
func (s *Server) removalActions() []Action {
	remove := desktopAction("hostPools/sessionHosts/delete")
	return []Action{
		{Path: "remove", Permission: remove, Audit: true, Handle: func(ctx context.Context, q *Request) (Response, error) {
			return s.removeSessionHost(ctx, q, false)
		}},
		{Path: "replace", Permission: remove, Audit: true, Handle: func(ctx context.Context, q *Request) (Response, error) {
			return s.removeSessionHost(ctx, q, true)
		}},
	}
}

func (s *Server) removeSessionHost(ctx context.Context, q *Request, replace bool) (Response, error) {
	m, err := s.sessionHosts()
	if err != nil {
		return Response{}, err
	}
	var body removalBody
	if len(q.Body) > 0 {
		if err := q.Decode(&body); err != nil {
			return Response{}, err
		}
	}
	grace := time.Duration(body.GraceSeconds) * time.Second
	if grace < 0 || grace > maxGrace {
		return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter", "graceSeconds must lie between 0 and %d; it is %d.", int(maxGrace.Seconds()), body.GraceSeconds).WithTarget("graceSeconds")
	}
	var op deskyard.Operation
	id := q.ID
	err = q.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		h, err := s.findHost(ctx, tx, q.ID)
		if err == nil {
			id = h.ID
		} else if !arm.IsMissing(err) {
			return err
		}
		op, err = m.RemoveSessionHost(ctx, tx, provision.RemovalRequest{
			Host: id, Caller: q.Principal, DeleteMachine: body.DeleteMachine == nil || *body.DeleteMachine, Force: body.Force, Grace: grace, Replace: replace,
		})
		return err
	})
	if err != nil {
		return Response{}, err
	}
	s.opt.Machines.Wake(deskyard.WorkRemoval, id)
	return accepted(q.BaseURL, q.Type, deskyard.Resource{ID: id}, q.Version, op), nil
}
