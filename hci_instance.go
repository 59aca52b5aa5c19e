package deskyard

import (
	"encoding/json"

	"github.com/deskyard/deskyard/arm"
)

// HCIInstance is a Microsoft.AzureStackHCI/virtualMachineInstances: what makes a
// machine of HybridCompute real on a custom location.
type HCIInstance struct {
	Provisioning
	VMID     string          `json:"vmId,omitempty"` // its machine's
	Hardware HCIHardware     `json:"hardwareProfile"`
	OS       *VMOS           `json:"osProfile,omitempty"`
	Storage  HCIStorage      `json:"storageProfile"`
	Network  VMNetwork       `json:"networkProfile"`
	Security *HCISecurity    `json:"securityProfile,omitempty"`
	HTTP     json.RawMessage `json:"httpProxyConfig,omitempty"` // refused
}

// HCIHardware is an instance's size.
type HCIHardware struct {
	VMSize     string      `json:"vmSize,omitempty"` // "Custom", or a size's name
	Processors *Integer    `json:"processors,omitempty"`
	MemoryMB   *Integer    `json:"memoryMB,omitempty"`
	Dynamic    *HCIDynamic `json:"dynamicMemoryConfig,omitempty"`
}

// HCIDynamic is memory that grows and shrinks.
type HCIDynamic struct {
	Maximum *Integer `json:"maximumMemoryMB,omitempty"`
	Minimum *Integer `json:"minimumMemoryMB,omitempty"`
	Buffer  *Integer `json:"targetMemoryBuffer,omitempty"` // percent
}

// HCIStorage is an instance's image and disks.
type HCIStorage struct {
	ImageReference *ImageReference `json:"imageReference,omitempty"`
	OSDisk         *HCIDisk        `json:"osDisk,omitempty"`
	DataDisks      json.RawMessage `json:"dataDisks,omitempty"` // refused
	ConfigPathID   string          `json:"vmConfigStoragePathId,omitempty"`
}

// HCIDisk is an instance's system disk.
type HCIDisk struct {
	OSType string   `json:"osType,omitempty"`
	ID     string   `json:"id,omitempty"` // of a disk that exists: refused
	SizeGB *Integer `json:"diskSizeGB,omitempty"`
}

// HCISecurity is trusted launch on Azure Stack HCI.
type HCISecurity struct {
	EnableTPM    *bool   `json:"enableTPM,omitempty"`
	SecurityType string  `json:"securityType,omitempty"`
	UEFI         *VMUEFI `json:"uefiSettings,omitempty"`
}

// Bounds of a virtual machine on Azure Stack HCI (Hyper-V's of generation 2).
const (
	maxHCIProcessors = 2048
	minHCIMemory     = 256
	maxHCIMemory     = 64 << 20 // MiB
)

// Secrets are those of osProfile, as a virtual machine's.
func (m *HCIInstance) Secrets() json.RawMessage {
	if m.OS == nil {
		return nil
	}
	return m.OS.secrets()
}

// Default keeps what the service wrote and what an update leaves out.
func (m *HCIInstance) Default(old Model) {
	o, _ := old.(*HCIInstance)
	m.Provisioning, m.VMID = Provisioning{}, ""
	if o != nil {
		m.Provisioning, m.VMID = o.Provisioning, o.VMID
		if m.OS == nil {
			m.OS = o.OS
		}
		if len(m.Network.Interfaces) == 0 {
			m.Network = o.Network
		}
		if m.Storage.ImageReference == nil {
			m.Storage.ImageReference = o.Storage.ImageReference
		}
	}
	if m.Hardware.VMSize == "" || sameText(m.Hardware.VMSize, "Default") {
		m.Hardware.VMSize = "Custom"
	}
	m.Hardware.VMSize = canonical(m.Hardware.VMSize, []string{"Custom"})
	if size, known := LookupVMSize(m.Hardware.VMSize); known {
		m.Hardware.VMSize = size.Name
		m.Hardware.Processors, m.Hardware.MemoryMB = ptr(Integer(size.CPUs)), ptr(Integer(size.MemoryMB))
	}
	if m.OS != nil {
		var before *VMOS
		if o != nil {
			before = o.OS
		}
		m.OS.setDefaults(before)
	}
	if m.Security != nil {
		m.Security.SecurityType = canonical(m.Security.SecurityType, securityTypes)
	}
	for i := range m.Network.Interfaces {
		m.Network.Interfaces[i].Properties = nil
	}
}

