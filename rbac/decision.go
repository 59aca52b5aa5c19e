package rbac

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Index is every role and assignment, arranged for decisions. It never changes
// once built and is safe for concurrent use.
type Index struct {
	roles       map[string]*role // by GUID
	byPrincipal map[string]grants
	assignments []Assignment // by id
	keys        []string     // of assignments, in the same order
}

// grants are one principal's roles, by the key of the scope they were given at.
type grants map[string][]*role

// NewIndex arranges custom roles, beside the built-in ones, and assignments. An
// assignment whose role no longer exists is listed and grants nothing.
func NewIndex(custom []RoleDefinition, assignments []Assignment) *Index {
	x := &Index{
		roles:       make(map[string]*role, len(builtIn)+len(custom)),
		byPrincipal: make(map[string]grants),
		assignments: append([]Assignment(nil), assignments...),
	}
	for _, d := range BuiltIn() {
		x.roles[d.GUID] = compile(d)
	}
	for _, d := range custom {
		x.roles[strings.ToLower(d.GUID)] = compile(d)
	}
	x.sortAssignments()
	for _, a := range x.assignments {
		principal := strings.ToLower(a.PrincipalID)
		g := x.byPrincipal[principal]
		if g == nil {
			g = make(grants)
			x.byPrincipal[principal] = g
		}
		key := a.Scope.Key()
		g[key] = append(g[key], x.roles[strings.ToLower(a.RoleGUID)]) // nil for an unknown role: still an assignment
	}
	return x
}

// sortAssignments orders them by id, making each key once.
func (x *Index) sortAssignments() {
	byKey := make(map[string]Assignment, len(x.assignments))
	for _, a := range x.assignments {
		byKey[a.ID().Key()] = a
	}
	x.keys = slices.Sorted(maps.Keys(byKey))
	x.assignments = x.assignments[:0]
	for _, k := range x.keys {
		x.assignments = append(x.assignments, byKey[k])
	}
}

// Allowed reports whether the principal may perform a management action at scope.
func (x *Index) Allowed(p deskyard.Principal, action string, scope arm.ResourceID) bool {
	return x.allowed(p, action, scope, false)
}

// AllowedData reports whether the principal may perform a data action at scope.
func (x *Index) AllowedData(p deskyard.Principal, action string, scope arm.ResourceID) bool {
	return x.allowed(p, action, scope, true)
}

func (x *Index) allowed(p deskyard.Principal, action string, scope arm.ResourceID, data bool) bool {
	action = strings.ToLower(action)
	found := false
	x.reaching(p, scope, func(r *role) bool {
		found = r.allows(action, data)
		return !found
	})
	return found
}

// Permissions are the sets of actions that the principal has at scope, of all its
// roles there and above, each role once.
func (x *Index) Permissions(p deskyard.Principal, scope arm.ResourceID) []Permission {
	permissions := []Permission{}
	seen := make(map[*role]bool)
	x.reaching(p, scope, func(r *role) bool {
		if !seen[r] {
			seen[r] = true
			permissions = append(permissions, r.Permissions...)
		}
		return true
	})
	return permissions
}

// HasAny reports whether the principal has any role at, above or below scope: such
// a caller sees the subscription in the list of subscriptions.
func (x *Index) HasAny(p deskyard.Principal, scope arm.ResourceID) bool {
	below := strings.TrimSuffix(scope.Key(), "/") + "/"
	for _, id := range p.IDs() {
		g := x.byPrincipal[strings.ToLower(id)]
		if g == nil {
			continue
		}
		for _, key := range scopeKeys(scope) {
			if len(g[key]) > 0 {
				return true
			}
		}
		for key := range g {
			if strings.HasPrefix(key, below) {
				return true
			}
		}
	}
	return false
}

// reaching calls f with each role that the principal has at scope or above, until
// f returns false.
func (x *Index) reaching(p deskyard.Principal, scope arm.ResourceID, f func(*role) bool) {
	var keys []string
	visit := func(id string) bool {
		g := x.byPrincipal[strings.ToLower(id)]
		if g == nil {
			return true
		}
		if keys == nil {
			keys = scopeKeys(scope)
		}
		for _, key := range keys {
			for _, r := range g[key] {
				if r != nil && !f(r) {
					return false
				}
			}
		}
		return true
	}
	if !visit(p.ObjectID) {
		return
	}
	for _, group := range p.Groups {
		if !visit(group) {
			return
		}
	}
}

// Role is the definition with that GUID.
func (x *Index) Role(guid string) (RoleDefinition, bool) {
	r, ok := x.roles[strings.ToLower(guid)]
	if !ok {
		return RoleDefinition{}, false
	}
	return r.RoleDefinition, true
}

// Roles are all role definitions, by name.
func (x *Index) Roles() []RoleDefinition {
	all := make([]RoleDefinition, 0, len(x.roles))
	for _, r := range x.roles {
		all = append(all, r.RoleDefinition)
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Name != all[j].Name {
			return all[i].Name < all[j].Name
		}
		return all[i].GUID < all[j].GUID
	})
	return all
}

// Assignments are all role assignments, by id. The caller must not change them.
func (x *Index) Assignments() []Assignment { return x.assignments }

// Assignment is the role assignment with that id.
func (x *Index) Assignment(id arm.ResourceID) (Assignment, bool) {
	i, ok := slices.BinarySearch(x.keys, id.Key())
	if !ok {
		return Assignment{}, false
	}
	return x.assignments[i], true
}

// Carries reports whether any role assignment stands at scope or below it.
func (x *Index) Carries(scope arm.ResourceID) bool {
	below := strings.TrimSuffix(scope.Key(), "/") + "/"
	i, _ := slices.BinarySearch(x.keys, below)
	return i < len(x.keys) && strings.HasPrefix(x.keys[i], below)
}

// Denied is ARM's answer to a caller without the right, in ARM's own words: it
// names the missing action and the scope.
func Denied(p deskyard.Principal, action string, scope arm.ResourceID) *arm.Error {
	return arm.Errorf(arm.Forbidden, "AuthorizationFailed",
		"The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' or the scope is invalid. If access was recently granted, please refresh your credentials.",
		p.Name, p.ObjectID, action, scope)
}

// scopeKeys are the keys of id.Scopes(), cut from one string: parents are prefixes.
func scopeKeys(id arm.ResourceID) []string {
	key := id.Key()
	if id.IsZero() {
		return []string{"/"}
	}
	keys := make([]string, 0, len(id.Segments)+3)
	for i := len(id.Segments) - 1; i >= 0; i-- {
		keys = append(keys, key)
		s := id.Segments[i]
		n := 1 + lowerLen(s.Collection)
		if s.Name != "" {
			n += 1 + lowerLen(s.Name)
		}
		if s.Namespace != "" {
			n += len("/providers/") + lowerLen(s.Namespace)
		}
		key = key[:len(key)-n]
	}
	if id.ResourceGroup != "" {
		keys = append(keys, key)
		key = key[:len(key)-len("/resourcegroups/")-lowerLen(id.ResourceGroup)]
	}
	if id.Subscription != "" {
		keys = append(keys, key)
	}
	return append(keys, "/")
}

// lowerLen is the length of s in a key: lower case may take more or fewer bytes.
func lowerLen(s string) int { return len(strings.ToLower(s)) }
