//go:build e2e

package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/agent"
	"github.com/deskyard/deskyard/guest"
)

// guestEnv names the folder of the guests' files, for this program as a guest.
const guestEnv = "DESKYARD_PAPER_GUESTS"

// TestMain is the suite; or the guest of a machine in memory, which the fake hypervisor
// starts as a program: this one.
func TestMain(m *testing.M) {
	if dir := os.Getenv(guestEnv); dir != "" {
		if err := playGuest(dir); err != nil {
			fmt.Println("the guest ends:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// guestProgram is what the hypervisor runs for each machine.
func guestProgram(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	path, guests := filepath.Join(dir, "guest"), filepath.Join(dir, "guests")
	must(t, os.Mkdir(guests, 0o700))
	must(t, os.WriteFile(path, []byte(fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s' \"$@\"\n", guestEnv, guests, self)), 0o700))
	return path
}

// paper is a guest of a machine in memory: the real boot loader's side of the link and the
// real agent, on a machine that is only described. What a step would change on the machine
// is not done, but for the agent, which joins.
type paper struct {
	id, dir string
	name    atomic.Value // string, once the service has named the machine
	ctx     context.Context
	agents  sync.WaitGroup
	once    sync.Once
	log     *slog.Logger
}

func playGuest(dir string) error {
	var boot struct {
		ID          string            `json:"id"`
		Credentials map[string][]byte `json:"credentials"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&boot); err != nil {
		return fmt.Errorf("read what the machine is given: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p := &paper{id: boot.ID, dir: filepath.Join(dir, boot.ID), ctx: ctx, log: slog.New(slog.NewTextHandler(os.Stdout, nil))}
	p.name.Store("paper")
	defer p.agents.Wait()
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("make the machine's folder: %w", err)
	}
	if err := os.WriteFile(p.file("invitation"), boot.Credentials["deskyard.invitation"], 0o600); err != nil {
		return fmt.Errorf("keep the invitation: %w", err)
	}
	if st, err := agent.ReadState(p.file("agent.json")); err == nil && st.IsRegistered() {
		p.startAgent("")
	}
	steps := map[string]guest.Handler{deskyard.StepAgent: {Run: p.join, Again: true}, deskyard.StepAdmin: {Run: p.administer, Again: true}}
	for _, kind := range []string{deskyard.StepDirectory, deskyard.StepScript, deskyard.StepCommand, deskyard.StepMonitor, deskyard.StepRelease} {
		steps[kind] = guest.Handler{Run: func(context.Context, deskyard.Step) guest.Outcome { return guest.Outcome{Output: "on paper"} }, Again: true}
	}
	g, err := guest.New(guest.Options{
		StateFile: p.file("guest.json"), JournalFile: p.file("journal.json"), Invitation: p.file("invitation"), Version: "1.0.0", Machine: p.machine, Steps: steps, Log: p.log,
	})
	if err != nil {
		return err
	}
	return g.Run(ctx)
}

func (p *paper) file(name string) string { return filepath.Join(p.dir, name) }

func (p *paper) machine(context.Context) (deskyard.Machine, error) {
	return deskyard.Machine{Hostname: p.name.Load().(string), MachineID: strings.ReplaceAll(p.id, "-", ""), SMBIOSID: p.id, OS: "linux", Arch: "amd64", OSVersion: "Debian GNU/Linux 12 (bookworm)"}, nil
}

// administer takes the machine's name; there is no account to make.
func (p *paper) administer(_ context.Context, s deskyard.Step) guest.Outcome {
	var settings struct {
		ComputerName string `json:"computerName"`
	}
	if err := json.Unmarshal(s.Settings, &settings); err != nil {
		return guest.Failed("InvalidSettings", "%v", err)
	}
	p.name.Store(settings.ComputerName)
	return guest.Outcome{}
}

// join starts the agent with its key and waits until it has registered.
func (p *paper) join(ctx context.Context, s deskyard.Step) guest.Outcome {
	var secrets struct {
		Token string `json:"registrationInfoToken"`
	}
	if err := json.Unmarshal(s.Secrets, &secrets); err != nil {
		return guest.Failed("InvalidSettings", "%v", err)
	}
	p.startAgent(secrets.Token)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if st, err := agent.ReadState(p.file("agent.json")); err == nil && st.IsRegistered() {
			return guest.Outcome{}
		}
		select {
		case <-ctx.Done():
			return guest.Failed("AgentNotInstalled", "the agent did not register: %v", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func (p *paper) startAgent(key string) {
	p.once.Do(func() {
		h := &host{}
		a, err := agent.New(agent.Options{
			StateFile: p.file("agent.json"), KeyFile: p.file("key"), Key: key, Version: "1.0.0", Machine: p.machine, Checks: h.checks(), Stack: h, Log: p.log,
		})
		if err != nil {
			p.log.Error("the agent does not start", "err", err)
			return
		}
		p.agents.Go(func() {
			if err := a.Run(p.ctx); err != nil && p.ctx.Err() == nil {
				p.log.Error("the agent ended", "err", err)
			}
		})
	})
}
