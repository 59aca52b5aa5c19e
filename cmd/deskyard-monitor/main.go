// Command deskyard-monitor is the monitoring agent of a session host. The boot
// loader starts it; package monitor says what it does.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/monitor"
)

// version is set by the build.
var version = "dev"

// listenEnv moves or ("off") switches off the port for Prometheus.
const listenEnv = "DESKYARD_MONITOR_LISTEN"

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println("deskyard-monitor", version)
		return
	}
	listen := monitor.DefaultListen
	switch v := os.Getenv(listenEnv); v {
	case "":
	case "off":
		listen = ""
	default:
		listen = v
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := monitor.New(version, log).Run(ctx, "", listen, func() {
		if err := bootloader.AnnounceReady(ctx); err != nil {
			log.Error("readiness not announced", "err", err)
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "deskyard-monitor:", err)
		os.Exit(1)
	}
}
