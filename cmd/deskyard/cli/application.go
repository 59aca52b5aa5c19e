package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/alecthomas/kong"
)

var (
	applications = kind{collection: "applications", version: desktopVersion,
		columns: cols("Name", "FriendlyName", "FilePath", "CommandLine=commandLineArguments", "ShowInPortal")}
	desktops = kind{collection: "desktops", version: desktopVersion, columns: cols("Name", "FriendlyName", "Description")}
)

// below are the arguments that name a child of an application group.
type below struct {
	Name             string `short:"n" aliases:"application-name,desktop-name" placeholder:"NAME" help:"Name." group:"Resource"`
	ApplicationGroup string `name:"application-group-name" aliases:"group-name" placeholder:"NAME" help:"Application group." group:"Resource"`
	ResourceGroup    string `short:"g" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group." group:"Resource"`
	IDs              words  `name:"ids" placeholder:"ID" help:"One or more resource ids, instead of names and group." group:"Resource"`
}

// collection is the id of the children's collection.
func (b *below) collection(ctx context.Context, s *session, k kind) (string, error) {
	if b.ApplicationGroup == "" || b.ResourceGroup == "" {
		return "", usagef("give --application-group-name and --resource-group")
	}
	group, err := s.group(ctx, b.ResourceGroup)
	if err != nil {
		return "", err
	}
	return group + desktopProvider + "applicationGroups/" + segment(b.ApplicationGroup) + "/" + k.collection, nil
}

func (b *below) paths(ctx context.Context, s *session, k kind) ([]string, error) {
	if len(b.IDs) > 0 {
		return checkIDs(b.IDs)
	}
	if b.Name == "" {
		return nil, usagef("give --name, --application-group-name and --resource-group, or --ids")
	}
	path, err := b.collection(ctx, s, k)
	return []string{path + "/" + segment(b.Name)}, err
}

func (b *below) showAll(ctx context.Context, s *session, k kind) error {
	paths, err := b.paths(ctx, s, k)
	if err != nil {
		return err
	}
	return s.each(ctx, paths, k.columns, func(path string) (response, error) { return s.get(ctx, path, k) })
}

func (b *below) listAll(ctx context.Context, s *session, k kind) error {
	path, err := b.collection(ctx, s, k)
	if err != nil {
		return err
	}
	return s.printList(ctx, request{method: http.MethodGet, path: path, version: k.version}, 0, k.columns)
}

func (b *below) updateAll(ctx context.Context, s *session, k kind, props map[string]any, g *genericUpdate) error {
	patch, err := envelopeBody(props, nil)
	if err != nil {
		return err
	}
	paths, err := b.paths(ctx, s, k)
	if err != nil {
		return err
	}
	return s.each(ctx, paths, k.columns, func(path string) (response, error) { return s.update(ctx, path, k, patch, g, nil) })
}

type applicationCommands struct {
	Create applicationCreate `cmd:"" help:"Publish an application in a RemoteApp group."`
	Update applicationUpdate `cmd:"" help:"Change an application."`
	Show   applicationShow   `cmd:"" help:"Show an application."`
	List   applicationList   `cmd:"" help:"List the applications of a group."`
	Delete applicationDelete `cmd:"" help:"Withdraw an application."`
}

type applicationArguments struct {
	Description     *string `placeholder:"TEXT" help:"Description." group:"Properties"`
	FriendlyName    *string `placeholder:"TEXT" help:"Display name." group:"Properties"`
	FilePath        *string `name:"file-path" placeholder:"PATH" help:"Program on the session host." group:"Properties"`
	CommandLine     *string `name:"command-line-arguments" placeholder:"TEXT" help:"Arguments of the program." group:"Properties"`
	CommandLineMode choice  `name:"command-line-setting" choices:"Allow,DoNotAllow,Require" placeholder:"MODE" help:"Whether a caller's arguments are taken." group:"Properties"`
	IconPath        *string `name:"icon-path" placeholder:"PATH" help:"File with the icon." group:"Properties"`
	IconIndex       *int    `name:"icon-index" placeholder:"N" help:"Index of the icon in it." group:"Properties"`
	ShowInPortal    toggle  `name:"show-in-portal" placeholder:"BOOL" help:"Show it in the feed." group:"Properties"`
}

func (a *applicationArguments) properties() map[string]any {
	p := map[string]any{}
	property(p, "description", a.Description)
	property(p, "friendlyName", a.FriendlyName)
	property(p, "filePath", a.FilePath)
	property(p, "commandLineArguments", a.CommandLine)
	choose(p, "commandLineSetting", a.CommandLineMode)
	property(p, "iconPath", a.IconPath)
	number(p, "iconIndex", a.IconIndex)
	truth(p, "showInPortal", a.ShowInPortal)
	return p
}

type applicationCreate struct {
	options
	below
	applicationArguments
}

// Run publishes the application.
func (c *applicationCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		paths, err := c.paths(ctx, s, applications)
		if err != nil {
			return err
		}
		props := c.properties()
		if props["commandLineSetting"] == nil { // required by the API; the portal's own default
			props["commandLineSetting"] = "DoNotAllow"
		}
		body := map[string]any{"properties": props}
		return s.each(ctx, paths, applications.columns, func(path string) (response, error) { return s.put(ctx, path, applications, body) })
	})
}

type applicationUpdate struct {
	options
	below
	applicationArguments
	genericUpdate
}

// Run changes the applications.
func (c *applicationUpdate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		return c.updateAll(ctx, s, applications, c.properties(), &c.genericUpdate)
	})
}

type applicationShow struct {
	options
	below
}

// Run shows the applications.
func (c *applicationShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return c.showAll(ctx, s, applications) })
}

type applicationList struct {
	options
	below
}

// Run lists applications.
func (c *applicationList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return c.listAll(ctx, s, applications) })
}

type applicationDelete struct {
	options
	below
	Yes bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run withdraws the applications.
func (c *applicationDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		paths, err := c.paths(ctx, s, applications)
		if err != nil {
			return err
		}
		if err := s.confirm(c.Yes, fmt.Sprintf("Delete %s?", paths)); err != nil {
			return err
		}
		for _, path := range paths {
			if _, err := s.remove(ctx, path, applications, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

type desktopCommands struct {
	Update desktopUpdate `cmd:"" help:"Change the desktop of a group: its display name."`
	Show   desktopShow   `cmd:"" help:"Show the desktop of a group."`
	List   desktopList   `cmd:"" help:"List the desktops of a group."`
}

type desktopUpdate struct {
	options
	below
	genericUpdate
	Description  *string `placeholder:"TEXT" help:"Description." group:"Properties"`
	FriendlyName *string `placeholder:"TEXT" help:"Display name." group:"Properties"`
}

// defaultDesktop fills in the name that a group's only desktop has.
func (b *below) defaultDesktop() {
	if b.Name == "" && len(b.IDs) == 0 {
		b.Name = "SessionDesktop"
	}
}

// Run changes the desktop.
func (c *desktopUpdate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		c.defaultDesktop()
		props := map[string]any{}
		property(props, "description", c.Description)
		property(props, "friendlyName", c.FriendlyName)
		return c.updateAll(ctx, s, desktops, props, &c.genericUpdate)
	})
}

type desktopShow struct {
	options
	below
}

// Run shows the desktop.
func (c *desktopShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		c.defaultDesktop()
		return c.showAll(ctx, s, desktops)
	})
}

type desktopList struct {
	options
	below
}

// Run lists desktops.
func (c *desktopList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return c.listAll(ctx, s, desktops) })
}
