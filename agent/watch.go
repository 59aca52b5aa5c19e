package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
)

// Pace of watching. Sessions and components are asked for over a local socket, so
// often is cheap; health checks start programs and ask the network.
const (
	checkEach = 30 * time.Second
	checkSoon = 5 * time.Second // while something is wrong: it may just be starting
	checkNow  = time.Second     // likewise, in the agent's first minute: it surely is
	lookEach  = 2 * time.Second
	checkTime = 10 * time.Second
	lookTime  = 5 * time.Second
)

// Expectations are what the service says of the host's surroundings.
type Expectations struct {
	Metadata  bool // an instance metadata service should answer
	Directory bool // the host must be joined to a directory
	// Gateways are the base URLs of gateways elsewhere that users' clients are sent to.
	Gateways []string
}

// Surroundings is what a check may need to know.
type Surroundings struct {
	Expectations
	BrokerURIs []string
	CAPin      string
	Machine    deskyard.Machine
}

// Finding is what a check found. Message says what that was and, when the check
// failed, what to do.
type Finding struct {
	Failed  bool
	Code    int
	Message string
}

// Check is one health check under AVD's name for it.
type Check struct {
	Name string
	Look func(ctx context.Context, s Surroundings) Finding
}

// watch keeps the board until ctx ends.
func (a *Agent) watch(ctx context.Context) {
	looks := time.NewTicker(lookEach)
	defer looks.Stop()
	checks := time.NewTimer(0)
	defer checks.Stop()
	a.look(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-looks.C:
			a.look(ctx)
		case <-checks.C:
			checks.Reset(a.checkAll(ctx))
		case done := <-a.checks:
			checks.Reset(a.checkAll(ctx))
			close(done)
		}
	}
}

// checkAll runs every check beside the others and says when to do so again.
func (a *Agent) checkAll(ctx context.Context) time.Duration {
	s := a.surroundings()
	machine, err := a.o.Machine(ctx)
	if err != nil {
		a.log.Error("machine not described", "err", err)
	}
	s.Machine = machine
	results := make([]deskyard.HealthCheck, len(a.o.Checks))
	var wg sync.WaitGroup
	for i, c := range a.o.Checks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTime)
			defer cancel()
			results[i] = a.result(c.Name, c.Look(ctx, s))
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return checkEach // cut short: what failed is the end's doing
	}
	a.board.edit(func(r *deskyard.HostReport) { r.Checks = results })
	a.brokers.mu.Lock()
	a.checkedIn = s.where()
	a.brokers.mu.Unlock()
	for _, r := range results {
		if r.Result == deskyard.CheckFailed && time.Since(a.began) < time.Minute {
			return checkNow
		}
		if r.Result == deskyard.CheckFailed {
			return checkSoon
		}
	}
	return checkEach
}

// surroundings is what the service has said of itself and of the host.
func (a *Agent) surroundings() Surroundings {
	a.brokers.mu.Lock()
	defer a.brokers.mu.Unlock()
	return Surroundings{Expectations: a.expect, BrokerURIs: a.uris, CAPin: a.pin}
}

// where tells whether results were found in these surroundings.
func (s Surroundings) where() string {
	return fmt.Sprint(s.Expectations, s.CAPin, s.BrokerURIs)
}

// checkAnew runs the checks again if the service's surroundings have changed since:
// what they found before is not worth reporting.
func (a *Agent) checkAnew(ctx context.Context) error {
	s := a.surroundings()
	a.brokers.mu.Lock()
	fits := a.checkedIn == s.where()
	a.brokers.mu.Unlock()
	if fits {
		return nil
	}
	return a.CheckNow(ctx)
}

func (a *Agent) result(name string, f Finding) deskyard.HealthCheck {
	h := deskyard.HealthCheck{Name: name, Result: deskyard.CheckSucceeded, Message: clip(f.Message, 1000), At: a.now().UTC()}
	if f.Failed {
		h.Result, h.Code = deskyard.CheckFailed, max(f.Code, 1)
	}
	return h
}

// look asks the stack for sessions and the boot loader for components.
func (a *Agent) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	_, offset := a.now().Local().Zone()
	var stack StackStatus
	stackErr := errNoStack
	if a.o.Stack != nil {
		stack, stackErr = a.o.Stack.Status(ctx)
	}
	if stackErr == nil {
		a.news.hear(stack.News)
	}
	components, version := a.components(ctx)
	a.board.edit(func(r *deskyard.HostReport) {
		r.AgentVersion, r.TimeZoneOffset = a.o.Version, offset
		r.SxSVersion, r.Components = version, components
		r.SessionsKnown = stackErr == nil && stack.SessionsKnown
		if stackErr == nil {
			r.SxSVersion = stack.Version
		}
		if stack.Certificate != "" { // one that cannot be read now has not changed for that
			r.ListenerCertificate = stack.Certificate
		}
		if r.SessionsKnown { // else the last known ones stay, marked as not known now
			r.Sessions = stack.Sessions
		}
	})
}

// components gives what the boot loader says is installed, and the stack's version.
func (a *Agent) components(ctx context.Context) (all []deskyard.Component, stack string) {
	if a.o.Loader == nil {
		return nil, ""
	}
	s, err := a.o.Loader.Status(ctx)
	if err != nil {
		a.log.Debug("components not known", "err", err)
		return nil, ""
	}
	for _, c := range s.Components {
		all = append(all, deskyard.Component{
			Name: c.Name, Version: c.Version, Kept: c.Kept, State: c.State, Detail: clip(c.Detail, 500), Failed: c.Failed, Attempts: c.Attempts,
		})
		if c.Name == "sxs-stack" {
			stack = c.Version
		}
	}
	return all, stack
}
