//go:build e2e

package drivers

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
	"github.com/deskyard/deskyard/compute/qemu"
)

// TestQEMUPausesAMachineWhoseHostIsFull fills a storage of 1.2 GiB, of which 1 is kept
// free at first, and gives it room again.
func TestQEMUPausesAMachineWhoseHostIsFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir, err := os.MkdirTemp("", "dyfull")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1200M"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	d, err := qemu.New(qemu.Options{Folder: dir, Owner: computetest.Owner})
	if err != nil {
		t.Fatal(err)
	}
	image := testImage(t).Compute()
	image.Arguments += " do=fill"
	ctx := context.WithoutCancel(t.Context())
	s := compute.Spec{ID: uuid.NewString(), Owner: computetest.Owner, Name: "full", CPUs: 2, MemoryMB: 256, Image: image}
	t.Cleanup(func() {
		if err := d.Remove(ctx, s.ID); err != nil {
			t.Error(err)
		}
	})
	if err := d.Ensure(ctx, s); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=100M"); err != nil {
		t.Fatal(err)
	}
	other := s
	other.ID = uuid.NewString()
	if err := d.Ensure(ctx, other); !errors.Is(err, compute.ErrNoSpace) {
		t.Errorf("a machine was made on a full host: %v", err)
	}
	if err := d.Power(ctx, s.ID, compute.Start); err != nil {
		t.Fatal(err)
	}
	o := becomes(t, d, s.ID, compute.Paused)
	if !strings.Contains(o.Reason, "full") {
		t.Errorf("the reason is %q", o.Reason)
	}
	t.Logf("paused: %s", o.Reason)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=1200M"); err != nil {
		t.Fatal(err)
	}
	if err := d.Power(ctx, s.ID, compute.Start); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, d, s.ID, `"guest":"filled"`) // the guest saw no error
}

func becomes(t *testing.T, d compute.Driver, id string, want compute.State) compute.Observation {
	t.Helper()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); ; <-tick.C {
		o, err := d.Observe(context.WithoutCancel(t.Context()), id)
		if err != nil {
			t.Fatal(err)
		}
		if o.State == want {
			return o
		}
		if time.Now().After(deadline) {
			t.Fatalf("the machine is %s (%s), not %s", o.State, o.Reason, want)
		}
	}
}

func awaitLine(t *testing.T, d compute.Driver, id, what string) string {
	t.Helper()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(3 * time.Minute); ; <-tick.C {
		text, err := d.Console(context.WithoutCancel(t.Context()), id)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, what) {
				return line
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the guest wrote no %s:\n%s", what, text)
		}
	}
}
