//go:build e2e

// Package templates deploys Microsoft's own templates, byte for byte, with Microsoft's
// own az, to the real service: real machines boot, join and become Available, and are
// removed without a trace.
package templates

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

const (
	prefix = "sh"
	size   = "Custom_2_768" // two hosts of 768 MiB fit beside each other on any machine that builds this
	admin  = "deskadmin"
	az     = "az-hosts" // the deployment's name

	location = "rack1" // custom location of the second chapter
	hciPool  = "hp2"

	// deployFor bounds a deployment: two guests under emulation on two busy cores.
	deployFor = 20 * time.Minute
	// availableFor bounds the time from the end of a deployment until its hosts take users.
	availableFor = 3 * time.Minute
)

// story is one installation that the chapters work on in turn.
type story struct {
	*yard.Yard
	microsoft yard.Microsoft
	dir       string
	hosts     yard.Hosts
	password  string
}

// TestMicrosoftsTemplatesMakeSessionHosts tells what issue 3 asks to be seen, in order.
func TestMicrosoftsTemplatesMakeSessionHosts(t *testing.T) {
	s := open(t)
	for _, c := range []struct {
		name string
		run  func(*story, *testing.T)
	}{
		{"az validates the template", (*story).validate},
		{"az says what the template would make", (*story).whatIf},
		{"az creates two Available hosts while the service is killed", (*story).create},
		{"secrets are nowhere in clear", (*story).secrets},
		{"a second deployment changes nothing", (*story).again},
		{"removing a host leaves nothing of it", (*story).remove},
		{"the Azure Stack HCI template makes an Available host on a custom location", (*story).hci},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.run(s, t) }) {
			t.Fatalf("%s failed; the service's log ends:\n%s", c.name, s.Service.Log(30))
		}
	}
}

// open starts the installation, or skips where Microsoft's templates are not.
func open(t *testing.T) *story {
	t.Helper()
	repo, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	microsoft, err := yard.FindMicrosoft(repo)
	if errors.Is(err, yard.ErrNoTemplates) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "deskyard-templates-") // short: sockets of machines lie in it, whose paths have a limit
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
	text := "hypervisors:\n- {name: here, driver: qemu, network: user, locations: [local, " + location + "], cpuRatio: 8}\n"
	if err := os.WriteFile(hypervisors, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	y, err := yard.Open(ctx, yard.Options{Binary: binary, Dir: dir, Arguments: append(microsoft.Mirror(), "--hypervisors", hypervisors)})
	if err != nil {
		t.Fatal(err)
	}
	s := &story{Yard: y, microsoft: microsoft, dir: dir, password: yardtest.Password()}
	t.Cleanup(func() { yardtest.End(t, y, dir) })
	key, err := y.Pool.Key(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.hosts = yard.Hosts{Pool: yard.Pool, Key: key, Prefix: prefix, Count: 2, Image: image, Size: size,
		Admin: admin, Password: s.password, Tags: map[string]string{"purpose": "story"}}
	return s
}

// args are az's for the template of the first chapter.
func (s *story) args(t *testing.T, verb ...string) []string {
	t.Helper()
	file, err := s.ParameterFile(az, s.hosts.AddVirtualMachinesParameters())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(file) })
	return append(append([]string{"deployment", "group"}, verb...), "-g", yard.Group, "-n", az,
		"--template-file", s.microsoft.AddVirtualMachines(), "--parameters", "@"+file)
}

func contains(list []string, part string) bool {
	for _, l := range list {
		if strings.Contains(l, part) {
			return true
		}
	}
	return false
}
