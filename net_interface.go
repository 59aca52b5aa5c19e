package deskyard

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// NetworkInterface is the properties of a Microsoft.Network/networkInterfaces.
type NetworkInterface struct {
	ProvisioningState string            `json:"provisioningState"`
	ResourceGUID      string            `json:"resourceGuid"`
	Configurations    []IPConfiguration `json:"ipConfigurations"`
	DNS               *NICDNS           `json:"dnsSettings,omitempty"`
	MAC               string            `json:"macAddress"` // 00-0D-3A-…: given by the service
	Primary           *bool             `json:"primary,omitempty"`
	Accelerated       bool              `json:"enableAcceleratedNetworking"`
	Forwarding        bool              `json:"enableIPForwarding"`
	SecurityGroup     *SubResource      `json:"networkSecurityGroup,omitempty"`
	VirtualMachine    *SubResource      `json:"virtualMachine,omitempty"` // given by the service
	NICType           string            `json:"nicType,omitempty"`
}

// NICDNS are DNS servers in place of the network's.
type NICDNS struct {
	Servers []string `json:"dnsServers"`
	Label   *string  `json:"internalDnsNameLabel,omitempty"`
}

// IPConfiguration is an address of a network interface.
type IPConfiguration struct {
	ID         string            `json:"id,omitempty"` // shown, not stored
	Name       string            `json:"name"`
	Properties IPConfigurationOf `json:"properties"`
}

// IPConfigurationOf says which address, of which subnet.
type IPConfigurationOf struct {
	ProvisioningState string          `json:"provisioningState"`
	Address           string          `json:"privateIPAddress,omitempty"`
	Method            string          `json:"privateIPAllocationMethod"` // Dynamic | Static
	Version           string          `json:"privateIPAddressVersion"`   // IPv4
	Subnet            *SubResource    `json:"subnet,omitempty"`
	Primary           *bool           `json:"primary,omitempty"`
	PublicIP          json.RawMessage `json:"publicIPAddress,omitempty"`
	Balancers         json.RawMessage `json:"loadBalancerBackendAddressPools,omitempty"`
	NATRules          json.RawMessage `json:"loadBalancerInboundNatRules,omitempty"`
	Gateways          json.RawMessage `json:"applicationGatewayBackendAddressPools,omitempty"`
	Security          json.RawMessage `json:"applicationSecurityGroups,omitempty"`
}

// Default keeps what the service gave: GUID, MAC, machine, and dynamic addresses of
// configurations that stay in their subnet.
func (n *NetworkInterface) Default(old Model) {
	o, _ := old.(*NetworkInterface)
	n.ProvisioningState, n.ResourceGUID, n.MAC, n.VirtualMachine, n.Primary = StateSucceeded, "", "", nil, nil
	if o != nil {
		n.ResourceGUID, n.MAC, n.VirtualMachine, n.Primary = o.ResourceGUID, o.MAC, o.VirtualMachine, o.Primary
	}
	n.SecurityGroup = present(n.SecurityGroup)
	n.NICType = "Standard"
	for i := range n.Configurations {
		c := &n.Configurations[i]
		c.ID = ""
		p := &c.Properties
		p.ProvisioningState = StateSucceeded
		p.Subnet = present(p.Subnet)
		p.Method = canonical(p.Method, []string{"Dynamic", "Static"})
		if p.Method == "" {
			p.Method = "Dynamic"
		}
		p.Version = canonical(p.Version, []string{"IPv4", "IPv6"})
		if p.Version == "" {
			p.Version = "IPv4"
		}
		if p.Primary == nil {
			p.Primary = ptr(i == 0)
		}
		if p.Method == "Dynamic" {
			p.Address = o.addressOf(c.Name, idOf(p.Subnet))
		}
	}
}

// addressOf is the address that a configuration has in a subnet; "" for none.
func (n *NetworkInterface) addressOf(name, subnet string) string {
	if n == nil {
		return ""
	}
	for _, c := range n.Configurations {
		if strings.EqualFold(c.Name, name) && strings.EqualFold(idOf(c.Properties.Subnet), subnet) {
			return c.Properties.Address
		}
	}
	return ""
}

