package deskyard

import (
	"math"
	"slices"
	"strings"
)

func (c *runCheck) place() {
	m := c.run.Machines
	if m.Location != "" && c.facts.Network != nil && !strings.EqualFold(m.Location, c.facts.Network.Location) {
		c.fault("virtualMachines.location", "The virtual machines' location %q must be the virtual network's, which is %q.", m.Location, c.facts.Network.Location)
	} else if !c.facts.Known && c.facts.Network != nil { // a missing network is told by itself, and the location is its
		c.fault("virtualMachines.location", "The location %q does not exist in this service.", c.facts.Location)
	}
	switch strings.ToLower(m.Availability) {
	case "", "none":
		if len(m.Zones) > 0 || m.AvailabilitySet != "" {
			c.fault("virtualMachines.availabilityOption", "Zones and availability sets need availabilityOption AvailabilityZone or AvailabilitySet.")
		}
	case "availabilityzone":
		c.zones()
	case "availabilityset":
		c.set()
	default:
		c.fault("virtualMachines.availabilityOption", "The availability option %q is not None, AvailabilityZone or AvailabilitySet.", m.Availability)
	}
}

func (c *runCheck) zones() {
	const path = "virtualMachines.availabilityZones"
	if len(c.run.Machines.Zones) == 0 {
		c.fault(path, "Choose at least one availability zone.")
	}
	for _, z := range c.run.Machines.Zones {
		if !slices.Contains(c.facts.Zones, z) {
			c.fault(path, "The location %q has no zone %q; it has: %s.", c.facts.Location, z, orNone(c.facts.Zones))
		}
	}
}

func (c *runCheck) set() {
	const path = "virtualMachines.availabilitySetName"
	m := c.run.Machines
	switch s := c.facts.Set; {
	case m.AvailabilitySet == "":
		c.fault(path, "Name the availability set.")
	case s == nil:
		c.fault(path, "The availability set %q does not exist in the run's resource group. Create it first.", m.AvailabilitySet)
	case !strings.EqualFold(s.Location, c.facts.Location):
		c.fault(path, "The availability set %q is in %q, the virtual machines would be in %q.", m.AvailabilitySet, s.Location, c.facts.Location)
	case s.Machines+m.Count > maxSetMachines:
		c.fault(path, "Can't create VM because the limit of %d VMs has already been reached: the availability set %q has %d and would get %d more.",
			maxSetMachines, m.AvailabilitySet, s.Machines, m.Count)
	}
}

func (c *runCheck) size() {
	s := c.facts.Size
	if s == nil {
		c.fault("virtualMachines.size", "The size %q does not exist. deskyard rest and az vm list-sizes show what does.", c.run.Machines.Size)
		return
	}
	if len(c.facts.Sizes) > 0 && !slices.ContainsFunc(c.facts.Sizes, func(o string) bool { return strings.EqualFold(o, s.Name) }) {
		c.warn("The pool's hosts have the size %s, the new ones would have %s; hosts of one pool should be alike.", strings.Join(c.facts.Sizes, " and "), s.Name)
	}
}

func (c *runCheck) security() {
	m := c.run.Machines
	const path = "virtualMachines.securityType"
	on := func(b *bool) bool { return b == nil || *b }
	switch strings.ToLower(m.SecurityType) {
	case "", "standard":
		if m.SecureBoot != nil && *m.SecureBoot || m.VTPM != nil && *m.VTPM {
			c.fault(path, "Secure boot and vTPM need the security type TrustedLaunch or ConfidentialVM.")
		}
		if m.ConfidentialDisk {
			c.fault("virtualMachines.confidentialComputeEncryption", "Confidential compute encryption needs the security type ConfidentialVM.")
		}
		return
	case "trustedlaunch":
		if m.ConfidentialDisk {
			c.fault("virtualMachines.confidentialComputeEncryption", "Confidential compute encryption needs the security type ConfidentialVM.")
		}
	case "confidentialvm":
		if m.VTPM != nil && !*m.VTPM {
			c.fault("virtualMachines.vTPM", "The vTPM cannot be turned off with the security type ConfidentialVM.")
		}
		if !m.ConfidentialDisk {
			c.fault("virtualMachines.confidentialComputeEncryption", "Confidential compute encryption is required with the security type ConfidentialVM.")
		}
		if !c.facts.Confidential {
			c.fault(path, "No hypervisor of the location has memory encryption (AMD SEV-SNP or Intel TDX). Choose TrustedLaunch.")
		}
	default:
		c.fault(path, "The security type %q is not Standard, TrustedLaunch or ConfidentialVM.", m.SecurityType)
		return
	}
	if i := c.facts.Image; i != nil {
		switch {
		case i.Managed:
			c.fault(path, "The security type %s does not take managed images. Put the image into a gallery.", m.SecurityType)
		case !i.UEFI:
			c.fault(path, "The security type %s needs a generation 2 image (UEFI); %s is generation 1.", m.SecurityType, i.Name)
		case on(m.SecureBoot) && !i.SignedBoot:
			c.fault("virtualMachines.secureBoot", "The image %s does not boot with secure boot on. Choose another image, or turn secure boot off.", i.Name)
		}
	}
	if s := c.facts.Size; s != nil && !s.Trusted {
		c.fault("virtualMachines.size", "The size %s does not support the security type %s.", s.Name, m.SecurityType)
	}
	if on(m.SecureBoot) && !c.facts.SecureBoot {
		c.fault("virtualMachines.secureBoot", "No hypervisor of the location has UEFI firmware with secure boot. Install OVMF there, or turn secure boot off.")
	}
	if on(m.VTPM) && !c.facts.TPM {
		c.fault("virtualMachines.vTPM", "No hypervisor of the location has a virtual TPM. Install swtpm there, or turn the vTPM off.")
	}
}

