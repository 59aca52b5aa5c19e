//go:build e2e

package guest

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMachineBootsAndSuffersWhatItsOwnerDoesToIt covers what the stories rely on: a
// command that answers, a freeze that stops it, a clone with the disk of the
// original and an identity of its own.
func TestMachineBootsAndSuffersWhatItsOwnerDoesToIt(t *testing.T) {
	image, err := BuildImage(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	accel := ProbeAccelerator(t.Context(), image)
	t.Log(accel.Reason)
	dir, err := os.MkdirTemp("", "deskyard-guest-") // t.TempDir is too long for a Unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })

	m := boot(t, Options{Name: "sh-0", Image: image, Accel: accel, Dir: dir})
	if out := run(t, m, "hostname; systemctl --failed --plain --no-legend"); out != "sh-0\n" {
		t.Errorf("host name and failed units are %q", out)
	}
	if out := run(t, m, "cat /sys/class/dmi/id/product_uuid"); strings.TrimSpace(out) != m.UUID {
		t.Errorf("SMBIOS UUID is %q, not %s", out, m.UUID)
	}
	if err := m.Shell().Put(t.Context(), "/root/it's", strings.NewReader("kept")); err != nil {
		t.Error(err)
	}
	run(t, m, "sync")

	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	if _, err := m.Shell().Run(ctx, "true"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a frozen machine answered: %v", err)
	}
	cancel()
	if err := m.Thaw(); err != nil {
		t.Fatal(err)
	}
	if out := run(t, m, "cat /root/it*"); out != "kept" {
		t.Errorf("the file has %q", out)
	}

	first := run(t, m, "cat /proc/sys/kernel/random/boot_id")
	m.Shell().Run(t.Context(), "systemctl reboot") // the connection may end before the command
	awaitOtherBoot(t, m, first)

	copied, err := m.CopyDisk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	clone := boot(t, Options{Name: "clone", Image: image, Accel: accel, Dir: dir, CloneOf: copied, LoginOf: m})
	if out := run(t, clone, "cat /root/it* /etc/machine-id"); out != "kept"+run(t, m, "cat /etc/machine-id") {
		t.Errorf("the clone has %q", out)
	}
	if clone.UUID == m.UUID {
		t.Error("the clone has the SMBIOS UUID of the original")
	}
}

func boot(t *testing.T, o Options) *Machine {
	t.Helper()
	start := time.Now()
	m, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := m.Shell().Wait(ctx); err != nil {
		t.Fatalf("%v\n%s", err, m.SerialLog())
	}
	t.Logf("%s answers after %.1f s", o.Name, time.Since(start).Seconds())
	return m
}

func run(t *testing.T, m *Machine, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := m.Shell().Run(ctx, command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// awaitOtherBoot waits until the machine answers from another boot than that one.
func awaitOtherBoot(t *testing.T, m *Machine, first string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	err := poll(ctx, time.Second, func() error {
		now, err := m.Shell().Run(ctx, "cat /proc/sys/kernel/random/boot_id")
		if err == nil && now == first {
			err = errors.New("it has not rebooted")
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, m.SerialLog())
	}
}
