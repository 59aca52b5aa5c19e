//go:build e2e

package drivers

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskyard/deskyard/compute"
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
