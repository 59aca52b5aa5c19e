package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"
)

const authorizationProvider = "/providers/Microsoft.Authorization/"

var (
	assignments       = kind{version: authorizationVersion}
	assignmentColumns = cols("Principal=principalName || principalId", "Role=roleDefinitionName || roleDefinitionId", "Scope")
	definitionColumns = cols("Name=roleName", "Type=roleType", "Id=name")
)

type roleCommands struct {
	Assignment assignmentCommands `cmd:"" help:"Who has which role where."`
	Definition definitionCommands `cmd:"" help:"Roles, built in and custom."`
}

type assignmentCommands struct {
	Create assignmentCreate `cmd:"" help:"Give somebody a role."`
	List   assignmentList   `cmd:"" help:"List role assignments."`
	Delete assignmentDelete `cmd:"" help:"Take a role from somebody."`
}

type definitionCommands struct {
	List   definitionList   `cmd:"" help:"List roles."`
	Show   definitionShow   `cmd:"" help:"Show a role with its actions."`
	Create definitionCreate `cmd:"" help:"Create a custom role."`
	Delete definitionDelete `cmd:"" help:"Delete a custom role."`
}

// scoped are the arguments that say where a role holds.
type scoped struct {
	Scope         string `placeholder:"ID" help:"Where the role holds: / or the id of a subscription, group or resource. Default: the group, or the subscription." group:"Resource"`
	ResourceGroup string `short:"g" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group that the role holds in." group:"Resource"`
}

func (c *scoped) path(ctx context.Context, s *session) (string, error) {
	switch {
	case c.Scope != "":
		if !strings.HasPrefix(c.Scope, "/") {
			return "", usagef("--scope %s is not a resource id", c.Scope)
		}
		return strings.TrimRight(c.Scope, "/"), nil
	case c.ResourceGroup != "":
		return s.group(ctx, c.ResourceGroup)
	}
	sub, err := s.subscriptionID(ctx)
	return "/subscriptions/" + sub, err
}

// roleID finds a role by name or GUID and gives its id at scope.
func (s *session) roleID(ctx context.Context, scope, role string) (string, error) {
	if strings.HasPrefix(role, "/") {
		return role, nil
	}
	if isGUID(role) {
		return scope + authorizationProvider + "roleDefinitions/" + role, nil
	}
	found, err := s.list(ctx, request{method: http.MethodGet, path: scope + authorizationProvider + "roleDefinitions", version: authorizationVersion,
		query: url.Values{"$filter": {"roleName eq " + odata(role)}}}, 0)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", advise(usagef("there is no role %q at %s/", role, scope), "deskyard role definition list shows the roles.")
	}
	id, _ := getPath(found[0], []string{"id"})
	return fmt.Sprint(id), nil
}

// assign gives a role.
func (s *session) assign(ctx context.Context, scope, role, principal, kind, description string) (response, error) {
	roleID, err := s.roleID(ctx, scope, role)
	if err != nil {
		return response{}, err
	}
	props := map[string]any{"roleDefinitionId": roleID, "principalId": principal}
	if kind != "" {
		props["principalType"] = kind
	}
	if description != "" {
		props["description"] = description
	}
	return s.put(ctx, scope+authorizationProvider+"roleAssignments/"+uuid.NewString(), assignments, map[string]any{"properties": props})
}

type assignmentCreate struct {
	options
	scoped
	Role         string `required:"" placeholder:"ROLE" help:"Role: name or id." group:"Properties"`
	Assignee     string `placeholder:"WHO" help:"User principal name, object id, application id, or name of a group or application." group:"Properties"`
	AssigneeID   string `name:"assignee-object-id" placeholder:"ID" help:"Object id, which is not looked up." group:"Properties"`
	AssigneeType choice `name:"assignee-principal-type" choices:"User,Group,ServicePrincipal" placeholder:"TYPE" help:"Kind of the object: User, Group or ServicePrincipal." group:"Properties"`
	Description  string `placeholder:"TEXT" help:"Why." group:"Properties"`
}

// Run gives the role.
func (c *assignmentCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		scope, err := c.path(ctx, s)
		if err != nil {
			return err
		}
		id, kind := c.AssigneeID, string(c.AssigneeType)
		if id == "" {
			if c.Assignee == "" {
				return usagef("give --assignee or --assignee-object-id")
			}
			var found string
			if id, found, err = s.principalID(ctx, c.Assignee); err != nil {
				return err
			}
			if kind == "" {
				kind = found
			}
		}
		resp, err := s.assign(ctx, scope, c.Role, id, kind, c.Description)
		if err != nil {
			return err
		}
		return s.printAssignments(ctx, resp.body)
	})
}

