package armapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const resourcesNamespace = "Microsoft.Resources"

// resourcesVersions are the api-versions of Microsoft.Resources that clients are
// told of; every well-formed one is taken, since the shapes do not differ.
var resourcesVersions = []string{
	"2015-01-01", "2016-06-01", "2016-09-01", "2018-05-01", "2019-05-01", "2019-10-01", "2020-01-01", "2020-06-01",
	"2020-10-01", "2021-01-01", "2021-04-01", "2022-09-01", "2022-12-01", "2023-07-01", "2024-03-01", "2024-11-01", "2025-04-01",
}

// groupName is Azure's rule for the name of a resource group: it may not end in a
// full stop.
var groupName = regexp.MustCompile(`^[-\p{L}\p{N}_.()]*[-\p{L}\p{N}_()]$`)

// groupProperties is what a resource group has: nothing that a client sets.
type groupProperties struct{}

func (*groupProperties) Default(Model)                   {}
func (*groupProperties) Validate(Model, *arm.Violations) {}
func (*groupProperties) Refs() []deskyard.Ref            { return nil }

// resourcesTypes are the rows of Microsoft.Resources.
func (s *Server) resourcesTypes() []ResourceType {
	return []ResourceType{{
		Namespace: resourcesNamespace, Path: "resourceGroups", Versions: resourcesVersions, AnyVersion: true, Level: InSubscription,
		Permission: groupPermission,
		Name:       NameRule{Min: 1, Max: 90, Pattern: groupName},
		Tracked:    true,
		Verbs:      Verbs{Get: true, Put: true, Patch: true},
		New:        func() Model { return new(groupProperties) },
		Render:     renderGroups,
		Actions: []Action{
			{Method: http.MethodDelete, Permission: groupPermission + "/delete", Handle: s.deleteGroup},
		},
	}, s.tagsType()}
}

const groupPermission = "Microsoft.Resources/subscriptions/resourceGroups"

// groupBody is a resource group on the wire.
type groupBody struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	ManagedBy  string            `json:"managedBy,omitempty"`
	Tags       map[string]string `json:"tags"`
	Properties struct {
		ProvisioningState string `json:"provisioningState"`
	} `json:"properties"`
}

func renderGroups(_ context.Context, _ View, rows []deskyard.Resource) ([]any, error) {
	out := make([]any, len(rows))
	for i, r := range rows {
		b := groupBody{ID: r.ID.String(), Name: r.ID.Name(), Type: r.ID.Type(), Location: r.Envelope.Location,
			ManagedBy: r.Envelope.ManagedBy, Tags: r.Envelope.Tags}
		if b.Tags == nil {
			b.Tags = map[string]string{}
		}
		b.Properties.ProvisioningState = "Succeeded"
		out[i] = b
	}
	return out, nil
}

func (s *Server) groupDoors() []Door {
	const group = "/subscriptions/{subscription}/resourceGroups/{group}"
	return []Door{
		{Method: http.MethodGet, Path: "/subscriptions/{subscription}/resourceGroups", Handle: s.listGroups},
		{Method: http.MethodPost, Path: group + "/exportTemplate", Permission: groupPermission + "/read", Handle: s.exportTemplate},
		{Method: http.MethodPost, Path: group + "/moveResources", Permission: groupPermission + "/moveResources/action", Handle: refuseMove},
		{Method: http.MethodPost, Path: group + "/validateMoveResources", Permission: groupPermission + "/validateMoveResources/action", Handle: refuseMove},
	}
}

// listGroups lists the groups of a subscription that the caller may read.
func (s *Server) listGroups(ctx context.Context, req *Request) (Response, error) {
	p, err := req.Paging()
	if err != nil {
		return Response{}, err
	}
	query := deskyard.ResourceQuery{Scope: req.ID, Type: resourcesNamespace + "/resourceGroups"}
	var keep rowFilter
	if text := req.Query("$filter"); text != "" {
		f, err := parseOData(text, "tagname", "tagvalue", "name", "location")
		if err != nil {
			return Response{}, err
		}
		keep = filterRows(f)
		query.TagName, _ = f.must("tagname", "eq")
	}
	seen, err := s.visible(ctx, req.Principal, req.ID, groupPermission+"/read", func(arm.ResourceID) string { return groupPermission + "/read" })
	if err != nil {
		return Response{}, err
	}
	if seen.refused != nil { // who may read something in a group may read that the group is there
		seen.keep = s.groupsWithRoles(req.Principal)
	}
	rows, next, err := s.collect(ctx, query, p, both(keep, seen.keep))
	if err != nil {
		return Response{}, err
	}
	if len(rows) == 0 && seen.refused != nil {
		return Response{}, seen.refused
	}
	items, err := renderGroups(ctx, View{}, rows)
	if err != nil {
		return Response{}, err
	}
	return req.ListResponse(items, next), nil
}