func (c *runCheck) hibernation() {
	m := c.run.Machines
	if !m.Hibernate {
		return
	}
	const path = "virtualMachines.hibernate"
	if !c.facts.Personal {
		c.fault(path, "Only hosts of a Personal host pool can hibernate.")
	}
	if s := c.facts.Size; s != nil && (!s.Hibernation || s.MemoryMB > maxHibernateMB) {
		c.fault(path, "The size %s cannot hibernate.", s.Name)
	}
	if strings.EqualFold(m.Availability, "AvailabilitySet") {
		c.fault(path, "Machines of an availability set cannot hibernate.")
	}
	if i := c.facts.Image; i != nil && i.Managed {
		c.fault(path, "Machines made of a managed image cannot hibernate. Put the image into a gallery.")
	}
}

func (c *runCheck) disk() {
	m := c.run.Machines
	switch {
	case strings.HasPrefix(strings.ToLower(m.DiskType), "ultrassd"):
		c.fault("virtualMachines.osDiskType", "An Ultra disk cannot be the system disk of a session host.")
	case m.DiskType != "" && !slices.Contains(diskTypes, m.DiskType):
		c.fault("virtualMachines.osDiskType", "The disk type %q is not one of: %s.", m.DiskType, strings.Join(diskTypes, ", "))
	case strings.HasPrefix(m.DiskType, "Premium") && c.facts.Size != nil && !c.facts.Size.Premium:
		c.fault("virtualMachines.osDiskType", "The size %s does not take premium disks.", c.facts.Size.Name)
	case m.DiskType == "Standard_LRS":
		c.warn("Premium SSD is recommended for session hosts in production; these would have a standard disk.")
	}
	need := 0
	if c.facts.Image != nil {
		need = c.facts.Image.SizeGB
	}
	if m.Hibernate && c.facts.Size != nil {
		need += int(math.Ceil(float64(c.facts.Size.MemoryMB) / 1024)) // memory goes to the disk
	}
	switch {
	case m.DiskGB < 0 || m.DiskGB > 4095:
		c.fault("virtualMachines.osDiskSizeGB", "The system disk's size must lie between 1 and 4095 GB; it is %d.", m.DiskGB)
	case m.DiskGB > 0 && m.DiskGB < need:
		c.fault("virtualMachines.osDiskSizeGB", "The system disk needs at least %d GB for the image%s; it would have %d.", need, alsoMemory(m.Hibernate), m.DiskGB)
	}
	switch m.BootDiagnostics {
	case "", "Managed", "Disabled":
	case "Custom":
		if m.DiagnosticsAccount == "" {
			c.fault("virtualMachines.bootDiagnosticsStorageUri", "Custom boot diagnostics need the storage's address. Choose Managed to keep them in the service.")
		}
	default:
		c.fault("virtualMachines.bootDiagnostics", "Boot diagnostics %q is not Managed, Disabled or Custom.", m.BootDiagnostics)
	}
}

func alsoMemory(hibernate bool) string {
	if hibernate {
		return " and the memory that hibernation writes"
	}
	return ""
}

func (c *runCheck) hci() {
	m := c.run.Machines
	if !c.facts.Custom {
		c.fault("virtualMachines.customLocation", "The custom location %q does not exist.", m.CustomLocation)
	}
	if m.CPUs < 1 {
		c.fault("virtualMachines.virtualProcessorCount", "A machine needs at least one virtual processor; %d were asked for.", m.CPUs)
	}
	if m.MemoryMB < 1 {
		c.fault("virtualMachines.memoryMB", "A machine needs memory; %d MiB were asked for.", m.MemoryMB)
	}
	switch m.MemoryType {
	case "", "Static":
		if m.MinimumMB != 0 || m.MaximumMB != 0 || m.BufferPercent != 0 {
			c.fault("virtualMachines.memoryType", "Minimum, maximum and buffer are of dynamic memory; the memory type is Static.")
		}
	case "Dynamic":
		if m.MinimumMB < 1 || m.MinimumMB > m.MemoryMB || m.MaximumMB < m.MemoryMB {
			c.fault("virtualMachines.memoryMB", "Dynamic memory needs minimum ≤ memory ≤ maximum; they are %d, %d and %d MiB.", m.MinimumMB, m.MemoryMB, m.MaximumMB)
		}
		if m.BufferPercent < 0 || m.BufferPercent > 100 {
			c.fault("virtualMachines.targetMemoryBuffer", "The memory buffer must lie between 0 and 100 percent; it is %d.", m.BufferPercent)
		}
	default:
		c.fault("virtualMachines.memoryType", "The memory type %q is not Static or Dynamic.", m.MemoryType)
	}
	if c.facts.Network == nil {
		c.fault("network.logicalNetwork", "The logical network %q does not exist.", c.run.Network.LogicalNetwork)
		return
	}
	c.addresses("network.logicalNetwork")
	if c.facts.Network.Custom != "" && !strings.EqualFold(lastSegment(c.facts.Network.Custom), lastSegment(m.CustomLocation)) {
		c.fault("network.logicalNetwork", "The logical network is on the custom location %q, the machines would be on %q.", c.facts.Network.Custom, m.CustomLocation)
	}
}
