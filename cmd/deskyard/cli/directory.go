package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/alecthomas/kong"
)

// The directory is reached through the door that is shaped like Microsoft Graph.

const graphBase = "/graph/v1.0/"

var (
	userColumns   = cols("UserPrincipalName", "DisplayName", "Enabled=accountEnabled", "Id")
	groupColumns  = cols("DisplayName", "Description", "Id")
	memberColumns = cols("DisplayName", "Type=\"@odata.type\"", "Id")
	appColumns    = cols("DisplayName", "AppId", "Enabled=accountEnabled", "Id")
)

// directory calls the Graph door.
func (s *session) directory(ctx context.Context, method, path string, body any) (response, error) {
	return s.do(ctx, request{method: method, path: graphBase + path, body: body, graph: true})
}

// printDirectory lists a collection.
func (s *session) printDirectory(ctx context.Context, path, filter string, columns []column) error {
	r := request{method: http.MethodGet, path: graphBase + path, graph: true}
	if filter != "" {
		r.query = url.Values{"$filter": {filter}}
	}
	items, err := s.list(ctx, r, 0)
	if err != nil {
		return err
	}
	return s.out.print(items, columns)
}

// odata quotes a value for a filter.
func odata(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }

// oneByFilter finds the only object that a filter selects.
func (s *session) oneByFilter(ctx context.Context, collection, filter string) (map[string]any, error) {
	items, err := s.list(ctx, request{method: http.MethodGet, path: graphBase + collection, graph: true, query: url.Values{"$filter": {filter}}}, 2)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	if len(items) > 1 {
		return nil, usagef("several of %s fit %s; give the object id", collection, filter)
	}
	object, _ := items[0].(map[string]any)
	return object, nil
}

// principalID finds the object id of whom an administrator means: an object id, a
// user principal name, an application id, or the name of a group or application.
func (s *session) principalID(ctx context.Context, who string) (id string, kind string, err error) {
	tries := []struct{ collection, filter, kind string }{
		{"users", "userPrincipalName eq " + odata(who), "User"},
		{"groups", "displayName eq " + odata(who), "Group"},
		{"servicePrincipals", "displayName eq " + odata(who), "ServicePrincipal"},
	}
	if isGUID(who) {
		tries = []struct{ collection, filter, kind string }{{"servicePrincipals", "appId eq " + odata(who), "ServicePrincipal"}}
	}
	for _, t := range tries {
		object, err := s.oneByFilter(ctx, t.collection, t.filter)
		if err != nil {
			// Who may assign roles need not be allowed to read the directory.
			if isGUID(who) {
				break
			}
			return "", "", err
		}
		if object != nil {
			return fmt.Sprint(object["id"]), t.kind, nil
		}
	}
	if isGUID(who) {
		return who, "", nil
	}
	return "", "", advise(usagef("there is no user, group or service principal %q", who),
		"deskyard user list, deskyard usergroup list and deskyard sp list show those there are.")
}

type userCommands struct {
	Create        userCreate `cmd:"" help:"Create a local user."`
	List          userList   `cmd:"" help:"List users."`
	Show          userShow   `cmd:"" help:"Show a user."`
	Update        userUpdate `cmd:"" help:"Change a user: name, enabled or not."`
	ResetPassword userReset  `cmd:"" name:"reset-password" help:"Give a user a new password."`
	Unlock        userUnlock `cmd:"" help:"Let a user in again who was locked out."`
	Delete        userDelete `cmd:"" help:"Delete a user."`
}

type userID struct {
	ID string `name:"id" required:"" aliases:"upn,upn-or-object-id" placeholder:"UPN" help:"User principal name or object id." group:"Resource"`
}

func (u userID) path() string { return "users/" + url.PathEscape(u.ID) }

