package qemu

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
)

// watched is a running machine that a call of Watch follows.
type watched struct {
	t    *testing.T
	m    *machine
	told chan string
}

// watchRunning starts a machine and watches it from the driver of the next process.
func watchRunning(t *testing.T, before func(m *machine)) watched {
	t.Helper()
	image := emptyImage(t)
	o := Options{Folder: t.TempDir(), Owner: computetest.Owner}
	former, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	former.accel = knownAccelerator(t, former)
	ctx := context.WithoutCancel(t.Context())
	const id = "6a6f1c9e-0000-4000-8000-00000000dddd"
	t.Cleanup(func() {
		if err := former.Remove(ctx, id); err != nil {
			t.Error(err)
		}
	})
	if err := former.Ensure(ctx, compute.Spec{ID: id, Owner: computetest.Owner, Name: "watched", CPUs: 1, MemoryMB: 64, Image: image}); err != nil {
		t.Fatal(err)
	}
	if err := former.Power(ctx, id, compute.Start); err != nil {
		t.Fatal(err)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := d.open(id)
	if err != nil {
		t.Fatal(err)
	}
	if before != nil {
		before(m)
	}
	w := watched{t, m, make(chan string, 100)}
	watching, stop := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- d.Watch(watching, func(id string) { w.told <- id }) }()
	t.Cleanup(func() {
		stop()
		if err := <-over; err != context.Canceled {
			t.Errorf("Watch ended with %v", err)
		}
	})
	if first := w.next(); first != "" {
		t.Errorf("told at first was %q", first)
	}
	return w
}

func (w watched) next() string {
	w.t.Helper()
	select {
	case id := <-w.told:
		return id
	case <-time.After(5 * time.Second):
		w.t.Fatal("nothing was told for 5 s")
		return ""
	}
}

// command has QEMU do something behind the driver's back.
func (w watched) command(name string) {
	w.t.Helper()
	mon, err := w.m.ask(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer mon.close()
	if err := mon.do(name, nil, nil); err != nil {
		w.t.Fatal(err)
	}
}

func TestWatchTellsThatSomebodyPausedAMachine(t *testing.T) {
	w := watchRunning(t, nil)
	if id := w.next(); id != w.m.id { // once its events are listened to
		t.Fatalf("told was %q", id)
	}
	for _, c := range []struct {
		verb string
		want compute.State
	}{{"stop", compute.Paused}, {"cont", compute.Running}} {
		w.command(c.verb)
		if id := w.next(); id != w.m.id {
			t.Errorf("after %s, told was %q", c.verb, id)
		}
		if o, err := w.m.d.Observe(t.Context(), w.m.id); err != nil || o.State != c.want {
			t.Errorf("after %s the machine is %s, %v", c.verb, o.State, err)
		}
	}
}

// TestWatchTellsTheEndOfAnOlderVersionsProcess takes the socket away that machines
// did not have which the version before Watch started.
func TestWatchTellsTheEndOfAnOlderVersionsProcess(t *testing.T) {
	w := watchRunning(t, func(m *machine) {
		if err := os.Remove(m.path(eventSocket)); err != nil {
			t.Fatal(err)
		}
	})
	begun := time.Now()
	signal(t, w.m.d, w.m.id, syscall.SIGKILL)
	if id := w.next(); id != w.m.id {
		t.Errorf("told was %q", id)
	}
	if o, err := w.m.d.Observe(t.Context(), w.m.id); err != nil || o.State != compute.Crashed {
		t.Errorf("it is %s, %v", o.State, err)
	}
	t.Logf("told after %d ms", time.Since(begun).Milliseconds())
}
