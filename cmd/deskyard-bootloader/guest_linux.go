package main

import (
	"context"
	"log/slog"

	"github.com/deskyard/deskyard/guest"
)

const (
	invitationFile = "/etc/deskyard/invitation.json"
	substrateFile  = "/etc/deskyard/substrate"
)

// serveMetadata answers instance metadata. A machine where it cannot be is a session
// host all the same, whose health check says so.
func serveMetadata(ctx context.Context, r guest.Runner, m *guest.Metadata, log *slog.Logger) {
	err := guest.AddMetadataAddress(ctx, r)
	if err == nil {
		err = m.Serve(ctx)
	}
	if err != nil && ctx.Err() == nil {
		log.Error("instance metadata not answered", "error", err)
	}
}
