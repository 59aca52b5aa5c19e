package compute

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Driver makes machines on one hypervisor host. Its methods may be called at the
// same time for different machines; for one machine they follow one another.
type Driver interface {
	// Capabilities asks the host what it is and has; it is cheap enough for every placement.
	Capabilities(ctx context.Context) (Capabilities, error)
	// Ensure makes a machine, off, or finds it; see the package comment.
	// ErrNoSpace, ErrUnsupported and ErrUnreachable tell those causes.
	Ensure(ctx context.Context, s Spec) error
	// Power changes a machine's state and returns once it is reached; a state that is
	// reached already is no error.
	Power(ctx context.Context, id string, p Power) error
	// Observe looks at a machine; ErrNotFound when there is none.
	Observe(ctx context.Context, id string) (Observation, error)
	// Filter sets the security rules of a machine's network interface from now on;
	// it works on running machines and on those that are off. No rules at all means
	// Azure's defaults: everything out, nothing in but answers and the own subnet's.
	Filter(ctx context.Context, id string, nic int, rules []Rule) error
	// Balloon asks a machine with dynamic memory to hold to so many MiB, between
	// Spec.MinMemMB and Spec.MemoryMB; ErrUnsupported for static memory.
	Balloon(ctx context.Context, id string, mib int) error
	// Console is what the machine has written to its serial port, at most the last MiB.
	Console(ctx context.Context, id string) ([]byte, error)
	// Screenshot is the machine's screen as a PNG; ErrNotRunning when it is off.
	Screenshot(ctx context.Context, id string) ([]byte, error)
	// Remove ends and deletes a machine with its disk, interfaces, firmware state and seed.
	Remove(ctx context.Context, id string) error
	// Inventory lists everything on the host that carries owner, machines and leftovers alike.
	Inventory(ctx context.Context, owner string) ([]Item, error)
}

// Errors that drivers wrap, for errors.Is.
var (
	ErrNotFound    = errors.New("the machine does not exist")
	ErrNotRunning  = errors.New("the machine is not running")
	ErrNoSpace     = errors.New("the hypervisor has no room for it")
	ErrUnsupported = errors.New("the hypervisor cannot do that")
	ErrUnreachable = errors.New("the hypervisor does not answer")
)

// Capabilities is what a hypervisor host can do and has.
type Capabilities struct {
	Host         string // its name
	Version      string // of the hypervisor
	Accelerator  string // "kvm", or "tcg" where a probe guest does not run under KVM
	Reason       string // why not kvm; "" when it is
	SecureBoot   bool
	TPM          bool
	Confidential string // "SEV-SNP", "TDX" or "": memory encryption that the hardware has
	Hibernate    bool
	Architecture string // "amd64" | "arm64"

	CPUs       int
	MemoryMB   int
	DiskGB     int // of the storage machines go to
	FreeMemMB  int
	FreeDiskGB int
	Machines   int // that the driver sees

	Warnings []string // what an operator should know of how machines are run here
}

// Spec is a machine to be made.
type Spec struct {
	ID    string // GUID, lower case: its SMBIOS UUID, and the name everything of it carries
	Owner string // the installation that it belongs to
	Name  string // computer name, for people
	Tags  map[string]string

	CPUs     int
	MemoryMB int // at boot, and the upper bound of a ballooning machine
	MinMemMB int // 0: static memory; otherwise what the balloon may shrink it to

	Image Image
	Disk  Disk
	NICs  []NIC
	Seed  Seed

	SecureBoot   bool // UEFI with Microsoft's and the vendor's keys enrolled
	TPM          bool // a virtual TPM 2.0
	Confidential bool // encrypted memory; ErrUnsupported where the hardware lacks it
}