type userCreate struct {
	options
	UPN          string `name:"user-principal-name" aliases:"upn" required:"" placeholder:"UPN" help:"User principal name: NAME@DOMAIN." group:"Properties"`
	DisplayName  string `name:"display-name" placeholder:"TEXT" help:"Display name. Default: the user principal name." group:"Properties"`
	PasswordFile string `name:"password-file" placeholder:"FILE" help:"File with the password, or - for stdin. Without it one is made and shown once." group:"Properties"`
	Disabled     bool   `help:"Do not let the user sign in yet." group:"Properties"`
}

// Run creates the user.
func (c *userCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		body := map[string]any{"userPrincipalName": c.UPN, "displayName": c.DisplayName, "accountEnabled": !c.Disabled}
		if c.DisplayName == "" {
			body["displayName"] = c.UPN
		}
		if c.PasswordFile != "" {
			password, err := s.secret(c.PasswordFile, "Password")
			if err != nil {
				return err
			}
			body["passwordProfile"] = map[string]any{"password": password, "forceChangePasswordNextSignIn": false}
		}
		resp, err := s.directory(ctx, http.MethodPost, "users", body)
		if err != nil {
			return err
		}
		return s.out.print(resp.body, append(userColumns, column{"Password", "passwordProfile.password"}))
	})
}

type userList struct {
	options
	Filter string `placeholder:"ODATA" help:"OData filter, as in startswith(displayName,'A')." group:"Resource"`
}

// Run lists users.
func (c *userList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.printDirectory(ctx, "users", c.Filter, userColumns) })
}

type userShow struct {
	options
	userID
}

// Run shows the user.
func (c *userShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.showObject(ctx, c.path(), userColumns) })
}

func (s *session) showObject(ctx context.Context, path string, columns []column) error {
	resp, err := s.directory(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return s.out.print(resp.body, columns)
}

type userUpdate struct {
	options
	userID
	DisplayName *string `name:"display-name" placeholder:"TEXT" help:"Display name." group:"Properties"`
	Enabled     toggle  `name:"account-enabled" placeholder:"BOOL" help:"Whether the user may sign in." group:"Properties"`
}

// Run changes the user.
func (c *userUpdate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		body := map[string]any{}
		property(body, "displayName", c.DisplayName)
		truth(body, "accountEnabled", c.Enabled)
		if len(body) == 0 {
			return usagef("nothing to change: give at least one property")
		}
		_, err := s.directory(ctx, http.MethodPatch, c.path(), body)
		return err
	})
}

type userReset struct {
	options
	userID
	PasswordFile string `name:"password-file" placeholder:"FILE" help:"File with the password, or - for stdin. Without it one is made and shown once." group:"Properties"`
}

// Run sets the password.
func (c *userReset) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		body := map[string]any{}
		if c.PasswordFile != "" {
			password, err := s.secret(c.PasswordFile, "Password")
			if err != nil {
				return err
			}
			body["password"] = password
		}
		resp, err := s.directory(ctx, http.MethodPost, c.path()+"/resetPassword", body)
		if err != nil {
			return err
		}
		return s.out.print(resp.body, cols("NewPassword"))
	})
}

type userUnlock struct {
	options
	userID
}

// Run unlocks the user.
func (c *userUnlock) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		_, err := s.directory(ctx, http.MethodPost, c.path()+"/unlock", nil)
		return err
	})
}

type userDelete struct {
	options
	userID
	Yes bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run deletes the user.
func (c *userDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.deleteObject(ctx, c.Yes, "user "+c.ID, c.path()) })
}

func (s *session) deleteObject(ctx context.Context, yes bool, what, path string) error {
	if err := s.confirm(yes, "Delete "+what+"?"); err != nil {
		return err
	}
	_, err := s.directory(ctx, http.MethodDelete, path, nil)
	return err
}

type userGroupCommands struct {
	Create userGroupCreate `cmd:"" help:"Create a group of users."`
	List   userGroupList   `cmd:"" help:"List groups of users."`
	Show   userGroupShow   `cmd:"" help:"Show a group of users."`
	Delete userGroupDelete `cmd:"" help:"Delete a group of users."`
	Member memberCommands  `cmd:"" help:"Members of a group."`
}

