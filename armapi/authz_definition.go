package armapi

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/rbac"
)

const definitionWrite = "Microsoft.Authorization/roleDefinitions/write"

// definitionBody is what a client sends to create or replace a custom role.
type definitionBody struct {
	Properties struct {
		RoleName         string            `json:"roleName"`
		Description      string            `json:"description"`
		Permissions      []rbac.Permission `json:"permissions"`
		AssignableScopes []string          `json:"assignableScopes"`
	} `json:"properties"`
}

// wireDefinition is a role definition as it is answered.
type wireDefinition struct {
	Properties wireDefinitionProperties `json:"properties"`
	ID         string                   `json:"id"`
	Type       string                   `json:"type"`
	Name       string                   `json:"name"`
}

type wireDefinitionProperties struct {
	RoleName         string            `json:"roleName"`
	Type             string            `json:"type"` // BuiltInRole | CustomRole
	Description      string            `json:"description"`
	AssignableScopes []arm.ResourceID  `json:"assignableScopes"`
	Permissions      []rbac.Permission `json:"permissions"`
	CreatedOn        *arm.Time         `json:"createdOn,omitempty"`
	UpdatedOn        *arm.Time         `json:"updatedOn,omitempty"`
	CreatedBy        *string           `json:"createdBy"`
	UpdatedBy        *string           `json:"updatedBy"`
}

func renderDefinition(d rbac.RoleDefinition, scope arm.ResourceID) wireDefinition {
	w := wireDefinition{
		ID: d.IDAt(scope).String(), Type: rbac.DefinitionType, Name: d.GUID,
		Properties: wireDefinitionProperties{
			RoleName: d.Name, Type: "BuiltInRole", Description: d.Description,
			AssignableScopes: d.AssignableScopes, Permissions: d.Permissions,
		},
	}
	if d.Custom {
		w.Properties.Type = "CustomRole"
		w.Properties.CreatedOn, w.Properties.UpdatedOn = &arm.Time{Time: d.System.CreatedAt}, &arm.Time{Time: d.System.LastModifiedAt}
		w.Properties.CreatedBy, w.Properties.UpdatedBy = orNull(d.System.CreatedBy), orNull(d.System.LastModifiedBy)
	}
	return w
}

func definitionMissing(guid string) error {
	return arm.Errorf(arm.Missing, "RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.", clip(guid))
}

func (z *authorization) getDefinition(ctx context.Context, req *Request) (Response, error) {
	x, err := z.roles.Index(ctx)
	if err != nil {
		return Response{}, err
	}
	d, ok := x.Role(req.ID.Name())
	if !ok || !listedAt(d, req.ID.Parent(), false) {
		return Response{}, definitionMissing(req.ID.Name())
	}
	if d.Custom {
		if err := z.roles.Allow(ctx, req.Principal, "Microsoft.Authorization/roleDefinitions/read", req.ID); err != nil {
			return Response{}, err
		}
	}
	return Response{Body: renderDefinition(d, req.ID)}, nil
}

// listedAt reports whether a role is shown at scope: where it can be assigned, at
// the root (every role has an id there), and on request where something below the
// scope can have it.
func listedAt(d rbac.RoleDefinition, scope arm.ResourceID, below bool) bool {
	if scope.IsZero() || d.AssignableAt(scope) {
		return true
	}
	if !below && (scope.ResourceGroup != "" || len(scope.Segments) > 0) {
		return false
	}
	// A role's own id is below its subscription, whichever part of it the role is for.
	for _, s := range d.AssignableScopes {
		if rbac.Within(s, scope) {
			return true
		}
	}
	return false
}

func (z *authorization) listDefinitions(ctx context.Context, req *Request) (Response, error) {
	terms, err := parseFilter(req.Query("$filter"))
	if err != nil {
		return Response{}, err
	}
	var name, kind string
	below := false
	for _, t := range terms {
		switch {
		case t.call && t.name == "atscope" && t.value == "":
		case t.call && t.name == "atscopeandbelow" && t.value == "":
			below = true
		case !t.call && t.name == "rolename":
			name = t.value
		case !t.call && t.name == "type":
			kind = t.value
		default:
			return Response{}, badFilter(req.Query("$filter"))
		}
	}
	x, err := z.roles.Index(ctx)
	if err != nil {
		return Response{}, err
	}
	seesCustom := x.Allowed(req.Principal, "Microsoft.Authorization/roleDefinitions/read", req.ID)
	list := wholeList[wireDefinition]{Value: []wireDefinition{}}
	for _, d := range x.Roles() {
		if (d.Custom && !seesCustom) || !listedAt(d, req.ID, below) || (name != "" && !strings.EqualFold(name, d.Name)) {
			continue
		}
		w := renderDefinition(d, req.ID)
		if kind == "" || strings.EqualFold(kind, w.Properties.Type) {
			list.Value = append(list.Value, w)
		}
	}
	return Response{Body: list}, nil
}

