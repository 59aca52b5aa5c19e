package guest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/durable"
)

// AgentStep installs the agent and joins the machine to its host pool.
type AgentStep struct {
	KeyFile       string // where the agent looks for its registration key
	StatusFile    string // what the agent says of itself
	SubstrateFile string // what the machine runs on, for the agent's description of it
	Loader        Loader
	Join          func(ctx context.Context, s deskyard.Step) Outcome // directory join, asked for beside
	Now           func() time.Time
}

// Loader is the boot loader of this machine.
type Loader interface {
	SetDesired(ctx context.Context, list []bootloader.Desired) error
	Status(ctx context.Context) (bootloader.Status, error)
}

// agentSettings are what the service asks with.
type agentSettings struct {
	Kind       string               `json:"kind"` // Azure | AzureStackHCI
	Components []bootloader.Desired `json:"components"`
	AADJoin    bool                 `json:"aadJoin"`
}

type agentSecrets struct {
	Token string `json:"registrationInfoToken"`
}

// agentTime bounds the wait for the agent's registration: packages have to come.
const (
	agentTime = 15 * time.Minute
	agentLook = 250 * time.Millisecond
)

// Run hands the key over, has the components installed, and waits until the agent
// has its link or says why it has not.
func (a AgentStep) Run(ctx context.Context, s deskyard.Step) Outcome {
	var settings agentSettings
	var secrets agentSecrets
	if err := decodeStep(s, &settings, &secrets); err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	if secrets.Token == "" {
		return Failed("InvalidSettings", "The extension has no registration key (registrationInfoToken). Give it the host pool's.")
	}
	if a.Join != nil && settings.AADJoin {
		if o := a.Join(ctx, s); o.Code != "" {
			return o
		}
	}
	handed := a.Now()
	mark := handMark(s.ID, secrets.Token)
	if !a.used(mark) {
		if err := a.handOver(settings, secrets.Token, mark); err != nil {
			return Failed("AgentNotInstalled", "%v", err)
		}
	}
	if err := a.install(ctx, settings.Components); err != nil {
		return Failed("AgentNotInstalled", "%v", err)
	}
	return a.await(ctx, secrets.Token, handed)
}

// handOver writes the key where the agent looks for it; the agent erases it.
func (a AgentStep) handOver(settings agentSettings, token string, mark []byte) error {
	if err := os.MkdirAll(filepath.Dir(a.KeyFile), 0o755); err != nil {
		return fmt.Errorf("make the agent's folder: %w", err)
	}
	if settings.Kind != "" && a.SubstrateFile != "" {
		if err := durable.Replace(a.SubstrateFile, []byte(settings.Kind+"\n"), 0o644); err != nil {
			return fmt.Errorf("say what the machine runs on: %w", err)
		}
	}
	if err := durable.Replace(a.KeyFile, []byte(token), 0o600); err != nil {
		return fmt.Errorf("hand the registration key to the agent: %w", err)
	}
	// Only now: a mark of a key that was not handed over would keep it from the agent.
	if err := durable.Replace(a.markFile(), mark, 0o600); err != nil {
		return fmt.Errorf("note which registration key was handed over: %w", err)
	}
	return nil
}

// used reports whether this very step handed its key over before and the agent has
// registered with it, which is when it erases it: the boot loader ended between that
// and the step's result. A key for one use would be refused a second time.
func (a AgentStep) used(mark []byte) bool {
	stands, err := os.ReadFile(a.markFile())
	return err == nil && bytes.Equal(stands, mark) && !a.keyWaits()
}

// markFile remembers the step that handed a key over last, and its key by a hash.
func (a AgentStep) markFile() string { return a.KeyFile + ".handed" }

func handMark(step, token string) []byte {
	sum := sha256.Sum256([]byte(step + "\x00" + token))
	return []byte(hex.EncodeToString(sum[:]) + "\n")
}

// install has the boot loader run the agent; the rest of the components follows over
// the agent's own link, but may as well begin now.
func (a AgentStep) install(ctx context.Context, components []bootloader.Desired) error {
	if len(components) == 0 {
		return errors.New("the service has no agent packages for this machine; publish some (deskyard component publish)")
	}
	if err := a.Loader.SetDesired(ctx, components); err != nil {
		return fmt.Errorf("have the agent installed: %w", err)
	}
	return nil
}

// agentStatus is what the agent's status file says, as far as it matters here.
type agentStatus struct {
	State      string    `json:"state"`
	Registered bool      `json:"registered"`
	Host       string    `json:"host"`
	Why        string    `json:"why"`
	Since      time.Time `json:"since"`
	Refused    bool      `json:"refused"`
}

// await waits for the link. A refusal of the key is final; whatever else keeps the
// agent away may pass. What the agent said before the key was handed over was of
// another key.
func (a AgentStep) await(ctx context.Context, token string, handed time.Time) Outcome {
	ctx, cancel := context.WithTimeout(ctx, agentTime)
	defer cancel()
	tick := time.NewTicker(agentLook)
	defer tick.Stop()
	var last agentStatus
	for {
		if err := readJSON(a.StatusFile, &last); err == nil {
			switch {
			case last.State == "Linked" && !a.keyWaits():
				return Outcome{Output: "Registered as " + last.Host + "."}
			case last.Refused && a.keyWaits() && !last.Since.Before(handed):
				return Failed("RegistrationRefused", "The host pool refused the machine: %s", strike(last.Why, token))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return Failed("AgentNotRegistered", "The agent has not registered: %s", a.reason(last, token))
		}
	}
}

// keyWaits reports whether the agent has yet to use its key.
func (a AgentStep) keyWaits() bool {
	_, err := os.Stat(a.KeyFile)
	return err == nil
}

// reason is the best explanation there is for an agent that does not come.
func (a AgentStep) reason(last agentStatus, token string) string {
	if last.Why != "" {
		return strike(last.Why, token)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	status, err := a.Loader.Status(ctx)
	if err != nil {
		return "the boot loader does not answer: " + err.Error()
	}
	agent, found := status.Component("agent")
	if !found {
		return "it is not installed; the boot loader's log says why its package did not come."
	}
	return fmt.Sprintf("its version %s is %s. %s", agent.Version, agent.State, agent.Detail)
}

// decodeStep reads a step's settings and secrets.
func decodeStep(s deskyard.Step, settings, secrets any) error {
	for _, part := range []struct {
		name string
		raw  json.RawMessage
		into any
	}{{"settings", s.Settings, settings}, {"secrets", s.Secrets, secrets}} {
		if len(part.raw) == 0 || part.into == nil {
			continue
		}
		if err := json.Unmarshal(part.raw, part.into); err != nil {
			// The decoder's words may quote the value; the name of the part is enough.
			return fmt.Errorf("the extension's %s do not have the form that it takes", part.name)
		}
	}
	return nil
}
