package cli

import (
	"context"
	"net/http"

	"github.com/alecthomas/kong"
)

var groups = kind{version: resourcesVersion, columns: cols("Name", "Location", "Status=provisioningState")}

type groupCommands struct {
	Create groupCreate `cmd:"" help:"Create a resource group, or change one."`
	List   groupList   `cmd:"" help:"List resource groups."`
	Show   groupShow   `cmd:"" help:"Show a resource group."`
	Exists groupExists `cmd:"" help:"Say whether a resource group exists."`
	Delete groupDelete `cmd:"" help:"Delete a resource group with all that is in it."`
}

type groupName struct {
	Name string `short:"n" aliases:"resource-group" required:"" placeholder:"NAME" help:"Name of the resource group." group:"Resource"`
}

type groupCreate struct {
	options
	groupName
	Location string `short:"l" required:"" placeholder:"LOCATION" help:"Location." group:"Resource"`
	Tags     words  `placeholder:"NAME=VALUE" help:"Tags." group:"Properties"`
}

// Run creates the group.
func (c *groupCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := s.group(ctx, c.Name)
		if err != nil {
			return err
		}
		body, err := envelopeBody(nil, c.Tags)
		if err != nil {
			return err
		}
		body["location"] = c.Location
		resp, err := s.put(ctx, path, groups, body)
		if err != nil {
			return err
		}
		return s.show(resp.body, groups.columns)
	})
}

type groupList struct{ options }

// Run lists groups.
func (c *groupList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		sub, err := s.subscriptionID(ctx)
		if err != nil {
			return err
		}
		return s.printList(ctx, request{method: http.MethodGet, path: "/subscriptions/" + sub + "/resourcegroups", version: resourcesVersion}, 0, groups.columns)
	})
}

type groupShow struct {
	options
	groupName
}

// Run shows the group.
func (c *groupShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := s.group(ctx, c.Name)
		if err != nil {
			return err
		}
		resp, err := s.get(ctx, path, groups)
		if err != nil {
			return err
		}
		return s.show(resp.body, groups.columns)
	})
}

type groupExists struct {
	options
	groupName
}

// Run prints true or false.
func (c *groupExists) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := s.group(ctx, c.Name)
		if err != nil {
			return err
		}
		_, err = s.get(ctx, path, groups)
		if ExitCode(err) == exitNotFound {
			return s.out.print(false, nil)
		}
		if err != nil {
			return err
		}
		return s.out.print(true, nil)
	})
}

type groupDelete struct {
	options
	groupName
	NoWait bool `name:"no-wait" help:"Do not wait for the end." group:"Resource"`
	Yes    bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run deletes the group.
func (c *groupDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := s.group(ctx, c.Name)
		if err != nil {
			return err
		}
		if err := s.confirm(c.Yes, "Delete resource group "+c.Name+" and all that is in it?"); err != nil {
			return err
		}
		s.noWait = c.NoWait
		_, err = s.remove(ctx, path, groups, nil)
		return err
	})
}
