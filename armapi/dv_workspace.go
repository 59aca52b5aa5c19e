package armapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// workspaceTypes are workspaces and their private endpoint connections.
func (s *Server) workspaceTypes() []ResourceType {
	return []ResourceType{{
		Path: "workspaces", Tracked: true,
		Verbs:       Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true, ListBySubscription: true, Paged: true},
		New:         func() Model { return new(deskyard.Workspace) },
		BeforeWrite: s.beforeWorkspace, Render: s.renderWorkspaces,
		Actions: []Action{{Method: http.MethodGet, Path: "privateLinkResources",
			Permission: desktopAction("workspaces/privateLinkResources/read"), Handle: s.listPrivateLinkResources}},
	}, s.privateEndpointType("workspaces")}
}

// beforeWorkspace holds a workspace to its application groups: they exist, are in
// its location, and are in no other workspace.
func (s *Server) beforeWorkspace(ctx context.Context, w *Write) error {
	workspace := w.Model.(*deskyard.Workspace)
	if workspace.ObjectID == "" {
		workspace.ObjectID = newID()
	}
	known := map[string]bool{} // groups that were in it before need no second look
	if old, _ := w.OldModel.(*deskyard.Workspace); old != nil {
		for _, ref := range old.Refs() {
			known[ref.Target.Key()] = true
		}
	}
	for i, ref := range workspace.Refs() {
		if known[ref.Target.Key()] {
			continue
		}
		at := fmt.Sprintf("properties.applicationGroupReferences[%d]", i)
		r, _, err := referred[deskyard.ApplicationGroup](ctx, w.Tx, at, ref.Target.String(), "AppGroupNotFound")
		if err != nil {
			return err
		}
		if err := sameLocation(w, "ApplicationGroup must be in same location as its Workspace", r); err != nil {
			return err
		}
		in, err := w.Tx.Referrers(ctx, deskyard.RelationApplicationGroup, r.ID)
		if err != nil {
			return err
		}
		for _, other := range in[r.ID.Key()] {
			if !other.Equal(w.New.ID) {
				return arm.Errorf(arm.Conflicting, "ApplicationGroupInAnotherWorkspace",
					"The application group '%s' is in the workspace '%s' already; a group is in one at most. Take it out of that one first.",
					r.ID.Name(), other.Name()).WithTarget(at)
			}
		}
	}
	return nil
}

// workspaceProperties is a workspace's properties on the wire.
type workspaceProperties struct {
	*deskyard.Workspace
	CloudPCResource            bool  `json:"cloudPcResource"`
	PrivateEndpointConnections []any `json:"privateEndpointConnections"` // null in answers to writes
}

func (s *Server) renderWorkspaces(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	connections, err := s.privateConnections(ctx, v, rows, "workspaces")
	if err != nil {
		return nil, err
	}
	row := s.desktopRow("workspaces")
	return renderEach(rows, func(r deskyard.Resource, workspace *deskyard.Workspace) any {
		return row.RenderBody(r, workspaceProperties{Workspace: workspace, PrivateEndpointConnections: connections[r.ID.Key()]})
	})
}
