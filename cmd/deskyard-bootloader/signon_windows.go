package main

import (
	"context"
	"log/slog"

	"github.com/deskyard/deskyard/guest"
)

const tenantFile = ""

// serveSignOn does nothing: Windows has no PAM.
func (c *commands) serveSignOn(context.Context, *guest.Guest, *slog.Logger) {}
