package cli

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/alecthomas/kong"
)

type servicePrincipalCommands struct {
	Create     servicePrincipalCreate `cmd:"" aliases:"create-for-rbac" help:"Create a service principal with a secret, and perhaps a role."`
	List       servicePrincipalList   `cmd:"" help:"List service principals."`
	Show       servicePrincipalShow   `cmd:"" help:"Show a service principal."`
	Delete     servicePrincipalDelete `cmd:"" help:"Delete a service principal."`
	Credential credentialCommands     `cmd:"" help:"Secrets of a service principal."`
}

type servicePrincipalID struct {
	ID string `name:"id" required:"" placeholder:"ID" help:"Application id, object id or display name." group:"Resource"`
}

// path finds the service principal.
func (i servicePrincipalID) path(ctx context.Context, s *session) (string, error) {
	filters := []string{"displayName eq " + odata(i.ID)}
	if isGUID(i.ID) {
		filters = []string{"appId eq " + odata(i.ID), "id eq " + odata(i.ID)}
	}
	for _, f := range filters {
		object, err := s.oneByFilter(ctx, "servicePrincipals", f)
		if err != nil {
			return "", err
		}
		if object != nil {
			return "servicePrincipals/" + fmt.Sprint(object["id"]), nil
		}
	}
	return "", &apiError{Status: http.StatusNotFound, Code: "Request_ResourceNotFound", Action: "GET " + graphBase + "servicePrincipals",
		Message: fmt.Sprintf("There is no service principal %q. deskyard sp list shows those there are.", i.ID)}
}

type servicePrincipalCreate struct {
	options
	DisplayName string `name:"display-name" aliases:"name" short:"n" required:"" placeholder:"NAME" help:"Name of the application." group:"Properties"`
	Role        string `placeholder:"ROLE" help:"Role to give it: name or id." group:"Properties"`
	Scopes      words  `aliases:"scope" placeholder:"ID" help:"Where to give it the role. Default: the subscription." group:"Properties"`
	Years       int    `default:"1" placeholder:"N" help:"For how long its secret is good." group:"Properties"`
}

// Run creates the service principal; its secret is shown this once.
func (c *servicePrincipalCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		resp, err := s.directory(ctx, http.MethodPost, "servicePrincipals", map[string]any{"displayName": c.DisplayName})
		if err != nil {
			return err
		}
		id, _ := getPath(resp.body, []string{"id"})
		appID, _ := getPath(resp.body, []string{"appId"})
		secret, err := s.addSecret(ctx, fmt.Sprint("servicePrincipals/", id), c.DisplayName, c.Years)
		if err != nil {
			return err
		}
		if c.Role != "" {
			scopes := c.Scopes
			if len(scopes) == 0 {
				sub, err := s.subscriptionID(ctx)
				if err != nil {
					return err
				}
				scopes = words{"/subscriptions/" + sub}
			}
			for _, scope := range scopes {
				if _, err := s.assign(ctx, scope, c.Role, fmt.Sprint(id), "ServicePrincipal", ""); err != nil {
					return err
				}
			}
		}
		return s.out.print(map[string]any{
			"appId": appID, "objectId": id, "displayName": c.DisplayName, "password": secret, "tenant": s.profile.TenantID,
		}, cols("DisplayName", "AppId", "Password", "Tenant"))
	})
}

// addSecret makes a secret.
func (s *session) addSecret(ctx context.Context, path, name string, years int) (any, error) {
	if years < 1 || years > 100 {
		return nil, usagef("--years must be from 1 to 100")
	}
	end := s.profile.now().UTC().AddDate(years, 0, 0).Format(time.RFC3339)
	body := map[string]any{"passwordCredential": map[string]any{"displayName": name, "endDateTime": end}}
	resp, err := s.directory(ctx, http.MethodPost, path+"/addPassword", body)
	secret, _ := getPath(resp.body, []string{"secretText"})
	return secret, err
}

type servicePrincipalList struct {
	options
	Filter string `placeholder:"ODATA" help:"OData filter." group:"Resource"`
}

// Run lists service principals.
func (c *servicePrincipalList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.printDirectory(ctx, "servicePrincipals", c.Filter, appColumns) })
}

type servicePrincipalShow struct {
	options
	servicePrincipalID
}

// Run shows the service principal.
func (c *servicePrincipalShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s)
		if err != nil {
			return err
		}
		return s.showObject(ctx, path, appColumns)
	})
}

type servicePrincipalDelete struct {
	options
	servicePrincipalID
	Yes bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run deletes the service principal.
func (c *servicePrincipalDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s)
		if err != nil {
			return err
		}
		return s.deleteObject(ctx, c.Yes, "service principal "+c.ID, path)
	})
}

type credentialCommands struct {
	Reset  credentialReset  `cmd:"" help:"Make one more secret; the former ones stay good."`
	Delete credentialDelete `cmd:"" help:"Remove a secret."`
}

type credentialReset struct {
	options
	servicePrincipalID
	Years int `default:"1" placeholder:"N" help:"For how long it is good." group:"Properties"`
}

// Run makes a secret and shows it this once.
func (c *credentialReset) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s)
		if err != nil {
			return err
		}
		secret, err := s.addSecret(ctx, path, "deskyard", c.Years)
		if err != nil {
			return err
		}
		return s.out.print(map[string]any{"password": secret, "tenant": s.profile.TenantID}, cols("Password", "Tenant"))
	})
}

type credentialDelete struct {
	options
	servicePrincipalID
	KeyID string `name:"key-id" required:"" placeholder:"ID" help:"Id of the secret, from sp show." group:"Resource"`
}

// Run removes the secret.
func (c *credentialDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s)
		if err != nil {
			return err
		}
		_, err = s.directory(ctx, http.MethodPost, path+"/removePassword", map[string]any{"keyId": c.KeyID})
		return err
	})
}
