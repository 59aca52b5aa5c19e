package deskyard

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// RunFacts are what the rules of a run need to know of the world. Whoever checks a
// run gathers them; a pointer that is nil is a thing that does not exist.
type RunFacts struct {
	Personal      bool     // the pool's type
	Hosts         int      // session hosts that the pool has
	HostKinds     []string // "Azure", "AzureStackHCI": of the pool's hosts
	Identities    []string // "", "ad:DOMAIN", "entra:TENANT": of the pool's hosts
	MixedIdentity bool     // the pool's tag lifts the rule of one identity provider
	Images        []string // that the pool's machines were made of, for a warning
	Sizes         []string // that the pool's machines have, for a warning

	GroupExists bool // the run's resource group does
	FirstNumber int  // the lowest number that is free for all that follow

	Location  string // of the network, or of the custom location
	Known     bool   // the service has that location
	Zones     []string
	Set       *SetFacts
	Image     *ImageFacts
	ImageWhy  string // why Image is nil, with the next step
	Size      *SizeFacts
	Network   *NetworkFacts
	NSGExists bool
	Custom    bool // the custom location exists

	FreeCores    int    // of the quota and of the hypervisors, whichever is less; -1: not known
	FreeMachines int    // likewise
	FreeMemoryMB int    // of the hypervisors that back the location; -1: not known
	NoHypervisor string // why no machine can be made in the location; "" when it can
	SecureBoot   bool   // some hypervisor of the location can
	TPM          bool
	Confidential bool
}

// SetFacts are of an availability set.
type SetFacts struct {
	Location string
	Machines int
}

// ImageFacts are of an image in the catalogue.
type ImageFacts struct {
	Name       string
	OS         string // linux | windows
	UEFI       bool   // Azure's generation 2
	Managed    bool   // a managed image, not one of a gallery or marketplace
	SizeGB     int
	SignedBoot bool // boots with secure boot on
}

// SizeFacts are of a machine size.
type SizeFacts struct {
	Name        string
	CPUs        int
	MemoryMB    int
	Premium     bool // takes premium disks
	Hibernation bool
	Trusted     bool // takes trusted launch
	Locations   []string
}

// NetworkFacts are of the subnet or logical network.
type NetworkFacts struct {
	Location      string
	FreeAddresses int // -1: handed out by a DHCP server of the owner's
	Custom        string
}

// Bounds of a run (article "Add session hosts to a host pool").
const (
	maxPrefix       = 11
	maxComputerName = 15
	maxRun          = 400
	maxPoolHosts    = 10000
	maxSetMachines  = 200
	maxHibernateMB  = 64 << 10 // sizes beyond it do not hibernate
	maxTags         = 50
)

