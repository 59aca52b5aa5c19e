package deskyard

import (
	"net/url"
	"strings"
)

func (c *runCheck) network() {
	n := c.run.Network
	if c.facts.Network == nil {
		c.fault("network.virtualNetwork", "The virtual network %q with the subnet %q does not exist. Create it first.", n.VirtualNetwork, n.Subnet)
	} else {
		c.addresses("network.subnet")
	}
	switch strings.ToLower(n.SecurityGroup) {
	case "", "none":
		if len(n.InboundPorts) > 0 {
			c.fault("network.publicInboundPorts", "Inbound ports need a network security group of their own: choose Basic.")
		}
	case "basic":
	case "advanced":
		if n.SecurityID == "" {
			c.fault("network.networkSecurityGroupId", "Choose the network security group.")
		} else if !c.facts.NSGExists {
			c.fault("network.networkSecurityGroupId", "The network security group %q does not exist in the virtual machines' location.", n.SecurityID)
		}
		if len(n.InboundPorts) > 0 {
			c.fault("network.publicInboundPorts", "Open ports in the network security group that you chose; the run opens them only in one of its own (Basic).")
		}
	default:
		c.fault("network.networkSecurityGroup", "The network security group %q is not None, Basic or Advanced.", n.SecurityGroup)
	}
	for _, p := range n.InboundPorts {
		if p < 1 || p > 65535 {
			c.fault("network.publicInboundPorts", "The port %d does not lie between 1 and 65535.", p)
		}
	}
	if len(n.InboundPorts) > 0 {
		c.warn("Inbound ports are not needed: session hosts are reached by reverse connect. Leaving them closed is advised.")
		if !c.run.Confirmed.InboundPorts {
			c.fault("network.publicInboundPorts", "Opening inbound ports has to be confirmed (confirm.publicInboundPorts).")
		}
	}
}

func (c *runCheck) addresses(path string) {
	if free := c.facts.Network.FreeAddresses; free >= 0 && free < c.run.Machines.Count {
		c.fault(path, "The network has %d free addresses for %d machines. Choose another one, or a larger range.", free, c.run.Machines.Count)
	}
}

func lastSegment(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

func (c *runCheck) directory() {
	d := c.run.Directory
	switch d.Directory {
	case "":
		c.sameProvider("")
	case "MicrosoftEntraID":
		if c.run.HCI() {
			c.fault("domainToJoin.directory", "Azure Stack HCI machines join Active Directory alone.")
		}
		c.sameProvider("entra:")
	case "ActiveDirectory":
		c.join()
	default:
		c.fault("domainToJoin.directory", "The directory %q is not MicrosoftEntraID or ActiveDirectory.", d.Directory)
	}
	if d.Directory != "ActiveDirectory" && (d.JoinUPN != "" || d.JoinPassword != "" || d.Domain != "" || d.OU != "") {
		c.fault("domainToJoin.directory", "A join account, domain or organizational unit was given; they need the directory ActiveDirectory.")
	}
	if d.Intune && d.Directory != "MicrosoftEntraID" {
		c.fault("domainToJoin.intune", "Enrolment in Intune needs the directory MicrosoftEntraID.")
	} else if d.Intune {
		c.fault("domainToJoin.intune", "The service has no counterpart of Intune. Leave it off.")
	}
}

// JoinDomain is the Active Directory domain that the run joins: the one named, or the
// suffix of the join account.
func (a *AddSessionHosts) JoinDomain() string {
	if a.Directory.Domain != "" {
		return a.Directory.Domain
	}
	_, suffix, _ := strings.Cut(a.Directory.JoinUPN, "@")
	return suffix
}

func (c *runCheck) join() {
	d := c.run.Directory
	if !upnForm.MatchString(d.JoinUPN) {
		c.fault("domainToJoin.adDomainJoinUPN", "The join account %q is not a user principal name such as join@example.org.", d.JoinUPN)
	}
	switch {
	case d.JoinPassword == "":
		c.fault("domainToJoin.adDomainJoinPassword", "The join account's password is required.")
	case d.JoinConfirm != "" && d.JoinConfirm != d.JoinPassword:
		c.fault("domainToJoin.adDomainJoinConfirmPassword", "The join account's passwords differ.")
	}
	if domain := c.run.JoinDomain(); domain != "" && !domainName.MatchString(domain) {
		c.fault("domainToJoin.domain", "The domain %q is not a DNS name such as example.org.", domain)
	} else if domain != "" {
		c.sameProvider("ad:" + domain)
	}
	if d.OU != "" && !ouForm.MatchString(d.OU) {
		c.fault("domainToJoin.organizationalUnitPath", "The organizational unit %q is not a distinguished name such as OU=Desktops,DC=example,DC=org.", d.OU)
	}
}

// sameProvider holds the run to the identity provider of the pool's hosts; wanted is
// a prefix for a tenant, which the run cannot choose.
func (c *runCheck) sameProvider(wanted string) {
	if c.facts.MixedIdentity {
		return
	}
	for _, have := range c.facts.Identities {
		same := strings.EqualFold(have, wanted) || strings.HasSuffix(wanted, ":") && strings.HasPrefix(strings.ToLower(have), wanted)
		if !same {
			c.fault("domainToJoin.directory", "The host pool's hosts are %s, the new ones would be %s; users could not sign in to both. Choose the same directory.",
				providerName(have), providerName(wanted))
			return
		}
	}
}

func providerName(identity string) string {
	switch kind, name, _ := strings.Cut(identity, ":"); {
	case strings.EqualFold(kind, "ad"):
		return "joined to the domain " + name
	case strings.EqualFold(kind, "entra"):
		return "joined to Microsoft Entra ID"
	}
	return "not joined to a directory"
}

func (c *runCheck) administrator() {
	a := c.run.Admin
	const tab = "virtualMachineAdministratorAccount."
	CheckAdminUser(&c.faults, tab+"username", a.User)
	CheckAdminPassword(&c.faults, tab+"password", a.Password, minPortalAdmin)
	if a.Confirm != "" && a.Confirm != a.Password {
		c.fault(tab+"confirmPassword", "The local administrator's passwords differ.")
	}
}

func (c *runCheck) script() {
	if s := c.run.Script.URL; s != "" {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			c.fault("customConfiguration.scriptUrl", "The script's address must be of the form https://HOST/PATH, without user name and password.")
		}
	}
}

func (c *runCheck) tags() {
	if len(c.run.Tags) > maxTags {
		c.fault("tags", "%d tags were given; a resource has at most %d.", len(c.run.Tags), maxTags)
	}
	for name, value := range c.run.Tags {
		switch {
		case name == "" || len(name) > 512 || strings.ContainsAny(name, `<>%&\?/`):
			c.fault("tags", `The tag name %q must have 1 to 512 characters and none of <>%%&\?/.`, name)
		case len(value) > 256:
			c.fault("tags", "The value of the tag %q has %d characters; at most 256 are allowed.", name, len(value))
		}
	}
}