// groupsWithRoles keeps the groups in which the caller has any role.
func (s *Server) groupsWithRoles(p deskyard.Principal) rowFilter {
	return func(ctx context.Context, r deskyard.Resource) (bool, error) {
		return s.mayEnter(ctx, p, r.ID, groupPermission+"/read")
	}
}

// mayEnter reports whether the caller may see that a scope exists: by a role there
// or above it that reads it, or by any role below it.
func (s *Server) mayEnter(ctx context.Context, p deskyard.Principal, scope arm.ResourceID, permission string) (bool, error) {
	err := s.access.Allow(ctx, p, permission, scope)
	if err == nil {
		return true, nil
	}
	if refusalOf(err).status != http.StatusForbidden {
		return false, err
	}
	if s.opt.Roles == nil {
		return false, nil
	}
	return s.opt.Roles.HasAny(ctx, p, scope)
}

// deleteGroup removes a group and all in it in one transaction, with the record of
// an operation that is over when it is answered: clients expect 202 and poll.
func (s *Server) deleteGroup(ctx context.Context, req *Request) (Response, error) {
	operation := uuid.NewString()
	var gone groupRemoval
	later, err := s.deleteMachinesFirst(ctx, req, &operation)
	if err != nil {
		return Response{}, err
	}
	if later {
		return groupDeleteAccepted(req, operation), nil
	}
	err = req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		if _, err := s.load(ctx, tx, req.ID); err != nil {
			return err
		}
		gone = groupRemoval{server: s, request: req}
		if err := gone.run(ctx, tx); err != nil {
			return err
		}
		now := storeTime(s.now())
		return tx.PutOperation(ctx, deskyard.Operation{
			ID: operation, Scope: req.ID, Status: "Succeeded", Started: now, Ended: now, Percent: 100,
		})
	})
	if err != nil {
		return Response{}, err
	}
	gone.finish(ctx)
	return groupDeleteAccepted(req, operation), nil
}

func groupDeleteAccepted(req *Request, operation string) Response {
	h := http.Header{}
	h.Set("Location", req.BaseURL+"/subscriptions/"+req.ID.Subscription+"/operationresults/"+operation+"?api-version="+req.Version)
	return Response{Status: http.StatusAccepted, Header: h}
}

// deleteMachinesFirst submits the deletion of a group with machines in it, which takes
// longer than a request: they must be gone from their hypervisors before their rows
// are. It answers false, and does nothing, for a group without machines.
func (s *Server) deleteMachinesFirst(ctx context.Context, req *Request, operation *string) (bool, error) {
	if s.opt.Machines == nil {
		return false, nil
	}
	work, err := s.store.Works(ctx, deskyard.WorkQuery{Kind: deskyard.WorkMachine, Scope: req.ID, Limit: 1})
	if err != nil || len(work.Items) == 0 {
		return false, err
	}
	err = req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		if _, err := s.load(ctx, tx, req.ID); err != nil {
			return err
		}
		op, err := s.opt.Machines.Submit(ctx, tx, deskyard.Job{Kind: workGroup, Verb: deskyard.JobDelete, ID: req.ID, Caller: req.Principal})
		*operation = op.ID
		return err
	})
	if err != nil {
		return false, err
	}
	s.opt.Machines.Wake(workGroup, req.ID)
	return true, nil
}

// workGroup is the kind of work that deletes a group with machines in it.
const workGroup = "group"

// groupRemoval removes what a group holds, each resource by its own type's rules.
type groupRemoval struct {
	server  *Server
	request *Request
	removed []*Write
	hosts   []string // object ids whose links must end
}

func (g *groupRemoval) run(ctx context.Context, tx deskyard.Tx) error {
	hosts, err := tx.SessionHosts(ctx, deskyard.HostQuery{Scope: g.request.ID})
	if err != nil {
		return err
	}
	for _, h := range hosts.Items {
		g.hosts = append(g.hosts, h.ObjectID)
	}
	all, err := tx.Resources(ctx, deskyard.ResourceQuery{Scope: g.request.ID})
	if err != nil {
		return err
	}
	left := all.Items
	for len(left) > 0 { // what is in use goes after its users
		var inUse []deskyard.Resource
		var refused error
		for _, r := range left {
			err := g.remove(ctx, tx, r)
			var e *arm.Error
			switch {
			case err == nil:
			case errors.As(err, &e) && e.Kind == arm.Conflicting:
				inUse, refused = append(inUse, r), err
			default:
				return err
			}
		}
		if len(inUse) == len(left) {
			return refused
		}
		left = inUse
	}
	if err := g.server.removingAssignments(ctx, tx, g.request.ID); err != nil {
		return err
	}
	return tx.DeleteResource(ctx, g.request.ID)
}

