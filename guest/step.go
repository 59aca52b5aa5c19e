package guest

import (
	"context"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
)

// defaultStepTime is Azure's bound on an extension.
const defaultStepTime = 90 * time.Minute

// maxOutput is how much of a step's output is told: its end, where errors stand.
const maxOutput = 4 << 10

// Bounds of the rest of what is told: a result has to fit into one request, also when
// a program wrote a megabyte into one line.
const (
	maxMessage = 2 << 10
	maxCode    = 128
)

// work runs steps one after another until ctx ends.
func (g *Guest) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-g.queue:
			r, told := g.run(ctx, s)
			g.mu.Lock()
			delete(g.running, s.ID)
			g.mu.Unlock()
			if told && g.report(ctx, r) != nil {
				return
			}
		}
	}
}

// run runs one step, once. told is false when the service ends meanwhile: the step
// then is neither done nor failed.
func (g *Guest) run(ctx context.Context, s deskyard.Step) (r deskyard.StepResult, told bool) {
	handler, known := g.o.Steps[s.Kind]
	before, found := g.journal.find(s.ID)
	switch {
	case found && before.State != deskyard.StepRunning:
		return before, true
	case found && !handler.Again:
		return g.close(interrupted(s.ID, before.Started, g.now())), true
	}
	r = deskyard.StepResult{ID: s.ID, State: deskyard.StepRunning, Started: g.now().UTC()}
	if err := g.journal.record(r); err != nil {
		return g.close(g.finish(r, Failed("JournalNotWritten", "The step was not run, for its beginning could not be written down: %v. Free some disk space in the machine.", err))), true
	}
	if !known {
		return g.close(g.finish(r, Failed("StepNotSupported", "This boot loader does not know steps of the kind %q. Update it.", s.Kind))), true
	}
	g.log.Info("step begins", "step", s.ID, "kind", s.Kind)
	limit := s.Timeout
	if limit <= 0 {
		limit = defaultStepTime
	}
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	outcome := handler.Run(inner, s)
	if ctx.Err() != nil {
		return r, false // the boot loader stops: the journal says Running
	}
	if inner.Err() != nil && outcome.Code != "" {
		outcome.Code, outcome.Message = "StepTimedOut", "The step took longer than "+limit.String()+" and was ended. "+outcome.Message
	}
	r = g.close(g.finish(r, outcome))
	g.log.Info("step ended", "step", s.ID, "kind", s.Kind, "state", r.State, "code", r.Code, "after", r.Ended.Sub(r.Started))
	return r, true
}

// finish makes a result of an outcome.
func (g *Guest) finish(r deskyard.StepResult, o Outcome) deskyard.StepResult {
	r.State = deskyard.StepSucceeded
	if o.Code != "" {
		r.State = deskyard.StepFailed
	}
	r.ExitCode, r.Output, r.Code, r.Message = o.ExitCode, tail(o.Output, maxOutput), head(o.Code, maxCode), head(o.Message, maxMessage)
	r.Ended = g.now().UTC()
	return r
}

// close writes the result down before it is told.
func (g *Guest) close(r deskyard.StepResult) deskyard.StepResult {
	if err := g.journal.record(r); err != nil {
		g.log.Error("result of a step not written down", "step", r.ID, "err", err)
	}
	return r
}

// head is the beginning of s, at most n bytes.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// tail is the end of s, at most n bytes.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + strings.ToValidUTF8(s[len(s)-n:], "")
}
