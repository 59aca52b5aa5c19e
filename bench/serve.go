package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/deskyard/deskyard/server"
)

// serveRole is the whole service as `deskyard serve` runs it.
type serveRole struct{ server.Config }

// Run serves until ctx ends.
func (s *serveRole) Run(ctx context.Context) error {
	if err := s.Check(); err != nil {
		return err
	}
	collectOnSignal()
	return server.Run(ctx, s.Config, "bench", server.NewLog(os.Stderr, s.LogLevel, s.LogFormat))
}

// collectOnSignal frees memory on SIGUSR1, so that what a link holds can be told
// from garbage. It works until the process ends.
func collectOnSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	go func() {
		for range c {
			debug.FreeOSMemory()
		}
	}()
}
