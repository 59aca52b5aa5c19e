// Command deskyard-agent is the agent of a session host: it registers the machine
// with the key that it is given, and then holds the control link to the service.
//
//	deskyard-agent            run (the boot loader does this)
//	deskyard-agent status     tell whether the machine is registered and linked, and why not
//	deskyard-agent version
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/deskyard/deskyard/agent"
	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/signon"
)

// version is set by the linker: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "deskyard-agent:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("deskyard-agent", flag.ContinueOnError)
	state := flags.String("state", agent.DefaultState, "the agent's state `file`")
	key := flags.String("key", agent.DefaultKey, "`file` with the registration key, erased once it was used")
	status := flags.String("status", agent.DefaultStatus, "status `file`")
	socket := flags.String("bootloader", bootloader.DefaultSocket, "the boot loader's control `socket`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch flags.Arg(0) {
	case "version":
		_, err := fmt.Fprintln(out, version)
		return err
	case "status":
		return printStatus(out, *state, *status)
	case "", "run":
	default:
		return fmt.Errorf("unknown command %q; there are run, status and version", flags.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	sxs, mon := agent.NewStackClient(""), agent.NewMonitorClient("")
	a, err := agent.New(agent.Options{
		StateFile: *state, KeyFile: *key, Key: strings.TrimSpace(os.Getenv(agent.KeyEnv)), StatusFile: *status, Version: version,
		Machine: agent.DescribeMachine, Checks: agent.StandardChecks(sxs, mon), Stack: sxs, Monitor: mon,
		Loader: bootloader.NewClient(*socket), SignOn: signon.NewClient(signon.Socket), Ready: bootloader.AnnounceReady, Stopping: machineStopping,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// printStatus tells on one screen what somebody at the machine wants to know.
func printStatus(out io.Writer, stateFile, statusFile string) error {
	st, err := agent.ReadState(stateFile)
	if err != nil {
		return err
	}
	s, statusErr := agent.ReadStatus(statusFile)
	if statusErr == nil && !running(s.PID) {
		s.State, s.Why = "Not running", "The agent's process has ended. Start the boot loader's service: systemctl start deskyard-bootloader"
	}
	if errors.Is(statusErr, os.ErrNotExist) {
		s.State, s.Why = "Not running", "The agent has not run since the machine started."
		statusErr = nil
	}
	if statusErr != nil {
		return statusErr
	}
	isRegistered := 0
	if st.IsRegistered() {
		isRegistered = 1
	}
	fmt.Fprintf(out, "State         %s\n", s.State)
	fmt.Fprintf(out, "IsRegistered  %d\n", isRegistered)
	for _, line := range [][2]string{
		{"Session host", st.ResourceID}, {"Host id", st.HostID}, {"Service", strings.Join(st.BrokerURIs, " ")}, {"Link", s.Service},
		{"CA pin", st.CAPin}, {"Version", s.Version}, {"Why", s.Why},
	} {
		if line[1] != "" {
			fmt.Fprintf(out, "%-13s %s\n", line[0], line[1])
		}
	}
	if !s.Since.IsZero() {
		fmt.Fprintf(out, "Since         %s\n", s.Since.Local().Format(time.DateTime))
	}
	return nil
}
