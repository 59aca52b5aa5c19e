package main

import (
	"context"
	"log/slog"

	"github.com/deskyard/deskyard/guest"
)

const (
	invitationFile = `C:\ProgramData\Deskyard\invitation.json`
	substrateFile  = ""
)

// serveMetadata does nothing: Windows has no way to put the metadata address onto a
// loopback interface without an adapter of its own.
func serveMetadata(_ context.Context, _ guest.Runner, _ *guest.Metadata, log *slog.Logger) {
	log.Warn("instance metadata is not answered on Windows")
}
