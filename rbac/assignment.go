package rbac

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// AssignmentType is the resource type of role assignments.
const AssignmentType = "Microsoft.Authorization/roleAssignments"

// Relations under which assignments keep references, so that the store can answer
// in one look-up whether the same grant exists already, and whether a role is in use.
const (
	RelationRole  = "roleDefinition" // to DefinitionID at the tenant root
	RelationGrant = "roleGrant"      // to a name made of scope, role and principal
)

// Assignment gives a role to a principal at a scope and everything below it.
type Assignment struct {
	Name          string         // GUID
	Scope         arm.ResourceID // the root for the whole tenant
	RoleGUID      string         // lower case
	PrincipalID   string         // object id, lower case
	PrincipalType string         // User | Group | ServicePrincipal
	Description   string
	CreatedBy     string // object id
	CreatedOn     time.Time
	UpdatedBy     string
	UpdatedOn     time.Time
}

// ID is the assignment's resource id.
func (a Assignment) ID() arm.ResourceID {
	return a.Scope.Provider("Microsoft.Authorization", "roleAssignments", a.Name)
}

// SameGrant reports whether b gives the same role to the same principal at the
// same scope, under whatever name.
func (a Assignment) SameGrant(b Assignment) bool {
	return a.Scope.Equal(b.Scope) && strings.EqualFold(a.RoleGUID, b.RoleGUID) && strings.EqualFold(a.PrincipalID, b.PrincipalID)
}

// GrantID names the triple of scope, role and principal. No resource has this id;
// it is the target of RelationGrant.
func (a Assignment) GrantID() arm.ResourceID {
	return a.Scope.Provider("Microsoft.Authorization", "roleGrants",
		strings.ToLower(a.RoleGUID)+"."+strings.ToLower(a.PrincipalID))
}

// storedAssignment is an assignment's properties in the store: what its id does not say.
type storedAssignment struct {
	Role          string    `json:"role"`
	PrincipalID   string    `json:"principalId"`
	PrincipalType string    `json:"principalType"`
	Description   string    `json:"description,omitempty"`
	CreatedBy     string    `json:"createdBy"`
	CreatedOn     time.Time `json:"createdOn"`
	UpdatedBy     string    `json:"updatedBy"`
	UpdatedOn     time.Time `json:"updatedOn"`
}

// Row is the assignment as the store keeps it; the caller sets Version and
// SystemData when it replaces one.
func (a Assignment) Row() (deskyard.Resource, error) {
	props, err := json.Marshal(storedAssignment{
		Role: strings.ToLower(a.RoleGUID), PrincipalID: strings.ToLower(a.PrincipalID), PrincipalType: a.PrincipalType,
		Description: a.Description, CreatedBy: a.CreatedBy, CreatedOn: a.CreatedOn, UpdatedBy: a.UpdatedBy, UpdatedOn: a.UpdatedOn,
	})
	if err != nil {
		return deskyard.Resource{}, fmt.Errorf("encode role assignment %s: %w", a.Name, err)
	}
	return deskyard.Resource{
		ID:         a.ID(),
		Properties: props,
		Refs: []deskyard.Ref{
			{Relation: RelationRole, Target: DefinitionID(arm.ResourceID{}, strings.ToLower(a.RoleGUID))},
			{Relation: RelationGrant, Target: a.GrantID()},
		},
	}, nil
}

// ParseAssignment reads what Row wrote.
func ParseAssignment(r deskyard.Resource) (Assignment, error) {
	var p storedAssignment
	if err := json.Unmarshal(r.Properties, &p); err != nil {
		return Assignment{}, fmt.Errorf("decode role assignment %s: %w", r.ID, err)
	}
	return Assignment{
		Name: r.ID.Name(), Scope: r.ID.Parent(), RoleGUID: p.Role, PrincipalID: p.PrincipalID, PrincipalType: p.PrincipalType,
		Description: p.Description, CreatedBy: p.CreatedBy, CreatedOn: p.CreatedOn, UpdatedBy: p.UpdatedBy, UpdatedOn: p.UpdatedOn,
	}, nil
}

// storedDefinition is a custom role's properties in the store.
type storedDefinition struct {
	Name             string           `json:"roleName"`
	Description      string           `json:"description"`
	Permissions      []Permission     `json:"permissions"`
	AssignableScopes []arm.ResourceID `json:"assignableScopes"`
}

// Row is the custom role as the store keeps it: below the subscription, since in
// Azure too a role definition belongs to no group that could be deleted under it.
func (d RoleDefinition) Row() (deskyard.Resource, error) {
	props, err := json.Marshal(storedDefinition{d.Name, d.Description, d.Permissions, d.AssignableScopes})
	if err != nil {
		return deskyard.Resource{}, fmt.Errorf("encode role definition %s: %w", d.GUID, err)
	}
	return deskyard.Resource{ID: d.Resource, Envelope: arm.Envelope{SystemData: d.System}, Properties: props}, nil
}

// ParseDefinition reads what RoleDefinition.Row wrote.
func ParseDefinition(r deskyard.Resource) (RoleDefinition, error) {
	var p storedDefinition
	if err := json.Unmarshal(r.Properties, &p); err != nil {
		return RoleDefinition{}, fmt.Errorf("decode role definition %s: %w", r.ID, err)
	}
	return RoleDefinition{
		GUID: strings.ToLower(r.ID.Name()), Name: p.Name, Description: p.Description, Custom: true,
		Permissions: p.Permissions, AssignableScopes: p.AssignableScopes, Resource: r.ID, System: r.Envelope.SystemData,
	}, nil
}
