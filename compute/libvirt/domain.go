package libvirt

import (
	"encoding/xml"
	"fmt"
	"path"
	"strings"

	"github.com/deskyard/deskyard/compute"
)

// Namespaces of what we keep in a domain's metadata.
const (
	machineNamespace = "https://deskyard.github.io/libvirt/machine/1"
	lifeNamespace    = "https://deskyard.github.io/libvirt/life/1"
)

// metadata is what a domain carries of ours: enough to know a machine though every
// database were lost. Nothing in it is secret.
type metadata struct {
	XMLName xml.Name  `xml:"https://deskyard.github.io/libvirt/machine/1 machine"`
	ID      string    `xml:"id,attr"`
	Owner   string    `xml:"owner,attr"`
	Name    string    `xml:"name,attr"`
	Spec    string    `xml:"spec,attr"` // checksum of the Spec that it was made from
	Image   string    `xml:"image,attr,omitempty"`
	MinMem  int       `xml:"minMemoryMB,attr,omitempty"`
	Network string    `xml:"network,attr"`
	NICs    []metaNIC `xml:"nic"`
	Tags    []metaTag `xml:"tag"`
}

type metaNIC struct {
	MAC     string `xml:"mac,attr"`
	Address string `xml:"address,attr,omitempty"`
	Prefix  string `xml:"prefix,attr,omitempty"`
	Gateway string `xml:"gateway,attr,omitempty"`
}

type metaTag struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

// life is what we note of a machine's running, beside its definition.
type life struct {
	XMLName xml.Name `xml:"https://deskyard.github.io/libvirt/life/1 life"`
	Started string   `xml:"started,attr,omitempty"` // RFC 3339
	Settled bool     `xml:"settled,attr,omitempty"` // its crash was answered by PowerOff
}