// printAssignments shows assignments with the names of roles and principals, as az
// does; where the directory may not be read, ids stand alone.
func (s *session) printAssignments(ctx context.Context, v any) error {
	flat := flatten(v)
	list, isList := flat.([]any)
	if !isList {
		list = []any{flat}
	}
	roles := map[string]string{}
	if len(list) > 0 {
		sub, err := s.subscriptionID(ctx)
		if err != nil {
			return err
		}
		found, err := s.list(ctx, request{method: http.MethodGet, path: "/subscriptions/" + sub + authorizationProvider + "roleDefinitions", version: authorizationVersion}, 0)
		if err != nil {
			return err
		}
		for _, r := range found {
			guid, _ := getPath(r, []string{"name"})
			name, _ := getPath(r, []string{"properties", "roleName"})
			roles[fmt.Sprint(guid)] = fmt.Sprint(name)
		}
	}
	people := s.principalNames(ctx, list)
	for _, e := range list {
		a, ok := e.(map[string]any)
		if !ok {
			continue
		}
		role := fmt.Sprint(a["roleDefinitionId"])
		if name := roles[role[strings.LastIndexByte(role, '/')+1:]]; name != "" {
			a["roleDefinitionName"] = name
		}
		if name := people[fmt.Sprint(a["principalId"])]; name != "" {
			a["principalName"] = name
		}
	}
	return s.out.print(flat, assignmentColumns)
}

// principalNames looks up who the assignments are for. Not everybody may.
func (s *session) principalNames(ctx context.Context, list []any) map[string]string {
	wanted := map[string]bool{}
	for _, e := range list {
		if id, ok := getPath(e, []string{"principalId"}); ok {
			wanted[fmt.Sprint(id)] = true
		}
	}
	names := map[string]string{}
	if len(wanted) == 0 {
		return names
	}
	var ids []string
	for id := range maps.Keys(wanted) {
		if len(ids) < 1000 { // Graph's bound on one request
			ids = append(ids, id)
		}
	}
	resp, err := s.directory(ctx, http.MethodPost, "directoryObjects/getByIds", map[string]any{"ids": ids})
	if err != nil {
		if s.options.Verbose || s.options.Debug {
			fmt.Fprintln(s.stderr, "names are not shown:", err)
		}
		return names
	}
	found, _ := getPath(resp.body, []string{"value"})
	objects, _ := found.([]any)
	for _, o := range objects {
		id, _ := getPath(o, []string{"id"})
		for _, member := range []string{"userPrincipalName", "appId", "displayName"} {
			if name, ok := getPath(o, []string{member}); ok && name != nil {
				names[fmt.Sprint(id)] = fmt.Sprint(name)
				break
			}
		}
	}
	return names
}

// selection are the arguments that pick assignments out of a list.
type selection struct {
	scoped
	Assignee string `placeholder:"WHO" help:"Only those of this principal." group:"Resource"`
	Role     string `placeholder:"ROLE" help:"Only those of this role: name or id." group:"Resource"`
	All      bool   `help:"Also those below the scope." group:"Resource"`
	Groups   bool   `name:"include-groups" help:"Also those of the principal's groups." group:"Resource"`
}

// find lists the assignments that are selected.
func (c *selection) find(ctx context.Context, s *session, inherited bool) ([]any, error) {
	scope, err := c.path(ctx, s)
	if err != nil {
		return nil, err
	}
	var terms []string
	if !c.All {
		terms = append(terms, "atScope()")
	}
	if c.Assignee != "" {
		id, _, err := s.principalID(ctx, c.Assignee)
		if err != nil {
			return nil, err
		}
		if c.Groups {
			terms = append(terms, "assignedTo("+odata(id)+")")
		} else {
			terms = append(terms, "principalId eq "+odata(id))
		}
	}
	r := request{method: http.MethodGet, path: scope + authorizationProvider + "roleAssignments", version: authorizationVersion}
	if len(terms) > 0 {
		r.query = url.Values{"$filter": {strings.Join(terms, " and ")}}
	}
	found, err := s.list(ctx, r, 0)
	if err != nil {
		return nil, err
	}
	role := ""
	if c.Role != "" {
		if role, err = s.roleID(ctx, scope, c.Role); err != nil {
			return nil, err
		}
		role = role[strings.LastIndexByte(role, '/')+1:]
	}
	kept := []any{}
	for _, a := range found {
		id, _ := getPath(a, []string{"properties", "roleDefinitionId"})
		at, _ := getPath(a, []string{"properties", "scope"})
		if role != "" && !strings.HasSuffix(strings.ToLower(fmt.Sprint(id)), strings.ToLower(role)) {
			continue
		}
		if !inherited && !strings.EqualFold(strings.TrimRight(fmt.Sprint(at), "/"), scope) && !c.All {
			continue
		}
		kept = append(kept, a)
	}
	return kept, nil
}

type assignmentList struct {
	options
	selection
	Inherited bool `name:"include-inherited" help:"Also those given above the scope." group:"Resource"`
}

// Run lists assignments.
func (c *assignmentList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		found, err := c.find(ctx, s, c.Inherited || c.All)
		if err != nil {
			return err
		}
		return s.printAssignments(ctx, found)
	})
}

type assignmentDelete struct {
	options
	selection
	IDs words `name:"ids" placeholder:"ID" help:"Ids of assignments." group:"Resource"`
	Yes bool  `short:"y" help:"Do not ask." group:"Resource"`
}

