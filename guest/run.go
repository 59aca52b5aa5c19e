package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Runner runs programs with the rights that steps need.
type Runner interface {
	// Run runs a program to its end, or ctx's, with stdin for what is secret. err is nil
	// however it ended, unless it could not be started or was cut off.
	Run(ctx context.Context, stdin string, name string, args ...string) (output string, exit int, err error)
}

// maxCapture bounds what is kept of a program's output.
const maxCapture = 1 << 20

// DirectRunner runs programs with the caller's own rights: for those that only look.
func DirectRunner() Runner { return programs{} }

// programs runs programs directly, or through what prefix puts before them for the
// time that is left.
type programs struct {
	prefix func(left time.Duration) []string
}

// endTime is how long a program whose time is over has to end by itself, and endWait
// how long its end is waited for.
const (
	endTime = 5 * time.Second
	endWait = 10 * time.Second
)

// Run implements Runner.
func (p programs) Run(ctx context.Context, stdin, name string, args ...string) (string, int, error) {
	line := append([]string{name}, args...)
	if p.prefix != nil {
		left := defaultStepTime
		if end, bound := ctx.Deadline(); bound {
			left = time.Until(end)
		}
		line = append(p.prefix(left), line...)
	}
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	if p.prefix != nil {
		kill := cmd.Cancel
		cmd.Cancel = func() error {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil // the unit's time is over too: its end is waited for
			}
			return kill()
		}
	}
	cmd.WaitDelay = endWait
	cmd.Stdin = strings.NewReader(stdin)
	var out bounded
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return out.String(), -1, fmt.Errorf("run %s: %w", name, context.Cause(ctx))
	case errors.As(err, &exit):
		return out.String(), exit.ExitCode(), nil
	case err != nil:
		return out.String(), -1, fmt.Errorf("run %s: %w", name, err)
	}
	return out.String(), 0, nil
}

// bounded keeps the end of what is written to it.
type bounded struct{ b bytes.Buffer }

func (w *bounded) Write(p []byte) (int, error) {
	w.b.Write(p)
	if over := w.b.Len() - 2*maxCapture; over > 0 {
		w.b.Next(w.b.Len() - maxCapture)
	}
	return len(p), nil
}

func (w *bounded) String() string {
	return strings.ToValidUTF8(tail(w.b.String(), maxCapture), "\uFFFD")
}

// strike takes secrets out of a text that will be told.
func strike(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) >= 4 { // a shorter one would strike out half the text and tell more than it hides
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return text
}