func (z *authorization) putDefinition(ctx context.Context, req *Request) (Response, error) {
	d, err := z.readDefinition(ctx, req)
	if err != nil {
		return Response{}, err
	}
	req.Detail = fmt.Sprintf("custom role %q", d.Name)
	now := z.now().UTC()
	err = req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		if d, err = z.storeDefinition(ctx, tx, d, req.Principal, now); err != nil {
			return err
		}
		return rbac.Stamp(ctx, tx)
	})
	if err != nil {
		return Response{}, err
	}
	z.roles.Changed()
	// Azure answers 201 to a replacement, too, and its SDKs know no other code.
	return Response{Status: http.StatusCreated, Body: renderDefinition(d, req.ID)}, nil
}

// actionForm is the shape of an action or a pattern of them.
var actionForm = regexp.MustCompile(`^[A-Za-z0-9*._-]+(/[A-Za-z0-9*._-]+)*$`)

func (z *authorization) readDefinition(ctx context.Context, req *Request) (rbac.RoleDefinition, error) {
	var body definitionBody
	if err := req.Decode(&body); err != nil {
		return rbac.RoleDefinition{}, err
	}
	p := body.Properties
	d := rbac.RoleDefinition{
		GUID: strings.ToLower(req.ID.Name()), Name: strings.TrimSpace(p.RoleName), Description: p.Description, Custom: true,
		Permissions: p.Permissions,
	}
	if !isGUID(d.GUID) {
		return d, arm.Errorf(arm.Invalid, "InvalidRoleDefinitionId", "The role definition ID '%s' is not valid. The role definition ID must be a GUID.", clip(d.GUID))
	}
	d.Resource = rbac.DefinitionID(req.ID, d.GUID)
	var faults arm.Violations
	if d.Name == "" || len(d.Name) > 512 {
		faults.Add("properties.roleName", "The role name must have 1 to 512 characters.")
	}
	if len(d.Description) > 2048 {
		faults.Add("properties.description", "The description is longer than 2048 characters.")
	}
	checkPermissions(d.Permissions, &faults)
	d.AssignableScopes = z.readScopes(p.AssignableScopes, &faults)
	if err := faults.Err(); err != nil {
		return d, err
	}
	return d, z.mayWriteAt(ctx, req.Principal, d.AssignableScopes)
}

func checkPermissions(permissions []rbac.Permission, faults *arm.Violations) {
	if len(permissions) == 0 {
		faults.Add("properties.permissions", "A role needs at least one set of permissions.")
	}
	for i := range permissions {
		p := &permissions[i]
		for name, list := range map[string]*[]string{
			"actions": &p.Actions, "notActions": &p.NotActions, "dataActions": &p.DataActions, "notDataActions": &p.NotDataActions,
		} {
			if *list == nil {
				*list = []string{}
			}
			for _, action := range *list {
				if len(action) > 512 || !actionForm.MatchString(action) {
					faults.Add(fmt.Sprintf("properties.permissions[%d].%s", i, name), "'%s' is not an action or a pattern of actions, as in 'Microsoft.DesktopVirtualization/hostpools/*'.", clip(action))
				}
			}
		}
	}
}

func (z *authorization) readScopes(sent []string, faults *arm.Violations) []arm.ResourceID {
	const at = "properties.assignableScopes"
	if len(sent) == 0 {
		faults.Add(at, "A custom role needs at least one assignable scope.")
	}
	var scopes []arm.ResourceID
	for _, s := range sent {
		id, err := arm.ParseID(s)
		known := false
		for _, sub := range z.subscriptions {
			known = known || strings.EqualFold(sub.ID, id.Subscription)
		}
		if err != nil || !known {
			// The root is for built-in roles alone, in Azure as here.
			faults.Add(at, "'%s' is not a subscription of this service, or a group or resource in one.", clip(s))
			continue
		}
		scopes = append(scopes, id)
	}
	return scopes
}

