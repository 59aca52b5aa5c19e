package computetest

import (
	"context"
	"errors"
	"time"

	"github.com/deskyard/deskyard/compute"
)

func unknownMachine(f *fixture) {
	const id = "00000000-0000-4000-8000-000000000000"
	_, err := f.d.Observe(f.ctx(), id)
	f.wants(err, compute.ErrNotFound, "Observe")
	for _, p := range []compute.Power{compute.Start, compute.Shutdown, compute.PowerOff, compute.Restart, compute.Hibernate} {
		f.wants(f.d.Power(f.ctx(), id, p), compute.ErrNotFound, string(p))
	}
	f.wants(f.d.Filter(f.ctx(), id, 0, nil), compute.ErrNotFound, "Filter")
	f.wants(f.d.Balloon(f.ctx(), id, 128), compute.ErrNotFound, "Balloon")
	_, err = f.d.Console(f.ctx(), id)
	f.wants(err, compute.ErrNotFound, "Console")
	_, err = f.d.Screenshot(f.ctx(), id)
	f.wants(err, compute.ErrNotFound, "Screenshot")
	for _, malformed := range []string{"", "../../etc", "a/b", "UPPER"} {
		if err := f.d.Ensure(f.ctx(), compute.Spec{ID: malformed, Owner: Owner, CPUs: 1, MemoryMB: 128, Image: f.Image}); err == nil {
			f.Errorf("a machine was made with the id %q", malformed)
		}
	}
}

func removeRunning(f *fixture) {
	s := f.running()
	f.must(f.d.Remove(f.ctx(), s.ID))
	_, err := f.d.Observe(f.ctx(), s.ID)
	f.wants(err, compute.ErrNotFound, "Observe after Remove")
	if left := f.of(s.ID); len(left) > 0 {
		f.Errorf("left: %v", left)
	}
}

func removeNothing(f *fixture) {
	s := f.spec()
	f.must(f.d.Remove(f.ctx(), s.ID))
	f.ensure(s)
	f.must(f.d.Remove(f.ctx(), s.ID))
	f.must(f.d.Remove(f.ctx(), s.ID))
}

func powerReached(f *fixture) {
	s := f.ensure(f.spec())
	f.power(s, compute.PowerOff)
	f.power(s, compute.Shutdown)
	f.wants(f.d.Power(f.ctx(), s.ID, compute.Restart), compute.ErrNotRunning, "restart of a machine that is off")
	f.power(s, compute.Start)
	since := f.state(s, compute.Running).Since
	f.power(s, compute.Start)
	if o := f.state(s, compute.Running); !o.Since.Equal(since) || since.IsZero() || time.Since(since) > time.Hour {
		f.Errorf("started at %s, and since %s after a second start", since, o.Since)
	}
	f.power(s, compute.PowerOff)
	f.state(s, compute.Off)
	f.power(s, compute.PowerOff)
	if o := f.state(s, compute.Off); !o.Since.IsZero() {
		f.Errorf("off, and yet since %s", o.Since)
	}
	if err := f.d.Power(f.ctx(), s.ID, "sideways"); err == nil {
		f.Error("an unknown power verb was carried out")
	}
}

func restart(f *fixture) {
	s := f.running()
	f.power(s, compute.Restart)
	f.state(s, compute.Running)
}

func shutdownDeaf(f *fixture) {
	s := f.running()
	f.power(s, compute.Shutdown)
	if o := f.state(s, compute.Off); o.Reason != "" {
		f.Errorf("a machine that was shut down has the reason %q", o.Reason)
	}
}

func outlivesService(f *fixture) {
	s := f.running()
	since := f.observe(s).Since
	f.reopen()
	if o := f.state(s, compute.Running); !o.Since.Equal(since) {
		f.Errorf("since %s, and %s to the next process", since, o.Since)
	}
	f.power(s, compute.PowerOff)
	f.state(s, compute.Off)
}

func hibernate(f *fixture) {
	s := f.ensure(f.spec())
	if !f.capabilities().Hibernate {
		f.wants(f.d.Power(f.ctx(), s.ID, compute.Hibernate), compute.ErrUnsupported, "hibernate on a host that cannot")
		return
	}
	f.wants(f.d.Power(f.ctx(), s.ID, compute.Hibernate), compute.ErrNotRunning, "hibernate of a machine that is off")
	f.power(s, compute.Start)
	f.power(s, compute.Hibernate)
	f.state(s, compute.Hibernated)
	f.power(s, compute.Hibernate)
	f.reopen()
	if o := f.state(s, compute.Hibernated); !o.Since.IsZero() {
		f.Errorf("hibernated, and yet since %s", o.Since)
	}
	f.power(s, compute.Start)
	f.state(s, compute.Running)
}