// Validate notes every fault of the instance by itself.
func (m *HCIInstance) Validate(old Model, v *arm.Violations) {
	o, _ := old.(*HCIInstance)
	m.Hardware.validate(v)
	create := o == nil || o.OS == nil
	switch {
	case m.OS != nil:
		m.OS.validate("properties.osProfile", create, v)
	case o == nil:
		v.Add("properties.osProfile", "Required parameter 'osProfile' is missing (null).")
	}
	if o != nil && o.OS != nil && m.OS != nil {
		fixed(v, "osProfile.computerName", o.OS.ComputerName, m.OS.ComputerName)
		fixed(v, "osProfile.adminUsername", o.OS.AdminUsername, m.OS.AdminUsername)
	}
	if m.Storage.ImageReference == nil || m.Storage.ImageReference.ID == "" {
		v.Add("properties.storageProfile.imageReference.id", "The property 'id' is required: the resource id of a gallery image or a marketplace gallery image.")
	}
	if m.Storage.OSDisk != nil && m.Storage.OSDisk.ID != "" {
		v.Add("properties.storageProfile.osDisk.id", "Disks of their own do not exist here: name an image.")
	}
	if len(m.Network.Interfaces) == 0 {
		v.Add("properties.networkProfile.networkInterfaces", "Virtual machine must have at least one network interface.")
	}
	for _, i := range m.Network.Interfaces {
		refersTo(v, "properties.networkProfile.networkInterfaces.id", i.ID, "Microsoft.AzureStackHCI/networkInterfaces")
	}
	unsupported(v, "a machine has one disk of its own, and no proxy is needed to reach this service.", map[string]json.RawMessage{
		"properties.storageProfile.dataDisks": m.Storage.DataDisks, "properties.httpProxyConfig": m.HTTP})
	m.Storage.DataDisks, m.HTTP = nil, nil
}

func (h *HCIHardware) validate(v *arm.Violations) {
	const at = "properties.hardwareProfile."
	if _, known := LookupVMSize(h.VMSize); h.VMSize != "Custom" && !known {
		v.Add(at+"vmSize", "The size '%s' is not known; use 'Custom' with processors and memoryMB.", h.VMSize)
		return
	}
	if h.Processors == nil || h.MemoryMB == nil {
		v.Add(at+"processors", "A machine of size Custom needs processors and memoryMB.")
	}
	between(v, at+"processors", h.Processors, 1, maxHCIProcessors)
	between(v, at+"memoryMB", h.MemoryMB, minHCIMemory, maxHCIMemory)
	d := h.Dynamic
	if d == nil || d.Maximum == nil && d.Minimum == nil && d.Buffer == nil {
		h.Dynamic = nil
		return
	}
	between(v, at+"dynamicMemoryConfig.maximumMemoryMB", d.Maximum, minHCIMemory, maxHCIMemory)
	between(v, at+"dynamicMemoryConfig.minimumMemoryMB", d.Minimum, minHCIMemory, maxHCIMemory)
	between(v, at+"dynamicMemoryConfig.targetMemoryBuffer", d.Buffer, 5, 2000)
	if h.MemoryMB != nil && (d.Maximum != nil && *d.Maximum < *h.MemoryMB || d.Minimum != nil && *d.Minimum > *h.MemoryMB) {
		v.Add(at+"dynamicMemoryConfig", "The memory at the start, %d MB, must lie between the minimum and the maximum of dynamic memory.", *h.MemoryMB)
	}
}

// Refs are its network interfaces and its image.
func (m *HCIInstance) Refs() []Ref {
	refs := m.Network.refs()
	if m.Storage.ImageReference != nil {
		refs = append(refs, refsTo(RelationImage, m.Storage.ImageReference.ID)...)
	}
	return refs
}
