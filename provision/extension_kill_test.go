package provision_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// killingGuests end the service behind a step: the guest did it, and whoever asked for
// it never learns.
type killingGuests struct {
	*guests
	k *killing
}

func (g killingGuests) Do(ctx context.Context, id string, s deskyard.Step) (deskyard.StepResult, error) {
	if err := ctx.Err(); err != nil {
		return deskyard.StepResult{}, err
	}
	r, err := g.guests.Do(ctx, id, s)
	if g.k.tick() {
		return deskyard.StepResult{}, errKilled
	}
	return r, err
}

// TestKillBehindEveryStepRunsExtensionsAndCommandsOnce has an extension, a command and
// the extension's removal, once for each write and step there is, with the service
// killed behind it.
func TestKillBehindEveryStepRunsExtensionsAndCommandsOnce(t *testing.T) {
	reached := 0
	for n := int64(1); extensionsKilledAt(t, n); n++ {
		reached++
	}
	if reached < 6 { // the step's id, the step and its end, for both; the removal
		t.Errorf("only %d places to be killed at: the loop does not see the steps", reached)
	}
}

func extensionsKilledAt(t *testing.T, n int64) (killed bool) {
	x, vm := ready(t)
	x.halt()
	k := &killing{}
	k.left.Store(n)
	db := x.store
	x.opt.Store, x.opt.Guests = killingStore{db, k}, killingGuests{x.guests, k}
	run := func() <-chan struct{} {
		x.run()
		ctx, cancel := context.WithCancel(context.Background())
		dead := context.CancelFunc(cancel)
		k.kill.Store(&dead)
		return ctx.Done()
	}
	dead := run()
	script := vm.Child("extensions", "script")
	ended := func(what, op, kind string, id arm.ResourceID) {
		t.Helper()
		x.until(fmt.Sprintf("%s (killed at %d)", what, n), func() bool {
			select {
			case <-dead:
				killed = true
				k.armed.Store(false)
				dead = run()
			default:
			}
			x.s.Wake(kind, id)
			return x.operation(op).Done()
		})
		if o := x.operation(op); o.Status != "Succeeded" {
			t.Fatalf("killed at %d: %s: %+v", n, what, o.Error)
		}
	}
	op := x.extension(script, scriptTagged(""), `{"commandToExecute":"true"}`)
	k.armed.Store(true)
	ended("the extension", op, deskyard.WorkExtension, script)
	if x.state(script) != "Succeeded" {
		t.Fatalf("killed at %d: the extension is %s", n, x.state(script))
	}
	ended("the command", x.ask(deskyard.WorkCommand, deskyard.JobRun, vm, `{"script":["true"]}`), deskyard.WorkCommand, vm)
	if s, c := x.ran(deskyard.StepScript), x.ran(deskyard.StepCommand); s != 1 || c != 1 {
		t.Fatalf("killed at %d: the extension ran %d times, the command %d times", n, s, c)
	}
	ended("the removal", x.ask(deskyard.WorkExtension, deskyard.JobDelete, script, ""), deskyard.WorkExtension, script)
	if x.properties(script) != nil {
		t.Fatalf("killed at %d: the extension's row is left", n)
	}
	select { // behind the very last thing, which ended need not see
	case <-dead:
		killed = true
	default:
	}
	x.halt()
	return killed
}
