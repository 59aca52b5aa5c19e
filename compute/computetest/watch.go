package computetest

import (
	"context"
	"sync"
	"time"

	"github.com/deskyard/deskyard/compute"
)

const (
	// atOnce bounds how long after a change Watch may tell it. It takes milliseconds; a
	// machine that nobody tells of is looked at after 15 s.
	atOnce = 5 * time.Second
	// silence is how long nothing is told when all was.
	silence = 300 * time.Millisecond
)

// watch is a call of Watch that goes on.
type watch struct {
	*fixture
	stop     func() error // ends it, and is what it returned
	told     chan telling
	patience time.Duration // how long next waits
}

// telling is one call of changed.
type telling struct {
	id string
	at time.Time
}

// watches calls the driver's Watch; the test is skipped where it has none.
func (f *fixture) watches() *watch {
	f.Helper()
	d, tells := f.d.(compute.Watcher)
	if !tells {
		f.Skip("the driver tells of no changes")
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	w := &watch{fixture: f, told: make(chan telling, 1000), patience: atOnce}
	over := make(chan error, 1)
	go func() { over <- d.Watch(ctx, func(id string) { w.told <- telling{id, time.Now()} }) }()
	w.stop = sync.OnceValue(func() error { cancel(); return <-over })
	f.Cleanup(func() { _ = w.stop() }) // a test that wants to know has asked
	if first := w.next(); first.id != "" {
		f.Errorf("told at first was %q, not that any machine may have changed", first.id)
	}
	return w
}

func (w *watch) next() telling {
	w.Helper()
	select {
	case t := <-w.told:
		return t
	case <-time.After(w.patience):
		w.Fatalf("nothing was told for %s", w.patience)
		return telling{}
	}
}

// quiet waits until what happened before was told.
func (w *watch) quiet() {
	for {
		select {
		case <-w.told:
		case <-time.After(silence):
			return
		}
	}
}

// sees looks at a machine each time it is told of, until it is in a state.
func (w *watch) sees(since time.Time, s compute.Spec, want compute.State) {
	w.Helper()
	for {
		t := w.next()
		if t.id != s.ID && t.id != "" {
			continue
		}
		if w.observe(s).State == want {
			w.Logf("that it is %s was told after %d ms", want, t.at.Sub(since).Milliseconds())
			return
		}
	}
}

func watchBegins(f *fixture) {
	w := f.watches()
	f.running() // and is left so
	if err := w.stop(); err != context.Canceled {
		f.Errorf("Watch ended with %v", err)
	}
}

func watchVerbs(f *fixture) {
	w := f.watches()
	s := f.ensure(f.spec())
	for _, c := range []struct {
		verb compute.Power
		want compute.State
	}{
		{compute.Start, compute.Running}, {compute.PowerOff, compute.Off},
		{compute.Start, compute.Running}, {compute.Shutdown, compute.Off},
	} {
		w.quiet()
		begun := time.Now()
		f.power(s, c.verb)
		w.sees(begun, s, c.want)
	}
	f.power(s, compute.Start)
	w.quiet()
	f.must(f.d.Remove(f.ctx(), s.ID))
	for w.next().id != s.ID {
	}
}

// watchCrash ends the process of a machine that this driver started, and of one that
// the former service process did.
func watchCrash(f *fixture) {
	if f.Kill == nil {
		f.Skip("this test cannot end the hypervisor's process")
	}
	old := f.running()
	f.reopen()
	w := f.watches()
	own := f.running()
	for _, s := range []compute.Spec{own, old} {
		w.quiet()
		begun := time.Now()
		f.Kill(f.T, f.d, f.host, s.ID)
		w.sees(begun, s, compute.Crashed)
	}
}
