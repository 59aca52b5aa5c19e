package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/deskyard/deskyard/guest"
	"github.com/deskyard/deskyard/signon"
)

// tenantFile says which tenant the machine joined.
const tenantFile = "/etc/deskyard/tenant"

// serveSignOn answers the PAM hook and the agent's grants. g is nil on machines that
// the service did not make: there, grants alone sign people in.
func (c *commands) serveSignOn(ctx context.Context, g *guest.Guest, log *slog.Logger) {
	o := signon.Options{
		Accounts: filepath.Join(c.State, filepath.Base(signon.AccountsFile)),
		System:   signon.Shadow{Runner: guest.NewRunner(), Look: guest.DirectRunner()}, Log: log,
	}
	if g != nil {
		o.Directory = g
	}
	if err := signon.New(o).Run(ctx, filepath.Join(filepath.Dir(c.Socket), filepath.Base(signon.Socket)), func() {}); err != nil {
		log.Error("people of the directory cannot sign in", "error", err)
	}
}
