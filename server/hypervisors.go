package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/libvirt"
)

// Words of --hypervisors that are not a file.
const (
	hypervisorsAuto = "auto" // this machine's QEMU, where it is installed
	hypervisorsNone = "none" // the service makes no machines
)

// hypervisorEntry is one host of the file that --hypervisors names.
type hypervisorEntry struct {
	Name        string   `yaml:"name"`
	Driver      string   `yaml:"driver"`      // qemu | libvirt | fake
	URI         string   `yaml:"uri"`         // libvirt's; qemu:///system when empty
	Folder      string   `yaml:"folder"`      // where machines' disks go; below the data folder when empty
	Locations   []string `yaml:"locations"`   // names of locations, names or ids of custom locations; none: every location
	Zone        string   `yaml:"zone"`        // 1, 2, 3 or none
	Network     string   `yaml:"network"`     // user | bridge
	User        string   `yaml:"user"`        // account that QEMU runs as when the service is root
	Masquerade  bool     `yaml:"masquerade"`  // bridge: hide the subnets behind this machine's address
	Guest       string   `yaml:"guest"`       // fake: a program that plays each machine's guest (fake.Program)
	CPURatio    float64  `yaml:"cpuRatio"`    // virtual processors per real one
	MemoryRatio float64  `yaml:"memoryRatio"` // memory promised per memory there is
}

var hypervisorName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// maxHypervisorFile bounds the file: far above one entry for each of 1,000 hosts.
const maxHypervisorFile = 1 << 20

// readHypervisors reads the file and reports every fault in it.
func readHypervisors(path string) ([]hypervisorEntry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read --hypervisors: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxHypervisorFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read --hypervisors: %w", err)
	}
	if len(text) > maxHypervisorFile {
		return nil, fmt.Errorf("read --hypervisors %s: longer than %d bytes", path, maxHypervisorFile)
	}
	return parseHypervisors(text)
}

func parseHypervisors(text []byte) ([]hypervisorEntry, error) {
	var file struct {
		Hypervisors []hypervisorEntry `yaml:"hypervisors"`
	}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read --hypervisors: %w", err)
	}
	var faults []error
	seen := map[string]bool{}
	for i := range file.Hypervisors {
		e := &file.Hypervisors[i]
		faults = append(faults, e.check(i, seen)...)
		seen[e.Name] = true
	}
	return file.Hypervisors, errors.Join(append(faults, sharedSubnets(file.Hypervisors)...)...)
}

// makesBridges reports whether an entry's machines are on bridges that the service
// makes, which it can on its own machine alone.
func (e *hypervisorEntry) makesBridges() (bool, error) {
	switch e.Driver {
	case "qemu":
		return e.Network == compute.NetworkBridge, nil
	case "libvirt":
		local, err := libvirt.Local(e.URI)
		return local && e.Network == compute.NetworkBridge, err
	}
	return false, nil
}

// sharedSubnets tells of entries that would make two bridges of one subnet on this
// machine: each has bridges of its own, and their locations meet.
func sharedSubnets(list []hypervisorEntry) (faults []error) {
	var former []hypervisorEntry
	for i, e := range list {
		if bridges, err := e.makesBridges(); err != nil || !bridges {
			continue // an error of which was told
		}
		for _, f := range former {
			meet := len(e.Locations) == 0 || len(f.Locations) == 0 || slices.ContainsFunc(e.Locations, func(l string) bool {
				return slices.ContainsFunc(f.Locations, func(o string) bool { return strings.EqualFold(l, o) })
			})
			if meet {
				faults = append(faults, fmt.Errorf("read --hypervisors, entry %d (%q): %q makes bridges on this machine for the same location, and a subnet would be two networks: keep one of them, or give each locations of its own", i+1, e.Name, f.Name))
				break
			}
		}
		former = append(former, e)
	}
	return faults
}

// check fills in defaults and notes what is wrong with an entry.
func (e *hypervisorEntry) check(i int, seen map[string]bool) (faults []error) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("read --hypervisors, entry %d (%q): "+format, append([]any{i + 1, e.Name}, args...)...))
	}
	switch {
	case !hypervisorName.MatchString(e.Name):
		fault("name must be lower-case letters, digits and hyphens, at most 63")
	case seen[e.Name]:
		fault("another entry has that name")
	}
	if e.Network == "" {
		e.Network = "user"
	}
	one := func(what, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			fault("%s %q is not one of: %s", what, value, strings.Join(allowed, ", "))
		}
	}
	one("driver", e.Driver, "qemu", "libvirt", "fake")
	one("network", e.Network, "user", "bridge")
	one("zone", e.Zone, "", "1", "2", "3")
	if e.User != "" && e.Driver != "qemu" {
		fault("user is for the driver qemu alone")
	}
	if e.URI != "" && e.Driver != "libvirt" {
		fault("uri is for the driver libvirt alone")
	}
	if e.Guest != "" && e.Driver != "fake" {
		fault("guest is for the driver fake alone")
	}
	bridges, err := e.makesBridges()
	if err != nil {
		fault("%w", err)
	}
	if e.Masquerade && !bridges {
		fault("masquerade is for the bridges that the service makes: network bridge, on this machine")
	}
	if e.CPURatio < 0 || e.MemoryRatio < 0 {
		fault("cpuRatio and memoryRatio must not be negative")
	}
	return faults
}

// autoHypervisors reports whether nobody has said where machines are made.
func (c Config) autoHypervisors() bool {
	return c.Hypervisors == "" || c.Hypervisors == hypervisorsAuto
}

// hypervisorEntries are the configured hosts. "auto" is this machine's QEMU if it is
// installed: a newcomer's one machine is all the hardware there is.
func (c Config) hypervisorEntries() ([]hypervisorEntry, error) {
	switch c.Hypervisors {
	case hypervisorsNone:
		return nil, nil
	case "", hypervisorsAuto:
		if !qemuInstalled() {
			return nil, nil
		}
		return []hypervisorEntry{{Name: "this-machine", Driver: "qemu", Network: "user"}}, nil
	}
	return readHypervisors(c.Hypervisors)
}

// qemuInstalled reports whether this machine has QEMU for its own architecture.
func qemuInstalled() bool {
	_, err := exec.LookPath("qemu-system-x86_64")
	return err == nil
}
