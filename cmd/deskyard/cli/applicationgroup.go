package cli

import (
	"context"

	"github.com/alecthomas/kong"
)

var applicationGroups = kind{
	collection: "applicationGroups", version: desktopVersion,
	columns: cols("Name", "ResourceGroup", "Location", "Type=applicationGroupType", "HostPool=hostPoolArmPath"),
}

type applicationGroupCommands struct {
	Create applicationGroupCreate `cmd:"" help:"Create an application group, or replace one."`
	Update applicationGroupUpdate `cmd:"" help:"Change an application group."`
	Show   applicationGroupShow   `cmd:"" help:"Show an application group."`
	List   applicationGroupList   `cmd:"" help:"List application groups of a group, or of the subscription."`
	Delete applicationGroupDelete `cmd:"" help:"Delete an application group."`
}

type applicationGroupArguments struct {
	Description  *string `placeholder:"TEXT" help:"Description." group:"Properties"`
	FriendlyName *string `placeholder:"TEXT" help:"Display name." group:"Properties"`
	Tags         words   `placeholder:"NAME=VALUE" help:"Tags; they replace those there are." group:"Properties"`
}

func (a *applicationGroupArguments) properties() map[string]any {
	p := map[string]any{}
	property(p, "description", a.Description)
	property(p, "friendlyName", a.FriendlyName)
	return p
}

type applicationGroupCreate struct {
	options
	inGroup
	applicationGroupArguments
	Location string `short:"l" placeholder:"LOCATION" help:"Location. Default: the group's." group:"Resource"`
	Type     choice `name:"application-group-type" required:"" choices:"Desktop,RemoteApp" placeholder:"TYPE" help:"Desktop or RemoteApp." group:"Properties"`
	HostPool string `name:"host-pool-arm-path" required:"" placeholder:"ID" help:"Id of its host pool." group:"Properties"`
}

// Run creates the group.
func (c *applicationGroupCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s, applicationGroups)
		if err != nil {
			return err
		}
		props := c.properties()
		choose(props, "applicationGroupType", c.Type)
		choose(props, "hostPoolArmPath", c.HostPool)
		return s.create(ctx, path, applicationGroups, c.Location, props, c.Tags)
	})
}

type applicationGroupUpdate struct {
	options
	inGroup
	applicationGroupArguments
	genericUpdate
}

// Run changes the groups.
func (c *applicationGroupUpdate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		return s.updateAll(ctx, &c.inGroup, applicationGroups, c.properties(), c.Tags, &c.genericUpdate)
	})
}

type applicationGroupShow struct {
	options
	inGroup
}

// Run shows the groups.
func (c *applicationGroupShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.showAll(ctx, &c.inGroup, applicationGroups) })
}

type applicationGroupList struct {
	options
	listing
}

// Run lists groups.
func (c *applicationGroupList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return c.print(ctx, s, applicationGroups) })
}

type applicationGroupDelete struct {
	options
	inGroup
	Yes bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run deletes the groups.
func (c *applicationGroupDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.removeAll(ctx, &c.inGroup, applicationGroups, c.Yes, false) })
}
