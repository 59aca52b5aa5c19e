package armapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// hostPoolTypes are host pools and what stands below them.
func (s *Server) hostPoolTypes() []ResourceType {
	pool := ResourceType{
		Path: "hostPools", Wire: "hostpools", Tracked: true,
		Verbs:       Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true, ListBySubscription: true, Paged: true, DeletedBody: true},
		New:         func() Model { return new(deskyard.HostPool) },
		BeforeWrite: s.beforeHostPool, BeforeDelete: s.beforeHostPoolDelete, AfterCommit: s.dropHosts,
		Render: s.renderHostPools,
		Actions: []Action{
			{Method: http.MethodGet, Path: "scalingPlans", Permission: desktopAction("hostPools/scalingPlans/read"), Handle: s.listScalingPlansOfPool},
			{Method: http.MethodGet, Path: "userSessions", Permission: desktopAction("hostPools/sessionHosts/userSessions/read"), Handle: s.listUserSessionsOfPool},
			{Method: http.MethodGet, Path: "privateLinkResources", Permission: desktopAction("hostPools/privateLinkResources/read"), Handle: s.listPrivateLinkResources},
			{Path: "expandMsixImage", Permission: desktopAction("hostPools/expandMsixImage/action"), Handle: s.expandMSIXImage},
			{Path: "importAppAttachPackageInfo", Permission: desktopAction("hostPools/importAppAttachPackageInfo/action"), Handle: s.importPackage},
		},
	}
	pool.Actions = append(pool.Actions, s.registrationActions()...)
	pool.Actions = append(pool.Actions, s.runActions()...)
	pool.Actions = append(pool.Actions, s.connectionActions()...)
	pool.Actions = append(pool.Actions, s.changesAction())
	return []ResourceType{pool, s.sessionHostType(), s.sessionHostRunType(), s.userSessionType(), s.msixPackageType(), s.privateEndpointType("hostPools")}
}

// beforeHostPool gives a new pool its object id and does with registrationInfo
// what the body asks for.
func (s *Server) beforeHostPool(ctx context.Context, w *Write) error {
	pool := w.Model.(*deskyard.HostPool)
	if pool.ObjectID == "" {
		pool.ObjectID = newID()
	}
	return s.applyRegistrationInfo(ctx, w, pool)
}

// beforeHostPoolDelete: application groups must go first, always; session hosts
// only when force does not take them along (delete-host-pool article).
func (s *Server) beforeHostPoolDelete(ctx context.Context, w *Write, force bool) error {
	pool := w.Old.ID
	groups, err := w.Tx.Referrers(ctx, deskyard.RelationHostPool, pool)
	if err != nil {
		return err
	}
	if left := groups[pool.Key()]; len(left) > 0 {
		return arm.Errorf(arm.Conflicting, "HostPoolCannotBeRemovedHasApplicationGroups",
			"The host pool '%s' cannot be deleted because it has %d application groups, such as '%s'. Delete them first.", pool.Name(), len(left), left[0].Name())
	}
	hosts, err := w.Tx.SessionHosts(ctx, deskyard.HostQuery{Pool: pool})
	if err != nil {
		return err
	}
	if len(hosts.Items) > 0 && !force {
		return arm.Errorf(arm.Conflicting, "HostPoolCannotBeRemovedHasSessionHosts",
			"The host pool '%s' cannot be deleted because it has %d session hosts. Remove them first, or delete with force=true, which unregisters them.", pool.Name(), len(hosts.Items))
	}
	w.Dropped = nil
	for _, h := range hosts.Items {
		w.Dropped = append(w.Dropped, h.ObjectID)
	}
	if len(w.Dropped) > 0 {
		w.Notes = append(w.Notes, fmt.Sprintf("%d session hosts unregistered", len(w.Dropped)))
	}
	if err := forgetPool(ctx, w, pool); err != nil {
		return err
	}
	info, err := s.registrationState(ctx, w.Tx, w.OldModel.(*deskyard.HostPool).ObjectID, w.Now)
	w.Response = map[string]any{"registrationInfo": info}
	return err
}

// forgetPool takes a pool out of the scaling plans and packages that are assigned to it.
func forgetPool(ctx context.Context, w *Write, pool arm.ResourceID) error {
	return eachReferrer(ctx, w, pool, []string{deskyard.RelationScalingHostPool, deskyard.RelationPackageHostPool},
		func(relation string, r deskyard.Resource) error {
			if relation == deskyard.RelationScalingHostPool {
				plan, err := readModel[deskyard.ScalingPlan](r)
				if err != nil {
					return err
				}
				plan.Unassign(pool)
				return rewrite(ctx, w, r, plan)
			}
			pkg, err := readModel[deskyard.AppAttachPackage](r)
			if err != nil {
				return err
			}
			pkg.Unassign(pool)
			return rewrite(ctx, w, r, pkg)
		})
}

// eachReferrer visits the resources that point at target.
func eachReferrer(ctx context.Context, w *Write, target arm.ResourceID, relations []string, visit func(string, deskyard.Resource) error) error {
	for _, relation := range relations {
		found, err := w.Tx.Referrers(ctx, relation, target)
		if err != nil {
			return err
		}
		for _, id := range found[target.Key()] {
			r, err := w.Tx.Resource(ctx, id)
			if err == nil {
				err = visit(relation, r)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// dropHosts closes the links of hosts that a delete took along.
func (s *Server) dropHosts(_ context.Context, w *Write) {
	for _, objectID := range w.Dropped {
		s.fleet.Drop(objectID, "The session host was removed together with its host pool.")
	}
}

// hostPoolProperties is a pool's properties on the wire: what is stored, and what
// follows from other resources.
type hostPoolProperties struct {
	*deskyard.HostPool
	ApplicationGroupReferences []string `json:"applicationGroupReferences"`
	AppAttachPackageReferences []string `json:"appAttachPackageReferences"`
	RegistrationInfo           any      `json:"registrationInfo"` // never read back
	MigrationRequest           any      `json:"migrationRequest"` // gone from the API, still sent
	CloudPCResource            bool     `json:"cloudPcResource"`
	PrivateEndpointConnections []any    `json:"privateEndpointConnections"` // null in answers to writes
}

func (s *Server) renderHostPools(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	row := s.desktopRow("hostPools")
	groups, err := v.Reader.Referrers(ctx, deskyard.RelationHostPool, idsOf(rows)...)
	if err != nil {
		return nil, err
	}
	packages, err := v.Reader.Referrers(ctx, deskyard.RelationPackageHostPool, idsOf(rows)...)
	if err != nil {
		return nil, err
	}
	connections, err := s.privateConnections(ctx, v, rows, "hostPools")
	if err != nil {
		return nil, err
	}
	out := make([]any, len(rows))
	for i, r := range rows {
		pool, err := readModel[deskyard.HostPool](r)
		if err != nil {
			return nil, err
		}
		key := r.ID.Key()
		out[i] = row.RenderBody(r, hostPoolProperties{
			HostPool:                   pool,
			ApplicationGroupReferences: s.wireIDs(groups[key]),
			AppAttachPackageReferences: s.wireIDs(packages[key]),
			PrivateEndpointConnections: connections[key],
		})
	}
	return out, nil
}

// desktopRow is a row of the table by its path.
func (s *Server) desktopRow(path string) *ResourceType {
	return s.routes.types[desktopKey(path)]
}
