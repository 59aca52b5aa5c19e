package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/deskyard/deskyard/compute/media"
)

const (
	probePasses = 0x21<<1 | 1 // what isa-debug-exit makes of the byte that the guest writes
	// probeFor bounds the probe: it takes 0.1 s where it runs, and for ever where KVM
	// opens but runs nothing.
	probeFor = 3 * time.Second
)

// accelerator is how guests run on a host, and why not faster.
type accelerator struct {
	name   string // kvm | tcg
	reason string
}

// probeAccelerator finds out whether KVM really runs a guest here. A device that can
// be opened proves nothing, and nor does firmware in real mode.
func probeAccelerator(ctx context.Context, binary, dir string) (accelerator, error) {
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return accelerator{"tcg", fmt.Sprintf("emulation: /dev/kvm does not open (%v)", errors.Unwrap(err))}, nil
	}
	if err := device.Close(); err != nil {
		return accelerator{}, fmt.Errorf("probe KVM: %w", err)
	}
	rom := media.ProbeROM()
	work, err := os.MkdirTemp(dir, "probe")
	if err != nil {
		return accelerator{}, fmt.Errorf("probe KVM: %w", err)
	}
	defer os.RemoveAll(work) // a leftover of 64 KiB would harm nobody
	path := filepath.Join(work, "rom")
	if err := os.WriteFile(path, rom, 0o600); err != nil {
		return accelerator{}, fmt.Errorf("probe KVM: %w", err)
	}
	runs, said := runProbe(ctx, binary, "kvm", path)
	if ctx.Err() != nil {
		return accelerator{}, fmt.Errorf("probe KVM: %w", context.Cause(ctx))
	}
	if runs {
		return accelerator{name: "kvm"}, nil
	}
	return accelerator{"tcg", "emulation: KVM opens but runs no guest (" + said + ")"}, nil
}

// runProbe runs the probe guest and says what was seen when it did not pass.
func runProbe(ctx context.Context, binary, accel, rom string) (passes bool, said string) {
	ctx, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-accel", accel, "-machine", "pc", "-nodefaults", "-no-user-config", "-display", "none",
		"-m", "16", "-no-reboot", "-bios", rom, "-device", "isa-debug-exit,iobase=0xf4,iosize=4")
	cmd.WaitDelay = time.Second
	// A guest that spins must not outlive a service that is killed meanwhile. The signal
	// comes with the end of the thread that started it, so the thread is held.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == probePasses:
		return true, ""
	case ctx.Err() != nil:
		return false, "a guest of 200 bytes was not through after " + probeFor.String()
	}
	return false, fmt.Sprintf("QEMU ended with %v: %s", err, lastLine(string(out)))
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
