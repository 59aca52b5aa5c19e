//go:build e2e

package drivers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// twoHosts are two hypervisors of this machine, each a zone with a folder of its own.
const twoHosts = `hypervisors:
- {name: here, driver: qemu, network: user, zone: "1"}
- {name: there, driver: qemu, network: user, zone: "2"}
`

// TestZonesAndAvailabilitySetsArePlacesOnHypervisors makes machines through the
// management API and looks in whose folder each is.
func TestZonesAndAvailabilitySetsArePlacesOnHypervisors(t *testing.T) {
	ctx := yardtest.Deadline(t, 5*time.Minute)
	dir, err := os.MkdirTemp("", "dyplc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary := importImage(ctx, t, testImage(t).Compute(), dir)
	hypervisors := filepath.Join(dir, "hypervisors.yaml")
	if err := os.WriteFile(hypervisors, []byte(twoHosts), 0o600); err != nil {
		t.Fatal(err)
	}
	y, err := yard.Open(ctx, yard.Options{Binary: binary, Dir: dir, Arguments: []string{"--hypervisors", hypervisors}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(y.Clear(context.WithoutCancel(ctx)), y.Close()); err != nil {
			t.Error(err)
		}
	})
	const set = "Microsoft.Compute/availabilitySets/desks"
	err = y.Put(ctx, set, "2024-07-01", map[string]any{
		"location": "local", "sku": map[string]any{"name": "Aligned"}, "properties": map[string]any{"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5},
	})
	if err != nil {
		t.Fatal(err)
	}
	inSet := func(body map[string]any) {
		body["properties"].(map[string]any)["availabilitySet"] = map[string]any{"id": y.ID(set)}
	}
	inZone := func(zone string) func(map[string]any) {
		return func(body map[string]any) { body["zones"] = []string{zone} }
	}
	for _, m := range []struct {
		name, address string
		with          func(map[string]any)
		want          string
	}{
		// The second zone's first: without a zone "here" would be chosen, by its name.
		{"z2-0", "10.0.2.30", inZone("2"), "there"},
		{"z1-0", "10.0.2.31", inZone("1"), "here"},
		{"z1-1", "10.0.2.32", inZone("1"), "here"},
		// By room alone "there" would take both: it has one machine fewer.
		{"set-0", "10.0.2.33", inSet, "there"},
		{"set-1", "10.0.2.34", inSet, "here"},
	} {
		stand(ctx, t, y, wanted{name: m.name, address: m.address, with: m.with})
		var vm struct{ Properties struct{ VMID string } }
		if err := y.Get(ctx, "Microsoft.Compute/virtualMachines/"+m.name, "2024-07-01", &vm); err != nil {
			t.Fatal(err)
		}
		if at := homes(t, y, vm.Properties.VMID); at != m.want {
			t.Errorf("%s is on %q, want %q", m.name, at, m.want)
		} else {
			t.Logf("%s is on %s", m.name, at)
		}
	}
}

// homes is the name of the hypervisor whose folder has a machine, whose QEMU runs.
func homes(t *testing.T, y *yard.Yard, machine string) string {
	t.Helper()
	if _, err := y.Process(machine); err != nil {
		t.Error(err)
	}
	folders, err := y.Machines()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if strings.EqualFold(filepath.Base(folder), machine) {
			return filepath.Base(filepath.Dir(filepath.Dir(folder)))
		}
	}
	return ""
}
