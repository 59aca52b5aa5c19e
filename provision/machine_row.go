package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// reference is how a resource names another.
type reference struct {
	ID string `json:"id"`
}

// machineProperties is what making a machine reads of its row: a virtual machine of
// Microsoft.Compute or a virtual machine instance of Microsoft.AzureStackHCI, whose
// members have the same names where they mean the same.
type machineProperties struct {
	ProvisioningState string `json:"provisioningState"`
	VMID              string `json:"vmId"`
	Hardware          struct {
		Size       string `json:"vmSize"`
		Processors int    `json:"processors"`
		MemoryMB   int    `json:"memoryMB"`
		Dynamic    *struct {
			Maximum int `json:"maximumMemoryMB"`
			Minimum int `json:"minimumMemoryMB"`
			Buffer  int `json:"targetMemoryBuffer"`
		} `json:"dynamicMemoryConfig"`
	} `json:"hardwareProfile"`
	Storage struct {
		Image  deskyard.ImageReference `json:"imageReference"`
		OSDisk struct {
			Name    string `json:"name"`
			SizeGB  int    `json:"diskSizeGB"`
			Delete  string `json:"deleteOption"`
			Managed struct {
				Type string `json:"storageAccountType"`
				ID   string `json:"id"`
			} `json:"managedDisk"`
		} `json:"osDisk"`
	} `json:"storageProfile"`
	OS struct {
		ComputerName string   `json:"computerName"`
		AdminUser    string   `json:"adminUsername"`
		Linux        osConfig `json:"linuxConfiguration"`
		Windows      osConfig `json:"windowsConfiguration"`
	} `json:"osProfile"`
	Network struct {
		Interfaces []struct {
			ID         string `json:"id"`
			Properties struct {
				Primary bool   `json:"primary"`
				Delete  string `json:"deleteOption"`
			} `json:"properties"`
		} `json:"networkInterfaces"`
	} `json:"networkProfile"`
	Security struct {
		Type      string `json:"securityType"`
		EnableTPM bool   `json:"enableTPM"` // Azure Stack HCI
		UEFI      struct {
			SecureBoot *bool `json:"secureBootEnabled"`
			VTPM       *bool `json:"vTpmEnabled"`
		} `json:"uefiSettings"`
	} `json:"securityProfile"`
	Capabilities struct {
		Hibernation bool `json:"hibernationEnabled"`
	} `json:"additionalCapabilities"`
	Set         *reference `json:"availabilitySet"`
	LicenseType string     `json:"licenseType"`
}

// osConfig is linuxConfiguration or windowsConfiguration.
type osConfig struct {
	Agent           *bool  `json:"provisionVMAgent"`
	NoPassword      bool   `json:"disablePasswordAuthentication"`
	TimeZone        string `json:"timeZone"`
	AutomaticUpdate *bool  `json:"enableAutomaticUpdates"`
	SSH             struct {
		Keys []publicKey `json:"publicKeys"`
	} `json:"ssh"`
}

type publicKey struct {
	Path string `json:"path"`
	Data string `json:"keyData"`
}

// machineFacts is a machine as its row and the rows that it names say it.
type machineFacts struct {
	machineProperties
	name     string // computer name
	location string // of the catalogue and of hypervisors: a location's name, or a custom location's id
	zone     string
	hci      bool
	tags     map[string]string
	nics     []nicFacts
}

// nicFacts is a network interface with its subnet.
type nicFacts struct {
	id      arm.ResourceID
	mac     string
	address netip.Addr
	group   string // network security group, "" for none
	subnet  subnetFacts
	remove  bool // goes with the machine
}

// subnetFacts is a subnet of a virtual network, or of a logical network.
type subnetFacts struct {
	id     arm.ResourceID
	vnet   []netip.Prefix // what VirtualNetwork means in a rule
	prefix netip.Prefix
	group  string
	dns    []netip.Addr
	dhcp   bool // somebody else's DHCP server gives addresses
	bridge string
	vlan   int
	free   iter.Seq[netip.Addr] // what may be given out, taken or not; nil: nothing is known
}

const (
	typeVM       = "microsoft.compute/virtualmachines"
	typeInstance = "microsoft.azurestackhci/virtualmachineinstances"
	typeArc      = "microsoft.hybridcompute/machines"
	typeNIC      = "microsoft.network/networkinterfaces"
	typeHCINIC   = "microsoft.azurestackhci/networkinterfaces"
)

