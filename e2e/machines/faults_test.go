//go:build e2e

package machines

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// killed ends a machine's QEMU as the kernel does when memory is short. The host says
// so; started again it is the same host on the same disk.
func (h *house) killed(t *testing.T) {
	ctx := yardtest.Deadline(t, madeFor)
	var before machine
	if err := h.Get(ctx, "Microsoft.Compute/virtualMachines/wz-0", "2024-07-01", &before); err != nil {
		t.Fatal(err)
	}
	if _, err := h.inside(ctx, "wz-0", "echo kept >/root/kept && sync"); err != nil {
		t.Fatal(err)
	}
	pid, err := h.Process(before.Properties.VMID)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	way, err := h.Pool.Watch(ctx, "wz-0", "Unavailable", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("its QEMU killed, the host is Unavailable after %.1f s (%d looks)", time.Since(start).Seconds(), len(way))
	if _, err := h.CLI(ctx, nil, "rest", "-m", "POST", "-u", h.ID("Microsoft.Compute/virtualMachines/wz-0")+"/start?api-version=2024-07-01"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Pool.Watch(ctx, "wz-0", "Available", nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("started, it is Available again after %.1f s", time.Since(start).Seconds())
	said, err := h.inside(ctx, "wz-0", "cat /root/kept")
	if err != nil || !strings.Contains(said, "kept") {
		t.Errorf("its disk has %q, %v", said, err)
	}
	h.noOrphans(ctx, t)
}

// TestGuestThatNeverComesIsToldWithItsReason gives a guest less time than it needs.
func TestGuestThatNeverComesIsToldWithItsReason(t *testing.T) {
	h := open(t, zones, "--boot-deadline", "5s")
	ctx := yardtest.Deadline(t, 5*time.Minute)
	err := h.add(ctx, t, "late")
	if err == nil {
		t.Fatal("the run succeeded")
	}
	if !strings.Contains(err.Error(), "boot") {
		t.Errorf("the CLI does not say why: %v", err)
	}
	var vm struct {
		Properties struct {
			ProvisioningState string
			VMID              string
			Error             struct{ Code, Message string }
		}
	}
	if err := h.Get(ctx, "Microsoft.Compute/virtualMachines/late-0", "2024-07-01", &vm); err != nil {
		t.Fatal(err)
	}
	p := vm.Properties
	if p.ProvisioningState != "Failed" || p.Error.Code != "OSProvisioningTimedOut" || !strings.Contains(p.Error.Message, "boot-diagnostics") {
		t.Errorf("the machine is %s: %+v", p.ProvisioningState, p.Error)
	}
	if _, err := h.CLI(ctx, nil, "rest", "-m", "DELETE", "-u", h.ID("Microsoft.Compute/virtualMachines/late-0")+"?api-version=2024-07-01"); err != nil {
		t.Fatal(err)
	}
	if left, err := h.Leftovers(ctx, yard.Pool, "late-0", p.VMID); err != nil || len(left) > 0 {
		t.Errorf("of the machine is left: %v, %v", left, err)
	}
	h.noOrphans(ctx, t)
}
