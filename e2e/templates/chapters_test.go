//go:build e2e

package templates

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

func (s *story) validate(t *testing.T) {
	var answer struct {
		Properties struct{ ProvisioningState string }
		Error      any
	}
	if err := s.Az.JSON(yardtest.Deadline(t, 2*time.Minute), &answer, s.args(t, "validate")...); err != nil {
		t.Fatal(err)
	}
	if answer.Error != nil || answer.Properties.ProvisioningState != "Succeeded" {
		t.Errorf("validate answered %+v", answer)
	}
}

func (s *story) whatIf(t *testing.T) {
	var answer struct {
		Changes []struct{ ChangeType, ResourceID string }
	}
	if err := s.Az.JSON(yardtest.Deadline(t, 2*time.Minute), &answer, append(s.args(t, "what-if"), "--no-pretty-print")...); err != nil {
		t.Fatal(err)
	}
	var created []string
	for _, c := range answer.Changes {
		if c.ChangeType == "Create" {
			created = append(created, c.ResourceID)
		}
	}
	for _, want := range []string{"/virtualMachines/sh-0", "/virtualMachines/sh-1", "/networkInterfaces/sh-0-nic", "/networkInterfaces/sh-1-nic"} {
		if !contains(created, want) {
			t.Errorf("what-if does not create %s: %v", want, answer.Changes)
		}
	}
	var list struct{ Value []json.RawMessage }
	if err := s.Get(yardtest.Deadline(t, time.Minute), "Microsoft.Compute/virtualMachines", "2024-07-01", &list); err != nil || len(list.Value) != 0 {
		t.Errorf("after what-if there are machines: %s, %v", list.Value, err)
	}
}

// create kills the service once machines are being made. az goes on with the same
// operation, and there is one machine a host.
func (s *story) create(t *testing.T) {
	ctx := yardtest.Deadline(t, deployFor)
	begun := make(chan struct{})
	var once sync.Once
	start := time.Now()
	crashed := make(chan error, 1)
	go func() {
		select {
		case <-begun:
			crashed <- s.Service.Crash(ctx)
		case <-ctx.Done():
			crashed <- ctx.Err()
		}
	}()
	err := s.Deploy(ctx, az, s.microsoft.AddVirtualMachines(), s.hosts.AddVirtualMachinesParameters(), func(o yard.Operation) {
		t.Logf("%6.1f s  %s: %s %s", time.Since(start).Seconds(), o.Resource, o.State, o.Error)
		if running, _ := s.Processes(); len(running) > 0 { // a /proc that cannot be read shows none: the test then ends by its deadline
			once.Do(func() { close(begun) })
		}
	})
	once.Do(func() { close(begun) }) // az has ended already: the crash then is told below
	if failure := <-crashed; failure != nil {
		t.Fatal(failure)
	}
	if err != nil {
		t.Logf("az did not outlive the service's end: %v", err)
		s.awaitDeployment(ctx, t, az)
	}
	t.Logf("deployed after %.1f s", time.Since(start).Seconds())
	s.awaitAvailable(t, s.hosts, start)
	s.oneMachineAHost(t, 2)
}

// awaitDeployment waits for a deployment's end.
func (s *story) awaitDeployment(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var d struct {
			Properties struct {
				ProvisioningState string
				Error             json.RawMessage
			}
		}
		if err := s.Get(ctx, "Microsoft.Resources/deployments/"+name, "2021-04-01", &d); err != nil {
			t.Fatal(err)
		}
		switch d.Properties.ProvisioningState {
		case "Succeeded":
			return
		case "Failed", "Canceled":
			t.Fatalf("the deployment is %s: %s", d.Properties.ProvisioningState, d.Properties.Error)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the deployment is still %s: %v", d.Properties.ProvisioningState, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func (s *story) awaitAvailable(t *testing.T, h yard.Hosts, start time.Time) {
	t.Helper()
	ctx := yardtest.Deadline(t, availableFor)
	pool := s.Client.Pool(yard.Group, h.Pool)
	for _, name := range h.Names() {
		if _, err := pool.Watch(ctx, name, "Available", nil); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s is Available %.1f s after the request", name, time.Since(start).Seconds())
	}
}

// oneMachineAHost counts machines everywhere that a second copy could be.
func (s *story) oneMachineAHost(t *testing.T, want int) {
	t.Helper()
	ctx := yardtest.Deadline(t, time.Minute)
	hosts, err := s.Pool.Hosts(ctx)
	if err != nil || len(hosts) != want {
		t.Errorf("the pool has %d hosts, want %d (%v)", len(hosts), want, err)
	}
	folders, err := s.Machines()
	if err != nil || len(folders) != want {
		t.Errorf("there are machines %v, want %d (%v)", folders, want, err)
	}
	running, err := s.Processes()
	if err != nil || len(running) != want {
		t.Errorf("%d QEMUs run, want %d (%v): %v", len(running), want, err, running)
	}
	if list, err := s.Orphans(ctx); err != nil || len(list) > 0 {
		t.Errorf("orphans: %s, %v", list, err)
	}
}

// secrets looks where clear text could have gone: the database, the log, everything
// that answers a GET, and the arguments of processes.
func (s *story) secrets(t *testing.T) {
	ctx := yardtest.Deadline(t, 2*time.Minute)
	secrets := map[string]string{"the administrator's password": s.password, "the registration key": s.hosts.Key}
	for what, text := range s.everywhere(ctx, t) {
		for name, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", name, what)
			}
		}
	}
}

