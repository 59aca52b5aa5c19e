package deskyard

import (
	"encoding/json"
	"slices"

	"github.com/deskyard/deskyard/arm"
)

// VMStorage is a machine's image and disks.
type VMStorage struct {
	ImageReference *ImageReference `json:"imageReference,omitempty"`
	OSDisk         VMDisk          `json:"osDisk"`
	DataDisks      json.RawMessage `json:"dataDisks,omitempty"` // refused: machines have one disk
	Controller     string          `json:"diskControllerType,omitempty"`
}

// VMDisk is a machine's system disk.
type VMDisk struct {
	OSType       string          `json:"osType,omitempty"` // Windows | Linux: the image's
	Name         string          `json:"name,omitempty"`
	CreateOption string          `json:"createOption,omitempty"` // FromImage
	Caching      *string         `json:"caching,omitempty"`
	DiskSizeGB   *Integer        `json:"diskSizeGB,omitempty"` // null: the image's
	ManagedDisk  *VMManagedDisk  `json:"managedDisk,omitempty"`
	DeleteOption *string         `json:"deleteOption,omitempty"` // Delete
	Ephemeral    json.RawMessage `json:"diffDiskSettings,omitempty"`
	Encryption   json.RawMessage `json:"encryptionSettings,omitempty"`
	VHD          json.RawMessage `json:"vhd,omitempty"`
	Image        json.RawMessage `json:"image,omitempty"`
	Accelerator  *bool           `json:"writeAcceleratorEnabled,omitempty"`
}

// VMManagedDisk is the class that a disk is of.
type VMManagedDisk struct {
	StorageAccountType *string          `json:"storageAccountType,omitempty"`
	ID                 string           `json:"id,omitempty"` // of a disk that exists: refused
	Encryption         json.RawMessage  `json:"diskEncryptionSet,omitempty"`
	Security           *VMDiskEncrypted `json:"securityProfile,omitempty"`
}

// VMDiskEncrypted says what of a confidential machine's disk is encrypted.
type VMDiskEncrypted struct {
	Type string `json:"securityEncryptionType,omitempty"` // VMGuestStateOnly | DiskWithVMGuestState | NonPersistedTPM
}

// maxOSDisk is Azure's bound for a system disk, in GB.
const maxOSDisk = 4095

// setDefaults takes over from old what an update leaves out; old is nil on create.
func (s *VMStorage) setDefaults(old *VirtualMachine, premium bool) {
	d := &s.OSDisk
	if d.ManagedDisk == nil {
		d.ManagedDisk = &VMManagedDisk{}
	}
	d.ManagedDisk.StorageAccountType = canonicalOrNull(d.ManagedDisk.StorageAccountType, diskTypes)
	if old != nil {
		s.keep(&old.StorageProfile)
	}
	d.OSType = canonical(d.OSType, []string{"Windows", "Linux"})
	d.CreateOption = canonical(d.CreateOption, []string{"FromImage", "Empty", "Attach", "Restore", "Copy"})
	if d.CreateOption == "" {
		d.CreateOption = "FromImage"
	}
	d.Caching = canonicalOrNull(d.Caching, []string{"None", "ReadOnly", "ReadWrite"})
	if d.Caching == nil {
		d.Caching = ptr("ReadWrite")
	}
	d.DeleteOption = canonicalOrNull(d.DeleteOption, deleteOptions)
	if d.DeleteOption == nil {
		d.DeleteOption = ptr("Delete")
	}
	if d.ManagedDisk.StorageAccountType == nil {
		d.ManagedDisk.StorageAccountType = ptr("Standard_LRS")
		if premium {
			d.ManagedDisk.StorageAccountType = ptr("Premium_LRS")
		}
	}
	if i := s.ImageReference; i != nil {
		if i.ID == "" && i.Version == "" {
			i.Version = "latest"
		}
		if *i == (ImageReference{Version: "latest"}) {
			s.ImageReference = nil
		}
	}
}

