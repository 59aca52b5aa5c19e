package deskyard

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// SecurityGroup is a network security group with its rules. Rules are also resources of
// their own below it; the group's row is where they are stored.
type SecurityGroup struct {
	ProvisioningState string      `json:"provisioningState"`
	ResourceGUID      string      `json:"resourceGuid"`
	Rules             []NamedRule `json:"securityRules"`
}

// NamedRule is a rule as its group has it.
type NamedRule struct {
	ID         string       `json:"id,omitempty"` // shown, not stored
	Name       string       `json:"name"`
	Properties SecurityRule `json:"properties"`
}

// SecurityRule lets packets pass or drops them. The rule with the lowest priority that
// matches decides.
type SecurityRule struct {
	ProvisioningState string        `json:"provisioningState"`
	Description       *string       `json:"description,omitempty"`
	Protocol          string        `json:"protocol"` // Tcp | Udp | Icmp | *
	SourcePort        string        `json:"sourcePortRange,omitempty"`
	SourcePorts       []string      `json:"sourcePortRanges,omitempty"`
	DestinationPort   string        `json:"destinationPortRange,omitempty"`
	DestinationPorts  []string      `json:"destinationPortRanges,omitempty"`
	Source            string        `json:"sourceAddressPrefix,omitempty"`
	Sources           []string      `json:"sourceAddressPrefixes,omitempty"`
	Destination       string        `json:"destinationAddressPrefix,omitempty"`
	Destinations      []string      `json:"destinationAddressPrefixes,omitempty"`
	SourceGroups      []SubResource `json:"sourceApplicationSecurityGroups,omitempty"`
	DestinationGroups []SubResource `json:"destinationApplicationSecurityGroups,omitempty"`
	Access            string        `json:"access"`    // Allow | Deny
	Priority          Integer       `json:"priority"`  // 100 to 4096
	Direction         string        `json:"direction"` // Inbound | Outbound
}

// addressTags are the names of address ranges that rules may use.
var addressTags = []string{"*", "Any", "Internet", "VirtualNetwork", "AzureLoadBalancer"}

// Default keeps the group's GUID and brings the rules to canonical spelling.
func (g *SecurityGroup) Default(old Model) {
	o, _ := old.(*SecurityGroup)
	g.ProvisioningState, g.ResourceGUID = StateSucceeded, ""
	if o != nil {
		g.ResourceGUID = o.ResourceGUID
	}
	if g.Rules == nil {
		g.Rules = []NamedRule{}
	}
	for i := range g.Rules {
		g.Rules[i].ID = ""
		g.Rules[i].Properties.Default(nil)
	}
}

// Default brings a rule to canonical spelling.
func (r *SecurityRule) Default(Model) {
	r.ProvisioningState = StateSucceeded
	r.Protocol = canonical(r.Protocol, []string{"Tcp", "Udp", "Icmp", "Esp", "Ah", "*"})
	r.Access = canonical(r.Access, []string{"Allow", "Deny"})
	r.Direction = canonical(r.Direction, []string{"Inbound", "Outbound"})
	r.Source, r.Destination = canonical(r.Source, addressTags), canonical(r.Destination, addressTags)
}

// Validate notes every fault of the group's rules; in one direction no two have the
// same priority.
func (g *SecurityGroup) Validate(_ Model, v *arm.Violations) {
	for i := range g.Rules {
		r := &g.Rules[i]
		at := fmt.Sprintf("properties.securityRules[%d]", i)
		required(v, at+".name", r.Name)
		r.Properties.validateAt(at+".properties", v)
		for _, other := range g.Rules[:i] {
			if strings.EqualFold(other.Name, r.Name) {
				v.Add(at+".name", "The group has two rules '%s'.", r.Name)
			}
			if other.Properties.Priority == r.Properties.Priority && other.Properties.Direction == r.Properties.Direction {
				*v = append(*v, arm.Error{Code: "SecurityRuleConflict", Target: at,
					Message: fmt.Sprintf("Security rule %s conflicts with rule %s. Rules cannot have the same Priority and Direction.", r.Name, other.Name)})
			}
		}
	}
}

// Validate notes every fault of a rule by itself.
func (r *SecurityRule) Validate(_ Model, v *arm.Violations) { r.validateAt("properties", v) }