// again deploys the same a second time: the same machines, none restarted.
func (s *story) again(t *testing.T) {
	before, err := s.Processes()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := s.Deploy(yardtest.Deadline(t, 5*time.Minute), az, s.microsoft.AddVirtualMachines(), s.hosts.AddVirtualMachinesParameters(), nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("deployed again in %.1f s", time.Since(start).Seconds())
	after, err := s.Processes()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(before)
	slices.Sort(after)
	if !slices.Equal(before, after) {
		t.Errorf("machines were\n%v\nand are\n%v", before, after)
	}
	s.awaitAvailable(t, s.hosts, start)
	s.oneMachineAHost(t, 2)
}

func (s *story) remove(t *testing.T) {
	ctx := yardtest.Deadline(t, 5*time.Minute)
	s.removeHost(ctx, t, yard.Pool, "sh-1", "Microsoft.Compute/virtualMachines/sh-1")
	s.oneMachineAHost(t, 1)
	if h, err := s.Pool.Host(ctx, "sh-0"); err != nil || h.Properties.Status != "Available" {
		t.Errorf("the other host is %s, %v", h, err)
	}
}

// removeHost removes a host whose machine is the resource at path, and looks for what
// is left.
func (s *story) removeHost(ctx context.Context, t *testing.T, pool, host, path string) {
	t.Helper()
	var vm struct{ Properties struct{ VMID string } }
	if err := s.Get(ctx, path, "2024-07-01", &vm); err != nil || vm.Properties.VMID == "" {
		t.Fatalf("the machine has id %q, %v", vm.Properties.VMID, err)
	}
	start := time.Now()
	if err := s.Remove(ctx, pool, host); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s removed in %.1f s", host, time.Since(start).Seconds())
	left, err := s.Leftovers(ctx, pool, host, vm.Properties.VMID)
	if err != nil || len(left) > 0 {
		t.Errorf("of %s is left: %v, %v", host, left, err)
	}
	if list, err := s.Orphans(ctx); err != nil || len(list) > 0 {
		t.Errorf("orphans: %s, %v", list, err)
	}
}

// hci deploys azurestackhci-vm.json to a custom location.
func (s *story) hci(t *testing.T) {
	ctx := yardtest.Deadline(t, deployFor)
	h := s.hosts
	h.Pool, h.Prefix, h.Count = hciPool, "edge", 1
	pool := s.Client.Pool(yard.Group, hciPool)
	if err := pool.Create(ctx); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.Key, err = pool.Key(ctx); err != nil {
		t.Fatal(err)
	}
	stack, err := s.CustomLocation(ctx, location, h.Image)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	err = s.Deploy(ctx, "hci-hosts", s.microsoft.AzureStackHCI(), h.AzureStackHCIParameters(stack), func(o yard.Operation) {
		t.Logf("%6.1f s  %s: %s %s", time.Since(start).Seconds(), o.Resource, o.State, o.Error)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.awaitAvailable(t, h, start)
	s.removeHost(ctx, t, hciPool, "edge-0", "Microsoft.HybridCompute/machines/edge-0")
	if err := s.Client.Do(ctx, http.MethodDelete, s.ID("Microsoft.DesktopVirtualization/hostPools/"+hciPool)+"?force=true&api-version=2025-10-10", nil, nil); err != nil {
		t.Error(err)
	}
}
