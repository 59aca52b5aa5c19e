package deskyard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// Relations of networks.
const (
	RelationSubnet        = "subnet"        // network interface -> subnet or logical network
	RelationSecurityGroup = "securityGroup" // network interface, virtual network -> network security group
	RelationAddress       = "address"       // network interface -> {subnet}/addresses/{address}: a lease
)

// Types of network resources.
const (
	TypeVirtualNetwork = "Microsoft.Network/virtualNetworks"
	TypeSubnet         = "Microsoft.Network/virtualNetworks/subnets"
	TypeSecurityGroup  = "Microsoft.Network/networkSecurityGroups"
)

// VirtualNetwork is a virtual network with its subnets. Subnets are also resources of
// their own below it; the network's row is where they are stored.
type VirtualNetwork struct {
	ProvisioningState string          `json:"provisioningState"`
	ResourceGUID      string          `json:"resourceGuid"`
	AddressSpace      AddressSpace    `json:"addressSpace"`
	DHCPOptions       *DHCPOptions    `json:"dhcpOptions,omitempty"`
	Subnets           []NamedSubnet   `json:"subnets"`
	Peerings          json.RawMessage `json:"virtualNetworkPeerings,omitempty"` // refused
	DDoS              bool            `json:"enableDdosProtection"`
	EndpointPolicies  string          `json:"privateEndpointVNetPolicies"` // kept for clients that compare; there are no private endpoints here
}

// endpointPolicies are the values of privateEndpointVNetPolicies.
var endpointPolicies = []string{"Disabled", "Basic"}

// AddressSpace is what addresses a network has.
type AddressSpace struct {
	Prefixes []string `json:"addressPrefixes"`
}

// DHCPOptions are what machines are told beside their address.
type DHCPOptions struct {
	DNSServers []string `json:"dnsServers"`
}

// NamedSubnet is a subnet as its network has it.
type NamedSubnet struct {
	ID         string `json:"id,omitempty"` // shown, not stored
	Name       string `json:"name"`
	Properties Subnet `json:"properties"`
}

// Subnet is a part of a virtual network's addresses.
type Subnet struct {
	ProvisioningState string          `json:"provisioningState"`
	AddressPrefix     string          `json:"addressPrefix,omitempty"`
	Prefixes          []string        `json:"addressPrefixes,omitempty"` // one at most
	SecurityGroup     *SubResource    `json:"networkSecurityGroup,omitempty"`
	RouteTable        json.RawMessage `json:"routeTable,omitempty"`       // refused
	NATGateway        json.RawMessage `json:"natGateway,omitempty"`       // refused
	ServiceEndpoints  json.RawMessage `json:"serviceEndpoints,omitempty"` // refused when any
	Delegations       json.RawMessage `json:"delegations,omitempty"`      // refused when any
	PrivateEndpoint   string          `json:"privateEndpointNetworkPolicies,omitempty"`
	PrivateLink       string          `json:"privateLinkServiceNetworkPolicies,omitempty"`
	DefaultOutbound   *bool           `json:"defaultOutboundAccess,omitempty"`
}

// Prefix is the subnet's address range; the zero Prefix when it cannot be read.
func (s *Subnet) Prefix() netip.Prefix {
	p, err := netip.ParsePrefix(s.AddressPrefix)
	if err != nil {
		return netip.Prefix{}
	}
	return p.Masked()
}

// Default keeps the network's GUID and brings prefixes to canonical form.
func (n *VirtualNetwork) Default(old Model) {
	o, _ := old.(*VirtualNetwork)
	n.ProvisioningState, n.ResourceGUID = StateSucceeded, ""
	if o != nil {
		n.ResourceGUID = o.ResourceGUID
		if n.Subnets == nil {
			// A template that names only the network must not take its subnets away.
			n.Subnets = o.Subnets
		}
	}
	if n.Subnets == nil {
		n.Subnets = []NamedSubnet{}
	}
	n.EndpointPolicies = cmp.Or(canonical(n.EndpointPolicies, endpointPolicies), "Disabled")
	for i := range n.AddressSpace.Prefixes {
		n.AddressSpace.Prefixes[i] = canonicalPrefix(n.AddressSpace.Prefixes[i])
	}
	for i := range n.Subnets {
		n.Subnets[i].ID = ""
		n.Subnets[i].Properties.Default(nil)
	}
}

// Default brings a subnet to canonical form.
func (s *Subnet) Default(Model) {
	s.ProvisioningState = StateSucceeded
	if s.AddressPrefix == "" && len(s.Prefixes) == 1 {
		s.AddressPrefix = s.Prefixes[0]
	}
	if len(s.Prefixes) == 1 {
		s.Prefixes = nil
	}
	s.AddressPrefix = canonicalPrefix(s.AddressPrefix)
	s.SecurityGroup = present(s.SecurityGroup)
	if s.PrivateEndpoint == "" {
		s.PrivateEndpoint = "Disabled"
	}
	if s.PrivateLink == "" {
		s.PrivateLink = "Enabled"
	}
}

func canonicalPrefix(text string) string {
	if p, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil && p == p.Masked() {
		return p.String()
	}
	return strings.TrimSpace(text)
}

