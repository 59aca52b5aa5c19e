package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/deskyard/deskyard/components"
	"github.com/deskyard/deskyard/server"
)

// componentCommands work on the data folder, in service or not.
type componentCommands struct {
	Publish  publishCommand  `cmd:"" help:"Publish package files; pools with a validation environment get them first."`
	Promote  promoteCommand  `cmd:"" help:"Give a version to every pool."`
	Withdraw withdrawCommand `cmd:"" help:"Give a version to nobody any more; hosts that run it go to the newest one left."`
	List     listCommand     `cmd:"" help:"List what is published."`
}

type publishCommand struct {
	server.Config
	Ring  string   `help:"validation or production." enum:"validation,production" default:"validation"`
	Files []string `arg:"" help:"Package files." type:"existingfile"`
}

// Run publishes each file, and goes on after one that cannot be.
func (p *publishCommand) Run(ctx context.Context) error {
	return server.WithCatalogue(ctx, p.Config, func(c *components.Catalogue) error {
		var errs []error
		for _, f := range p.Files {
			pkg, err := c.Publish(ctx, f, components.Ring(p.Ring))
			if err != nil {
				errs = append(errs, err)
				continue
			}
			fmt.Println("published", pkg.Component, pkg.Version, pkg.OS+"/"+pkg.Arch, pkg.Format, "in", pkg.Ring)
		}
		return errors.Join(errs...)
	})
}

type promoteCommand struct {
	server.Config
	Version   string `arg:"" help:"Version to promote."`
	Component string `help:"Only this component (agent, bootloader, sxs-stack, monitoring-agent)."`
}

// Run promotes.
func (p *promoteCommand) Run(ctx context.Context) error {
	return server.WithCatalogue(ctx, p.Config, func(c *components.Catalogue) error { return c.Promote(ctx, p.Component, p.Version) })
}

type withdrawCommand struct {
	server.Config
	Version   string `arg:"" help:"Version to withdraw."`
	Component string `help:"Only this component."`
}

// Run withdraws.
func (w *withdrawCommand) Run(ctx context.Context) error {
	return server.WithCatalogue(ctx, w.Config, func(c *components.Catalogue) error { return c.Withdraw(ctx, w.Component, w.Version) })
}

type listCommand struct{ server.Config }

// Run prints the catalogue.
func (l *listCommand) Run(ctx context.Context) error {
	return server.WithCatalogue(ctx, l.Config, func(c *components.Catalogue) error {
		all, err := c.List(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		_, err = fmt.Fprintln(w, "COMPONENT\tVERSION\tSYSTEM\tFORMAT\tRING\tPUBLISHED")
		for _, p := range all {
			ring := string(p.Ring)
			if !p.Withdrawn.IsZero() {
				ring = "withdrawn"
			}
			_, lineErr := fmt.Fprintf(w, "%s\t%s\t%s/%s\t%s\t%s\t%s\n", p.Component, p.Version, p.OS, p.Arch, p.Format, ring, p.Published.Format("2006-01-02 15:04"))
			err = errors.Join(err, lineErr)
		}
		return errors.Join(err, w.Flush())
	})
}
