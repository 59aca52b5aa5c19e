package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// maxApplications is how many RemoteApps a group may have (azure-virtual-desktop-limits).
const maxApplications = 500

// applicationGroupTypes are application groups and what they publish.
func (s *Server) applicationGroupTypes() []ResourceType {
	short := NameRule{Min: 3, Max: 24, Pattern: desktopName}
	return []ResourceType{{
		Path: "applicationGroups", Wire: "applicationgroups", Tracked: true,
		Verbs:       Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true, ListBySubscription: true, Paged: true},
		New:         func() Model { return new(deskyard.ApplicationGroup) },
		BeforeWrite: s.beforeApplicationGroup, AfterWrite: s.afterApplicationGroup,
		BeforeDelete: beforeApplicationGroupDelete, Render: s.renderApplicationGroups,
		Filter: filterApplicationGroups,
		Actions: []Action{{Method: http.MethodGet, Path: "startMenuItems",
			Permission: desktopAction("applicationGroups/startMenuItems/read"), Handle: s.listStartMenuItems}},
	}, {
		Path: "applicationGroups/applications", Wire: "applicationgroups/applications", Composite: true, Name: short,
		Verbs: crud, New: func() Model { return new(deskyard.Application) },
		BeforeWrite: s.beforeApplication, Render: s.renderApplications,
	}, {
		Path: "applicationGroups/desktops", Wire: "applicationgroups/desktops", Composite: true, Name: short,
		Verbs: Verbs{Get: true, Patch: true, List: true, Paged: true},
		New:   func() Model { return new(deskyard.Desktop) }, Render: s.renderDesktops,
	}}
}

// beforeApplicationGroup holds a group to its host pool: same location, RemoteApp
// only where sessions are shared, one Desktop group a pool.
func (s *Server) beforeApplicationGroup(ctx context.Context, w *Write) error {
	group := w.Model.(*deskyard.ApplicationGroup)
	w.New.Envelope.Kind = group.ApplicationGroupType
	if w.Old != nil {
		return nil
	}
	group.ObjectID = newID()
	const at = "properties.hostPoolArmPath"
	r, pool, err := referred[deskyard.HostPool](ctx, w.Tx, at, group.HostPoolARMPath, "HostPoolNotFound")
	if err != nil {
		return err
	}
	if err := sameLocation(w, "ApplicationGroup must be in same location as associated HostPool", r); err != nil {
		return err
	}
	if group.ApplicationGroupType == "RemoteApp" {
		if pool.Personal() {
			return arm.Errorf(arm.Invalid, "InvalidApplicationGroupType",
				"RemoteApp application groups belong to Pooled host pools only; '%s' is %s.", r.ID.Name(), pool.HostPoolType).WithTarget("properties.applicationGroupType")
		}
		return nil
	}
	return onlyDesktopGroup(ctx, w, r.ID)
}

// onlyDesktopGroup refuses a pool's second Desktop group.
func onlyDesktopGroup(ctx context.Context, w *Write, pool arm.ResourceID) error {
	return eachReferrer(ctx, w, pool, []string{deskyard.RelationHostPool}, func(_ string, r deskyard.Resource) error {
		other, err := readModel[deskyard.ApplicationGroup](r)
		if err != nil || other.ApplicationGroupType != "Desktop" || r.ID.Equal(w.New.ID) {
			return err
		}
		return arm.Errorf(arm.Conflicting, "DesktopApplicationGroupExists",
			"The host pool '%s' has the Desktop application group '%s' already; a pool has one at most.", pool.Name(), r.ID.Name()).WithTarget("properties.hostPoolArmPath")
	})
}

// afterApplicationGroup gives a new Desktop group its desktop, which nobody else can make.
func (s *Server) afterApplicationGroup(ctx context.Context, w *Write) error {
	if w.Old != nil || w.Model.(*deskyard.ApplicationGroup).ApplicationGroupType != "Desktop" {
		return nil
	}
	properties, err := json.Marshal(deskyard.NewSessionDesktop(newID()))
	if err != nil {
		return fmt.Errorf("encode the session desktop: %w", err)
	}
	_, err = w.Tx.PutResource(ctx, deskyard.Resource{
		ID: w.New.ID.Child("desktops", deskyard.SessionDesktop), Properties: properties,
		Envelope: arm.Envelope{SystemData: w.New.Envelope.SystemData},
	})
	return err
}

// beforeApplicationGroupDelete takes the group out of its workspace.
func beforeApplicationGroupDelete(ctx context.Context, w *Write, _ bool) error {
	return eachReferrer(ctx, w, w.Old.ID, []string{deskyard.RelationApplicationGroup}, func(_ string, r deskyard.Resource) error {
		workspace, err := readModel[deskyard.Workspace](r)
		if err != nil {
			return err
		}
		workspace.Unassign(w.Old.ID)
		return rewrite(ctx, w, r, workspace)
	})
}

