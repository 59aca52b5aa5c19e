//go:build e2e

package drivers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
)

// TestQEMURunsDebianFromNVMe boots the Debian image of the other suites, whose kernel
// finds its root on NVMe without an initial file system, resets it, and shuts it down.
func TestQEMURunsDebianFromNVMe(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "../../images/debian-host/build").Output()
	if err != nil {
		t.Fatal(err)
	}
	debian := strings.TrimSpace(string(out))
	dir, err := os.MkdirTemp("", "dydeb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := openQEMU(t, computetest.Host{Folder: dir})
	ctx := context.WithoutCancel(t.Context())
	s := compute.Spec{ID: uuid.NewString(), Owner: computetest.Owner, Name: "debian", CPUs: 2, MemoryMB: 768, Image: compute.Image{
		ID: "debian", Path: filepath.Join(debian, "disk.qcow2"), Format: "qcow2", OS: "linux", Firmware: "bios", Provisioning: "deskyard", Bus: "nvme",
		Kernel: filepath.Join(debian, "vmlinuz"), Arguments: "root=/dev/nvme0n1 rw quiet " + Arguments,
	}}
	t.Cleanup(func() {
		if err := d.Remove(ctx, s.ID); err != nil {
			t.Error(err)
		}
	})
	if err := d.Ensure(ctx, s); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := d.Power(ctx, s.ID, compute.Start); err != nil {
		t.Fatal(err)
	}
	logins(t, d, s.ID, 1)
	t.Logf("a login prompt after %.1f s", time.Since(start).Seconds())
	start = time.Now()
	if err := d.Power(ctx, s.ID, compute.Restart); err != nil {
		t.Fatal(err)
	}
	logins(t, d, s.ID, 2)
	t.Logf("and another %.1f s after a reset", time.Since(start).Seconds())
	start = time.Now()
	if err := d.Power(ctx, s.ID, compute.Shutdown); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	t.Logf("off %.1f s after it was asked to", took.Seconds())
	if o := becomes(t, d, s.ID, compute.Off); o.Reason != "" || took > compute.ShutdownGrace {
		t.Errorf("it was off after %s, %q", took, o.Reason)
	}
}

// logins waits until the machine has asked so often who is there.
func logins(t *testing.T, d compute.Driver, id string, times int) {
	t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for deadline := time.Now().Add(4 * time.Minute); ; <-tick.C {
		text, err := d.Console(context.WithoutCancel(t.Context()), id)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), " login: ") >= times {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no login prompt:\n%s", text)
		}
	}
}
