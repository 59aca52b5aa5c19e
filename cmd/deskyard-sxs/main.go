// Command deskyard-sxs is the SxS network stack of a session host. The boot loader
// starts it; package sxs says what it does.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/sxs"
)

// version is set by the build.
var version = "dev"

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println("deskyard-sxs", version)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := sxs.New(version, log).Run(ctx, "", func() {
		if err := bootloader.AnnounceReady(ctx); err != nil {
			log.Error("readiness not announced", "err", err)
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "deskyard-sxs:", err)
		os.Exit(1)
	}
}