// Image is a disk image that machines are cloned from.
type Image struct {
	ID           string // what names it, for people: publisher:offer:sku:version or an ARM id
	Path         string // on the hypervisor's host
	Format       string // qcow2 | raw
	VirtualBytes int64
	OS           string // linux | windows
	Firmware     string // uefi | bios
	Provisioning string // deskyard (has our boot loader) | cloud-init | cloudbase-init
	// Bus is how the system disk is attached: "" or "virtio", or "nvme" for a kernel
	// that has no other driver built in (compute/qemu only; such a machine cannot
	// hibernate).
	Bus string
	// Kernel, Initrd and Arguments boot an image that has no boot loader of its own
	// directly; empty for a disk that the firmware boots. Secure boot needs the latter.
	Kernel, Initrd, Arguments string
}

// Disk is the machine's system disk.
type Disk struct {
	SizeGB int    // 0: the image's own size
	Class  string // Azure's storage account type: Standard_LRS, StandardSSD_LRS, Premium_LRS…
}

// NIC is a network interface.
type NIC struct {
	MAC     string
	Network Network
	Address netip.Addr // what DHCP or the seed gives it
	Rules   []Rule
}

// Network is a subnet that interfaces are in. Machines of one network reach each
// other; the rest is for rules and routing.
type Network struct {
	ID      string // stable; short names of bridges are derived from it
	Prefix  netip.Prefix
	Gateway netip.Addr
	DNS     []netip.Addr
	DHCP    bool   // the network has a DHCP server of its own, which we leave alone
	Bridge  string // an existing bridge to attach to; "": the driver's own
	VLAN    int
}

// Rule is a security rule, in Azure's sense: the lowest priority that matches decides.
type Rule struct {
	Name      string
	Priority  int
	Inbound   bool
	Allow     bool
	Protocol  string         // "tcp", "udp", "icmp" or "" for any
	Sources   []netip.Prefix // none: any
	SrcPorts  []PortRange    // none: any
	Targets   []netip.Prefix // none: any
	DestPorts []PortRange    // none: any
}

// PortRange is a range of ports, both ends included.
type PortRange struct{ From, To uint16 }

// Seed is what a machine is given at its first boot.
type Seed struct {
	// NoCloud holds the files of a cloud-init NoCloud disk ("meta-data", "user-data",
	// "network-config"), which cloudbase-init reads too; none for no disk.
	NoCloud map[string][]byte
	// Credentials are systemd credentials, given by fw_cfg.
	Credentials map[string][]byte
}

// Power is a state to bring a machine to.
type Power string

// The states that can be asked for. Shutdown and PowerOff of a machine that
// hibernates forget what was in its memory; Restart and Hibernate of one that is off
// are ErrNotRunning.
const (
	Start     Power = "start"     // from off, from where it hibernated, or on from where it paused
	Shutdown  Power = "shutdown"  // ask the guest, then pull the plug when it has not followed in time
	PowerOff  Power = "poweroff"  // pull the plug
	Restart   Power = "restart"   // reset
	Hibernate Power = "hibernate" // memory to disk, then off
)

// ShutdownGrace is how long Shutdown waits for the guest before it pulls the plug.
const ShutdownGrace = 90 * time.Second

// State is what a machine does at a moment.
type State string

// The states.
const (
	Off        State = "off"
	Running    State = "running"
	Paused     State = "paused" // by the hypervisor: its disk is full, or somebody stopped it
	Hibernated State = "hibernated"
	Crashed    State = "crashed" // ended without anybody's asking
)

// Observation is a machine as it is.
type Observation struct {
	ID       string
	Name     string
	State    State
	Reason   string    // why it is Paused or Crashed, in one sentence
	Since    time.Time // when it was started; zero when it does not run
	CPUs     int
	MemoryMB int // now; a balloon's size
	DiskGB   int
	NICs     []NICObservation
}

// NICObservation is an interface as the hypervisor knows it.
type NICObservation struct {
	MAC     string
	Address netip.Addr // from a lease or the configuration; zero when unknown
	Device  string     // on the host; "" where it has none
}

// Item is something that a driver made: a machine or a piece of one.
type Item struct {
	MachineID string
	Name      string
	Kind      string // machine | disk | network | firmware | seed | folder
	Where     string // path or name on the host
}