// Validate notes every fault of the network and its subnets.
func (n *VirtualNetwork) Validate(_ Model, v *arm.Violations) {
	const at = "properties.addressSpace.addressPrefixes"
	if len(n.AddressSpace.Prefixes) == 0 {
		v.Add(at, "A virtual network needs at least one address prefix.")
	}
	var space []netip.Prefix
	for _, text := range n.AddressSpace.Prefixes {
		if p, ok := checkPrefix(v, at, text); ok {
			for _, other := range space {
				if other.Overlaps(p) {
					v.Add(at, "The address prefixes %s and %s overlap.", other, p)
				}
			}
			space = append(space, p)
		}
	}
	inEnum(v, "properties.privateEndpointVNetPolicies", n.EndpointPolicies, endpointPolicies)
	if n.DHCPOptions != nil {
		for _, d := range n.DHCPOptions.DNSServers {
			if _, err := netip.ParseAddr(d); err != nil {
				v.Add("properties.dhcpOptions.dnsServers", "The DNS server '%s' is not an IP address.", d)
			}
		}
	}
	n.validateSubnets(space, v)
	unsupported(v, "networks are the segments of one hypervisor.", map[string]json.RawMessage{"properties.virtualNetworkPeerings": n.Peerings})
	n.Peerings = nil
}

func (n *VirtualNetwork) validateSubnets(space []netip.Prefix, v *arm.Violations) {
	for i := range n.Subnets {
		s := &n.Subnets[i]
		at := fmt.Sprintf("properties.subnets[%d]", i)
		if s.Name == "" || len(s.Name) > 80 {
			v.Add(at+".name", "A subnet's name has between 1 and 80 characters.")
		}
		s.Properties.validateAt(at+".properties", v)
		p := s.Properties.Prefix()
		if !p.IsValid() {
			continue
		}
		if !insideOf(space, p) {
			*v = append(*v, arm.Error{Code: "NetcfgInvalidSubnet", Target: at, Message: fmt.Sprintf("Subnet '%s' is not valid because its IP address range is outside the IP address range of virtual network.", s.Name)})
		}
		for _, other := range n.Subnets[:i] {
			if o := other.Properties.Prefix(); o.IsValid() && o.Overlaps(p) {
				*v = append(*v, arm.Error{Code: "NetcfgSubnetRangesOverlap", Target: at, Message: fmt.Sprintf("Subnet '%s' is not valid because its IP address range overlaps with that of an existing subnet '%s'.", s.Name, other.Name)})
			}
			if strings.EqualFold(other.Name, s.Name) {
				v.Add(at+".name", "The network has two subnets '%s'.", s.Name)
			}
		}
	}
}

func insideOf(space []netip.Prefix, p netip.Prefix) bool {
	for _, s := range space {
		if s.Bits() <= p.Bits() && s.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// checkPrefix notes a text that is not an IPv4 network of at least eight addresses,
// of which Azure keeps five.
func checkPrefix(v *arm.Violations, at, text string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		*v = append(*v, arm.Error{Code: "InvalidAddressPrefixFormat", Target: at, Message: fmt.Sprintf("Address prefix '%s' of resource is not formatted correctly. It should follow CIDR notation, for example 10.0.0.0/24.", text)})
	case p != p.Masked():
		*v = append(*v, arm.Error{Code: "InvalidCIDRNotation", Target: at, Message: fmt.Sprintf("The address prefix %s has an invalid CIDR notation. For the given prefix length, the address prefix should be %s.", text, p.Masked())})
	case !p.Addr().Is4():
		v.Add(at, "The address prefix %s is not IPv4; networks here carry IPv4 only.", text)
	case p.Bits() < 2 || p.Bits() > 29:
		v.Add(at, "The address prefix %s must be between /2 and /29.", text)
	default:
		return p, true
	}
	return netip.Prefix{}, false
}

// Validate notes every fault of a subnet by itself.
func (s *Subnet) Validate(_ Model, v *arm.Violations) { s.validateAt("properties", v) }

func (s *Subnet) validateAt(at string, v *arm.Violations) {
	if len(s.Prefixes) > 1 {
		v.Add(at+".addressPrefixes", "A subnet has one address prefix here; %d were given.", len(s.Prefixes))
	} else {
		checkPrefix(v, at+".addressPrefix", s.AddressPrefix)
	}
	if id := idOf(s.SecurityGroup); id != "" {
		refersTo(v, at+".networkSecurityGroup.id", id, TypeSecurityGroup)
	}
	unsupported(v, "the hypervisor routes and translates by itself.", map[string]json.RawMessage{
		at + ".routeTable": s.RouteTable, at + ".natGateway": s.NATGateway, at + ".serviceEndpoints": s.ServiceEndpoints, at + ".delegations": s.Delegations})
	s.RouteTable, s.NATGateway, s.ServiceEndpoints, s.Delegations = nil, nil, nil, nil
}

// Refs are the security groups of its subnets.
func (n *VirtualNetwork) Refs() []Ref {
	var ids []string
	for _, s := range n.Subnets {
		if id := idOf(s.Properties.SecurityGroup); id != "" {
			ids = append(ids, id)
		}
	}
	return refsTo(RelationSecurityGroup, unique(ids)...)
}

// Refs is the subnet's security group.
func (s *Subnet) Refs() []Ref {
	if id := idOf(s.SecurityGroup); id != "" {
		return refsTo(RelationSecurityGroup, id)
	}
	return nil
}
