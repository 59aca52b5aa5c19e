package provision_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// extension asks for an extension of a machine; its row is written first, as the
// management API does.
func (x *site) extension(id arm.ResourceID, properties, secrets string) string {
	x.t.Helper()
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		row, err := tx.Resource(ctx, id)
		if isMissing(err) {
			row, err = deskyard.Resource{ID: id, Envelope: arm.Envelope{Location: "eastus"}}, nil
		}
		if err != nil {
			return err
		}
		row.Properties = json.RawMessage(properties)
		_, err = tx.PutResource(ctx, row)
		return err
	})
	return x.ask(deskyard.WorkExtension, deskyard.JobPut, id, secrets)
}

func (x *site) ask(kind, verb string, id arm.ResourceID, secrets string) string {
	x.t.Helper()
	op := ""
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		j := deskyard.Job{Kind: kind, Verb: verb, ID: id}
		if secrets != "" {
			j.Secrets = json.RawMessage(secrets)
		}
		o, err := x.s.Submit(ctx, tx, j)
		op = o.ID
		return err
	})
	x.s.Wake(kind, id)
	return op
}

// ran counts the steps of a kind that were run, by their ids.
func (x *site) ran(kind string) int {
	x.guests.mu.Lock()
	defer x.guests.mu.Unlock()
	n := 0
	for _, s := range x.guests.did {
		if s.Kind == kind {
			n++
		}
	}
	return n
}

// ready is a machine that is there, in a service that runs.
func ready(t *testing.T) (*site, arm.ResourceID) {
	x := newSite(t)
	x.run()
	id := x.machine(1, "")
	x.submit(id, deskyard.JobPut)
	x.until("the machine", func() bool { return x.state(id) == "Succeeded" })
	return x, id
}

func (x *site) ended(op, status string) deskyard.Operation {
	x.t.Helper()
	x.until("the operation's end", func() bool { return x.operation(op).Done() })
	o := x.operation(op)
	if o.Status != status {
		x.t.Errorf("operation: %s, %+v", o.Status, o.Error)
	}
	return o
}

const script = `{"publisher":"Microsoft.Azure.Extensions","type":"CustomScript","settings":{"commandToExecute":"true"}%s}`

func scriptTagged(tag string) string {
	if tag != "" {
		tag = `,"forceUpdateTag":"` + tag + `"`
	}
	return strings.Replace(script, "%s", tag, 1)
}

func TestAnExtensionRunsOnceUntilSomethingElseIsAskedFor(t *testing.T) {
	x, vm := ready(t)
	id := vm.Child("extensions", "script")
	for _, c := range []struct {
		what, tag string
		runs      int
	}{{"at first", "", 1}, {"the same again", "", 1}, {"another tag", "2", 2}, {"that tag again", "2", 2}} {
		x.ended(x.extension(id, scriptTagged(c.tag), ""), "Succeeded")
		if n := x.ran(deskyard.StepScript); n != c.runs {
			t.Errorf("%s: %d runs, not %d", c.what, n, c.runs)
		}
	}
	x.ended(x.ask(deskyard.WorkExtension, deskyard.JobDelete, id, ""), "Succeeded")
	if x.properties(id) != nil {
		t.Error("the row is left")
	}
	x.ended(x.extension(id, scriptTagged("2"), ""), "Succeeded")
	if n := x.ran(deskyard.StepScript); n != 3 {
		t.Errorf("made again after its removal: %d runs", n)
	}
}

func TestAnExtensionThatFailedSaysWhyAndRunsAnew(t *testing.T) {
	x, vm := ready(t)
	id := vm.Child("extensions", "script")
	x.guests.mu.Lock()
	x.guests.refuse[deskyard.StepScript] = deskyard.StepResult{Code: "CommandFailed", ExitCode: 7, Message: "It did not work."}
	x.guests.mu.Unlock()
	o := x.ended(x.extension(id, scriptTagged(""), ""), "Failed")
	if o.Error == nil || !strings.Contains(o.Error.Message, "It did not work.") || x.state(id) != "Failed" {
		t.Errorf("told %+v, %s", o.Error, x.state(id))
	}
	x.guests.mu.Lock()
	delete(x.guests.refuse, deskyard.StepScript)
	x.guests.mu.Unlock()
	x.ended(x.extension(id, scriptTagged(""), ""), "Succeeded")
	if n := x.ran(deskyard.StepScript); n != 1 {
		t.Errorf("%d runs", n)
	}
}

func TestACommandWaitsForALinkThatItWasBegunOver(t *testing.T) {
	x, vm := ready(t)
	x.guests.leave(guid(1))
	o := x.ended(x.ask(deskyard.WorkCommand, deskyard.JobRun, vm, `{"script":["true"]}`), "Failed")
	if o.Error == nil || o.Error.Code != "VMAgentNotReady" {
		t.Errorf("without a link: %+v", o.Error)
	}
	x.guests.mu.Lock()
	x.guests.up[guid(1)] = true
	x.guests.mu.Unlock()
	var ops []string
	for range 3 {
		ops = append(ops, x.ask(deskyard.WorkCommand, deskyard.JobRun, vm, `{"script":["true"]}`))
	}
	for _, op := range ops {
		if o := x.ended(op, "Succeeded"); !strings.Contains(string(o.Result), `[stdout]`) || !strings.Contains(string(o.Result), "ProvisioningState/succeeded") {
			t.Errorf("result %s", o.Result)
		}
	}
	if n := x.ran(deskyard.StepCommand); n != 3 {
		t.Errorf("%d runs of 3", n)
	}
}

// TestACommandThatRunsOutlivesItsLink loses the link under a command, as a restart of
// the service does, and looks that the command's own result is told.
func TestACommandThatRunsOutlivesItsLink(t *testing.T) {
	x, vm := ready(t)
	x.halt() // the command is noted as begun, and the service ends before its result
	op := x.ask(deskyard.WorkCommand, deskyard.JobRun, vm, `{"script":["true"]}`)
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		w, err := tx.Work(ctx, deskyard.WorkCommand, vm)
		if err != nil {
			return err
		}
		w.State = json.RawMessage(strings.Replace(string(w.State), `"operation"`, `"begun":true,"operation"`, 1))
		_, err = tx.PutWork(ctx, w)
		return err
	})
	x.guests.leave(guid(1))
	x.run()
	if err := x.s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if x.operation(op).Done() {
		t.Fatalf("ended without a link: %+v", x.operation(op).Error)
	}
	x.guests.mu.Lock()
	x.guests.up[guid(1)] = true
	x.guests.mu.Unlock()
	x.s.Wake(deskyard.WorkCommand, vm)
	x.ended(op, "Succeeded")
}