// filterApplicationGroups: the description names applicationGroupType only.
func filterApplicationGroups(expr string) (func(deskyard.Resource) bool, error) {
	f, err := parseOData(expr, "applicationgrouptype")
	if err != nil {
		return nil, err
	}
	return func(r deskyard.Resource) bool {
		return f.match(func(string) []string { return []string{r.Envelope.Kind} })
	}, nil
}

// applicationGroupProperties is a group's properties on the wire.
type applicationGroupProperties struct {
	*deskyard.ApplicationGroup
	WorkspaceARMPath *string `json:"workspaceArmPath"`
	MigrationRequest any     `json:"migrationRequest"` // gone from the API, still sent
	CloudPCResource  bool    `json:"cloudPcResource"`
}

func (s *Server) renderApplicationGroups(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	workspaces, err := v.Reader.Referrers(ctx, deskyard.RelationApplicationGroup, idsOf(rows)...)
	if err != nil {
		return nil, err
	}
	row := s.desktopRow("applicationGroups")
	out := make([]any, len(rows))
	for i, r := range rows {
		group, err := readModel[deskyard.ApplicationGroup](r)
		if err != nil {
			return nil, err
		}
		p := applicationGroupProperties{ApplicationGroup: group}
		if in := workspaces[r.ID.Key()]; len(in) > 0 {
			id := s.wireIDOf(in[0])
			p.WorkspaceARMPath = &id
		}
		out[i] = row.RenderBody(r, p)
	}
	return out, nil
}

// beforeApplication holds an application to its group.
func (s *Server) beforeApplication(ctx context.Context, w *Write) error {
	app := w.Model.(*deskyard.Application)
	if w.Old != nil {
		return nil
	}
	app.ObjectID = newID()
	r, err := w.Tx.Resource(ctx, w.New.ID.Parent())
	if err != nil {
		return err
	}
	group, err := readModel[deskyard.ApplicationGroup](r)
	if err != nil {
		return err
	}
	if group.ApplicationGroupType == "Desktop" && app.ApplicationType == "InBuilt" {
		return arm.Errorf(arm.Invalid, "InvalidApplicationGroupType",
			"Applications are published in RemoteApp application groups; '%s' is a Desktop one.", r.ID.Name()).WithTarget("properties.applicationType")
	}
	all, err := w.Tx.Resources(ctx, deskyard.ResourceQuery{Scope: r.ID, Type: desktopNamespace + "/applicationGroups/applications"})
	if err == nil && len(all.Items) >= maxApplications {
		err = arm.Errorf(arm.Conflicting, "TooManyApplications", "The application group '%s' has %d applications, which is the most it may have.", r.ID.Name(), len(all.Items))
	}
	return err
}

// published is what applications and desktops have beside their model.
type published struct {
	IconHash    string `json:"iconHash"`
	IconContent []byte `json:"iconContent"`
}

func (s *Server) renderApplications(_ context.Context, _ View, rows []deskyard.Resource) ([]any, error) {
	row, pic := s.desktopRow("applicationGroups/applications"), applicationIcon()
	return renderEach(rows, func(r deskyard.Resource, app *deskyard.Application) any {
		return row.RenderBody(r, struct {
			*deskyard.Application
			published
		}{app, published{pic.Hash, pic.Content}})
	})
}

func (s *Server) renderDesktops(_ context.Context, _ View, rows []deskyard.Resource) ([]any, error) {
	row, pic := s.desktopRow("applicationGroups/desktops"), desktopIcon()
	return renderEach(rows, func(r deskyard.Resource, desktop *deskyard.Desktop) any {
		return row.RenderBody(r, struct {
			*deskyard.Desktop
			published
		}{desktop, published{pic.Hash, pic.Content}})
	})
}

// renderEach renders rows of which nothing is derived from other rows.
func renderEach[M any](rows []deskyard.Resource, render func(deskyard.Resource, *M) any) ([]any, error) {
	out := make([]any, len(rows))
	for i, r := range rows {
		m, err := readModel[M](r)
		if err != nil {
			return nil, err
		}
		out[i] = render(r, m)
	}
	return out, nil
}

// listStartMenuItems is what the hosts of the group's pool have installed. No agent
// reports a start menu, so the list is empty; the group must exist.
func (s *Server) listStartMenuItems(ctx context.Context, q *Request) (Response, error) {
	if _, err := q.Paging(); err != nil {
		return Response{}, err
	}
	if _, err := q.Load(ctx, s.store); err != nil {
		return Response{}, err
	}
	return q.ListResponse(nil, ""), nil
}
