package deskyard

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// TypeLogicalNetwork is the type of networks of Azure Stack HCI.
const TypeLogicalNetwork = "Microsoft.AzureStackHCI/logicalNetworks"

// HCIInterface is a Microsoft.AzureStackHCI/networkInterfaces.
type HCIInterface struct {
	ProvisioningState string             `json:"provisioningState"`
	Configurations    []HCIConfiguration `json:"ipConfigurations"`
	MAC               string             `json:"macAddress,omitempty"`
	DNS               *NICDNS            `json:"dnsSettings,omitempty"`
	SecurityGroup     *SubResource       `json:"networkSecurityGroup,omitempty"`
	VirtualMachine    *SubResource       `json:"virtualMachine,omitempty"` // given by the service
}

// HCIConfiguration is an address of it.
type HCIConfiguration struct {
	Name       string             `json:"name,omitempty"`
	Properties HCIConfigurationOf `json:"properties"`
}

// HCIConfigurationOf says which address, of which logical network.
type HCIConfigurationOf struct {
	Address string       `json:"privateIPAddress,omitempty"`
	Gateway string       `json:"gateway,omitempty"`
	Prefix  string       `json:"prefixLength,omitempty"`
	Subnet  *SubResource `json:"subnet,omitempty"`
	// Automatic is ours: the service picked the address.
	Automatic bool `json:"automatic,omitempty"`
}

// Default keeps the MAC, the machine and an address that the service picked.
func (n *HCIInterface) Default(old Model) {
	o, _ := old.(*HCIInterface)
	n.ProvisioningState, n.VirtualMachine = StateSucceeded, nil
	if o != nil {
		n.VirtualMachine = o.VirtualMachine
		if n.MAC == "" {
			n.MAC = o.MAC
		}
	}
	n.SecurityGroup = present(n.SecurityGroup)
	for i := range n.Configurations {
		p := &n.Configurations[i].Properties
		p.Automatic, p.Gateway, p.Prefix = false, "", ""
		if p.Address != "" || o == nil || i >= len(o.Configurations) {
			continue
		}
		if before := o.Configurations[i].Properties; sameText(idOf(before.Subnet), idOf(p.Subnet)) {
			p.Address, p.Automatic = before.Address, before.Automatic
		}
	}
}

// Validate notes every fault of the interface by itself.
func (n *HCIInterface) Validate(_ Model, v *arm.Violations) {
	if len(n.Configurations) != 1 {
		v.Add("properties.ipConfigurations", "A network interface has one IP configuration; %d were given.", len(n.Configurations))
	}
	for i, c := range n.Configurations {
		at := fmt.Sprintf("properties.ipConfigurations[%d].properties.", i)
		refersTo(v, at+"subnet.id", idOf(c.Properties.Subnet), TypeLogicalNetwork)
		if a := c.Properties.Address; a != "" {
			if parsed, err := netip.ParseAddr(a); err != nil || !parsed.Is4() {
				v.Add(at+"privateIPAddress", "The address '%s' is not an IPv4 address.", a)
			}
		}
	}
	if n.MAC != "" && !macForm.MatchString(n.MAC) {
		v.Add("properties.macAddress", "The value '%s' is not a MAC address.", n.MAC)
	}
	if id := idOf(n.SecurityGroup); id != "" {
		refersTo(v, "properties.networkSecurityGroup.id", id, TypeSecurityGroup)
	}
}

// Refs are its logical network, security group and the lease of its address.
func (n *HCIInterface) Refs() []Ref {
	var refs []Ref
	for _, c := range n.Configurations {
		refs = append(refs, addressRefs(idOf(c.Properties.Subnet), c.Properties.Address)...)
	}
	if id := idOf(n.SecurityGroup); id != "" {
		refs = append(refs, refsTo(RelationSecurityGroup, id)...)
	}
	return refs
}

// LogicalNetwork is a network of the owner's own that machines are attached to.
type LogicalNetwork struct {
	ProvisioningState string          `json:"provisioningState"`
	VMSwitchName      string          `json:"vmSwitchName,omitempty"` // bridge on the hypervisor
	DHCPOptions       *DHCPOptions    `json:"dhcpOptions,omitempty"`
	Subnets           []LogicalSubnet `json:"subnets"`
	NetworkType       string          `json:"networkType,omitempty"`
}

// LogicalSubnet is its one subnet.
type LogicalSubnet struct {
	Name       string          `json:"name,omitempty"`
	Properties LogicalSubnetOf `json:"properties"`
}