// isInstance reports whether a row is a virtual machine instance of Azure Stack HCI,
// which stands below the machine of HybridCompute that it makes real.
func isInstance(id arm.ResourceID) bool { return strings.EqualFold(id.Type(), typeInstance) }

// arcMachine is the machine of HybridCompute that an instance belongs to.
func arcMachine(instance arm.ResourceID) arm.ResourceID { return instance.Parent() }

// guestOwner is the resource that a guest, its extensions and its session host name.
func guestOwner(id arm.ResourceID) arm.ResourceID {
	if isInstance(id) {
		return arcMachine(id)
	}
	return id
}

// readProperties decodes a row's properties into v.
func readProperties(r deskyard.Resource, v any) error {
	if len(r.Properties) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.Properties, v); err != nil {
		return fmt.Errorf("read stored properties of %s: %w", r.ID, err)
	}
	return nil
}

// readMachine gathers a machine's facts; what it names and does not exist is an
// *arm.Error that says so.
func readMachine(ctx context.Context, reader deskyard.Reader, r deskyard.Resource) (machineFacts, error) {
	f := machineFacts{location: strings.ToLower(r.Envelope.Location), hci: isInstance(r.ID), tags: r.Envelope.Tags}
	if err := readProperties(r, &f.machineProperties); err != nil {
		return f, err
	}
	if len(r.Envelope.Zones) > 0 {
		f.zone = r.Envelope.Zones[0]
	}
	f.name = f.OS.ComputerName
	if f.name == "" {
		f.name = guestOwner(r.ID).Name()
	}
	if f.hci {
		if err := f.readArc(ctx, reader, r); err != nil {
			return f, err
		}
	}
	for _, n := range f.Network.Interfaces {
		nic, err := readNIC(ctx, reader, n.ID)
		if err != nil {
			return f, err
		}
		nic.remove = strings.EqualFold(n.Properties.Delete, "Delete")
		f.nics = append(f.nics, nic)
	}
	return f, nil
}

// readArc adds what an instance's machine of HybridCompute says.
func (f *machineFacts) readArc(ctx context.Context, reader deskyard.Reader, r deskyard.Resource) error {
	if l := r.Envelope.ExtendedLocation; l != nil && l.Name != "" {
		f.location = strings.ToLower(l.Name)
	}
	arc, err := reader.Resource(ctx, arcMachine(r.ID))
	if err != nil {
		return err
	}
	var p struct {
		VMID string `json:"vmId"`
	}
	if err := readProperties(arc, &p); err != nil {
		return err
	}
	if f.VMID == "" {
		f.VMID = p.VMID
	}
	if f.tags == nil {
		f.tags = arc.Envelope.Tags
	}
	return nil
}

// referredRow reads the row that a property names.
func referredRow(ctx context.Context, reader deskyard.Reader, id string) (deskyard.Resource, error) {
	at, err := arm.ParseID(id)
	if err != nil {
		return deskyard.Resource{}, arm.Errorf(arm.Invalid, "InvalidResourceReference", "The id '%s' names no resource.", id)
	}
	r, err := reader.Resource(ctx, at)
	if arm.IsMissing(err) {
		return r, arm.Errorf(arm.Invalid, "InvalidResourceReference", "Resource %s referenced by the machine was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.", at)
	}
	return r, err
}

// nicProperties is what making a machine reads of a network interface of either kind.
type nicProperties struct {
	MAC     string     `json:"macAddress"`
	Group   *reference `json:"networkSecurityGroup"`
	Configs []struct {
		Properties struct {
			Address string    `json:"privateIPAddress"`
			Subnet  reference `json:"subnet"`
		} `json:"properties"`
	} `json:"ipConfigurations"`
}

// readNIC reads a network interface of either kind with its subnet.
func readNIC(ctx context.Context, reader deskyard.Reader, id string) (nicFacts, error) {
	r, err := referredRow(ctx, reader, id)
	if err != nil {
		return nicFacts{}, err
	}
	var p nicProperties
	if err := readProperties(r, &p); err != nil {
		return nicFacts{}, err
	}
	n := nicFacts{id: r.ID, mac: strings.ToLower(strings.ReplaceAll(p.MAC, "-", ":"))}
	if p.Group != nil {
		n.group = p.Group.ID
	}
	if len(p.Configs) == 0 {
		return n, arm.Errorf(arm.Invalid, "InvalidRequestContent", "The network interface '%s' has no IP configuration.", r.ID.Name())
	}
	first := p.Configs[0].Properties
	n.address, _ = netip.ParseAddr(first.Address) // zero: somebody else's DHCP gives it one
	n.subnet, err = readSubnet(ctx, reader, first.Subnet.ID)
	return n, err
}

