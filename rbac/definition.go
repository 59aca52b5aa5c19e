package rbac

import (
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// DefinitionType is the resource type of role definitions.
const DefinitionType = "Microsoft.Authorization/roleDefinitions"

// Permission is one set of a role's actions. The member names are Azure's.
type Permission struct {
	Actions        []string `json:"actions"`
	NotActions     []string `json:"notActions"`
	DataActions    []string `json:"dataActions"`
	NotDataActions []string `json:"notDataActions"`
}

// Allows reports whether the permission covers a management action.
func (p Permission) Allows(action string) bool {
	return covers(p.Actions, p.NotActions, action)
}

// AllowsData reports whether the permission covers a data action.
func (p Permission) AllowsData(action string) bool {
	return covers(p.DataActions, p.NotDataActions, action)
}

func covers(patterns, except []string, action string) bool {
	action = strings.ToLower(action)
	return matchAny(lowered(patterns), action) && !matchAny(lowered(except), action)
}

// RoleDefinition is a named set of permissions.
type RoleDefinition struct {
	GUID        string // lower case; unique in the tenant
	Name        string // "Desktop Virtualization User"
	Description string
	Custom      bool
	Permissions []Permission
	// AssignableScopes are where the role may be assigned and is listed; a
	// built-in role has the root alone.
	AssignableScopes []arm.ResourceID
	// Resource is the stored row's id; the root for built-in roles, which have no row.
	Resource arm.ResourceID
	// System says who wrote a custom role and when; zero for built-in roles.
	System arm.SystemData
}

// AssignableAt reports whether the role may be assigned at scope.
func (d RoleDefinition) AssignableAt(scope arm.ResourceID) bool {
	for _, s := range d.AssignableScopes {
		if Within(scope, s) {
			return true
		}
	}
	return false
}

// IDAt is the role's id as it is written for callers at scope: below the scope's
// subscription, or below the root when the scope has none. The GUID is what counts.
func (d RoleDefinition) IDAt(scope arm.ResourceID) arm.ResourceID { return DefinitionID(scope, d.GUID) }

// DefinitionID is the id of the role definition guid as it is written at scope.
func DefinitionID(scope arm.ResourceID, guid string) arm.ResourceID {
	return arm.ResourceID{Subscription: scope.Subscription}.Provider("Microsoft.Authorization", "roleDefinitions", guid)
}

// Within reports whether scope is at or below outer.
func Within(scope, outer arm.ResourceID) bool {
	if outer.IsZero() {
		return true
	}
	s, o := scope.Key(), outer.Key()
	return s == o || strings.HasPrefix(s, o+"/")
}

// role is a RoleDefinition made ready for matching.
type role struct {
	RoleDefinition
	sets []Permission // in lower case
}

func compile(d RoleDefinition) *role {
	r := &role{RoleDefinition: d}
	for _, p := range d.Permissions {
		r.sets = append(r.sets, Permission{
			Actions: lowered(p.Actions), NotActions: lowered(p.NotActions),
			DataActions: lowered(p.DataActions), NotDataActions: lowered(p.NotDataActions),
		})
	}
	return r
}

// allows takes an action in lower case.
func (r *role) allows(action string, data bool) bool {
	for i := range r.sets {
		yes, no := r.sets[i].Actions, r.sets[i].NotActions
		if data {
			yes, no = r.sets[i].DataActions, r.sets[i].NotDataActions
		}
		if matchAny(yes, action) && !matchAny(no, action) {
			return true
		}
	}
	return false
}

func lowered(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.ToLower(s)
	}
	return out
}