// mayWriteAt asks for the right to write roles at every scope that a role is for:
// who manages one group must not make a role for another.
func (z *authorization) mayWriteAt(ctx context.Context, p deskyard.Principal, scopes []arm.ResourceID) error {
	for _, s := range scopes {
		if err := z.roles.Allow(ctx, p, definitionWrite, s); err != nil {
			return err
		}
	}
	return nil
}

func (z *authorization) storeDefinition(ctx context.Context, tx deskyard.Tx, d rbac.RoleDefinition, p deskyard.Principal, now time.Time) (rbac.RoleDefinition, error) {
	for _, b := range rbac.BuiltIn() {
		if b.GUID == d.GUID {
			return d, arm.Errorf(arm.Invalid, "RoleDefinitionIsBuiltIn", "The role '%s' is built in and cannot be changed. Choose a new GUID for a custom role.", b.Name)
		}
		if strings.EqualFold(b.Name, d.Name) {
			return d, sameName(d.Name)
		}
	}
	rows, err := tx.Resources(ctx, deskyard.ResourceQuery{Type: rbac.DefinitionType})
	if err != nil {
		return d, fmt.Errorf("read role definitions: %w", err)
	}
	version := int64(0)
	d.System = arm.SystemData{}
	for _, r := range rows.Items {
		other, err := rbac.ParseDefinition(r)
		if err != nil {
			return d, err
		}
		switch {
		case other.GUID == d.GUID:
			if err := z.mayWriteAt(ctx, p, other.AssignableScopes); err != nil {
				return d, err
			}
			d.Resource, d.System, version = r.ID, r.Envelope.SystemData, r.Version
		case strings.EqualFold(other.Name, d.Name):
			return d, sameName(d.Name)
		}
	}
	d.System = stamped(d.System, p, now)
	row, err := d.Row()
	if err != nil {
		return d, err
	}
	row.Version = version
	_, err = tx.PutResource(ctx, row)
	return d, err
}

func sameName(name string) error {
	return arm.Errorf(arm.Conflicting, "RoleDefinitionWithSameNameExists",
		"A custom role with the same name '%s' already exists in this directory. Use a different name.", clip(name))
}

// customRole reads a custom role by its GUID, whichever subscription it is kept below.
func customRole(ctx context.Context, store deskyard.Reader, guid string) (deskyard.Resource, error) {
	rows, err := store.Resources(ctx, deskyard.ResourceQuery{Type: rbac.DefinitionType})
	if err != nil {
		return deskyard.Resource{}, fmt.Errorf("read role definitions: %w", err)
	}
	for _, r := range rows.Items {
		if strings.EqualFold(r.ID.Name(), guid) {
			return r, nil
		}
	}
	return deskyard.Resource{}, definitionMissing(guid)
}

func (z *authorization) deleteDefinition(ctx context.Context, req *Request) (Response, error) {
	x, err := z.roles.Index(ctx)
	if err != nil {
		return Response{}, err
	}
	d, ok := x.Role(req.ID.Name())
	if !ok {
		return Response{Status: http.StatusNoContent}, nil
	}
	if !d.Custom {
		return Response{}, arm.Errorf(arm.Invalid, "RoleDefinitionIsBuiltIn", "The role '%s' is built in and cannot be deleted.", d.Name)
	}
	for _, s := range d.AssignableScopes {
		if err := z.roles.Allow(ctx, req.Principal, "Microsoft.Authorization/roleDefinitions/delete", s); err != nil {
			return Response{}, err
		}
	}
	req.Detail = fmt.Sprintf("custom role %q", d.Name)
	err = req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		role := rbac.DefinitionID(arm.ResourceID{}, d.GUID)
		used, err := tx.Referrers(ctx, rbac.RelationRole, role)
		if err != nil {
			return fmt.Errorf("look for assignments of the role: %w", err)
		}
		if n := len(used[role.Key()]); n > 0 {
			return arm.Errorf(arm.Invalid, "RoleDefinitionHasAssignments",
				"There are existing role assignments referencing role '%s' (%d, the first is '%s'). Delete them before the role.", d.Name, n, used[role.Key()][0])
		}
		if err := tx.DeleteResource(ctx, d.Resource); err != nil && !arm.IsMissing(err) {
			return err
		}
		return rbac.Stamp(ctx, tx)
	})
	if err != nil {
		return Response{}, err
	}
	z.roles.Changed()
	return Response{Body: renderDefinition(d, req.ID)}, nil
}