func (s *VMStorage) keep(old *VMStorage) {
	d := &s.OSDisk
	if s.ImageReference == nil {
		s.ImageReference = old.ImageReference
	} else if old.ImageReference != nil && s.ImageReference.Exact == "" {
		s.ImageReference.Exact = old.ImageReference.Exact
	}
	if d.Name == "" {
		d.Name = old.OSDisk.Name
	}
	if d.OSType == "" {
		d.OSType = old.OSDisk.OSType
	}
	if d.DiskSizeGB == nil {
		d.DiskSizeGB = old.OSDisk.DiskSizeGB
	}
	if d.DeleteOption == nil {
		d.DeleteOption = old.OSDisk.DeleteOption
	}
	if d.ManagedDisk.StorageAccountType == nil && old.OSDisk.ManagedDisk != nil {
		d.ManagedDisk.StorageAccountType = old.OSDisk.ManagedDisk.StorageAccountType
	}
	if old.OSDisk.ManagedDisk != nil && d.ManagedDisk.ID == old.OSDisk.ManagedDisk.ID {
		d.ManagedDisk.ID = ""
	}
}

func (s *VMStorage) validate(v *arm.Violations, m *VirtualMachine) {
	const at = "properties.storageProfile."
	d := &s.OSDisk
	switch {
	case s.ImageReference == nil:
		v.Add(at+"imageReference", "Required parameter 'imageReference' is missing (null): machines are made from an image, by publisher, offer, sku and version or by id.")
	case s.ImageReference.ID == "" && (s.ImageReference.Publisher == "" || s.ImageReference.Offer == "" || s.ImageReference.SKU == ""):
		v.Add(at+"imageReference", "An image is named by publisher, offer, sku and version, or by id.")
	}
	if d.CreateOption != "FromImage" {
		v.Add(at+"osDisk.createOption", "The createOption '%s' is not supported: a machine's disk is made from an image. Use 'FromImage'.", d.CreateOption)
	}
	if d.DeleteOption != nil && *d.DeleteOption == "Detach" {
		v.Add(at+"osDisk.deleteOption", "A machine's disk goes with the machine here: there are no disks of their own. Use 'Delete' or leave the property out.")
	} else {
		inEnumOrNull(v, at+"osDisk.deleteOption", d.DeleteOption, deleteOptions)
	}
	if d.DiskSizeGB != nil && (*d.DiskSizeGB < 1 || *d.DiskSizeGB > maxOSDisk) {
		v.Add(at+"osDisk.diskSizeGB", "The disk size %d must lie between 1 and %d GB.", *d.DiskSizeGB, maxOSDisk)
	}
	s.validateClass(v, m)
	unsupported(v, "a machine has one disk of its own, made from its image.", map[string]json.RawMessage{
		at + "dataDisks": s.DataDisks, at + "osDisk.diffDiskSettings": d.Ephemeral, at + "osDisk.vhd": d.VHD, at + "osDisk.image": d.Image,
		at + "osDisk.encryptionSettings": d.Encryption, at + "osDisk.managedDisk.diskEncryptionSet": d.ManagedDisk.Encryption,
	})
	s.DataDisks, d.Ephemeral, d.VHD, d.Image, d.Encryption, d.ManagedDisk.Encryption = nil, nil, nil, nil, nil, nil
}

func (s *VMStorage) validateClass(v *arm.Violations, m *VirtualMachine) {
	const at = "properties.storageProfile.osDisk.managedDisk"
	disk := s.OSDisk.ManagedDisk
	class := *orEmpty(disk.StorageAccountType)
	inEnum(v, at+".storageAccountType", class, diskTypes)
	if size, known := LookupVMSize(m.HardwareProfile.VMSize); known && !size.Premium && slices.Contains([]string{"Premium_LRS", "Premium_ZRS"}, class) {
		v.Add(at+".storageAccountType", "Requested operation cannot be performed because the VM size %s does not support the storage account type %s.", size.Name, class)
	}
	if disk.ID != "" {
		v.Add(at+".id", "Disks of their own do not exist here: leave the id out.")
	}
	confidential := m.SecurityProfile != nil && m.SecurityProfile.SecurityType != nil && *m.SecurityProfile.SecurityType == "ConfidentialVM"
	switch {
	case disk.Security != nil && disk.Security.Type != "" && !confidential:
		v.Add(at+".securityProfile", "Encryption of the guest's state is for machines of securityType ConfidentialVM.")
	case confidential && (disk.Security == nil || disk.Security.Type == ""):
		v.Add(at+".securityProfile.securityEncryptionType", "A confidential machine needs a securityEncryptionType.")
	}
}