// The parts of libvirt's domain format that we write.
type (
	domain struct {
		XMLName    xml.Name       `xml:"domain"`
		Type       string         `xml:"type,attr"`
		Name       string         `xml:"name"`
		UUID       string         `xml:"uuid"`
		Title      string         `xml:"title"`
		Metadata   domainMetadata `xml:"metadata"`
		Memory     quantity       `xml:"memory"`
		Current    quantity       `xml:"currentMemory"`
		CPUs       int            `xml:"vcpu"`
		SysInfo    []sysInfo      `xml:"sysinfo"`
		OS         osBoot         `xml:"os"`
		Features   features       `xml:"features"`
		CPU        cpu            `xml:"cpu"`
		Clock      clock          `xml:"clock"`
		OnPowerOff string         `xml:"on_poweroff"`
		OnReboot   string         `xml:"on_reboot"`
		OnCrash    string         `xml:"on_crash"`
		Devices    devices        `xml:"devices"`
		Command    *commandLine   `xml:"http://libvirt.org/schemas/domain/qemu/1.0 commandline"`
	}
	domainMetadata struct {
		Machine metadata
	}
	quantity struct {
		Unit  string `xml:"unit,attr"`
		Value int    `xml:",chardata"`
	}
	entry struct {
		Name string `xml:"name,attr"`
		File string `xml:"file,attr,omitempty"`
		Text string `xml:",chardata"`
	}
	sysInfo struct {
		Type    string  `xml:"type,attr"`
		System  []entry `xml:"system>entry,omitempty"`
		Chassis []entry `xml:"chassis>entry,omitempty"`
		Entries []entry `xml:"entry"`
	}
	osBoot struct {
		Firmware string      `xml:"firmware,attr,omitempty"`
		Type     osType      `xml:"type"`
		Features []onOff     `xml:"firmware>feature,omitempty"`
		Loader   *loader     `xml:"loader"`
		Kernel   string      `xml:"kernel,omitempty"`
		Initrd   string      `xml:"initrd,omitempty"`
		Args     string      `xml:"cmdline,omitempty"`
		SMBIOS   *smbiosMode `xml:"smbios"`
	}
	osType struct {
		Arch    string `xml:"arch,attr"`
		Machine string `xml:"machine,attr"`
		Value   string `xml:",chardata"`
	}
	onOff struct {
		Enabled string `xml:"enabled,attr"`
		Name    string `xml:"name,attr"`
	}
	loader struct {
		ReadOnly string `xml:"readonly,attr,omitempty"`
		Secure   string `xml:"secure,attr,omitempty"`
		Type     string `xml:"type,attr,omitempty"`
		Path     string `xml:",chardata"`
	}
	smbiosMode struct {
		Mode string `xml:"mode,attr"`
	}
	state struct {
		State string `xml:"state,attr,omitempty"`
	}
	features struct {
		ACPI *struct{} `xml:"acpi"`
		APIC *struct{} `xml:"apic"`
		SMM  *state    `xml:"smm"`
	}
	cpu struct {
		Mode  string `xml:"mode,attr"`
		Match string `xml:"match,attr,omitempty"`
		Check string `xml:"check,attr,omitempty"`
		Model string `xml:"model,omitempty"`
	}
	clock struct {
		Offset string `xml:"offset,attr"`
	}
	devices struct {
		Disks       []disk       `xml:"disk"`
		Controllers []controller `xml:"controller"`
		Interfaces  []nic        `xml:"interface"`
		Serial      serial       `xml:"serial"`
		TPM         *tpm         `xml:"tpm"`
		Video       video        `xml:"video"`
		RNG         rng          `xml:"rng"`
		Balloon     balloon      `xml:"memballoon"`
		Panic       panicDevice  `xml:"panic"`
	}
	disk struct {
		Type     string     `xml:"type,attr"`
		Device   string     `xml:"device,attr"`
		Driver   diskDriver `xml:"driver"`
		Source   fileSource `xml:"source"`
		Target   diskTarget `xml:"target"`
		IOTune   *ioTune    `xml:"iotune"`
		ReadOnly *struct{}  `xml:"readonly"`
		Serial   string     `xml:"serial"`
		Boot     *bootOrder `xml:"boot"`
	}
	diskDriver struct {
		Name    string `xml:"name,attr"`
		Type    string `xml:"type,attr"`
		Cache   string `xml:"cache,attr,omitempty"`
		IO      string `xml:"io,attr,omitempty"`
		Discard string `xml:"discard,attr,omitempty"`
		Zeroes  string `xml:"detect_zeroes,attr,omitempty"`
		OnWrite string `xml:"error_policy,attr,omitempty"`
		OnRead  string `xml:"rerror_policy,attr,omitempty"`
	}
	fileSource struct {
		File string `xml:"file,attr"`
	}
	diskTarget struct {
		Device       string `xml:"dev,attr"`
		Bus          string `xml:"bus,attr"`
		RotationRate int    `xml:"rotation_rate,attr,omitempty"`
	}
	ioTune struct {
		Bytes        int `xml:"total_bytes_sec"`
		Operations   int `xml:"total_iops_sec"`
		BytesMost    int `xml:"total_bytes_sec_max"`
		OpsMost      int `xml:"total_iops_sec_max"`
		BytesMostFor int `xml:"total_bytes_sec_max_length"`
		OpsMostFor   int `xml:"total_iops_sec_max_length"`
	}
	bootOrder struct {
		Order int `xml:"order,attr"`
	}
	controller struct {
		Type  string `xml:"type,attr"`
		Model string `xml:"model,attr"`
	}
	nic struct {
		Type   string     `xml:"type,attr"`
		MAC    macAddress `xml:"mac"`
		Source *bridge    `xml:"source"`
		Target *nicTarget `xml:"target"`
		Model  modelType  `xml:"model"`
		Filter *filterRef `xml:"filterref"`
		ROM    romBar     `xml:"rom"`
	}
	macAddress struct {
		Address string `xml:"address,attr"`
	}
	bridge struct {
		Bridge string `xml:"bridge,attr"`
	}
	nicTarget struct {
		Device  string `xml:"dev,attr"`
		Managed string `xml:"managed,attr,omitempty"`
	}
	modelType struct {
		Type string `xml:"type,attr"`
	}
	filterRef struct {
		Filter string `xml:"filter,attr"`
	}
	romBar struct {
		Enabled string `xml:"enabled,attr"`
	}
	serial struct {
		Type   string       `xml:"type,attr"`
		Source serialSource `xml:"source"`
		Target port         `xml:"target"`
	}
	serialSource struct {
		Path   string `xml:"path,attr"`
		Append string `xml:"append,attr"`
	}
	port struct {
		Port int `xml:"port,attr"`
	}
	tpm struct {
		Model   string     `xml:"model,attr"`
		Backend tpmBackend `xml:"backend"`
	}
	tpmBackend struct {
		Type    string `xml:"type,attr"`
		Version string `xml:"version,attr"`
	}
	video struct {
		Model modelType `xml:"model"`
	}
	rng struct {
		Model   string     `xml:"model,attr"`
		Backend rngBackend `xml:"backend"`
	}
	rngBackend struct {
		Model string `xml:"model,attr"`
	}
	balloon struct {
		Model     string `xml:"model,attr"`
		Deflate   string `xml:"autodeflate,attr,omitempty"`
		Reporting string `xml:"freePageReporting,attr,omitempty"`
	}
	panicDevice struct {
		Model string `xml:"model,attr"`
	}
	commandLine struct {
		Args []argument `xml:"arg"`
	}
	argument struct {
		Value string `xml:"value,attr"`
	}
)