func hibernateForget(f *fixture) {
	if !f.capabilities().Hibernate {
		f.Skip("the host cannot hibernate machines")
	}
	s := f.running()
	f.power(s, compute.Hibernate)
	f.power(s, compute.PowerOff)
	f.state(s, compute.Off)
	f.power(s, compute.Start)
	f.state(s, compute.Running)
}

func crash(f *fixture) {
	if f.Kill == nil {
		f.Skip("this test cannot end the hypervisor's process")
	}
	s := f.running()
	f.Kill(f.T, f.d, f.host, s.ID)
	f.within(10*time.Second, func() string {
		o := f.observe(s)
		if o.State != compute.Crashed {
			return "the machine is " + string(o.State)
		}
		if o.Reason == "" {
			return "the crash has no reason"
		}
		return ""
	})
	f.reopen()
	f.state(s, compute.Crashed)
	f.power(s, compute.Start)
	f.state(s, compute.Running)
	f.Kill(f.T, f.d, f.host, s.ID)
	f.power(s, compute.PowerOff) // asked for now: no crash any more
	f.state(s, compute.Off)
}

func deaf(f *fixture) {
	if f.Cut == nil {
		f.Skip("this test cannot make the hypervisor deaf")
	}
	s := f.running()
	mend := f.Cut(f.T, f.d, f.host, s.ID)
	func() {
		defer mend()
		ctx, cancel := context.WithTimeout(f.ctx(), 30*time.Second)
		defer cancel()
		o, err := f.d.Observe(ctx, s.ID)
		f.wants(err, compute.ErrUnreachable, "Observe ("+string(o.State)+")")
		f.wants(f.d.Power(ctx, s.ID, compute.Restart), compute.ErrUnreachable, "Restart")
	}()
	f.within(20*time.Second, func() string {
		if o, err := f.d.Observe(f.ctx(), s.ID); err != nil || o.State != compute.Running {
			return "the hypervisor answers again, and the machine is " + string(o.State)
		}
		return ""
	})
}

// contexts checks that no verb outlasts its context, and that what it left half done
// can be finished.
func contexts(f *fixture) {
	s := f.spec()
	over, cancel := context.WithCancel(f.Context())
	cancel()
	for what, verb := range map[string]func() error{
		"Ensure": func() error { return f.d.Ensure(over, s) },
		"Start":  func() error { return f.d.Power(over, s.ID, compute.Start) },
		"Observe": func() error {
			_, err := f.d.Observe(over, s.ID)
			return err
		},
		"Inventory": func() error {
			_, err := f.d.Inventory(over, Owner)
			return err
		},
		"Remove": func() error { return f.d.Remove(over, s.ID) },
	} {
		f.wants(verb(), context.Canceled, what)
	}
	f.ensure(s)
	f.power(s, compute.Start)
	f.state(s, compute.Running)
}

// cutOff ends the context of verbs at one moment after the other, as a service that
// stops does, and finishes what was begun.
func cutOff(f *fixture) {
	s := f.spec()
	s.Seed = compute.Seed{NoCloud: map[string][]byte{"meta-data": []byte("instance-id: i\n"), "user-data": []byte("#cloud-config\n")}}
	for after := time.Millisecond; after < 300*time.Millisecond; after = after*3/2 + time.Millisecond {
		short, cancel := context.WithTimeout(f.Context(), after)
		err := f.d.Ensure(short, s)
		if err == nil {
			err = f.d.Power(short, s.ID, compute.Start)
		}
		if err == nil {
			err = f.d.Power(short, s.ID, compute.PowerOff)
		}
		if err == nil {
			err = f.d.Remove(short, s.ID)
		}
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			f.Errorf("cut off after %s: %v", after, err)
		}
		f.reopen()
		f.ensure(s)
		f.power(s, compute.Start)
		f.state(s, compute.Running)
		f.must(f.d.Remove(f.ctx(), s.ID))
		if left := f.of(s.ID); len(left) > 0 {
			f.Errorf("cut off after %s, and left: %v", after, left)
		}
	}
}
