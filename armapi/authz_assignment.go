package armapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/rbac"
)

// assignmentBody is what a client sends to create a role assignment.
type assignmentBody struct {
	Properties struct {
		RoleDefinitionID string  `json:"roleDefinitionId"`
		PrincipalID      string  `json:"principalId"`
		PrincipalType    string  `json:"principalType"`
		Description      *string `json:"description"`
		Condition        *string `json:"condition"`
	} `json:"properties"`
}

// wireAssignment is a role assignment as it is answered.
type wireAssignment struct {
	Properties wireAssignmentProperties `json:"properties"`
	ID         string                   `json:"id"`
	Type       string                   `json:"type"`
	Name       string                   `json:"name"`
}

type wireAssignmentProperties struct {
	RoleDefinitionID string   `json:"roleDefinitionId"`
	PrincipalID      string   `json:"principalId"`
	PrincipalType    string   `json:"principalType"`
	Scope            string   `json:"scope"`
	Condition        *string  `json:"condition"`
	ConditionVersion *string  `json:"conditionVersion"`
	CreatedOn        arm.Time `json:"createdOn"`
	UpdatedOn        arm.Time `json:"updatedOn"`
	CreatedBy        *string  `json:"createdBy"`
	UpdatedBy        *string  `json:"updatedBy"`
	DelegatedID      *string  `json:"delegatedManagedIdentityResourceId"`
	Description      *string  `json:"description"`
}

func renderAssignment(a rbac.Assignment) wireAssignment {
	return wireAssignment{
		ID: a.ID().String(), Type: rbac.AssignmentType, Name: a.Name,
		Properties: wireAssignmentProperties{
			RoleDefinitionID: rbac.DefinitionID(a.Scope, a.RoleGUID).String(),
			PrincipalID:      a.PrincipalID, PrincipalType: a.PrincipalType, Scope: a.Scope.String(),
			CreatedOn: arm.Time{Time: a.CreatedOn}, UpdatedOn: arm.Time{Time: a.UpdatedOn},
			CreatedBy: orNull(a.CreatedBy), UpdatedBy: orNull(a.UpdatedBy), Description: orNull(a.Description),
		},
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (z *authorization) putAssignment(ctx context.Context, req *Request) (Response, error) {
	a, err := z.readAssignment(ctx, req)
	if err != nil {
		return Response{}, err
	}
	req.Detail = fmt.Sprintf("role %s to %s %s", a.RoleGUID, a.PrincipalType, a.PrincipalID)
	now := z.now().UTC()
	status := http.StatusCreated
	var step rbac.Step
	err = req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		a, status, err = storeAssignment(ctx, tx, a, req.Principal, now)
		if err != nil {
			return err
		}
		step, err = rbac.Advance(ctx, tx)
		return err
	})
	if err != nil {
		return Response{}, err
	}
	z.roles.Put(step, a)
	return Response{Status: status, Body: renderAssignment(a)}, nil
}

