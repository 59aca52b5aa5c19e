package main

import (
	"context"
	"os"

	"github.com/deskyard/deskyard/server"
)

type serveCommand struct{ server.Config }

// Run serves until ctx ends.
func (s *serveCommand) Run(ctx context.Context) error {
	if err := s.Check(); err != nil {
		return err
	}
	log := server.NewLog(os.Stderr, s.LogLevel, s.LogFormat)
	return server.Run(ctx, s.Config, version, log)
}