// paths are where a machine's volumes are on its host.
type paths struct {
	disk, seed, console string
	kernel, initrd      string
	credentials         map[string]string
}

// domainName is what people see in virsh.
func domainName(s compute.Spec) string { return "deskyard-" + s.Name + "-" + s.ID[:8] }

// newDomain describes a machine. nics are its interfaces in libvirt's sense, none for
// network "user".
func newDomain(s compute.Spec, m metadata, p paths, accelerator string, nics []nic) (domain, error) {
	uefi := s.Image.Firmware == "uefi" && s.Image.Kernel == ""
	d := domain{
		Type: "qemu", Name: domainName(s), UUID: s.ID, Title: s.Name, Metadata: domainMetadata{m},
		Memory: quantity{"MiB", s.MemoryMB}, Current: quantity{"MiB", s.MemoryMB}, CPUs: s.CPUs,
		OS:       osBoot{Type: osType{"x86_64", "pc", "hvm"}, SMBIOS: &smbiosMode{"sysinfo"}},
		Features: features{ACPI: &struct{}{}, APIC: &struct{}{}},
		// Nehalem is what today's distributions ask for at least (x86-64-v2).
		CPU:   cpu{Mode: "custom", Match: "exact", Check: "none", Model: "Nehalem"},
		Clock: clock{"utc"}, OnPowerOff: "destroy", OnReboot: "restart",
		OnCrash: "preserve", // a panic stays to be looked at, and is told from a shutdown
		Devices: devices{
			Controllers: []controller{{"usb", "none"}}, Interfaces: nics,
			Serial: serial{"file", serialSource{p.console, "on"}, port{}},
			Video:  video{modelType{"vga"}}, RNG: rng{"virtio", rngBackend{"builtin"}},
			Balloon: balloon{"virtio", "on", "on"}, Panic: panicDevice{"isa"},
		},
	}
	if accelerator == "kvm" {
		d.Type, d.CPU = "kvm", cpu{Mode: "host-passthrough", Check: "none"}
	}
	d.SysInfo = identity(s, p)
	switch {
	case uefi:
		d.OS.Type.Machine, d.OS.Firmware = "q35", "efi"
		d.OS.Features = []onOff{{yesNo(s.SecureBoot), "enrolled-keys"}, {yesNo(s.SecureBoot), "secure-boot"}}
		if s.SecureBoot {
			d.OS.Loader, d.Features.SMM = &loader{Secure: "yes"}, &state{"on"}
		}
	case s.Image.Kernel != "":
		d.OS.Kernel, d.OS.Initrd, d.OS.Args = p.kernel, p.initrd, s.Image.Arguments
	}
	if s.TPM {
		d.Devices.TPM = &tpm{"tpm-crb", tpmBackend{"emulator", "2.0"}}
	}
	if err := d.addDisks(s, p); err != nil {
		return domain{}, err
	}
	if len(nics) == 0 && len(s.NICs) > 0 {
		d.Command = userNetwork(s, d.OS.Type.Machine)
	}
	return d, nil
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// identity is what the guest reads of itself in firmware: SMBIOS, and credentials as
// files that only QEMU reads.
func identity(s compute.Spec, p paths) []sysInfo {
	all := []sysInfo{{
		Type:    "smbios",
		System:  []entry{{Name: "manufacturer", Text: "Deskyard"}, {Name: "product", Text: "Virtual Machine"}, {Name: "serial", Text: s.ID}, {Name: "uuid", Text: s.ID}},
		Chassis: []entry{{Name: "manufacturer", Text: "Deskyard"}, {Name: "asset", Text: s.Owner}},
	}}
	if len(p.credentials) == 0 {
		return all
	}
	var files []entry
	for _, name := range sortedKeys(p.credentials) {
		files = append(files, entry{Name: "opt/io.systemd.credentials/" + name, File: p.credentials[name]})
	}
	return append(all, sysInfo{Type: "fwcfg", Entries: files})
}

// class is how a storage account type is carried out.
type class struct {
	io      string
	rotates bool
}

// classes are Azure's storage account types. Cache none with native I/O would promise
// more on an SSD, but not every file system has it; writeback keeps what the guest
// flushed, too.
var classes = map[string]class{
	"": {io: "threads"}, "standard_lrs": {io: "threads", rotates: true}, "standardssd_lrs": {io: "threads"}, "standardssd_zrs": {io: "threads"},
	"premium_lrs": {io: "io_uring"}, "premium_zrs": {io: "io_uring"}, "premiumv2_lrs": {io: "io_uring"}, "ultrassd_lrs": {io: "io_uring"},
}

// hdd is a Standard HDD of Azure's: 500 operations and 60 MB a second, and a burst of
// half a minute for booting.
var hdd = ioTune{Bytes: 60 << 20, Operations: 500, BytesMost: 1 << 30, OpsMost: 20000, BytesMostFor: 30, OpsMostFor: 30}

func (d *domain) addDisks(s compute.Spec, p paths) error {
	c, ok := classes[strings.ToLower(s.Disk.Class)]
	if !ok {
		return fmt.Errorf("storage account type %q is not known", s.Disk.Class)
	}
	system := disk{
		Type: "file", Device: "disk", Source: fileSource{p.disk}, Target: diskTarget{Device: "vda", Bus: "virtio"}, Serial: "os",
		// A full host stops the machine instead of giving its guest errors that break it.
		Driver: diskDriver{Name: "qemu", Type: "qcow2", Cache: "writeback", IO: c.io, Discard: "unmap", Zeroes: "unmap", OnWrite: "stop", OnRead: "stop"},
	}
	if s.Image.Kernel == "" {
		system.Boot = &bootOrder{1}
	}
	switch s.Image.Bus {
	case "", "virtio":
	case "scsi":
		system.Target = diskTarget{Device: "sda", Bus: "scsi", RotationRate: 1} // SCSI's word for "does not rotate"
		if c.rotates {
			system.Target.RotationRate = 7200
		}
		d.Devices.Controllers = append(d.Devices.Controllers, controller{"scsi", "virtio-scsi"})
	default:
		return fmt.Errorf("disk bus %q: libvirt has virtio and scsi: %w", s.Image.Bus, compute.ErrUnsupported)
	}
	if c.rotates {
		tune := hdd
		system.IOTune = &tune
	}
	d.Devices.Disks = append(d.Devices.Disks, system)
	if p.seed == "" {
		return nil
	}
	seed := disk{
		Type: "file", Device: "disk", Driver: diskDriver{Name: "qemu", Type: "raw"}, Source: fileSource{p.seed},
		Target: diskTarget{Device: "vdb", Bus: "virtio"}, ReadOnly: &struct{}{}, Serial: "seed",
	}
	if s.Image.OS == "windows" { // which has no driver for virtio at first
		seed.Device, seed.Target = "cdrom", diskTarget{Device: "hdc", Bus: "ide"}
		if d.OS.Type.Machine == "q35" {
			seed.Target = diskTarget{Device: "sdc", Bus: "sata"}
		}
	}
	d.Devices.Disks = append(d.Devices.Disks, seed)
	return nil
}

// userSlot is the first PCI slot of network "user": libvirt, which does not see these
// devices, gives out slots from 2 upwards.
const userSlot = 0x10

// userNetwork gives each interface a network of QEMU's own with only it, its gateway
// and the name server in it.
func userNetwork(s compute.Spec, machine string) *commandLine {
	bus := "pci.0"
	if machine == "q35" {
		bus = "pcie.0"
	}
	c := &commandLine{}
	for i, n := range s.NICs {
		prefix := n.Network.Prefix.Masked()
		second := prefix.Addr().Next().Next()
		for _, a := range []string{
			"-netdev", fmt.Sprintf("user,id=dynet%d,ipv6=off,net=%s,host=%s,dns=%s,dhcpstart=%s", i, prefix, second, second.Next(), n.Address),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=dynet%d,id=dynic%d,mac=%s,romfile=,bus=%s,addr=0x%x", i, i, n.MAC, bus, userSlot+i),
		} {
			c.Args = append(c.Args, argument{a})
		}
	}
	return c
}

// text is a definition as libvirt reads it.
func (d domain) text() (string, error) {
	b, err := xml.MarshalIndent(d, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write the definition of %s: %w", d.Name, err)
	}
	return string(b), nil
}

// description is what we read back of a domain.
type description struct {
	Name     string `xml:"name"`
	Type     string `xml:"type,attr"`
	Metadata struct {
		Machine *metadata `xml:"https://deskyard.github.io/libvirt/machine/1 machine"`
		Life    life      `xml:"https://deskyard.github.io/libvirt/life/1 life"`
	} `xml:"metadata"`
	Memory  quantity `xml:"memory"`
	CPUs    int      `xml:"vcpu"`
	Devices struct {
		Disks []struct {
			Source fileSource `xml:"source"`
			Serial string     `xml:"serial"`
		} `xml:"disk"`
		Interfaces []struct {
			MAC    macAddress `xml:"mac"`
			Target nicTarget  `xml:"target"`
		} `xml:"interface"`
	} `xml:"devices"`
}

// parseDescription reads a domain of libvirt's. Machine is nil where it is not ours.
func parseDescription(text string) (description, error) {
	var d description
	if err := xml.Unmarshal([]byte(text), &d); err != nil {
		return description{}, fmt.Errorf("read the domain's description: %w", err)
	}
	return d, nil
}

// memoryMB is the memory a machine was made with.
func (d description) memoryMB() int {
	switch d.Memory.Unit {
	case "", "KiB":
		return d.Memory.Value >> 10
	case "GiB":
		return d.Memory.Value << 10
	}
	return d.Memory.Value
}

// diskName is the volume of the system disk.
func (d description) diskName() string {
	for _, one := range d.Devices.Disks {
		if one.Serial == "os" {
			return path.Base(one.Source.File)
		}
	}
	return ""
}