// readAssignment checks what can be checked without the transaction.
func (z *authorization) readAssignment(ctx context.Context, req *Request) (rbac.Assignment, error) {
	var body assignmentBody
	if err := req.Decode(&body); err != nil {
		return rbac.Assignment{}, err
	}
	p := body.Properties
	a := rbac.Assignment{Name: req.ID.Name(), Scope: req.ID.Parent(), PrincipalID: strings.ToLower(p.PrincipalID), PrincipalType: p.PrincipalType}
	if p.Description != nil {
		a.Description = *p.Description
	}
	switch {
	case !isGUID(a.Name):
		return a, arm.Errorf(arm.Invalid, "InvalidRoleAssignmentId", "The role assignment ID '%s' is not valid. The role assignment ID must be a GUID.", clip(a.Name))
	case p.RoleDefinitionID == "" || p.PrincipalID == "":
		return a, arm.Errorf(arm.Invalid, "BadRequestFormat", "The request was incorrectly formatted: properties.roleDefinitionId and properties.principalId are required.")
	case !isGUID(a.PrincipalID):
		return a, arm.Errorf(arm.Invalid, "InvalidPrincipalId", "A valid principal ID must be provided for role assignment.").WithTarget("properties.principalId")
	case len(a.Description) > 1024:
		return a, arm.Errorf(arm.Invalid, "RoleAssignmentDescriptionTooLong", "The description is longer than 1024 characters.").WithTarget("properties.description")
	case p.Condition != nil && *p.Condition != "":
		// A condition narrows a role; to store it and not apply it would widen it.
		return a, arm.Errorf(arm.Invalid, "RoleAssignmentConditionNotSupported", "Conditions on role assignments are not supported. Leave properties.condition out, or assign a narrower role.").WithTarget("properties.condition")
	}
	x, err := z.roles.Index(ctx)
	if err != nil {
		return a, err
	}
	role, ok := x.Role(lastPart(p.RoleDefinitionID))
	if !ok {
		return a, arm.Errorf(arm.Invalid, "RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.", clip(lastPart(p.RoleDefinitionID)))
	}
	if !role.AssignableAt(a.Scope) {
		return a, arm.Errorf(arm.Invalid, "RoleAssignmentScopeNotAssignableToRoleDefinition",
			"The role assignment scope '%s' is not assignable to role definition '%s'.", a.Scope, role.Name)
	}
	a.RoleGUID = role.GUID
	return a, z.checkPrincipal(ctx, &a)
}

// checkPrincipal looks the principal up and fills in its kind. As in Azure, a
// client that says ServicePrincipal is believed when the directory does not know
// the id yet; without such an object nobody can use the assignment.
func (z *authorization) checkPrincipal(ctx context.Context, a *rbac.Assignment) error {
	kind, ok, err := z.principals.Exists(ctx, a.PrincipalID)
	switch {
	case err != nil:
		return fmt.Errorf("look up principal %s: %w", a.PrincipalID, err)
	case !ok && strings.EqualFold(a.PrincipalType, "ServicePrincipal"):
		a.PrincipalType = "ServicePrincipal"
		return nil
	case !ok:
		return arm.Errorf(arm.Invalid, "PrincipalNotFound",
			"Principal %s does not exist in the directory %s. Check that you have the correct principal ID.", a.PrincipalID, z.tenant)
	case a.PrincipalType != "" && !strings.EqualFold(a.PrincipalType, kind):
		return arm.Errorf(arm.Invalid, "UnmatchedPrincipalType",
			"The PrincipalId '%s' has type '%s', which is different from specified PrincipalType '%s'.", a.PrincipalID, kind, clip(a.PrincipalType))
	}
	a.PrincipalType = kind
	return nil
}

// storeAssignment writes a, unless the same grant exists under another name, or
// another grant under this one.
func storeAssignment(ctx context.Context, tx deskyard.Tx, a rbac.Assignment, p deskyard.Principal, now time.Time) (rbac.Assignment, int, error) {
	if err := scopeExists(ctx, tx, a.Scope); err != nil {
		return a, 0, err
	}
	if err := roleExists(ctx, tx, a); err != nil {
		return a, 0, err
	}
	same, err := tx.Referrers(ctx, rbac.RelationGrant, a.GrantID())
	if err != nil {
		return a, 0, fmt.Errorf("look for the same role assignment: %w", err)
	}
	for _, id := range same[a.GrantID().Key()] {
		if !id.Equal(a.ID()) {
			return a, 0, arm.Errorf(arm.Conflicting, "RoleAssignmentExists", "The role assignment already exists. The ID of the existing role assignment is '%s'.", id.Name())
		}
	}
	status, old := http.StatusCreated, deskyard.Resource{}
	a.CreatedBy, a.CreatedOn, a.UpdatedBy, a.UpdatedOn = p.ObjectID, now, p.ObjectID, now
	switch stored, err := tx.Resource(ctx, a.ID()); {
	case err == nil:
		was, err := rbac.ParseAssignment(stored)
		if err != nil {
			return a, 0, err
		}
		if !was.SameGrant(a) {
			return a, 0, arm.Errorf(arm.Conflicting, "RoleAssignmentUpdateNotPermitted", "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.")
		}
		status, old = http.StatusOK, stored
		a.CreatedBy, a.CreatedOn = was.CreatedBy, was.CreatedOn
	case !arm.IsMissing(err):
		return a, 0, err
	}
	row, err := a.Row()
	if err != nil {
		return a, 0, err
	}
	row.Version, row.Envelope.SystemData = old.Version, stamped(old.Envelope.SystemData, p, now)
	if _, err := tx.PutResource(ctx, row); err != nil {
		return a, 0, err
	}
	return a, status, nil
}

