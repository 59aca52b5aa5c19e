package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/alecthomas/kong"
)

// leaving are the arguments of commands that take a host out of service.
type leaving struct {
	Force  bool `help:"Do not wait for users to sign out, nor for a machine that does not answer." group:"Resource"`
	Grace  int  `name:"grace" default:"300" placeholder:"SECONDS" help:"How long users have to save their work after the message." group:"Resource"`
	NoWait bool `name:"no-wait" help:"Do not wait for the end." group:"Resource"`
	Yes    bool `short:"y" help:"Do not ask." group:"Resource"`
}

func (l *leaving) body() map[string]any {
	return map[string]any{"deleteMachine": true, "force": l.Force, "graceSeconds": l.Grace}
}

// leave carries out an action that takes hosts out of service.
func (s *session) leave(ctx context.Context, paths []string, action, question string, l *leaving) error {
	if err := s.confirm(l.Yes, fmt.Sprintf(question, paths)); err != nil {
		return err
	}
	s.noWait = l.NoWait
	for _, path := range paths {
		resp, err := s.post(ctx, path+"/"+action, sessionHosts, l.body())
		if err != nil {
			return err
		}
		if resp.body != nil {
			if err := s.out.print(resp.body, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

type sessionHostRemove struct {
	options
	inPool
	leaving
}

// Run removes hosts with their machines.
func (c *sessionHostRemove) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		paths, err := c.paths(ctx, s)
		if err != nil {
			return err
		}
		return s.leave(ctx, paths, "remove", "Remove %s with machine, disk and network interface?", &c.leaving)
	})
}

type sessionHostReplace struct {
	options
	inPool
	leaving
}

// Run makes hosts' machines anew.
func (c *sessionHostReplace) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		paths, err := c.paths(ctx, s)
		if err != nil {
			return err
		}
		return s.leave(ctx, paths, "replace", "Replace the machine of %s? What is on its disk is lost.", &c.leaving)
	})
}

// orphansCommand lists, and with --clean removes, what nobody owns any more.
type orphansCommand struct {
	options
	Clean bool `help:"Remove what is listed." group:"Resource"`
	Yes   bool `short:"y" help:"Do not ask." group:"Resource"`
}

var orphanColumns = cols("Kind", "Name", "Hypervisor", "Where", "Reason")

// Run lists orphans.
func (c *orphansCommand) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		sub, err := s.subscriptionID(ctx)
		if err != nil {
			return err
		}
		path := "/subscriptions/" + sub + desktopProvider + "orphans"
		if err := s.printList(ctx, request{method: http.MethodGet, path: path, version: desktopVersion}, 0, orphanColumns); err != nil || !c.Clean {
			return err
		}
		if err := s.confirm(c.Yes, "Remove all of these?"); err != nil {
			return err
		}
		_, err = s.do(ctx, request{method: http.MethodPost, path: path + "/clean", version: desktopVersion})
		return err
	})
}
