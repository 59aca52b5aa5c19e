// Command bench measures the service beside a baseline in the same run, in turns,
// because disks and neighbours change by the minute: what counts is the ratio.
//
//	bench --service bin/deskyard --json dist/bench.json
//
// The other roles are processes that it starts itself, so that each has its own
// memory, clock and file descriptors:
//
//	serve    the service, which collects its garbage when it gets SIGUSR1
//	echo     a bare crypto/tls accept loop that answers each heartbeat
//	agents   simulated agents of either
//	edge     a gateway
//	copy     a bare TCP relay
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type roles struct {
	Measure measureRole `cmd:"" default:"withargs" help:"Measure everything."`
	Serve   serveRole   `cmd:"" hidden:""`
	Echo    echoRole    `cmd:"" hidden:""`
	Agents  agentsRole  `cmd:"" hidden:""`
	Edge    edgeRole    `cmd:"" hidden:""`
	Copy    copyRole    `cmd:"" hidden:""`
}

type measureRole struct {
	Service string   `help:"The program deskyard." default:"bin/deskyard" type:"existingfile"`
	JSON    string   `help:"Also write the figures to this file." placeholder:"FILE"`
	Agents  int      `help:"Simulated agents." default:"10000"`
	Only    []string `help:"Only these parts: store, api, agents, broker, relay."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var r roles
	line := kong.Parse(&r, kong.Name("bench"), kong.BindTo(ctx, (*context.Context)(nil)))
	line.FatalIfErrorf(line.Run())
}

// Run measures part after part. A part that fails does not keep the others from
// being measured.
func (m *measureRole) Run(ctx context.Context) error {
	var figures sheet
	failed := 0
	for _, part := range []struct {
		name    string
		measure func(context.Context, *measureRole, *sheet) error
	}{{"store", measureStore}, {"api", measureAPI}, {"agents", measureAgents}, {"broker", measureBroker}, {"relay", measureRelay}} {
		if !m.wants(part.name) {
			continue
		}
		if err := part.measure(ctx, m, &figures); err != nil {
			failed++
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", part.name, err)
		}
	}
	if m.JSON != "" {
		if err := figures.write(m.JSON); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d parts could not be measured; the lines above say why", failed)
	}
	return nil
}

func (m *measureRole) wants(part string) bool {
	for _, p := range m.Only {
		if p == part {
			return true
		}
	}
	return len(m.Only) == 0
}
