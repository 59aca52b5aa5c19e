//go:build e2e

package portal

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/agent"
	"github.com/deskyard/deskyard/sxs"
)

// host is a session host on paper: the real agent, on a machine that is only described,
// with a desktop stack that knows who is signed in and keeps what it is told.
type host struct {
	mu       sync.Mutex // guards what follows
	sessions []deskyard.UserSession
	told     []deskyard.Command
	ailing   string // the message of the listener's check, which fails where there is one
}

// join registers a machine with a key and runs its agent until the test ends.
func (h *house) join(t *testing.T, name, key string, paper *host) {
	t.Helper()
	dir := filepath.Join(h.dir, "hosts", name)
	must(t, os.MkdirAll(dir, 0o700))
	id := uuid.New()
	machine := deskyard.Machine{Hostname: name, MachineID: hex.EncodeToString(id[:]), SMBIOSID: uuid.NewString(), OS: "linux", Arch: "amd64", OSVersion: "Debian GNU/Linux 12 (bookworm)"}
	a, err := agent.New(agent.Options{
		StateFile: filepath.Join(dir, "agent.json"), KeyFile: filepath.Join(dir, "key"), Key: key, Version: "1.0.0",
		Machine: func(context.Context) (deskyard.Machine, error) { return machine, nil },
		Checks:  paper.checks(), Stack: paper, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := a.Run(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("the agent of %s ended: %v", name, err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	h.hosts[name] = paper
}

func (p *host) checks() []agent.Check {
	var all []agent.Check
	for _, name := range []string{deskyard.CheckDomainJoined, deskyard.CheckURLs, deskyard.CheckMonitoring, deskyard.CheckEncryption} {
		all = append(all, agent.Check{Name: name, Look: func(context.Context, agent.Surroundings) agent.Finding { return agent.Finding{} }})
	}
	return append(all, agent.Check{Name: deskyard.CheckSxSListener, Look: func(context.Context, agent.Surroundings) agent.Finding {
		p.mu.Lock()
		defer p.mu.Unlock()
		return agent.Finding{Failed: p.ailing != "", Message: p.ailing}
	}})
}

// Status implements agent.Stack.
func (p *host) Status(context.Context) (agent.StackStatus, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return agent.StackStatus{Version: "1.0.0", Listening: p.ailing == "", Encrypted: true, Sessions: append([]deskyard.UserSession(nil), p.sessions...), SessionsKnown: true}, nil
}

// Do implements agent.Stack.
func (p *host) Do(_ context.Context, c deskyard.Command) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, c)
	for i, s := range p.sessions {
		if s.Native != c.Session {
			continue
		}
		switch c.Verb {
		case "disconnect":
			p.sessions[i].State = "Disconnected"
		case "logoff":
			p.sessions = append(p.sessions[:i], p.sessions[i+1:]...)
		}
		return nil
	}
	return nil
}

// Dial implements agent.Stack.
func (p *host) Dial(context.Context, sxs.Dial) error {
	return errors.New("dial a gateway: this machine is on paper")
}

// signIn lets a person have a session.
func (p *host) signIn(upn, state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name, _, _ := strings.Cut(upn, "@")
	p.sessions = append(p.sessions, deskyard.UserSession{
		ID: len(p.sessions) + 2, Native: name, ObjectID: uuid.NewString(), User: upn, Account: name, State: state, ApplicationType: "Desktop", CreateTime: time.Now().Add(-time.Hour).UTC(),
	})
}

// messages are the texts that were to be shown to people on the host.
func (p *host) messages() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	texts := []string{}
	for _, c := range p.told {
		if c.Verb == "message" {
			texts = append(texts, c.Title+": "+c.Body)
		}
	}
	return texts
}