// Validate notes every fault of the interface by itself; whether an address is free is
// known in the transaction that takes it.
func (n *NetworkInterface) Validate(_ Model, v *arm.Violations) {
	if len(n.Configurations) == 0 {
		v.Add("properties.ipConfigurations", "Network interface must have at least one IP configuration.")
	}
	if len(n.Configurations) > 1 {
		v.Add("properties.ipConfigurations", "A network interface has one IP configuration here; %d were given.", len(n.Configurations))
	}
	for i := range n.Configurations {
		n.Configurations[i].validate(fmt.Sprintf("properties.ipConfigurations[%d]", i), v)
	}
	if id := idOf(n.SecurityGroup); id != "" {
		refersTo(v, "properties.networkSecurityGroup.id", id, TypeSecurityGroup)
	}
	if n.DNS != nil {
		for _, d := range n.DNS.Servers {
			if _, err := netip.ParseAddr(d); err != nil {
				v.Add("properties.dnsSettings.dnsServers", "The DNS server '%s' is not an IP address.", d)
			}
		}
	}
}

func (c *IPConfiguration) validate(at string, v *arm.Violations) {
	p := &c.Properties
	required(v, at+".name", c.Name)
	refersTo(v, at+".properties.subnet.id", idOf(p.Subnet), TypeSubnet)
	inEnum(v, at+".properties.privateIPAllocationMethod", p.Method, []string{"Dynamic", "Static"})
	if p.Version != "IPv4" {
		v.Add(at+".properties.privateIPAddressVersion", "Networks here carry IPv4 only.")
	}
	if p.Method == "Static" {
		if a, err := netip.ParseAddr(p.Address); err != nil || !a.Is4() {
			v.Add(at+".properties.privateIPAddress", "A static configuration needs an IPv4 address; '%s' is none.", p.Address)
		}
	}
	unsupported(v, "machines are reached through the service, not from the internet: there are no public addresses and no balancers.", map[string]json.RawMessage{
		at + ".properties.publicIPAddress": p.PublicIP, at + ".properties.loadBalancerBackendAddressPools": p.Balancers,
		at + ".properties.loadBalancerInboundNatRules": p.NATRules, at + ".properties.applicationGatewayBackendAddressPools": p.Gateways,
		at + ".properties.applicationSecurityGroups": p.Security})
	p.PublicIP, p.Balancers, p.NATRules, p.Gateways, p.Security = nil, nil, nil, nil, nil
}

// Refs are its subnet, security group and the lease of its address.
func (n *NetworkInterface) Refs() []Ref {
	var refs []Ref
	for _, c := range n.Configurations {
		refs = append(refs, addressRefs(idOf(c.Properties.Subnet), c.Properties.Address)...)
	}
	if id := idOf(n.SecurityGroup); id != "" {
		refs = append(refs, refsTo(RelationSecurityGroup, id)...)
	}
	return refs
}

// addressRefs are an interface's subnet, or logical network, and the lease of its
// address there.
func addressRefs(subnet, address string) []Ref {
	refs := refsTo(RelationSubnet, subnet)
	if len(refs) == 1 && address != "" {
		refs = append(refs, Ref{Relation: RelationAddress, Target: AddressLease(refs[0].Target, address)})
	}
	return refs
}

// AddressLease names an address of a subnet as something that one interface at a time
// points at.
func AddressLease(subnet arm.ResourceID, address string) arm.ResourceID {
	return subnet.Child("addresses", address)
}

// reservedFirst are the addresses at the beginning of a subnet that Azure keeps: the
// network's, the gateway's and two for DNS. The last one, broadcast, is kept too.
const reservedFirst = 4

// FreeAddresses yields the addresses of a subnet that may be given out, lowest first.
func FreeAddresses(subnet netip.Prefix) func(yield func(netip.Addr) bool) {
	return func(yield func(netip.Addr) bool) {
		if !subnet.IsValid() {
			return
		}
		a := subnet.Masked().Addr()
		for range reservedFirst {
			a = a.Next()
		}
		for ; a.IsValid() && subnet.Contains(a.Next()); a = a.Next() {
			if !yield(a) {
				return
			}
		}
	}
}

// AddressAllowed reports whether an address may be given out in a subnet.
func AddressAllowed(subnet netip.Prefix, a netip.Addr) bool {
	if !subnet.IsValid() || !subnet.Contains(a) || !subnet.Contains(a.Next()) {
		return false
	}
	first := subnet.Masked().Addr()
	for range reservedFirst {
		if first == a {
			return false
		}
		first = first.Next()
	}
	return true
}

// macForm is a MAC address with hyphens or colons.
var macForm = regexp.MustCompile(`^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$`)