func (g *groupRemoval) remove(ctx context.Context, tx deskyard.Tx, r deskyard.Resource) error {
	row := g.server.rowOf(r.ID)
	if row == nil || row.New == nil {
		return fmt.Errorf("remove %s: its type is not in the table", r.ID)
	}
	if _, err := tx.Resource(ctx, r.ID); arm.IsMissing(err) {
		return nil // went with another
	} else if err != nil {
		return err
	}
	w := &Write{Tx: tx, Now: storeTime(g.server.now()), Principal: g.request.Principal, Version: g.request.Version, Old: &r}
	if err := g.server.remove(ctx, row, w, true); err != nil {
		return err
	}
	g.removed = append(g.removed, w)
	return nil
}

// finish runs after the commit.
func (g *groupRemoval) finish(ctx context.Context) {
	g.server.assignmentsRemoved(g.request.ID)
	told := map[string]bool{} // by their pool's own type
	for _, w := range g.removed {
		for _, h := range w.Dropped {
			told[h] = true
		}
		if row := g.server.rowOf(w.Old.ID); row.AfterCommit != nil {
			row.AfterCommit(ctx, w)
		}
	}
	for _, h := range g.hosts {
		if told[h] {
			continue
		}
		g.server.fleet.Drop(h, "the resource group was deleted")
	}
}

// refuseMove answers that resources stay where they were made.
func refuseMove(context.Context, *Request) (Response, error) {
	return Response{}, arm.Errorf(arm.Invalid, "ResourceMoveNotSupported",
		"Resources cannot be moved to another resource group. Create the resource in the target group and delete it here.")
}

// exportRequest is the body of exportTemplate.
type exportRequest struct {
	Resources []string `json:"resources"`
	Options   string   `json:"options"`
}

// exportTemplate writes a group's resources as a deployment template.
func (s *Server) exportTemplate(ctx context.Context, req *Request) (Response, error) {
	var sent exportRequest
	if err := req.Decode(&sent); err != nil {
		return Response{}, err
	}
	if err := s.groupExists(ctx, s.store, req.ID); err != nil {
		return Response{}, err
	}
	wanted := map[string]bool{}
	for _, r := range sent.Resources {
		if r != "*" {
			id, err := arm.ParseID(r)
			if err != nil {
				return Response{}, arm.Errorf(arm.Invalid, "InvalidResourceId", "'%s' is not a resource id.", clip(r)).WithTarget("resources")
			}
			wanted[id.Key()] = true
		}
	}
	resources := []any{}
	for _, row := range s.routes.rows {
		if !row.Verbs.Put || row.Level != InGroup {
			continue
		}
		rows, err := s.store.Resources(ctx, deskyard.ResourceQuery{Scope: req.ID, Type: row.Namespace + "/" + row.Path})
		if err != nil {
			return Response{}, err
		}
		for _, r := range rows.Items {
			if len(wanted) > 0 && !wanted[r.ID.Key()] {
				continue
			}
			e, err := row.export(r)
			if err != nil {
				return Response{}, err
			}
			resources = append(resources, e)
		}
	}
	return Response{Body: map[string]any{"template": map[string]any{
		"$schema":        "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
		"contentVersion": "1.0.0.0", "parameters": map[string]any{}, "variables": map[string]any{}, "resources": resources,
	}}}, nil
}

// export is a resource of a template: what a client set, without what is unset and
// without the ids that a new resource is given anew.
func (row *ResourceType) export(r deskyard.Resource) (map[string]any, error) {
	properties := map[string]any{}
	if err := decodeNumbers(propertiesOf(r), &properties); err != nil {
		return nil, fmt.Errorf("read stored properties of %s: %w", r.ID, err)
	}
	delete(properties, "objectId")
	for k, v := range properties {
		if v == nil {
			delete(properties, k)
		}
	}
	version := row.stableVersion()
	if version == "" {
		version = row.Versions[len(row.Versions)-1]
	}
	out := map[string]any{
		"type": row.Namespace + "/" + row.Path, "apiVersion": version, "name": strings.Join(r.ID.Names(), "/"), "properties": properties,
	}
	if row.Tracked {
		out["location"] = r.Envelope.Location
		if len(r.Envelope.Tags) > 0 {
			out["tags"] = r.Envelope.Tags
		}
		if r.Envelope.Identity != nil {
			out["identity"] = map[string]string{"type": r.Envelope.Identity.Type}
		}
	}
	if parent := r.ID.Parent(); len(parent.Segments) > 0 {
		out["dependsOn"] = []string{"[resourceId('" + parent.Type() + "', '" + strings.Join(parent.Names(), "', '") + "')]"}
	}
	return out, nil
}

// rowOf is the row of an id's type; nil when the table has none.
func (s *Server) rowOf(id arm.ResourceID) *ResourceType { return s.routes.types[typeKey(id)] }
