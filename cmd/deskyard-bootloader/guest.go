package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/deskyard/deskyard/agent"
	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/guest"
)

// guestState is where the guest keeps what it knows of its service.
func (c *commands) guestState() string { return filepath.Join(c.State, "guest.json") }

// guest makes the guest's side of a machine that the service has made, and what runs
// it; nil for one that was made elsewhere.
func (c *commands) guest(log *slog.Logger) (*guest.Guest, func(ctx context.Context), error) {
	runner := guest.NewRunner()
	steps, err := guest.StandardSteps(guest.StandardOptions{
		KeyFile: agent.DefaultKey, StatusFile: agent.DefaultStatus, SubstrateFile: substrateFile,
		Loader: bootloader.NewClient(c.Socket), Runner: runner,
	})
	if err != nil {
		return nil, nil, err
	}
	metadata := &guest.Metadata{}
	g, err := guest.New(guest.Options{
		StateFile: c.guestState(), JournalFile: filepath.Join(c.State, "guest-steps.json"), Invitation: invitationFile,
		TenantFile: tenantFile, Version: version, Machine: agent.DescribeMachine, Steps: steps, Metadata: metadata, Log: log,
	})
	if errors.Is(err, guest.ErrNoInvitation) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return g, func(ctx context.Context) {
		var wg sync.WaitGroup
		wg.Go(func() { serveMetadata(ctx, runner, metadata, log) })
		if err := g.Run(ctx); err != nil {
			log.Error("guest link ended for good", "error", err)
		}
		wg.Wait()
	}, nil
}