// Run takes the role away.
func (c *assignmentDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		ids := []string(c.IDs)
		if len(ids) == 0 {
			if c.Assignee == "" && c.Role == "" {
				return usagef("give --ids, or --assignee and --role")
			}
			found, err := c.find(ctx, s, false)
			if err != nil {
				return err
			}
			for _, a := range found {
				id, _ := getPath(a, []string{"id"})
				ids = append(ids, fmt.Sprint(id))
			}
		}
		if len(ids) == 0 {
			return &apiError{Status: http.StatusNotFound, Code: "RoleAssignmentNotFound", Action: "GET roleAssignments",
				Message: "No role assignment fits. deskyard role assignment list --all shows those there are."}
		}
		if err := s.confirm(c.Yes || len(ids) == 1, fmt.Sprintf("Delete %d role assignments?", len(ids))); err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := s.remove(ctx, id, assignments, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

type definitionList struct {
	options
	scoped
	Name       string `short:"n" placeholder:"NAME" help:"Only the role of that name." group:"Resource"`
	CustomOnly bool   `name:"custom-role-only" help:"Only custom roles." group:"Resource"`
}

// Run lists roles.
func (c *definitionList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		scope, err := c.path(ctx, s)
		if err != nil {
			return err
		}
		var terms []string
		if c.Name != "" {
			terms = append(terms, "roleName eq "+odata(c.Name))
		}
		if c.CustomOnly {
			terms = append(terms, "type eq 'CustomRole'")
		}
		r := request{method: http.MethodGet, path: scope + authorizationProvider + "roleDefinitions", version: authorizationVersion}
		if len(terms) > 0 {
			r.query = url.Values{"$filter": {strings.Join(terms, " and ")}}
		}
		found, err := s.list(ctx, r, 0)
		if err != nil {
			return err
		}
		return s.out.print(flattenRoles(found), definitionColumns)
	})
}

// flattenRoles shows roles as az does: properties.type becomes roleType.
func flattenRoles(found []any) []any {
	flat := make([]any, len(found))
	for i, d := range found {
		object, ok := flatten(d).(map[string]any)
		if !ok {
			flat[i] = d
			continue
		}
		object["roleType"], _ = getPath(d, []string{"properties", "type"})
		flat[i] = object
	}
	return flat
}

type roleName struct {
	scoped
	Name string `short:"n" aliases:"role" required:"" placeholder:"NAME" help:"Name or id of the role." group:"Resource"`
}

type definitionShow struct {
	options
	roleName
}

// Run shows the role.
func (c *definitionShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		id, err := c.find(ctx, s)
		if err != nil {
			return err
		}
		resp, err := s.get(ctx, id, assignments)
		if err != nil {
			return err
		}
		return s.out.print(flattenRoles([]any{resp.body})[0], definitionColumns)
	})
}

func (c *roleName) find(ctx context.Context, s *session) (string, error) {
	scope, err := c.path(ctx, s)
	if err != nil {
		return "", err
	}
	return s.roleID(ctx, scope, c.Name)
}

type definitionCreate struct {
	options
	Definition string `name:"role-definition" required:"" placeholder:"JSON" help:"The role as JSON, or @FILE: {\"Name\":…,\"Description\":…,\"Actions\":[…],\"NotActions\":[…],\"DataActions\":[…],\"AssignableScopes\":[…]}." group:"Properties"`
}

// Run creates the role.
func (c *definitionCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		role, err := jsonObject("role-definition", c.Definition)
		if err != nil {
			return err
		}
		member := func(names ...string) any {
			for _, n := range names {
				if v, ok := getPath(role, []string{n}); ok {
					return v
				}
			}
			return nil
		}
		scopes := member("assignableScopes")
		if scopes == nil {
			sub, err := s.subscriptionID(ctx)
			if err != nil {
				return err
			}
			scopes = []any{"/subscriptions/" + sub}
		}
		permissions := member("permissions")
		if permissions == nil {
			permissions = []any{map[string]any{
				"actions": member("actions"), "notActions": member("notActions"),
				"dataActions": member("dataActions"), "notDataActions": member("notDataActions"),
			}}
		}
		list, _ := scopes.([]any)
		if len(list) == 0 {
			return usagef("AssignableScopes must be a list of ids")
		}
		guid, _ := member("id", "guid").(string)
		if guid == "" {
			guid = uuid.NewString()
		}
		props := map[string]any{
			"roleName": member("roleName", "name"), "description": member("description"), "type": "CustomRole",
			"permissions": permissions, "assignableScopes": scopes,
		}
		resp, err := s.put(ctx, fmt.Sprint(list[0])+authorizationProvider+"roleDefinitions/"+url.PathEscape(guid), assignments, map[string]any{"properties": props})
		if err != nil {
			return err
		}
		return s.out.print(flattenRoles([]any{resp.body})[0], definitionColumns)
	})
}

type definitionDelete struct {
	options
	roleName
	Yes bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run deletes the role.
func (c *definitionDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		id, err := c.find(ctx, s)
		if err != nil {
			return err
		}
		if err := s.confirm(c.Yes, "Delete role "+c.Name+"?"); err != nil {
			return err
		}
		_, err = s.remove(ctx, id, assignments, nil)
		return err
	})
}