func (r *SecurityRule) validateAt(at string, v *arm.Violations) {
	inEnum(v, at+".protocol", r.Protocol, []string{"Tcp", "Udp", "Icmp", "*"})
	inEnum(v, at+".access", r.Access, []string{"Allow", "Deny"})
	inEnum(v, at+".direction", r.Direction, []string{"Inbound", "Outbound"})
	between(v, at+".priority", &r.Priority, 100, 4096)
	notLonger(v, at+".description", r.Description, 140)
	checkPorts(v, at+".sourcePortRange", r.SourcePort, r.SourcePorts)
	checkPorts(v, at+".destinationPortRange", r.DestinationPort, r.DestinationPorts)
	if len(r.SourceGroups) == 0 {
		checkAddresses(v, at+".sourceAddressPrefix", r.Source, r.Sources)
	}
	if len(r.DestinationGroups) == 0 {
		checkAddresses(v, at+".destinationAddressPrefix", r.Destination, r.Destinations)
	}
	if len(r.SourceGroups)+len(r.DestinationGroups) > 0 {
		v.Add(at+".sourceApplicationSecurityGroups", "Application security groups are not supported: name addresses or prefixes.")
	}
}

func checkPorts(v *arm.Violations, at, one string, many []string) {
	if one == "" && len(many) == 0 {
		v.Add(at, "Security rule must specify either '%s' or '%ss'.", lastName(at), lastName(at))
	}
	if one != "" {
		many = append([]string{one}, many...)
	}
	for _, text := range many {
		if text == "*" {
			continue
		}
		from, to, ranged := strings.Cut(text, "-")
		a, errFrom := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
		b := a
		var errTo error
		if ranged {
			b, errTo = strconv.ParseUint(strings.TrimSpace(to), 10, 16)
		}
		if errFrom != nil || errTo != nil || b < a {
			*v = append(*v, arm.Error{Code: "SecurityRuleInvalidPortRange", Target: at,
				Message: fmt.Sprintf("Security rule has invalid Port range. Value provided: %s. Value should be an integer OR integer range with '-' delimiter. Valid range 0-65535.", text)})
		}
	}
}

func checkAddresses(v *arm.Violations, at, one string, many []string) {
	if one == "" && len(many) == 0 {
		v.Add(at, "Security rule must specify either '%s' or '%ses'.", lastName(at), lastName(at))
	}
	if one != "" && !slices.Contains(addressTags, one) {
		many = append([]string{one}, many...)
	}
	for _, text := range many {
		_, errPrefix := netip.ParsePrefix(text)
		_, errAddr := netip.ParseAddr(text)
		if errPrefix != nil && errAddr != nil {
			*v = append(*v, arm.Error{Code: "SecurityRuleInvalidAddressPrefix", Target: at,
				Message: fmt.Sprintf("Security rule has invalid Address prefix. Value provided: %s. An address, a prefix, or one of the tags VirtualNetwork, Internet, AzureLoadBalancer and * is wanted; other service tags name Azure's own addresses.", text)})
		}
	}
}

// Refs is empty: interfaces and networks point at their group.
func (g *SecurityGroup) Refs() []Ref { return nil }

// Refs is empty.
func (r *SecurityRule) Refs() []Ref { return nil }

// DefaultSecurityRules are the rules that every group ends with, as Azure shows them.
func DefaultSecurityRules() []NamedRule {
	rule := func(name, description, source, destination, access, direction string, priority Integer) NamedRule {
		return NamedRule{Name: name, Properties: SecurityRule{ProvisioningState: StateSucceeded, Description: &description, Protocol: "*",
			SourcePort: "*", DestinationPort: "*", Source: source, Destination: destination, Access: access, Priority: priority, Direction: direction}}
	}
	return []NamedRule{
		rule("AllowVnetInBound", "Allow inbound traffic from all VMs in VNET", "VirtualNetwork", "VirtualNetwork", "Allow", "Inbound", 65000),
		rule("AllowAzureLoadBalancerInBound", "Allow inbound traffic from azure load balancer", "AzureLoadBalancer", "*", "Allow", "Inbound", 65001),
		rule("DenyAllInBound", "Deny all inbound traffic", "*", "*", "Deny", "Inbound", 65500),
		rule("AllowVnetOutBound", "Allow outbound traffic from all VMs to all VMs in VNET", "VirtualNetwork", "VirtualNetwork", "Allow", "Outbound", 65000),
		rule("AllowInternetOutBound", "Allow outbound traffic from all VMs to Internet", "*", "Internet", "Allow", "Outbound", 65001),
		rule("DenyAllOutBound", "Deny all outbound traffic", "*", "*", "Deny", "Outbound", 65500),
	}
}
