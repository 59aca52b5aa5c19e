package deskyard

import (
	"encoding/json"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// Relations that machines and what they are made of are stored under.
const (
	RelationNIC             = "networkInterface" // virtual machine or instance -> network interface
	RelationAvailabilitySet = "availabilitySet"  // virtual machine -> availability set
	RelationImage           = "image"            // virtual machine, gallery image -> image resource
	RelationIdentity        = "identity"         // what runs as a user-assigned identity -> it
)

// Types of resources that machines are made of.
const (
	TypeVirtualMachine  = "Microsoft.Compute/virtualMachines"
	TypeInstance        = "Microsoft.AzureStackHCI/virtualMachineInstances"
	TypeHybridMachine   = "Microsoft.HybridCompute/machines"
	typeNIC             = "Microsoft.Network/networkInterfaces"
	typeAvailabilitySet = "Microsoft.Compute/availabilitySets"
)

// VirtualMachine is the properties of a Microsoft.Compute/virtualMachines. The
// administrator's password and the custom data are read and never written: who
// stores the model takes them with Secrets first.
type VirtualMachine struct {
	Provisioning
	VMID        string    `json:"vmId"` // GUID, lower case; given by the service
	TimeCreated *arm.Time `json:"timeCreated,omitempty"`

	HardwareProfile        VMHardware      `json:"hardwareProfile"`
	StorageProfile         VMStorage       `json:"storageProfile"`
	OSProfile              *VMOS           `json:"osProfile,omitempty"`
	NetworkProfile         VMNetwork       `json:"networkProfile"`
	SecurityProfile        *VMSecurity     `json:"securityProfile,omitempty"`
	DiagnosticsProfile     *VMDiagnostics  `json:"diagnosticsProfile,omitempty"`
	AdditionalCapabilities *VMCapabilities `json:"additionalCapabilities,omitempty"`
	AvailabilitySet        *SubResource    `json:"availabilitySet,omitempty"`
	LicenseType            *string         `json:"licenseType,omitempty"`
	Priority               string          `json:"priority,omitempty"` // Regular
	ExtensionsTimeBudget   string          `json:"extensionsTimeBudget,omitempty"`

	// What only Azure's own machine rooms have.
	ScaleSet       json.RawMessage `json:"virtualMachineScaleSet,omitempty"`
	ProximityGroup json.RawMessage `json:"proximityPlacementGroup,omitempty"`
	DedicatedHost  json.RawMessage `json:"host,omitempty"`
	HostGroup      json.RawMessage `json:"hostGroup,omitempty"`
	Reservation    json.RawMessage `json:"capacityReservation,omitempty"`
	Applications   json.RawMessage `json:"applicationProfile,omitempty"`
	UserData       json.RawMessage `json:"userData,omitempty"`
}

// VMHardware is a machine's size.
type VMHardware struct {
	VMSize     string          `json:"vmSize"`
	Properties json.RawMessage `json:"vmSizeProperties,omitempty"` // constrained cores: refused
}

// VMNetwork is a machine's network interfaces.
type VMNetwork struct {
	Interfaces []VMInterface   `json:"networkInterfaces"`
	APIVersion string          `json:"networkApiVersion,omitempty"`
	Inline     json.RawMessage `json:"networkInterfaceConfigurations,omitempty"` // made with the machine: refused
}

// VMInterface is a network interface that a machine uses.
type VMInterface struct {
	ID         string                 `json:"id"`
	Properties *VMInterfaceProperties `json:"properties,omitempty"`
}

// VMInterfaceProperties say how it uses it.
type VMInterfaceProperties struct {
	Primary      *bool   `json:"primary,omitempty"`
	DeleteOption *string `json:"deleteOption,omitempty"` // Delete: it goes with the machine; Detach: it stays
}

// VMSecurity is what protects a machine from its boot on.
type VMSecurity struct {
	SecurityType     *string `json:"securityType,omitempty"` // Standard | TrustedLaunch | ConfidentialVM
	EncryptionAtHost *bool   `json:"encryptionAtHost,omitempty"`
	UEFI             *VMUEFI `json:"uefiSettings,omitempty"`
}

// VMUEFI are the settings of trusted launch.
type VMUEFI struct {
	SecureBoot *bool `json:"secureBootEnabled,omitempty"`
	VTPM       *bool `json:"vTpmEnabled,omitempty"`
}

// VMDiagnostics turns boot diagnostics on.
type VMDiagnostics struct {
	BootDiagnostics *VMBootDiagnostics `json:"bootDiagnostics,omitempty"`
}

// VMBootDiagnostics says whether, and in which storage account: the service keeps the
// serial log and the screenshot itself and stores the account's name only.
type VMBootDiagnostics struct {
	Enabled    *bool   `json:"enabled,omitempty"`
	StorageURI *string `json:"storageUri,omitempty"`
}

// VMCapabilities are what a machine can beside running.
type VMCapabilities struct {
	HibernationEnabled *bool `json:"hibernationEnabled,omitempty"`
	UltraSSDEnabled    *bool `json:"ultraSSDEnabled,omitempty"`
}

// Hibernates reports whether the machine may be hibernated.
func (m *VirtualMachine) Hibernates() bool {
	return m.AdditionalCapabilities != nil && m.AdditionalCapabilities.HibernationEnabled != nil && *m.AdditionalCapabilities.HibernationEnabled
}

// Secrets are what the machine's making needs and the row does not hold: JSON with
// adminPassword and customData, nil when neither was sent.
func (m *VirtualMachine) Secrets() json.RawMessage {
	if m.OSProfile == nil {
		return nil
	}
	return m.OSProfile.secrets()
}

// Default brings values to canonical spelling and keeps what the service wrote. What
// only a create can set and an update leaves out stays as it was.
func (m *VirtualMachine) Default(old Model) {
	o, _ := old.(*VirtualMachine)
	m.Provisioning, m.VMID, m.TimeCreated = Provisioning{}, "", nil
	if o != nil {
		m.Provisioning, m.VMID, m.TimeCreated = o.Provisioning, o.VMID, o.TimeCreated
		if m.HardwareProfile.VMSize == "" {
			m.HardwareProfile.VMSize = o.HardwareProfile.VMSize
		}
		if m.OSProfile == nil {
			m.OSProfile = o.OSProfile
		}
		if len(m.NetworkProfile.Interfaces) == 0 {
			m.NetworkProfile = o.NetworkProfile
		}
		if m.AvailabilitySet == nil {
			m.AvailabilitySet = o.AvailabilitySet
		}
	}
	size, known := LookupVMSize(m.HardwareProfile.VMSize)
	if known {
		m.HardwareProfile.VMSize = size.Name
	}
	m.AvailabilitySet = present(m.AvailabilitySet)
	if c := m.AdditionalCapabilities; c != nil && *c == (VMCapabilities{}) { // azurerm sends {} for none, and takes it for some
		m.AdditionalCapabilities = nil
	}
	m.StorageProfile.setDefaults(o, size.Premium)
	if m.OSProfile != nil {
		var before *VMOS
		if o != nil {
			before = o.OSProfile
		}
		m.OSProfile.setDefaults(before)
	}
	m.NetworkProfile.setDefaults()
	if m.SecurityProfile != nil {
		m.SecurityProfile.SecurityType = canonicalOrNull(m.SecurityProfile.SecurityType, securityTypes)
		if *m.SecurityProfile == (VMSecurity{}) {
			m.SecurityProfile = nil
		}
	}
	if m.LicenseType != nil && (*m.LicenseType == "" || strings.EqualFold(*m.LicenseType, "None")) {
		m.LicenseType = nil
	}
	m.Priority = canonical(m.Priority, []string{"Regular", "Spot", "Low"})
}

var (
	securityTypes = []string{"Standard", "TrustedLaunch", "ConfidentialVM"}
	deleteOptions = []string{"Delete", "Detach"}
)

func (n *VMNetwork) setDefaults() {
	for i := range n.Interfaces {
		p := n.Interfaces[i].Properties
		if p == nil {
			p = &VMInterfaceProperties{}
			n.Interfaces[i].Properties = p
		}
		p.DeleteOption = canonicalOrNull(p.DeleteOption, deleteOptions)
		if p.DeleteOption == nil {
			p.DeleteOption = ptr("Detach")
		}
		if p.Primary == nil && len(n.Interfaces) == 1 {
			p.Primary = ptr(true)
		}
	}
}

// Validate notes every fault of the machine. Rules that need the image, the network
// or the hypervisors are those of whoever makes it.
func (m *VirtualMachine) Validate(old Model, v *arm.Violations) {
	o, _ := old.(*VirtualMachine)
	m.validateSize(v)
	m.StorageProfile.validate(v, m)
	m.validateOS(o, v)
	m.NetworkProfile.validate(v)
	m.validateSecurity(v)
	if id := idOf(m.AvailabilitySet); id != "" {
		refersTo(v, "properties.availabilitySet.id", id, typeAvailabilitySet)
	}
	if m.Priority != "" && m.Priority != "Regular" {
		v.Add("properties.priority", "Machines of priority '%s' are not supported: nobody evicts machines here. Use 'Regular'.", m.Priority)
	}
	if m.LicenseType != nil {
		inEnum(v, "properties.licenseType", *m.LicenseType, []string{"Windows_Client", "Windows_Server", "RHEL_BYOS", "SLES_BYOS", "RHEL_EUS", "RHEL_BASE", "SLES_STANDARD", "UBUNTU_PRO"})
	}
	unsupported(v, "it has no counterpart on the operator's own hypervisors. Leave it out.", map[string]json.RawMessage{
		"properties.virtualMachineScaleSet": m.ScaleSet, "properties.proximityPlacementGroup": m.ProximityGroup,
		"properties.host": m.DedicatedHost, "properties.hostGroup": m.HostGroup, "properties.capacityReservation": m.Reservation,
		"properties.applicationProfile": m.Applications, "properties.userData": m.UserData,
		"properties.hardwareProfile.vmSizeProperties": m.HardwareProfile.Properties,
	})
	m.ScaleSet, m.ProximityGroup, m.DedicatedHost, m.HostGroup, m.Reservation, m.Applications, m.UserData = nil, nil, nil, nil, nil, nil, nil
	m.HardwareProfile.Properties = nil
	if o != nil {
		m.validateChange(o, v)
	}
}

func (m *VirtualMachine) validateSize(v *arm.Violations) {
	const at = "properties.hardwareProfile.vmSize"
	if m.HardwareProfile.VMSize == "" {
		v.Add(at, "Required parameter 'vmSize' is missing (null).")
		return
	}
	size, known := LookupVMSize(m.HardwareProfile.VMSize)
	if !known {
		v.Add(at, "The value %s provided for the VM size is not valid. The sizes are those of GET …/providers/Microsoft.Compute/locations/{location}/vmSizes, and Custom_{vCPUs}_{MiB}.", m.HardwareProfile.VMSize)
		return
	}
	if m.Hibernates() && !size.Hibernation {
		v.Add("properties.additionalCapabilities.hibernationEnabled", "The VM size '%s' does not support hibernation.", size.Name)
	}
	if n := len(m.NetworkProfile.Interfaces); n > size.MaxNICs {
		v.Add("properties.networkProfile.networkInterfaces", "The number of network interfaces for virtual machine exceeds the maximum allowed for the virtual machine size %s. The number of network interfaces is %d and the maximum allowed is %d.", size.Name, n, size.MaxNICs)
	}
	if m.SecurityProfile == nil || m.SecurityProfile.SecurityType == nil {
		return
	}
	switch {
	case *m.SecurityProfile.SecurityType == "TrustedLaunch" && !size.TrustedLaunch:
		v.Add(at, "The VM size '%s' does not support trusted launch.", size.Name)
	case *m.SecurityProfile.SecurityType == "ConfidentialVM" && size.Confidential == "":
		v.Add(at, "The VM size '%s' does not encrypt memory; choose one of the families DCas_v5, DCads_v5, DCes_v5 or ECas_v5 for a confidential machine.", size.Name)
	}
}

func (m *VirtualMachine) validateSecurity(v *arm.Violations) {
	const at = "properties.securityProfile."
	s := m.SecurityProfile
	if s == nil {
		return
	}
	inEnumOrNull(v, at+"securityType", s.SecurityType, securityTypes)
	if s.EncryptionAtHost != nil && *s.EncryptionAtHost {
		v.Add(at+"encryptionAtHost", "Encryption at host is the operator's: encrypt the hypervisor's disks. Leave the property out.")
	}
	standard := s.SecurityType == nil || *s.SecurityType == "Standard"
	if standard && s.UEFI != nil && (isTrue(s.UEFI.SecureBoot) || isTrue(s.UEFI.VTPM)) {
		v.Add(at+"uefiSettings", "Use of UEFI settings is not supported when there is no security type. Set securityType to TrustedLaunch.")
	}
	if !standard && *s.SecurityType == "ConfidentialVM" && (s.UEFI == nil || !isTrue(s.UEFI.VTPM)) {
		v.Add(at+"uefiSettings.vTpmEnabled", "A confidential machine needs vTpmEnabled.")
	}
	if m.AvailabilitySet != nil && m.Hibernates() {
		v.Add("properties.additionalCapabilities.hibernationEnabled", "A machine in an availability set does not hibernate.")
	}
}

func isTrue(b *bool) bool { return b != nil && *b }

func (n *VMNetwork) validate(v *arm.Violations) {
	const at = "properties.networkProfile.networkInterfaces"
	unsupported(v, "make the network interface first and name it in networkInterfaces.",
		map[string]json.RawMessage{"properties.networkProfile.networkInterfaceConfigurations": n.Inline})
	n.Inline = nil
	if len(n.Interfaces) == 0 {
		v.Add(at, "Virtual machine must have at least one network interface.")
	}
	primaries := 0
	seen := map[string]bool{}
	for _, i := range n.Interfaces {
		refersTo(v, at+".id", i.ID, typeNIC)
		if key := strings.ToLower(i.ID); seen[key] {
			v.Add(at+".id", "The network interface '%s' is named twice.", i.ID)
		} else {
			seen[key] = true
		}
		if i.Properties != nil {
			inEnumOrNull(v, at+".properties.deleteOption", i.Properties.DeleteOption, deleteOptions)
			if isTrue(i.Properties.Primary) {
				primaries++
			}
		}
	}
	if len(n.Interfaces) > 1 && primaries != 1 {
		v.Add(at, "Virtual machine has more than one network interface: exactly one must be 'primary'; %d are.", primaries)
	}
}

// validateChange holds an update to what stays for life.
func (m *VirtualMachine) validateChange(o *VirtualMachine, v *arm.Violations) {
	fixed(v, "availabilitySet.id", idOf(o.AvailabilitySet), idOf(m.AvailabilitySet))
	before, now := o.StorageProfile, m.StorageProfile
	if before.ImageReference != nil && now.ImageReference != nil {
		a, b := *before.ImageReference, *now.ImageReference
		for _, p := range []struct{ name, old, now string }{
			{"publisher", a.Publisher, b.Publisher}, {"offer", a.Offer, b.Offer}, {"sku", a.SKU, b.SKU}, {"version", a.Version, b.Version}, {"id", a.ID, b.ID}} {
			fixed(v, "imageReference."+p.name, p.old, p.now)
		}
	}
	fixed(v, "osDisk.name", before.OSDisk.Name, now.OSDisk.Name)
	if a, b := before.OSDisk.DiskSizeGB, now.OSDisk.DiskSizeGB; a != nil && b != nil && *b < *a {
		v.Add("properties.storageProfile.osDisk.diskSizeGB", "A disk cannot be made smaller: it has %d GB, not %d.", *a, *b)
	}
}

// Refs are its network interfaces, availability set and image.
func (m *VirtualMachine) Refs() []Ref {
	refs := m.NetworkProfile.refs()
	if id := idOf(m.AvailabilitySet); id != "" {
		refs = append(refs, refsTo(RelationAvailabilitySet, id)...)
	}
	if i := m.StorageProfile.ImageReference; i != nil && i.ID != "" {
		refs = append(refs, refsTo(RelationImage, i.ID)...)
	}
	return refs
}

func (n *VMNetwork) refs() []Ref {
	var refs []Ref
	for _, i := range n.Interfaces {
		refs = append(refs, refsTo(RelationNIC, i.ID)...)
	}
	return refs
}

func sameText(a, b string) bool { return strings.EqualFold(a, b) }
