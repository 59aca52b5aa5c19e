//go:build e2e

// Package machines adds session hosts with `deskyard sessionhost add` and looks inside
// and at the machines for the effect of each parameter of the wizard, then breaks them.
package machines

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

const (
	admin   = "deskadmin"
	size    = "Custom_2_768"
	madeFor = 12 * time.Minute // one guest under emulation on a busy machine
)

// house is an installation with the desktop image.
type house struct {
	*yard.Yard
	image    yard.Image
	password string
}

// zones are two hypervisors of this machine, one a zone, with a folder each.
const zones = `hypervisors:
- {name: here, driver: qemu, network: user, zone: "1", cpuRatio: 8}
- {name: there, driver: qemu, network: user, zone: "2", cpuRatio: 8}
`

// open starts the service with a file of hypervisors.
func open(t *testing.T, hosts string, arguments ...string) *house {
	t.Helper()
	repo, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "deskyard-machines-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	ctx := yardtest.Deadline(t, 15*time.Minute) // the first image takes its time
	binary := filepath.Join(repo, "bin", "deskyard")
	image, err := yard.BuildImage(ctx, binary, filepath.Join(repo, "dist", "packages"), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	hypervisors := filepath.Join(dir, "hypervisors.yaml")
	if err := os.WriteFile(hypervisors, []byte(hosts), 0o600); err != nil {
		t.Fatal(err)
	}
	y, err := yard.Open(ctx, yard.Options{Binary: binary, Dir: dir, Arguments: append(arguments, "--hypervisors", hypervisors)})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{Yard: y, image: image, password: yardtest.Password()}
	t.Cleanup(func() { yardtest.End(t, h.Yard, dir) })
	return h
}

// add adds one host with the parameters that all have, and more; --count among them
// makes it several.
func (h *house) add(ctx context.Context, t *testing.T, prefix string, more ...string) error {
	t.Helper()
	return h.Add(ctx, yardtest.Lines{T: t}, h.password, append([]string{"--name-prefix", prefix, "--count", "1", "--image", h.image.URN(), "--size", size,
		"--vnet", yard.VNet, "--subnet", yard.Subnet, "--admin-user", admin, "--os-disk-type", "StandardSSD_LRS"}, more...)...)
}

// hypervisor is the name of the one whose folder holds a machine, by its GUID.
func (h *house) hypervisor(t *testing.T, machine string) string {
	t.Helper()
	folders, err := h.Machines()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if strings.EqualFold(filepath.Base(f), machine) {
			return filepath.Base(filepath.Dir(filepath.Dir(f)))
		}
	}
	return ""
}

// inside runs a script in a machine by the machine's action runCommand and returns what
// it wrote. Debian's az cannot: its module for that asks for an API that its SDK lacks.
func (h *house) inside(ctx context.Context, vm, script string) (string, error) {
	body, err := json.Marshal(map[string]any{"commandId": "RunShellScript", "script": strings.Split(script, "\n")})
	if err != nil {
		return "", err
	}
	out, err := h.CLI(ctx, nil, "rest", "-m", "POST", "-u", h.ID("Microsoft.Compute/virtualMachines/"+vm)+"/runCommand?api-version=2024-07-01", "-b", string(body), "-o", "json")
	if err != nil {
		return "", err
	}
	var answer struct{ Value []struct{ Message string } }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return "", fmt.Errorf("read what the script wrote: %w: %s", err, out)
	}
	var text strings.Builder
	for _, v := range answer.Value {
		text.WriteString(v.Message)
	}
	return text.String(), nil
}
