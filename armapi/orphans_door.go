package armapi

import (
	"context"
	"net/http"

	"github.com/deskyard/deskyard/provision"
)

// orphanDoors list and remove what lost its other half. Hypervisors are shared by all
// subscriptions, so that what is listed is the installation's.
func (s *Server) orphanDoors() []Door {
	const at = "/subscriptions/{subscription}/providers/" + desktopNamespace + "/orphans"
	return []Door{
		{Method: http.MethodGet, Path: at, Permission: "Microsoft.Compute/virtualMachines/read", Versions: desktopVersions, Handle: func(ctx context.Context, q *Request) (Response, error) {
			return s.orphans(ctx, SessionHosts.Orphans)
		}},
		{Method: http.MethodPost, Path: at + "/clean", Permission: "Microsoft.Compute/virtualMachines/delete", Versions: desktopVersions, Audit: true, Handle: func(ctx context.Context, q *Request) (Response, error) {
			return s.orphans(ctx, SessionHosts.CleanOrphans)
		}},
	}
}

func (s *Server) orphans(ctx context.Context, look func(SessionHosts, context.Context) ([]provision.Orphan, error)) (Response, error) {
	m, err := s.sessionHosts()
	if err != nil {
		return Response{}, err
	}
	list, err := look(m, ctx)
	if err != nil {
		return Response{}, err
	}
	if list == nil {
		list = []provision.Orphan{}
	}
	return Response{Body: map[string]any{"value": list}}, nil
}
