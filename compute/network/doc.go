// Package network gives machines of this host their network: a bridge for each
// subnet, a tap device for each interface, addresses by DHCP, and security rules that
// filter.
//
//	           inet table: marks answers (connection tracking), masquerades if asked to
//	                │
//	host ── dy3f… (bridge, gateway's address, DHCP) ──┬── dyt91… (tap) ── QEMU, a machine
//	                │                                 └── dyt07… (tap) ── QEMU, a machine
//	           bridge table: what may pass each tap, both ways
//
// A file for each interface, in Folder, says what there should be. Everything else
// follows from these files: a service that starts anew makes what is missing, and
// takes away what no file speaks for. Devices and rules outlive the service; only
// DHCP pauses, and leases last for a week.
//
// Each tap takes only frames with its machine's own address, be it Ethernet, ARP or
// IPv4; nothing but IPv4 and ARP passes. Then the rules decide as Azure's do: the
// lowest priority that matches; else everything may go out, and in come only answers
// and the own subnet.
//
// Bridges filter without knowing connections unless the kernel has
// nf_conntrack_bridge, which many have not. So connections are tracked in the inet
// family, which sees bridged packets first (br_netfilter, switched on for our bridges
// alone), and answers carry a mark from there.
package network
