package compute

import "context"

// Kinds of network that a driver puts machines on.
const (
	NetworkUser   = "user"   // QEMU's own: no privilege, no inbound, each machine for itself
	NetworkBridge = "bridge" // the host's bridges, filtered interface by interface
)

// Bridges are the networks of this service's own host, as package compute/network
// makes them for the drivers that run machines there.
type Bridges interface {
	// Attach makes the device that a machine's interface is plugged into, filtered from
	// its first packet, or finds it.
	Attach(ctx context.Context, machine string, nic int, n NIC) (device string, err error)
	// Device names the device of an interface, be it there or not.
	Device(machine string, nic int) string
	// Filter replaces an interface's rules.
	Filter(ctx context.Context, machine string, nic int, rules []Rule) error
	// Detach takes away all devices of a machine.
	Detach(ctx context.Context, machine string) error
	// Items lists what is there of any machine.
	Items(ctx context.Context) ([]Item, error)
}
