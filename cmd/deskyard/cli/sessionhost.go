package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/alecthomas/kong"
)

var sessionHosts = kind{
	collection: "sessionHosts", version: desktopVersion,
	columns: cols("Name", "Status", "Sessions", "AllowNewSession", "AgentVersion", "AssignedUser", "LastHeartBeat"),
}

// inPool are the arguments that name a session host.
type inPool struct {
	Name          string `short:"n" aliases:"session-host-name" placeholder:"NAME" help:"Name of the session host." group:"Resource"`
	HostPool      string `name:"host-pool-name" aliases:"pool" placeholder:"NAME" help:"Host pool." group:"Resource"`
	ResourceGroup string `short:"g" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group." group:"Resource"`
	IDs           words  `name:"ids" placeholder:"ID" help:"One or more resource ids, instead of names and group." group:"Resource"`
}

// poolPath is the id of a host pool.
func (s *session) poolPath(ctx context.Context, group, pool string) (string, error) {
	if pool == "" || group == "" {
		return "", usagef("give --host-pool-name and --resource-group")
	}
	path, err := s.group(ctx, group)
	return path + desktopProvider + "hostPools/" + segment(pool), err
}

func (t *inPool) paths(ctx context.Context, s *session) ([]string, error) {
	if len(t.IDs) > 0 {
		return checkIDs(t.IDs)
	}
	if t.Name == "" {
		return nil, usagef("give --name, --host-pool-name and --resource-group, or --ids")
	}
	pool, err := s.poolPath(ctx, t.ResourceGroup, t.HostPool)
	return []string{pool + "/sessionHosts/" + segment(t.Name)}, err
}

type sessionHostCommands struct {
	List   sessionHostList   `cmd:"" help:"List the session hosts of a pool, with their status."`
	Show   sessionHostShow   `cmd:"" help:"Show a session host with its health checks."`
	Update sessionHostUpdate `cmd:"" help:"Drain a session host, or assign it to somebody."`
	Delete sessionHostDelete `cmd:"" help:"Remove a session host from its pool; its machine stays."`

	Add     sessionHostAdd     `cmd:"" help:"Make machines and add them to a pool, with all the parameters of the portal's wizard."`
	Follow  sessionHostFollow  `cmd:"" help:"Follow a run of sessionhost add that was started before."`
	Remove  sessionHostRemove  `cmd:"" help:"Remove a session host with its machine: drain, sign out, leave the directory, delete."`
	Replace sessionHostReplace `cmd:"" help:"Make a session host's machine anew, under the same name."`
}

type sessionHostList struct {
	options
	HostPool      string `name:"host-pool-name" aliases:"pool" required:"" placeholder:"NAME" help:"Host pool." group:"Resource"`
	ResourceGroup string `short:"g" required:"" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group." group:"Resource"`
	MaxItems      int    `placeholder:"N" help:"Items at most." group:"Paging"`
}

// Run lists hosts.
func (c *sessionHostList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		pool, err := s.poolPath(ctx, c.ResourceGroup, c.HostPool)
		if err != nil {
			return err
		}
		return s.printList(ctx, request{method: http.MethodGet, path: pool + "/sessionHosts", version: desktopVersion}, c.MaxItems, sessionHosts.columns)
	})
}

type sessionHostShow struct {
	options
	inPool
}

// Run shows the hosts.
func (c *sessionHostShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		paths, err := c.paths(ctx, s)
		if err != nil {
			return err
		}
		return s.each(ctx, paths, sessionHosts.columns, func(path string) (response, error) { return s.get(ctx, path, sessionHosts) })
	})
}

type sessionHostUpdate struct {
	options
	inPool
	genericUpdate
	AllowNewSession toggle  `name:"allow-new-session" placeholder:"BOOL" help:"false drains the host: it keeps its sessions and gets no new ones." group:"Properties"`
	AssignedUser    *string `name:"assigned-user" placeholder:"UPN" help:"Whose the host is, in a Personal pool; \"\" takes it back (with --force)." group:"Properties"`
	FriendlyName    *string `placeholder:"TEXT" help:"Display name." group:"Properties"`
	Force           bool    `help:"Change the assignment although it is somebody's already." group:"Properties"`
}

// Run changes the hosts.
func (c *sessionHostUpdate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		paths, err := c.paths(ctx, s)
		if err != nil {
			return err
		}
		props := map[string]any{}
		truth(props, "allowNewSession", c.AllowNewSession)
		property(props, "assignedUser", c.AssignedUser)
		property(props, "friendlyName", c.FriendlyName)
		patch, err := envelopeBody(props, nil)
		if err != nil {
			return err
		}
		return s.each(ctx, paths, sessionHosts.columns, func(path string) (response, error) {
			return s.update(ctx, path, sessionHosts, patch, &c.genericUpdate, forceQuery(c.Force))
		})
	})
}

type sessionHostDelete struct {
	options
	inPool
	Force bool `help:"Remove it although it has sessions." group:"Resource"`
	Yes   bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run removes the hosts.
func (c *sessionHostDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		paths, err := c.paths(ctx, s)
		if err != nil {
			return err
		}
		if err := s.confirm(c.Yes, fmt.Sprintf("Delete %s?", paths)); err != nil {
			return err
		}
		for _, path := range paths {
			if _, err := s.remove(ctx, path, sessionHosts, forceQuery(c.Force)); err != nil {
				return err
			}
		}
		return nil
	})
}
