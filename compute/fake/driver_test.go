package fake_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
	"github.com/deskyard/deskyard/compute/fake"
)

func TestDriverKeepsTheContract(t *testing.T) {
	image := filepath.Join(t.TempDir(), "disk.qcow2")
	if err := os.WriteFile(image, []byte("an image"), 0o644); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards hosts
	hosts := map[string]*fake.Driver{}
	computetest.Run(t, computetest.Options{
		New: func(t *testing.T, h computetest.Host) compute.Driver {
			mu.Lock()
			defer mu.Unlock()
			if hosts[h.Folder] == nil {
				hosts[h.Folder] = fake.New(fake.Options{Grace: time.Second})
				t.Cleanup(hosts[h.Folder].Close)
			}
			return hosts[h.Folder]
		},
		Image:   compute.Image{ID: "none", Path: image, Format: "qcow2", VirtualBytes: 1 << 30, OS: "linux", Firmware: "bios", Provisioning: "deskyard"},
		Network: compute.Network{ID: "subnet", Prefix: netip.MustParsePrefix("10.80.0.0/24"), Gateway: netip.MustParseAddr("10.80.0.1")},
		Kill: func(t *testing.T, d compute.Driver, _ computetest.Host, id string) {
			if err := d.(*fake.Driver).Crash(id, "killed by the test"); err != nil {
				t.Fatal(err)
			}
		},
		Cut: func(_ *testing.T, d compute.Driver, _ computetest.Host, _ string) func() {
			return d.(*fake.Driver).Cut()
		},
	})
}

func spec(id string) compute.Spec {
	return compute.Spec{ID: id, Owner: "o", Name: "sh-0", CPUs: 2, MemoryMB: 4096, Image: compute.Image{Path: "image", VirtualBytes: 30 << 30}}
}

const one, two = "6a6f1c9e-0000-4000-8000-000000000001", "6a6f1c9e-0000-4000-8000-000000000002"

func TestGuestBootsPrintsAndFollowsTheButton(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fake.New(fake.Options{Guest: func(ctx context.Context, m *fake.Machine) {
			m.Print("booting " + m.Spec().Name + "\n")
			select {
			case <-m.Button():
				time.Sleep(30 * time.Second)
				m.PowerOff()
			case <-ctx.Done():
			}
		}})
		defer d.Close()
		must(t, d.Ensure(t.Context(), spec(one)))
		must(t, d.Power(t.Context(), one, compute.Start))
		synctest.Wait()
		if text, err := d.Console(t.Context(), one); err != nil || string(text) != "booting sh-0\n" {
			t.Errorf("console has %q, %v", text, err)
		}
		start := time.Now()
		must(t, d.Power(t.Context(), one, compute.Shutdown))
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("shutdown took %s", took)
		}
	})
}

func TestShutdownPullsThePlugAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fake.New(fake.Options{Guest: func(ctx context.Context, _ *fake.Machine) { <-ctx.Done() }})
		defer d.Close()
		must(t, d.Ensure(t.Context(), spec(one)))
		must(t, d.Power(t.Context(), one, compute.Start))
		start := time.Now()
		must(t, d.Power(t.Context(), one, compute.Shutdown))
		if took := time.Since(start); took != compute.ShutdownGrace {
			t.Errorf("shutdown took %s", took)
		}
	})
}

func TestVerbsTakeTheirTimeAndEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fake.New(fake.Options{Delay: func(v fake.Verb, _ string) time.Duration {
			if v == fake.Ensure {
				return time.Minute
			}
			return 0
		}})
		defer d.Close()
		start := time.Now()
		must(t, d.Ensure(t.Context(), spec(one)))
		if took := time.Since(start); took != time.Minute {
			t.Errorf("ensure took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Ensure(ctx, spec(two)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ensure ended with %v", err)
		}
	})
}

func TestFailuresComeAsOftenAsTold(t *testing.T) {
	d := fake.New(fake.Options{})
	defer d.Close()
	d.Fail(fake.Ensure, two, compute.ErrNoSpace)
	d.Fail(fake.Ensure, two, compute.ErrUnreachable)
	must(t, d.Ensure(t.Context(), spec(one)))
	if err := d.Ensure(t.Context(), spec(two)); !errors.Is(err, compute.ErrNoSpace) {
		t.Errorf("first: %v", err)
	}
	if err := d.Ensure(t.Context(), spec(two)); !errors.Is(err, compute.ErrUnreachable) {
		t.Errorf("second: %v", err)
	}
	must(t, d.Ensure(t.Context(), spec(two)))
	if n := d.Calls(fake.Ensure); n != 4 {
		t.Errorf("%d calls", n)
	}
}

func TestFullHostStartsNoMore(t *testing.T) {
	d := fake.New(fake.Options{MemoryMB: 6000, DiskGB: 60})
	defer d.Close()
	must(t, d.Ensure(t.Context(), spec(one)))
	must(t, d.Ensure(t.Context(), spec(two)))
	if err := d.Ensure(t.Context(), spec("6a6f1c9e-0000-4000-8000-000000000003")); !errors.Is(err, compute.ErrNoSpace) {
		t.Errorf("a third disk: %v", err)
	}
	must(t, d.Power(t.Context(), one, compute.Start))
	if err := d.Power(t.Context(), two, compute.Start); !errors.Is(err, compute.ErrNoSpace) {
		t.Errorf("a second running machine: %v", err)
	}
}

func TestPausedMachineGoesOn(t *testing.T) {
	d := fake.New(fake.Options{})
	defer d.Close()
	must(t, d.Ensure(t.Context(), spec(one)))
	must(t, d.Power(t.Context(), one, compute.Start))
	must(t, d.Pause(one, "the disk is full"))
	if o, err := d.Observe(t.Context(), one); err != nil || o.State != compute.Paused || o.Reason == "" {
		t.Errorf("%+v, %v", o, err)
	}
	must(t, d.Power(t.Context(), one, compute.Start))
	if o, err := d.Observe(t.Context(), one); err != nil || o.State != compute.Running {
		t.Errorf("%+v, %v", o, err)
	}
	d.Vanish(one)
	if _, err := d.Observe(t.Context(), one); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("a machine that vanished: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestProgramIsTheGuestOfAMachine(t *testing.T) {
	program := filepath.Join(t.TempDir(), "guest")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ntrap 'echo bye; exit 0' TERM\nread -r line\necho \"$1 $line\"\nwhile :; do sleep 0.01; done\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := fake.New(fake.Options{Guest: fake.Program(program)})
	defer d.Close()
	s := spec("0be2c000-0000-4000-8000-000000000001")
	s.Seed.Credentials = map[string][]byte{"invitation": []byte("a secret")}
	must(t, d.Ensure(t.Context(), s))
	must(t, d.Power(t.Context(), s.ID, compute.Start))
	console := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			text, err := d.Console(t.Context(), s.ID)
			must(t, err)
			if strings.Contains(string(text), want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the serial port has %q, not %q", text, want)
			}
		}
	}
	console(s.ID + ` {"id":"` + s.ID + `","credentials":{"invitation":"YSBzZWNyZXQ="}}`)
	must(t, d.Power(t.Context(), s.ID, compute.Shutdown))
	console("bye")
	must(t, d.Power(t.Context(), s.ID, compute.Start))
	must(t, d.Power(t.Context(), s.ID, compute.PowerOff))
}
