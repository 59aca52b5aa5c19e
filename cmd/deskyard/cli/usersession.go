package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/alecthomas/kong"
)

var userSessions = kind{
	collection: "userSessions", version: desktopVersion,
	columns: cols("Name", "User=userPrincipalName", "State=sessionState", "Type=applicationType", "CreateTime"),
}

// onHost are the arguments that name a user session.
type onHost struct {
	Name          string `short:"n" aliases:"id,user-session-id" placeholder:"N" help:"Number of the session on its host." group:"Resource"`
	SessionHost   string `name:"session-host-name" aliases:"host" placeholder:"NAME" help:"Session host." group:"Resource"`
	HostPool      string `name:"host-pool-name" aliases:"pool" placeholder:"NAME" help:"Host pool." group:"Resource"`
	ResourceGroup string `short:"g" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group." group:"Resource"`
	IDs           words  `name:"ids" placeholder:"ID" help:"One or more resource ids, instead of names and group." group:"Resource"`
}

func (t *onHost) paths(ctx context.Context, s *session) ([]string, error) {
	if len(t.IDs) > 0 {
		return checkIDs(t.IDs)
	}
	if t.Name == "" || t.SessionHost == "" {
		return nil, usagef("give --name, --session-host-name, --host-pool-name and --resource-group, or --ids")
	}
	pool, err := s.poolPath(ctx, t.ResourceGroup, t.HostPool)
	return []string{pool + "/sessionHosts/" + segment(t.SessionHost) + "/userSessions/" + segment(t.Name)}, err
}

type userSessionCommands struct {
	List       userSessionList       `cmd:"" help:"List the user sessions of a pool, or of one host."`
	Show       userSessionShow       `cmd:"" help:"Show a user session."`
	Disconnect userSessionDisconnect `cmd:"" help:"Disconnect a user session; its programs go on."`
	Delete     userSessionDelete     `cmd:"" help:"Log a user session off."`
	Message    userSessionMessage    `cmd:"" name:"send-message" help:"Show a message in a user session."`
}

type userSessionList struct {
	options
	SessionHost   string `name:"session-host-name" aliases:"host" placeholder:"NAME" help:"Session host. Default: all of the pool's." group:"Resource"`
	HostPool      string `name:"host-pool-name" aliases:"pool" required:"" placeholder:"NAME" help:"Host pool." group:"Resource"`
	ResourceGroup string `short:"g" required:"" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group." group:"Resource"`
	MaxItems      int    `placeholder:"N" help:"Items at most." group:"Paging"`
}

// Run lists sessions.
func (c *userSessionList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := s.poolPath(ctx, c.ResourceGroup, c.HostPool)
		if err != nil {
			return err
		}
		if c.SessionHost != "" {
			path += "/sessionHosts/" + segment(c.SessionHost)
		}
		return s.printList(ctx, request{method: http.MethodGet, path: path + "/userSessions", version: desktopVersion}, c.MaxItems, userSessions.columns)
	})
}

type userSessionShow struct {
	options
	onHost
}

// Run shows the sessions.
func (c *userSessionShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		paths, err := c.paths(ctx, s)
		if err != nil {
			return err
		}
		return s.each(ctx, paths, userSessions.columns, func(path string) (response, error) { return s.get(ctx, path, userSessions) })
	})
}

type userSessionDisconnect struct {
	options
	onHost
}

// Run disconnects the sessions.
func (c *userSessionDisconnect) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return c.postAll(ctx, s, "disconnect", nil) })
}

func (t *onHost) postAll(ctx context.Context, s *session, action string, body any) error {
	paths, err := t.paths(ctx, s)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if _, err := s.post(ctx, path+"/"+action, userSessions, body); err != nil {
			return err
		}
	}
	return nil
}

type userSessionDelete struct {
	options
	onHost
	Force bool `help:"Log off without waiting for programs that hold on." group:"Resource"`
	Yes   bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run logs the sessions off.
func (c *userSessionDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		paths, err := c.paths(ctx, s)
		if err != nil {
			return err
		}
		if err := s.confirm(c.Yes, fmt.Sprintf("Log off %s? Unsaved work is lost.", paths)); err != nil {
			return err
		}
		for _, path := range paths {
			if _, err := s.remove(ctx, path, userSessions, forceQuery(c.Force)); err != nil {
				return err
			}
		}
		return nil
	})
}

type userSessionMessage struct {
	options
	onHost
	Title string `aliases:"message-title" required:"" placeholder:"TEXT" help:"Title of the message." group:"Properties"`
	Body  string `aliases:"message-body" required:"" placeholder:"TEXT" help:"Text of the message." group:"Properties"`
}

// Run sends the message.
func (c *userSessionMessage) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		return c.postAll(ctx, s, "sendMessage", map[string]any{"messageTitle": c.Title, "messageBody": c.Body})
	})
}