// scopeExists refuses an assignment on something that is not there: it would come
// to life with whatever is created later under that name. Subscriptions were
// checked by the router and need no row.
func scopeExists(ctx context.Context, tx deskyard.Reader, scope arm.ResourceID) error {
	if len(scope.Segments) == 0 && scope.ResourceGroup == "" {
		return nil
	}
	_, err := tx.Resource(ctx, scope)
	if arm.IsMissing(err) && strings.EqualFold(scope.Type(), "Microsoft.DesktopVirtualization/hostPools/sessionHosts") {
		_, err = tx.SessionHost(ctx, scope)
	}
	if arm.IsMissing(err) && scope.ResourceGroup != "" && len(scope.Segments) > 0 {
		if _, groupErr := tx.Resource(ctx, scope.Group()); arm.IsMissing(groupErr) {
			return arm.NotFound(scope.Group())
		}
	}
	return err
}

// roleExists makes sure, within the transaction, that a custom role is still there.
func roleExists(ctx context.Context, tx deskyard.Reader, a rbac.Assignment) error {
	if slices.ContainsFunc(rbac.BuiltIn(), func(d rbac.RoleDefinition) bool { return d.GUID == a.RoleGUID }) {
		return nil
	}
	_, err := customRole(ctx, tx, a.RoleGUID)
	if arm.IsMissing(err) {
		return arm.Errorf(arm.Invalid, "RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.", a.RoleGUID)
	}
	return err
}

func (z *authorization) getAssignment(ctx context.Context, req *Request) (Response, error) {
	x, err := z.roles.Index(ctx)
	if err != nil {
		return Response{}, err
	}
	a, ok := x.Assignment(req.ID)
	if !ok {
		return Response{}, arm.Errorf(arm.Missing, "RoleAssignmentNotFound", "The role assignment '%s' is not found.", clip(req.ID.Name()))
	}
	return Response{Body: renderAssignment(a)}, nil
}

func (z *authorization) deleteAssignment(ctx context.Context, req *Request) (Response, error) {
	live, err := z.liveOwners(ctx)
	if err != nil {
		return Response{}, err
	}
	var gone *rbac.Assignment
	var step rbac.Step
	err = req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		gone = nil
		row, err := tx.Resource(ctx, req.ID)
		if arm.IsMissing(err) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := rbac.ParseAssignment(row)
		if err != nil {
			return err
		}
		if err := z.keepAnOwner(ctx, tx, a, live); err != nil {
			return err
		}
		if err := tx.DeleteResource(ctx, req.ID); err != nil {
			return err
		}
		req.Detail = fmt.Sprintf("role %s from %s %s", a.RoleGUID, a.PrincipalType, a.PrincipalID)
		gone = &a
		step, err = rbac.Advance(ctx, tx)
		return err
	})
	if err != nil {
		return Response{}, err
	}
	if gone == nil {
		return Response{Status: http.StatusNoContent}, nil
	}
	z.roles.Drop(step, *gone)
	return Response{Body: renderAssignment(*gone)}, nil
}

// liveOwners are the ids of Owner assignments whose principal exists: one that was
// deleted from the directory can no longer look after a subscription.
func (z *authorization) liveOwners(ctx context.Context) (map[string]bool, error) {
	x, err := z.roles.Index(ctx)
	if err != nil {
		return nil, err
	}
	live := map[string]bool{}
	for _, a := range x.Assignments() {
		if a.RoleGUID != rbac.Owner || len(a.Scope.Segments) > 0 || a.Scope.ResourceGroup != "" {
			continue
		}
		_, ok, err := z.principals.Exists(ctx, a.PrincipalID)
		if err != nil {
			return nil, fmt.Errorf("look up principal %s: %w", a.PrincipalID, err)
		}
		live[a.ID().Key()] = ok
	}
	return live, nil
}

