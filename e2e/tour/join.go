package main

import (
	"context"
	"fmt"
	"time"

	"github.com/deskyard/deskyard/e2e/guest"
	"github.com/deskyard/deskyard/e2e/join"
)

const (
	stranger = "byhand-0"
	bootFor  = 4 * time.Minute // until SSH answers, under emulation on a busy machine
)

// join boots a Debian machine that knows nothing of Deskyard and joins it with
// nothing but a key.
func (t *tour) join(ctx context.Context) error {
	debs, err := join.FindPackages(t.packages)
	if err != nil {
		return err
	}
	t.say("DEMO_JOIN: boots %s, which the service has not made: Debian 12, knows nothing of Deskyard", stranger)
	image, err := guest.BuildImage(ctx, t.repo)
	if err != nil {
		return err
	}
	accel := guest.ProbeAccelerator(ctx, image)
	if t.stranger, err = guest.Start(ctx, guest.Options{Name: stranger, Image: image, Accel: accel, Dir: t.dir}); err != nil {
		return err
	}
	booting, cancel := context.WithTimeout(ctx, bootFor)
	defer cancel()
	if err := t.stranger.Shell().Wait(booting); err != nil {
		return err
	}
	key, err := t.yard.Pool.Key(ctx)
	if err != nil {
		return err
	}
	t.say("Copies the two packages to it and installs them, the agent with the key: its only input")
	if err := join.Copy(ctx, t.stranger.Shell(), debs); err != nil {
		return err
	}
	if err := join.Install(ctx, t.stranger.Shell(), debs, key); err != nil {
		return err
	}
	joining, cancel := context.WithTimeout(ctx, statusFor)
	defer cancel()
	if err := t.show(joining, stranger, "Available"); err != nil {
		return err
	}
	found, err := join.KeyLeftBehind(ctx, t.stranger.Shell(), key)
	if err != nil {
		return err
	}
	if found != "" {
		return fmt.Errorf("the registration key is still on the machine: %s", found)
	}
	t.say("The key is nowhere on the machine any more")
	return nil
}