var (
	prefixForm = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?$|^[0-9]+[A-Za-z-]([A-Za-z0-9-]*[A-Za-z0-9])?$`)
	upnForm    = regexp.MustCompile(`^[^@\s\\/]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	domainName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$`)
	ouForm     = regexp.MustCompile(`^(?i)(OU|CN)=[^,=]+(,(OU|CN)=[^,=]+)*(,DC=[^,=]+)+$`)
)

var diskTypes = []string{"Standard_LRS", "StandardSSD_LRS", "StandardSSD_ZRS", "Premium_LRS", "Premium_ZRS"}

// HCI reports whether the run makes Azure Stack HCI machines.
func (a *AddSessionHosts) HCI() bool {
	return strings.EqualFold(a.Basics.Kind, "AzureStackHCIVirtualMachine")
}

// Names are the hosts' names, numbered from first.
func (a *AddSessionHosts) Names(first int) []string {
	var names []string
	for i := range a.Machines.Count {
		names = append(names, fmt.Sprintf("%s-%d", a.Basics.NamePrefix, first+i))
	}
	return names
}

// Check holds a run to every rule of the wizard and tells all faults at once; each
// one's target is "tab.parameter". Warnings do not stop a run.
func (a *AddSessionHosts) Check(f RunFacts) (faults arm.Violations, warnings []string) {
	c := &runCheck{run: a, facts: f}
	c.basics()
	c.count()
	c.image()
	if a.HCI() {
		c.hci()
	} else {
		c.place()
		c.size()
		c.security()
		c.hibernation()
		c.disk()
		c.network()
		c.script()
	}
	c.directory()
	c.administrator()
	c.tags()
	return c.faults, c.warnings
}

type runCheck struct {
	run      *AddSessionHosts
	facts    RunFacts
	faults   arm.Violations
	warnings []string
}

func (c *runCheck) fault(path, format string, args ...any) { c.faults.Add(path, format, args...) }
func (c *runCheck) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

func (c *runCheck) basics() {
	b := c.run.Basics
	if !c.facts.GroupExists {
		c.fault("basics.resourceGroup", "The resource group %q does not exist. Create it first.", b.ResourceGroup)
	}
	switch p := b.NamePrefix; {
	case p == "":
		c.fault("basics.namePrefix", "The name prefix is required.")
	case len(p) > maxPrefix:
		c.fault("basics.namePrefix", "The name prefix %q has %d characters; at most %d are allowed.", p, len(p), maxPrefix)
	case !prefixForm.MatchString(p):
		c.fault("basics.namePrefix", "The name prefix %q must consist of letters, digits and hyphens, not of digits alone, and must not begin or end with a hyphen.", p)
	case c.run.Machines.Count > 0 && len(c.lastName()) > maxComputerName:
		c.fault("basics.namePrefix", "The last host would be named %q, which has %d characters; a computer name has at most %d. Choose a shorter prefix.",
			c.lastName(), len(c.lastName()), maxComputerName)
	}
	if b.Kind != "" && !strings.EqualFold(b.Kind, "AzureVirtualMachine") && !c.run.HCI() {
		c.fault("basics.virtualMachineType", "The virtual machine type %q is neither AzureVirtualMachine nor AzureStackHCIVirtualMachine.", b.Kind)
	}
	wanted := "Azure"
	if c.run.HCI() {
		wanted = "AzureStackHCI"
	}
	for _, k := range c.facts.HostKinds {
		if k != "" && k != wanted {
			c.fault("basics.virtualMachineType", "The host pool's hosts run on %s; a pool has hosts of one kind. Choose that kind, or another host pool.", k)
			break
		}
	}
}

func (c *runCheck) lastName() string {
	return fmt.Sprintf("%s-%d", c.run.Basics.NamePrefix, c.facts.FirstNumber+c.run.Machines.Count-1)
}

func (c *runCheck) count() {
	const path = "virtualMachines.numberOfVirtualMachines"
	n := c.run.Machines.Count
	if n < 1 || n > maxRun {
		c.fault(path, "The number of virtual machines must lie between 1 and %d; it is %d.", maxRun, n)
		return
	}
	if c.facts.Hosts+n > maxPoolHosts {
		c.fault(path, "The host pool has %d session hosts; with %d more it would have over %d, the most that one may have.", c.facts.Hosts, n, maxPoolHosts)
	}
	if c.facts.NoHypervisor != "" {
		c.fault(path, "No machine can be made here: %s", c.facts.NoHypervisor)
		return
	}
	if left := c.facts.FreeMachines; left >= 0 && n > left {
		c.fault(path, "The quota leaves room for %d virtual machines, not for %d. Ask for fewer, or have the quota raised.", left, n)
	}
	if need, left := n*c.cpus(), c.facts.FreeCores; left >= 0 && need > left {
		c.fault(path, "%d machines need %d virtual processors; %d are free. Ask for fewer or smaller ones, or have the quota raised.", n, need, left)
	}
	if need, left := n*c.memory(), c.facts.FreeMemoryMB; left >= 0 && need > left {
		c.fault(path, "%d machines need %d MiB of memory; the hypervisors have %d MiB free. Ask for fewer or smaller ones.", n, need, left)
	}
}

// cpus and memory are of one machine; 0 where that is not known.
func (c *runCheck) cpus() int {
	if c.run.HCI() {
		return c.run.Machines.CPUs
	}
	if c.facts.Size != nil {
		return c.facts.Size.CPUs
	}
	return 0
}

func (c *runCheck) memory() int {
	if c.run.HCI() {
		return max(c.run.Machines.MemoryMB, c.run.Machines.MaximumMB)
	}
	if c.facts.Size != nil {
		return c.facts.Size.MemoryMB
	}
	return 0
}

func (c *runCheck) image() {
	if c.facts.Image == nil {
		why := c.facts.ImageWhy
		if why == "" {
			why = "The image is not in the catalogue; deskyard image list shows what is."
		}
		c.fault("virtualMachines.imageReference", "%s", why)
		return
	}
	if len(c.facts.Images) > 0 && !slices.Contains(c.facts.Images, c.facts.Image.Name) {
		c.warn("The pool's hosts were made of %s, the new ones would be of %s; hosts of one pool should be alike.", strings.Join(c.facts.Images, " and "), c.facts.Image.Name)
	}
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