// readSubnet reads a subnet, or a logical network, by id.
func readSubnet(ctx context.Context, reader deskyard.Reader, id string) (subnetFacts, error) {
	at, err := arm.ParseID(id)
	if err != nil {
		return subnetFacts{}, arm.Errorf(arm.Invalid, "InvalidResourceReference", "The id '%s' names no subnet.", id)
	}
	if strings.EqualFold(at.Type(), "Microsoft.AzureStackHCI/logicalNetworks") {
		return readLogicalNetwork(ctx, reader, at)
	}
	vnet, err := referredRow(ctx, reader, at.Parent().String())
	if err != nil {
		return subnetFacts{}, err
	}
	var network struct {
		Space struct {
			Prefixes []string `json:"addressPrefixes"`
		} `json:"addressSpace"`
		DHCP struct {
			Servers []string `json:"dnsServers"`
		} `json:"dhcpOptions"`
		Subnets []struct {
			Name       string           `json:"name"`
			Properties subnetProperties `json:"properties"`
		} `json:"subnets"`
	}
	if err := readProperties(vnet, &network); err != nil {
		return subnetFacts{}, err
	}
	f := subnetFacts{id: at, vnet: prefixesOf(network.Space.Prefixes), dns: addressesOf(network.DHCP.Servers)}
	row, err := reader.Resource(ctx, at)
	if err == nil {
		var p subnetProperties
		if err := readProperties(row, &p); err != nil {
			return f, err
		}
		return f, f.take(p)
	}
	if !arm.IsMissing(err) {
		return f, err
	}
	for _, s := range network.Subnets {
		if strings.EqualFold(s.Name, at.Name()) {
			return f, f.take(s.Properties)
		}
	}
	return f, arm.Errorf(arm.Invalid, "InvalidResourceReference", "The subnet %s was not found.", at)
}

type subnetProperties struct {
	Prefix   string     `json:"addressPrefix"`
	Prefixes []string   `json:"addressPrefixes"`
	Group    *reference `json:"networkSecurityGroup"`
}

func (f *subnetFacts) take(p subnetProperties) error {
	prefix := p.Prefix
	if prefix == "" && len(p.Prefixes) > 0 {
		prefix = p.Prefixes[0]
	}
	var err error
	if f.prefix, err = netip.ParsePrefix(prefix); err != nil {
		return arm.Errorf(arm.Invalid, "InvalidAddressPrefixFormat", "The subnet %s has no address prefix that can be read.", f.id)
	}
	f.free = deskyard.FreeAddresses(f.prefix)
	if len(f.vnet) == 0 {
		f.vnet = []netip.Prefix{f.prefix}
	}
	if p.Group != nil {
		f.group = p.Group.ID
	}
	return nil
}

// readLogicalNetwork reads a network of Azure Stack HCI: a segment of the owner's own.
func readLogicalNetwork(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) (subnetFacts, error) {
	f := subnetFacts{id: id}
	r, err := referredRow(ctx, reader, id.String())
	if err != nil {
		return f, err
	}
	var p deskyard.LogicalNetwork
	if err := readProperties(r, &p); err != nil {
		return f, err
	}
	f.bridge, f.dhcp = p.VMSwitchName, !p.Static()
	if p.DHCPOptions != nil {
		f.dns = addressesOf(p.DHCPOptions.DNSServers)
	}
	if len(p.Subnets) == 0 {
		return f, nil
	}
	s := p.Subnets[0].Properties
	if s.VLAN != nil {
		f.vlan = int(*s.VLAN)
	}
	if s.AddressPrefix == "" {
		return f, nil
	}
	if f.prefix, err = netip.ParsePrefix(s.AddressPrefix); err != nil {
		return f, arm.Errorf(arm.Invalid, "InvalidAddressPrefixFormat", "The logical network %s has no address prefix that can be read.", id)
	}
	f.vnet, f.free = []netip.Prefix{f.prefix}, p.Free()
	return f, nil
}

func prefixesOf(texts []string) (list []netip.Prefix) {
	for _, t := range texts {
		if p, err := netip.ParsePrefix(t); err == nil {
			list = append(list, p)
		}
	}
	return list
}

func addressesOf(texts []string) (list []netip.Addr) {
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			list = append(list, a)
		}
	}
	return list
}
