package cli

import (
	"context"

	"github.com/alecthomas/kong"
)

var workspaces = kind{
	collection: "workspaces", version: desktopVersion,
	columns: cols("Name", "ResourceGroup", "Location", "FriendlyName", "ApplicationGroups=length(applicationGroupReferences || `[]`)"),
}

type workspaceCommands struct {
	Create workspaceCreate `cmd:"" help:"Create a workspace, or replace one."`
	Update workspaceUpdate `cmd:"" help:"Change a workspace."`
	Show   workspaceShow   `cmd:"" help:"Show a workspace."`
	List   workspaceList   `cmd:"" help:"List workspaces of a group, or of the subscription."`
	Delete workspaceDelete `cmd:"" help:"Delete a workspace."`
}

type workspaceArguments struct {
	Groups       words   `name:"application-group-references" placeholder:"ID" help:"Ids of the application groups it shows." group:"Properties"`
	Description  *string `placeholder:"TEXT" help:"Description." group:"Properties"`
	FriendlyName *string `placeholder:"TEXT" help:"Display name." group:"Properties"`
	Tags         words   `placeholder:"NAME=VALUE" help:"Tags; they replace those there are." group:"Properties"`
}

func (a *workspaceArguments) properties() map[string]any {
	p := map[string]any{}
	property(p, "description", a.Description)
	property(p, "friendlyName", a.FriendlyName)
	if a.Groups != nil {
		p["applicationGroupReferences"] = []string(a.Groups)
	}
	return p
}

type workspaceCreate struct {
	options
	inGroup
	workspaceArguments
	Location string `short:"l" placeholder:"LOCATION" help:"Location. Default: the group's." group:"Resource"`
}

// Run creates the workspace.
func (c *workspaceCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s, workspaces)
		if err != nil {
			return err
		}
		return s.create(ctx, path, workspaces, c.Location, c.properties(), c.Tags)
	})
}

type workspaceUpdate struct {
	options
	inGroup
	workspaceArguments
	genericUpdate
}

// Run changes the workspaces.
func (c *workspaceUpdate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		return s.updateAll(ctx, &c.inGroup, workspaces, c.properties(), c.Tags, &c.genericUpdate)
	})
}

type workspaceShow struct {
	options
	inGroup
}

// Run shows the workspaces.
func (c *workspaceShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.showAll(ctx, &c.inGroup, workspaces) })
}

type workspaceList struct {
	options
	listing
}

// Run lists workspaces.
func (c *workspaceList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return c.print(ctx, s, workspaces) })
}

type workspaceDelete struct {
	options
	inGroup
	Yes bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run deletes the workspaces.
func (c *workspaceDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.removeAll(ctx, &c.inGroup, workspaces, c.Yes, false) })
}
