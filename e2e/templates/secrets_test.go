//go:build e2e

package templates

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/deskyard/deskyard/e2e/yard"
)

// everywhere is all text that a secret could have leaked into, by what it is.
func (s *story) everywhere(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	text := map[string]string{}
	files, err := filepath.Glob(filepath.Join(s.Service.DataFolder(), "deskyard.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found no database: %v", err)
	}
	for _, f := range append(files, s.Service.LogFile) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text[f] = string(b)
	}
	nested := "vmCreation-linkedTemplate-" + s.hosts.Prefix
	for _, path := range []string{
		"Microsoft.Resources/deployments", "Microsoft.Resources/deployments/" + az, "Microsoft.Resources/deployments/" + nested,
		"Microsoft.Resources/deployments/" + az + "/operations", "Microsoft.Resources/deployments/" + nested + "/operations",
		"Microsoft.Compute/virtualMachines/sh-0", "Microsoft.Compute/virtualMachines/sh-0/extensions/Microsoft.PowerShell.DSC",
	} {
		var answer json.RawMessage
		if err := s.Get(ctx, path, "2021-04-01", &answer); err != nil {
			t.Fatal(err)
		}
		text["GET "+path] = string(answer)
	}
	running, err := s.Processes()
	if err != nil || len(running) != 2 {
		t.Fatalf("%d QEMUs run: %v", len(running), err)
	}
	for i, r := range running {
		text["the arguments of "+yard.Group+"'s QEMU "+string(rune('0'+i))] = r
	}
	return text
}
