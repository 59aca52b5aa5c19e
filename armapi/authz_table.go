package armapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/rbac"
)

// Principals is the directory, as far as role assignments need it.
type Principals interface {
	// Exists says what kind of object an id names: User, Group or ServicePrincipal;
	// ok is false when it names none.
	Exists(ctx context.Context, objectID string) (kind string, ok bool, err error)
	// GroupsOf gives the ids of all groups that an object is in, directly or through
	// other groups.
	GroupsOf(ctx context.Context, objectID string) ([]string, error)
}

// authorization answers for Microsoft.Authorization: role definitions and role
// assignments at any scope, and what follows from them.
type authorization struct {
	roles         *rbac.Authorizer
	principals    Principals
	subscriptions []Subscription
	tenant        string
	now           func() time.Time
	types         func() []ResourceType // the table, for the list of operations
}

const authorizationNamespace = "Microsoft.Authorization"

// Versions that Azure's clients send: az 2018-01-01-preview and 2020-04-01-preview,
// the SDKs 2022-04-01, Terraform 2022-05-01-preview, older PowerShell 2015-07-01.
// The answers do not differ between them.
var (
	assignmentVersions = []string{
		"2014-10-01-preview", "2015-06-01", "2015-07-01", "2016-07-01", "2017-10-01-preview", "2018-01-01-preview",
		"2018-07-01", "2018-09-01-preview", "2018-12-01-preview", "2019-04-01-preview", "2020-03-01-preview",
		"2020-04-01-preview", "2020-08-01-preview", "2020-10-01-preview", "2021-04-01-preview", "2022-04-01",
	}
	definitionVersions = []string{
		"2014-10-01-preview", "2015-06-01", "2015-07-01", "2016-07-01", "2017-10-01-preview", "2018-01-01-preview",
		"2018-07-01", "2018-09-01-preview", "2020-04-01-preview", "2020-10-01-preview", "2022-04-01", "2022-05-01-preview",
	}
	permissionVersions = []string{"2015-06-01", "2015-07-01", "2016-07-01", "2018-01-01-preview", "2018-07-01", "2022-04-01", "2022-05-01-preview"}
	denyVersions       = []string{"2018-07-01-preview", "2022-04-01"}
	classicVersions    = []string{"2014-10-01-preview", "2015-05-01-preview", "2015-06-01", "2015-07-01"}
)

// authorizationTypes are the rows of Microsoft.Authorization; none when the service
// has no roles to manage (access is decided by something else than package rbac).
func (s *Server) authorizationTypes() []ResourceType {
	if s.opt.Roles == nil {
		return nil
	}
	z := &authorization{
		roles: s.opt.Roles, principals: s.opt.Principals, subscriptions: s.opt.Subscriptions,
		tenant: s.opt.Tenant.ID, now: s.now,
	}
	row := func(path string, versions []string, actions ...Action) ResourceType {
		return ResourceType{Namespace: authorizationNamespace, Path: path, Versions: versions, Level: Extension, Actions: actions}
	}
	return []ResourceType{
		row("roleAssignments", assignmentVersions,
			Action{Method: http.MethodPut, Permission: "Microsoft.Authorization/roleAssignments/write", Handle: z.putAssignment},
			Action{Method: http.MethodGet, Permission: "Microsoft.Authorization/roleAssignments/read", Handle: z.getAssignment},
			Action{Method: http.MethodDelete, Permission: "Microsoft.Authorization/roleAssignments/delete", Handle: z.deleteAssignment},
			Action{Method: http.MethodGet, Collection: true, Permission: "Microsoft.Authorization/roleAssignments/read", Handle: z.listAssignments},
		),
		row("roleDefinitions", definitionVersions,
			Action{Method: http.MethodPut, Permission: definitionWrite, Handle: z.putDefinition},
			// Built-in roles are the same for everyone and hold no secret: as in Azure, who
			// can sign in can read them (Terraform asks at scopes it has no role at).
			Action{Method: http.MethodGet, Handle: z.getDefinition},
			Action{Method: http.MethodDelete, Permission: "Microsoft.Authorization/roleDefinitions/delete", Handle: z.deleteDefinition},
			Action{Method: http.MethodGet, Collection: true, Handle: z.listDefinitions},
		),
		// What one may do oneself is no secret to oneself.
		row("permissions", permissionVersions, Action{Method: http.MethodGet, Collection: true, Handle: z.listPermissions}),
		row("denyAssignments", denyVersions,
			Action{Method: http.MethodGet, Collection: true, Permission: "Microsoft.Authorization/denyAssignments/read", Handle: listNothing},
			Action{Method: http.MethodGet, Permission: "Microsoft.Authorization/denyAssignments/read", Handle: noDenyAssignment},
		),
		// Azure retired classic administrators in 2024; az still asks for them with
		// --include-classic-administrators.
		row("classicAdministrators", classicVersions,
			Action{Method: http.MethodGet, Collection: true, Permission: "Microsoft.Authorization/classicAdministrators/read", Handle: listNothing}),
	}
}

// authorizationDoors are the paths of Microsoft.Authorization that name no resource.
func (s *Server) authorizationDoors() []Door {
	if s.opt.Roles == nil {
		return nil
	}
	z := &authorization{types: s.types}
	return []Door{
		{Method: http.MethodGet, Path: "/providers/Microsoft.Authorization/providerOperations", Handle: z.listProviderOperations},
		{Method: http.MethodGet, Path: "/providers/Microsoft.Authorization/providerOperations/{namespace}", Handle: z.getProviderOperations},
	}
}

// listNothing answers a list that is always empty here.
func listNothing(context.Context, *Request) (Response, error) {
	return Response{Body: wholeList[any]{Value: []any{}}}, nil
}

func noDenyAssignment(_ context.Context, req *Request) (Response, error) {
	return Response{}, arm.Errorf(arm.Missing, "DenyAssignmentNotFound", "The deny assignment '%s' is not found.", req.ID.Name())
}

// wholeList is a list that always fits one page.
type wholeList[T any] struct {
	Value []T `json:"value"`
}

func (z *authorization) listPermissions(ctx context.Context, req *Request) (Response, error) {
	permissions, err := z.roles.Permissions(ctx, req.Principal, req.ID)
	if err != nil {
		return Response{}, err
	}
	return Response{Body: wholeList[rbac.Permission]{permissions}}, nil
}

// isGUID takes the one spelling of a GUID that ids have: 36 characters with hyphens.
func isGUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

// stamped fills in who wrote a row and when.
func stamped(old arm.SystemData, p deskyard.Principal, now time.Time) arm.SystemData {
	d := old
	if d.CreatedAt.IsZero() {
		d.CreatedBy, d.CreatedByType, d.CreatedAt = p.Name, p.Kind, now
	}
	d.LastModifiedBy, d.LastModifiedByType, d.LastModifiedAt = p.Name, p.Kind, now
	return d
}
