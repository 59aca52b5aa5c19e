package guest

import (
	"context"
	"net/http"
	"time"

	"github.com/deskyard/deskyard"
)

// StandardOptions are what the handlers of a machine need.
type StandardOptions struct {
	KeyFile, StatusFile, SubstrateFile string
	Loader                             Loader
	Runner                             Runner
}

// StandardSteps are the handlers of this system, by kind.
func StandardSteps(o StandardOptions) (map[string]Handler, error) {
	folder, err := scriptFolder()
	if err != nil {
		return nil, err
	}
	shell, suffix := scriptShell()
	script := ScriptStep{Folder: folder, Runner: o.Runner, Client: &http.Client{Timeout: downloadTime}, Shell: shell, Suffix: suffix}
	join := DirectoryStep{Runner: o.Runner}
	agent := AgentStep{
		KeyFile: o.KeyFile, StatusFile: o.StatusFile, SubstrateFile: o.SubstrateFile, Loader: o.Loader, Join: join.Run, Now: time.Now,
	}
	return map[string]Handler{
		deskyard.StepAgent:     {Run: agent.Run, Again: true},
		deskyard.StepAdmin:     {Run: AdminStep{o.Runner}.Run, Again: true},
		deskyard.StepScript:    {Run: script.Run},
		deskyard.StepCommand:   {Run: script.Run},
		deskyard.StepDirectory: {Run: join.Run, Again: true},
		deskyard.StepDomain:    {Run: DomainStep{Runner: o.Runner}.Run, Again: true},
		deskyard.StepMonitor:   {Run: MonitorStep{o.Loader}.Run, Again: true},
		deskyard.StepRelease:   {Run: ReleaseStep{o.Runner}.Run, Again: true},
	}, nil
}

// MonitorStep makes sure that the monitoring agent runs: it is one of the components
// that every session host has, so there is nothing to install but to look.
type MonitorStep struct{ Loader Loader }

// Run looks.
func (m MonitorStep) Run(ctx context.Context, _ deskyard.Step) Outcome {
	ctx, cancel := context.WithTimeout(ctx, agentTime)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	why := "the boot loader does not answer"
	for {
		if status, err := m.Loader.Status(ctx); err == nil {
			c, found := status.Component("monitoring-agent")
			if found && c.State == "Running" {
				return Outcome{Output: "The monitoring agent " + c.Version + " runs."}
			}
			why = "it is not installed"
			if found {
				why = "it is " + c.State + ". " + c.Detail
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return Failed("MonitoringAgentNotRunning", "The monitoring agent does not run: %s", why)
		}
	}
}
