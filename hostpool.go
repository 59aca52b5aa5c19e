package deskyard

import (
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// Values of a host pool's enums, in the API description's order.
var (
	hostPoolTypes   = []string{"Personal", "Pooled", "BYODesktop"}
	loadBalancers   = []string{"BreadthFirst", "DepthFirst", "Persistent", "MultiplePersistent"}
	assignmentTypes = []string{"Automatic", "Direct"}
	groupTypes      = []string{"None", "Desktop", "RailApplications"}
	ssoSecretTypes  = []string{"SharedKey", "Certificate", "SharedKeyInKeyVault", "CertificateInKeyVault"}
	poolAccess      = []string{"Enabled", "Disabled", "EnabledForSessionHostsOnly", "EnabledForClientsOnly"}
	udpSettings     = []string{"Default", "Enabled", "Disabled"}
)

// MaxSessionLimit is the greatest number of sessions a host may be given, and the
// limit of a pool that names none (configure-host-pool-load-balancing article).
const MaxSessionLimit = 999999

// HostPool is the settable properties of a host pool, and its object id.
type HostPool struct {
	FriendlyName                  *string      `json:"friendlyName"`
	Description                   *string      `json:"description"`
	HostPoolType                  string       `json:"hostPoolType"`
	PersonalDesktopAssignmentType *string      `json:"personalDesktopAssignmentType"`
	CustomRDPProperty             *string      `json:"customRdpProperty"`
	MaxSessionLimit               *Integer     `json:"maxSessionLimit"`
	LoadBalancerType              string       `json:"loadBalancerType"`
	ValidationEnvironment         *bool        `json:"validationEnvironment"`
	Ring                          *Integer     `json:"ring"`
	VMTemplate                    *string      `json:"vmTemplate"`
	SSOADFSAuthority              *string      `json:"ssoadfsAuthority"`
	SSOClientID                   *string      `json:"ssoClientId"`
	SSOClientSecretKeyVaultPath   *string      `json:"ssoClientSecretKeyVaultPath"`
	SSOSecretType                 *string      `json:"ssoSecretType"`
	PreferredAppGroupType         string       `json:"preferredAppGroupType"`
	StartVMOnConnect              *bool        `json:"startVMOnConnect"`
	AgentUpdate                   *AgentUpdate `json:"agentUpdate"`
	PublicNetworkAccess           *string      `json:"publicNetworkAccess"`
	ManagedPrivateUDP             string       `json:"managedPrivateUDP"`
	DirectUDP                     string       `json:"directUDP"`
	PublicUDP                     string       `json:"publicUDP"`
	RelayUDP                      string       `json:"relayUDP"`
	ObjectID                      string       `json:"objectId"` // given by the service
}

// Personal reports whether each host of the pool belongs to one user.
func (p *HostPool) Personal() bool {
	return p.HostPoolType == "Personal" || p.HostPoolType == "BYODesktop"
}

// Default makes of a body what the recorded service makes of it: "Shared" is
// Pooled, ring 0 is 1, "" is null for enums and vmTemplate, a pooled pool has no
// assignment type, and a pool without RDP properties gets the standard set.
func (p *HostPool) Default(old Model) {
	o, _ := old.(*HostPool)
	p.ObjectID = ""
	if o != nil {
		p.ObjectID = o.ObjectID
	}
	if strings.EqualFold(p.HostPoolType, "Shared") {
		p.HostPoolType = "Pooled"
	}
	p.HostPoolType = canonical(p.HostPoolType, hostPoolTypes)
	p.LoadBalancerType = canonical(p.LoadBalancerType, loadBalancers)
	p.PreferredAppGroupType = canonical(p.PreferredAppGroupType, groupTypes)
	p.SSOSecretType = canonicalOrNull(p.SSOSecretType, ssoSecretTypes)
	p.defaultAssignment()
	p.PublicNetworkAccess = canonicalOrNull(p.PublicNetworkAccess, poolAccess)
	if p.PublicNetworkAccess == nil {
		p.PublicNetworkAccess = ptr("Enabled")
	}
	for _, udp := range []*string{&p.ManagedPrivateUDP, &p.DirectUDP, &p.PublicUDP, &p.RelayUDP} {
		if *udp == "" {
			*udp = "Default"
		}
		*udp = canonical(*udp, udpSettings)
	}
	if p.CustomRDPProperty == nil {
		p.CustomRDPProperty = ptr(DefaultRDPProperties)
	}
	if p.MaxSessionLimit == nil && p.LoadBalancerType != "DepthFirst" {
		p.MaxSessionLimit = ptr(Integer(MaxSessionLimit))
	}
	if p.Ring != nil && *p.Ring == 0 {
		*p.Ring = 1
	}
	if p.VMTemplate != nil && *p.VMTemplate == "" {
		p.VMTemplate = nil
	}
	if p.ValidationEnvironment == nil {
		p.ValidationEnvironment = new(bool)
	}
	if p.StartVMOnConnect == nil {
		p.StartVMOnConnect = new(bool)
	}
	if p.AgentUpdate != nil {
		p.AgentUpdate.setDefaults()
	}
}

// defaultAssignment: only personal pools have an assignment type, Automatic when
// not said; owners of BYO desktops are always assigned directly.
func (p *HostPool) defaultAssignment() {
	p.PersonalDesktopAssignmentType = canonicalOrNull(p.PersonalDesktopAssignmentType, assignmentTypes)
	switch {
	case p.HostPoolType == "Pooled":
		p.PersonalDesktopAssignmentType = nil
	case p.PersonalDesktopAssignmentType != nil:
	case p.HostPoolType == "Personal":
		p.PersonalDesktopAssignmentType = ptr("Automatic")
	case p.HostPoolType == "BYODesktop":
		p.PersonalDesktopAssignmentType = ptr("Direct")
	}
}

// Validate notes every fault of the pool; its type cannot change once it exists.
func (p *HostPool) Validate(old Model, v *arm.Violations) {
	inEnum(v, "properties.hostPoolType", p.HostPoolType, hostPoolTypes)
	inEnum(v, "properties.loadBalancerType", p.LoadBalancerType, loadBalancers)
	inEnum(v, "properties.preferredAppGroupType", p.PreferredAppGroupType, groupTypes)
	inEnumOrNull(v, "properties.personalDesktopAssignmentType", p.PersonalDesktopAssignmentType, assignmentTypes)
	inEnumOrNull(v, "properties.ssoSecretType", p.SSOSecretType, ssoSecretTypes)
	inEnumOrNull(v, "properties.publicNetworkAccess", p.PublicNetworkAccess, poolAccess)
	inEnum(v, "properties.managedPrivateUDP", p.ManagedPrivateUDP, udpSettings)
	inEnum(v, "properties.directUDP", p.DirectUDP, udpSettings)
	inEnum(v, "properties.publicUDP", p.PublicUDP, udpSettings)
	inEnum(v, "properties.relayUDP", p.RelayUDP, udpSettings)
	if o, _ := old.(*HostPool); o != nil {
		unchanged(v, "properties.hostPoolType", o.HostPoolType, p.HostPoolType)
	}
	p.validateBalancing(v)
	if p.HostPoolType == "BYODesktop" && p.PersonalDesktopAssignmentType != nil && *p.PersonalDesktopAssignmentType != "Direct" {
		v.Add("properties.personalDesktopAssignmentType", "A BYODesktop host pool takes the assignment type 'Direct' only.")
	}
	between(v, "properties.maxSessionLimit", p.MaxSessionLimit, 1, MaxSessionLimit)
	if p.Ring != nil && *p.Ring < 0 {
		v.Add("properties.ring", "The ring must not be negative; it is %d.", *p.Ring)
	}
	notLonger(v, "properties.friendlyName", p.FriendlyName, maxFriendlyName)
	notLonger(v, "properties.description", p.Description, maxDescription)
	notLonger(v, "properties.vmTemplate", p.VMTemplate, maxLongText)
	ValidateRDPProperties("properties.customRdpProperty", *orEmpty(p.CustomRDPProperty), v)
	if p.AgentUpdate != nil {
		p.AgentUpdate.validate("properties.agentUpdate", v)
	}
}

// validateBalancing: sessions of a personal pool are never balanced, those of a
// pooled one always are, and filling one host after the other needs to know when
// a host is full.
func (p *HostPool) validateBalancing(v *arm.Violations) {
	const at = "properties.loadBalancerType"
	persistent := p.LoadBalancerType == "Persistent" || p.LoadBalancerType == "MultiplePersistent"
	balanced := p.LoadBalancerType == "BreadthFirst" || p.LoadBalancerType == "DepthFirst"
	if p.HostPoolType == "Pooled" && persistent {
		v.Add(at, "A Pooled host pool takes the load balancer BreadthFirst or DepthFirst, not %s.", p.LoadBalancerType)
	}
	if p.Personal() && balanced {
		v.Add(at, "A %s host pool takes the load balancer Persistent, not %s.", p.HostPoolType, p.LoadBalancerType)
	}
	if p.LoadBalancerType == "DepthFirst" && p.MaxSessionLimit == nil {
		v.Add("properties.maxSessionLimit", "The load balancer DepthFirst needs maxSessionLimit (1 to %d): it says when a host is full.", MaxSessionLimit)
	}
}

// Refs is empty: a pool points at nothing, others point at it.
func (p *HostPool) Refs() []Ref { return nil }

func orEmpty(s *string) *string {
	if s == nil {
		return new(string)
	}
	return s
}
