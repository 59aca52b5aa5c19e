//go:build e2e

package drivers

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// importImage puts the test guest's image into the catalogue of a service that is to
// run in dir, and returns the service's program (make build).
func importImage(ctx context.Context, t *testing.T, i compute.Image, dir string) (binary string) {
	t.Helper()
	binary, err := filepath.Abs("../../bin/deskyard")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(ctx, binary, "image", "import", i.Path, "--publisher", "Test", "--offer", "guest", "--sku", "small", "--version", "1",
		"--os", i.OS, "--firmware", i.Firmware, "--provisioning", i.Provisioning, "--kernel", i.Kernel, "--initrd", i.Initrd, "--arguments", i.Arguments,
		"--data", filepath.Join(dir, "data"), "-o", "json").CombinedOutput()
	if err != nil {
		t.Fatalf("import the image: %v: %s", err, out)
	}
	return binary
}

// theBody is a virtual machine of that image, as the management API takes it.
func theBody(name, nic string) map[string]any {
	return map[string]any{"location": "local", "properties": map[string]any{
		"hardwareProfile": map[string]any{"vmSize": "Custom_1_256"},
		"storageProfile": map[string]any{
			"imageReference": map[string]any{"publisher": "Test", "offer": "guest", "sku": "small", "version": "1"},
			"osDisk":         map[string]any{"createOption": "FromImage"},
		},
		"osProfile":      map[string]any{"computerName": name, "adminUsername": "deskadmin", "adminPassword": yardtest.Password()},
		"networkProfile": map[string]any{"networkInterfaces": []any{map[string]any{"id": nic}}},
	}}
}

// wanted is a machine that stand is to make.
type wanted struct {
	name, address string
	group         string                    // its security group; "": none
	with          func(body map[string]any) // what else its body has; nil: nothing
}

// stand makes a machine of the yard's network. Nothing in it reports to the service, so
// it stands as soon as it runs.
func stand(ctx context.Context, t *testing.T, y *yard.Yard, w wanted) {
	t.Helper()
	nic, machine := "Microsoft.Network/networkInterfaces/"+w.name+"-nic", "Microsoft.Compute/virtualMachines/"+w.name
	properties := map[string]any{"ipConfigurations": []any{map[string]any{"name": "ipconfig", "properties": map[string]any{
		"privateIPAllocationMethod": "Static", "privateIPAddress": w.address,
		"subnet": map[string]any{"id": y.ID("Microsoft.Network/virtualNetworks/" + yard.VNet + "/subnets/" + yard.Subnet)},
	}}}}
	if w.group != "" {
		properties["networkSecurityGroup"] = map[string]any{"id": y.ID(w.group)}
	}
	if err := y.Put(ctx, nic, "2023-09-01", map[string]any{"location": "local", "properties": properties}); err != nil {
		t.Fatal(err)
	}
	body := theBody(w.name, y.ID(nic))
	body["properties"].(map[string]any)["osProfile"].(map[string]any)["linuxConfiguration"] = map[string]any{"provisionVMAgent": false}
	if w.with != nil {
		w.with(body)
	}
	if err := y.Put(ctx, machine, "2024-07-01", body); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, w.name+" stands", func() bool {
		var vm struct {
			Properties struct{ ProvisioningState, StatusReason string }
		}
		if err := y.Get(ctx, machine, "2024-07-01", &vm); err != nil || vm.Properties.ProvisioningState == "Failed" {
			t.Fatalf("%s is %+v, %v", w.name, vm, err)
		}
		return vm.Properties.ProvisioningState == "Succeeded"
	})
}

// await looks twice a second whether something has come true.
func await(ctx context.Context, t *testing.T, what string, true func() bool) {
	t.Helper()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for !true() {
		select {
		case <-ctx.Done():
			t.Fatalf("wait until %s: %v", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
