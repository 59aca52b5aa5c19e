//go:build e2e

package drivers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// awayFor is how long libvirtd does not answer: longer than any one call waits for it.
const awayFor = time.Minute

// away is the whole service over the libvirtd that libvirt-run started.
type away struct {
	*yard.Yard
	t      *testing.T
	uri    string
	daemon int
}

// TestLibvirtAwayForAMinuteIsWaitedFor holds libvirtd up for a minute while a machine
// is to be placed, and again while it is to be removed. The machine says why it waits,
// and each goes on by itself.
func TestLibvirtAwayForAMinuteIsWaitedFor(t *testing.T) {
	run := libvirtRun(t)
	text, err := os.ReadFile(filepath.Join(run, "libvirtd.test-pid"))
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	a := &away{t: t, uri: libvirtURI(t), daemon: daemon}
	ctx := yardtest.Deadline(t, 10*time.Minute)
	a.open(ctx)

	a.hold(func() {
		a.put(ctx)
		await(ctx, t, "the machine says why it waits", func() bool { return strings.Contains(a.reason(ctx), "rack: it does not answer") })
		t.Logf("while libvirtd is away, the machine says: %s", a.reason(ctx))
	})
	back := time.Now()
	await(ctx, t, "the machine runs", func() bool { return len(a.domains(ctx, "--state-running")) == 1 })
	t.Logf("its QEMU runs %.1f s after libvirtd is back", time.Since(back).Seconds())

	a.hold(func() {
		if err := a.Client.Do(ctx, http.MethodDelete, a.ID(theMachine)+"?api-version=2024-07-01", nil, nil); err != nil {
			t.Fatal(err)
		}
		// Nobody knows what is on it, which the list of orphans says.
		if list, err := a.Orphans(ctx); err != nil || len(list) != 1 || !strings.Contains(string(list[0]), "does not answer") {
			t.Errorf("while libvirtd is away, orphans are %s, %v", list, err)
		}
	})
	back = time.Now()
	await(ctx, t, "the machine is gone", func() bool {
		return service.IsStatus(a.Get(ctx, theMachine, "2024-07-01", nil), http.StatusNotFound)
	})
	t.Logf("it is gone %.1f s after libvirtd is back", time.Since(back).Seconds())
	if left := a.domains(ctx, "--all"); len(left) > 0 {
		t.Errorf("domains are left: %v", left)
	}
	if orphans, err := a.Orphans(ctx); err != nil || len(orphans) > 0 {
		t.Errorf("orphans: %s, %v", orphans, err)
	}
}

const (
	theMachine = "Microsoft.Compute/virtualMachines/away"
	theNIC     = "Microsoft.Network/networkInterfaces/away-nic"
)

// open starts the service with the test guest's image.
func (a *away) open(ctx context.Context) {
	dir, err := os.MkdirTemp("", "dyaway")
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { os.RemoveAll(dir) })
	binary := importImage(ctx, a.t, testImage(a.t).Compute(), dir)
	pool, err := os.MkdirTemp("", "dypool") // QEMU runs as libvirt-qemu
	if err == nil {
		err = os.Chmod(pool, 0o711)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	hypervisors := filepath.Join(dir, "hypervisors.yaml")
	entry := fmt.Sprintf("hypervisors:\n- {name: rack, driver: libvirt, uri: %q, folder: %q, network: user}\n", a.uri, filepath.Join(pool, "pool"))
	if err := os.WriteFile(hypervisors, []byte(entry), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if a.Yard, err = yard.Open(ctx, yard.Options{Binary: binary, Dir: dir, Arguments: []string{"--hypervisors", hypervisors}}); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		if a.t.Failed() {
			a.t.Logf("the service's log ends:\n%s", a.Service.Log(40))
		}
		if err := a.Close(); err != nil {
			a.t.Error(err)
		}
		forgetPool(a.t, "deskyard")
		os.RemoveAll(pool)
	})
}

// put asks for a machine with an interface.
func (a *away) put(ctx context.Context) {
	a.t.Helper()
	err := a.Put(ctx, theNIC, "2023-09-01", map[string]any{"location": "local", "properties": map[string]any{"ipConfigurations": []any{map[string]any{
		"name": "ipconfig", "properties": map[string]any{"subnet": map[string]any{"id": a.ID("Microsoft.Network/virtualNetworks/" + yard.VNet + "/subnets/" + yard.Subnet)}},
	}}}})
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.Put(ctx, theMachine, "2024-07-01", theBody("away", a.ID(theNIC))); err != nil {
		a.t.Fatal(err)
	}
}

// hold has libvirtd not answer, as when its host hangs or the network to it is cut, for
// awayFor and whatever f does meanwhile.
func (a *away) hold(f func()) {
	a.t.Helper()
	if err := syscall.Kill(a.daemon, syscall.SIGSTOP); err != nil {
		a.t.Fatal(err)
	}
	defer syscall.Kill(a.daemon, syscall.SIGCONT) // f may end the test
	over := time.After(awayFor)
	f()
	<-over
}

// reason is what the machine's row says of what is waited for.
func (a *away) reason(ctx context.Context) string {
	a.t.Helper()
	var vm struct{ Properties struct{ StatusReason string } }
	if err := a.Get(ctx, theMachine, "2024-07-01", &vm); err != nil {
		a.t.Fatal(err)
	}
	return vm.Properties.StatusReason
}

// domains are the names that libvirtd has.
func (a *away) domains(ctx context.Context, which string) []string {
	a.t.Helper()
	out, err := exec.CommandContext(ctx, "virsh", "-q", "-c", a.uri, "list", "--name", which).CombinedOutput()
	if err != nil {
		a.t.Fatalf("list the domains: %v: %s", err, out)
	}
	return strings.Fields(string(out))
}