type userGroupName struct {
	Group string `short:"g" required:"" placeholder:"NAME" help:"Name or object id of the group." group:"Resource"`
}

// path finds the group.
func (g userGroupName) path(ctx context.Context, s *session) (string, error) {
	if isGUID(g.Group) {
		return "groups/" + g.Group, nil
	}
	object, err := s.oneByFilter(ctx, "groups", "displayName eq "+odata(g.Group))
	if err != nil {
		return "", err
	}
	if object == nil {
		return "", &apiError{Status: http.StatusNotFound, Code: "Request_ResourceNotFound", Action: "GET " + graphBase + "groups",
			Message: fmt.Sprintf("There is no group %q. deskyard usergroup list shows those there are.", g.Group)}
	}
	return "groups/" + fmt.Sprint(object["id"]), nil
}

type userGroupCreate struct {
	options
	DisplayName string `name:"display-name" required:"" placeholder:"NAME" help:"Name of the group." group:"Properties"`
	Description string `placeholder:"TEXT" help:"Description." group:"Properties"`
}

// Run creates the group.
func (c *userGroupCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		body := map[string]any{"displayName": c.DisplayName, "description": c.Description, "mailEnabled": false, "securityEnabled": true}
		resp, err := s.directory(ctx, http.MethodPost, "groups", body)
		if err != nil {
			return err
		}
		return s.out.print(resp.body, groupColumns)
	})
}

type userGroupList struct {
	options
	Filter string `placeholder:"ODATA" help:"OData filter." group:"Resource"`
}

// Run lists groups.
func (c *userGroupList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.printDirectory(ctx, "groups", c.Filter, groupColumns) })
}

type userGroupShow struct {
	options
	userGroupName
}

// Run shows the group.
func (c *userGroupShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s)
		if err != nil {
			return err
		}
		return s.showObject(ctx, path, groupColumns)
	})
}

type userGroupDelete struct {
	options
	userGroupName
	Yes bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run deletes the group.
func (c *userGroupDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s)
		if err != nil {
			return err
		}
		return s.deleteObject(ctx, c.Yes, "group "+c.Group, path)
	})
}

type memberCommands struct {
	Add    memberAdd    `cmd:"" help:"Put somebody into a group."`
	Remove memberRemove `cmd:"" help:"Take somebody out of a group."`
	List   memberList   `cmd:"" help:"List the members of a group."`
}

type groupMember struct {
	userGroupName
	Member string `aliases:"member-id" required:"" placeholder:"WHO" help:"Object id, user principal name, application id or group." group:"Resource"`
}

// find resolves group and member.
func (m groupMember) find(ctx context.Context, s *session) (path, member string, err error) {
	if path, err = m.path(ctx, s); err != nil {
		return "", "", err
	}
	member, _, err = s.principalID(ctx, m.Member)
	return path, member, err
}

type memberAdd struct {
	options
	groupMember
}

// Run adds the member.
func (c *memberAdd) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, member, err := c.find(ctx, s)
		if err != nil {
			return err
		}
		reference := s.profile.Endpoint + graphBase + "directoryObjects/" + member
		_, err = s.directory(ctx, http.MethodPost, path+"/members/$ref", map[string]any{"@odata.id": reference})
		return err
	})
}

type memberRemove struct {
	options
	groupMember
}

// Run removes the member.
func (c *memberRemove) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, member, err := c.find(ctx, s)
		if err != nil {
			return err
		}
		_, err = s.directory(ctx, http.MethodDelete, path+"/members/"+member+"/$ref", nil)
		return err
	})
}

type memberList struct {
	options
	userGroupName
}

// Run lists members.
func (c *memberList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s)
		if err != nil {
			return err
		}
		return s.printDirectory(ctx, path+"/members", "", memberColumns)
	})
}
