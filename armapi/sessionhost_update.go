package armapi

import (
	"context"
	"net/http"

	"github.com/deskyard/deskyard"
)

// updateAction has a session host's components updated at once.
func (s *Server) updateAction() Action {
	return Action{Path: "update", Permission: desktopAction("hostPools/sessionHosts/write"), Audit: true, Handle: s.updateSessionHost}
}

// updateSessionHost starts a pending or failed update without waiting for a maintenance
// window, and answers how the update stands; where nothing is to be updated, that.
func (s *Server) updateSessionHost(ctx context.Context, q *Request) (Response, error) {
	h, err := s.findHost(ctx, s.store, q.ID)
	if err != nil {
		return Response{}, err
	}
	if s.opt.Updates == nil {
		return Response{}, deskyard.ErrHostUnreachable
	}
	u, err := s.opt.Updates.UpdateNow(h.ObjectID)
	if err != nil {
		return Response{}, err
	}
	q.Detail = "update to " + u.Target + ": " + u.State
	return Response{Status: http.StatusOK, Body: map[string]any{
		"updateState": u.State, "updateErrorMessage": u.Error, "target": u.Target, "lastUpdateTime": timeOrNull(u.At), "attempts": u.Attempts,
	}}, nil
}