// keepAnOwner refuses to remove the last Owner of a subscription: nobody could
// give anybody access to it again.
func (z *authorization) keepAnOwner(ctx context.Context, tx deskyard.Tx, a rbac.Assignment, live map[string]bool) error {
	if a.RoleGUID != rbac.Owner || len(a.Scope.Segments) > 0 || a.Scope.ResourceGroup != "" {
		return nil
	}
	if alive, known := live[a.ID().Key()]; known && !alive {
		return nil // its principal is gone: it looks after nothing
	}
	role := rbac.DefinitionID(arm.ResourceID{}, rbac.Owner)
	found, err := tx.Referrers(ctx, rbac.RelationRole, role)
	if err != nil {
		return fmt.Errorf("count the owners: %w", err)
	}
	for _, s := range z.subscriptions {
		scope := arm.ResourceID{Subscription: s.ID}
		if !rbac.Within(scope, a.Scope) {
			continue
		}
		others := slices.ContainsFunc(found[role.Key()], func(id arm.ResourceID) bool {
			return !id.Equal(a.ID()) && live[id.Key()] && rbac.Within(scope, id.Parent())
		})
		if !others {
			return arm.Errorf(arm.Precondition, "CannotDeleteLastRbacAdminAssignment",
				"Cannot delete the last RBAC admin assignment: subscription '%s' would have no Owner.", s.ID)
		}
	}
	return nil
}

func (z *authorization) listAssignments(ctx context.Context, req *Request) (Response, error) {
	terms, err := parseFilter(req.Query("$filter"))
	if err != nil {
		return Response{}, err
	}
	keep, err := z.assignmentFilter(ctx, req, terms)
	if err != nil {
		return Response{}, err
	}
	x, err := z.roles.Index(ctx)
	if err != nil {
		return Response{}, err
	}
	list := wholeList[wireAssignment]{Value: []wireAssignment{}}
	for _, a := range x.Assignments() {
		if keep(a) {
			list.Value = append(list.Value, renderAssignment(a))
		}
	}
	return Response{Body: list}, nil
}

// assignmentFilter selects what a list at req.ID shows: assignments at the scope,
// above it (they are inherited) and below it; atScope() leaves out those below.
func (z *authorization) assignmentFilter(ctx context.Context, req *Request, terms []filterTerm) (func(rbac.Assignment) bool, error) {
	below := true
	var principals []string
	for _, t := range terms {
		switch {
		case t.call && t.name == "atscope" && t.value == "":
			below = false
		case t.call && t.name == "atscopeandbelow" && t.value == "":
		case !t.call && t.name == "principalid", t.call && t.name == "assignedto":
			ids := []string{t.value}
			if t.call {
				groups, err := z.principals.GroupsOf(ctx, t.value)
				if err != nil {
					return nil, fmt.Errorf("look up the groups of %s: %w", clip(t.value), err)
				}
				ids = append(ids, groups...)
			}
			if principals != nil {
				return nil, badFilter(req.Query("$filter"))
			}
			principals = ids
		default:
			return nil, badFilter(req.Query("$filter"))
		}
	}
	return func(a rbac.Assignment) bool {
		if !rbac.Within(req.ID, a.Scope) && !(below && rbac.Within(a.Scope, req.ID)) {
			return false
		}
		return principals == nil || containsFold(principals, a.PrincipalID)
	}, nil
}

// lastPart is what stands behind the last slash.
func lastPart(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// removingAssignments tells other nodes, with the transaction that removes a
// resource, that its role assignments go with it.
func (s *Server) removingAssignments(ctx context.Context, tx deskyard.Tx, id arm.ResourceID) error {
	if s.opt.Roles == nil {
		return nil
	}
	return s.opt.Roles.Removing(ctx, tx, id)
}

// assignmentsRemoved makes the authorizer forget the assignments of a removed
// resource: they must not reach a new one of the same name.
func (s *Server) assignmentsRemoved(id arm.ResourceID) {
	if s.opt.Roles != nil {
		s.opt.Roles.Removed(id)
	}
}