// LogicalSubnetOf says how addresses are given.
type LogicalSubnetOf struct {
	AddressPrefix string   `json:"addressPrefix,omitempty"`
	Allocation    string   `json:"ipAllocationMethod,omitempty"` // Dynamic: the network's own DHCP server | Static
	VLAN          *Integer `json:"vlan,omitempty"`
	Pools         []IPPool `json:"ipPools,omitempty"`
	Routes        *Routes  `json:"routeTable,omitempty"`
}

// IPPool is a range of addresses to give out, both ends included.
type IPPool struct {
	Name  string `json:"name,omitempty"`
	Type  string `json:"ipPoolType,omitempty"` // vm | vippool
	Start string `json:"start"`
	End   string `json:"end"`
}

// Routes hold the default gateway.
type Routes struct {
	Properties struct {
		Routes []struct {
			Name       string `json:"name,omitempty"`
			Properties struct {
				Prefix  string `json:"addressPrefix,omitempty"`
				NextHop string `json:"nextHopIpAddress,omitempty"`
			} `json:"properties"`
		} `json:"routes,omitempty"`
	} `json:"properties"`
}

// Default brings the allocation to canonical spelling: a subnet with pools is static.
func (n *LogicalNetwork) Default(Model) {
	n.ProvisioningState = StateSucceeded
	for i := range n.Subnets {
		p := &n.Subnets[i].Properties
		p.Allocation = canonical(p.Allocation, []string{"Dynamic", "Static"})
		if p.Allocation == "" {
			p.Allocation = "Dynamic"
			if len(p.Pools) > 0 {
				p.Allocation = "Static"
			}
		}
		p.AddressPrefix = canonicalPrefix(p.AddressPrefix)
	}
}

// Validate notes every fault of the network.
func (n *LogicalNetwork) Validate(_ Model, v *arm.Violations) {
	if len(n.Subnets) != 1 {
		v.Add("properties.subnets", "A logical network has one subnet; %d were given.", len(n.Subnets))
	}
	for i, s := range n.Subnets {
		at := fmt.Sprintf("properties.subnets[%d].properties.", i)
		p := s.Properties
		inEnum(v, at+"ipAllocationMethod", p.Allocation, []string{"Dynamic", "Static"})
		if p.AddressPrefix == "" && p.Allocation == "Static" {
			v.Add(at+"addressPrefix", "A subnet with static addresses needs an address prefix.")
		}
		between(v, at+"vlan", p.VLAN, 0, 4094)
		if p.AddressPrefix == "" {
			continue
		}
		prefix, ok := checkPrefix(v, at+"addressPrefix", p.AddressPrefix)
		if !ok {
			continue
		}
		for j, pool := range p.Pools {
			if r, ok := pool.bounds(); !ok || !prefix.Contains(r[0]) || !prefix.Contains(r[1]) {
				v.Add(fmt.Sprintf("%sipPools[%d]", at, j), "The pool %s-%s is not a range of %s.", pool.Start, pool.End, prefix)
			}
		}
	}
}

func (p IPPool) bounds() ([2]netip.Addr, bool) {
	a, errA := netip.ParseAddr(p.Start)
	b, errB := netip.ParseAddr(p.End)
	return [2]netip.Addr{a, b}, errA == nil && errB == nil && a.Compare(b) <= 0
}

// Static reports whether the service gives addresses out.
func (n *LogicalNetwork) Static() bool {
	return len(n.Subnets) > 0 && strings.EqualFold(n.Subnets[0].Properties.Allocation, "Static")
}

// Free yields the addresses of its pools, or of the whole subnet without pools.
func (n *LogicalNetwork) Free() func(yield func(netip.Addr) bool) {
	return func(yield func(netip.Addr) bool) {
		p := n.Subnets[0].Properties
		prefix, err := netip.ParsePrefix(p.AddressPrefix)
		if err != nil {
			return
		}
		pools := 0
		for _, pool := range p.Pools {
			r, ok := pool.bounds()
			if !ok || strings.EqualFold(pool.Type, "vippool") {
				continue
			}
			pools++
			for a := r[0]; a.Compare(r[1]) <= 0 && prefix.Contains(a); a = a.Next() {
				if !yield(a) {
					return
				}
			}
		}
		if pools == 0 {
			FreeAddresses(prefix)(yield)
		}
	}
}

// Refs is empty.
func (n *LogicalNetwork) Refs() []Ref { return nil }
