package qemu

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/compute"
)

// sandbox has seccomp forbid what QEMU does not need here: programs of its own,
// obsolete calls, other processes' resources and, once it runs as its user, becoming
// another.
func (d *Driver) sandbox() []string {
	if d.account == nil {
		return []string{"-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny,elevateprivileges=deny"}
	}
	return []string{"-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny", "-runas", d.account.name}
}

// arguments is a machine's command line. Paths are relative to its folder, where QEMU
// is started; nothing secret is among them. devices are those of its interfaces on
// the host; resume says that its memory follows.
func (m *machine) arguments(accel accelerator, devices []string, resume bool) ([]string, error) {
	s := m.record.Spec
	q35 := strings.HasPrefix(m.record.Type, "pc-q35")
	machine := m.record.Type + ",usb=off"
	if s.SecureBoot {
		machine += ",smm=on"
	}
	args := []string{"-name", s.Name, "-no-user-config", "-nodefaults", "-display", "none", "-msg", "timestamp=on", "-pidfile", pidFile,
		"-machine", machine, "-smp", strconv.Itoa(s.CPUs), "-m", strconv.Itoa(s.MemoryMB),
		"-uuid", s.ID, "-smbios", "type=1,manufacturer=Deskyard,product=Virtual Machine,serial=" + s.ID + ",uuid=" + s.ID,
		"-smbios", "type=3,manufacturer=Deskyard,asset=" + s.Owner,
		"-rtc", "base=utc,driftfix=slew", "-action", "shutdown=pause,panic=pause", "-vga", "std",
		"-chardev", "file,id=serial,append=on,path=" + consoleFile, "-serial", "chardev:serial",
		"-object", "rng-builtin,id=random", "-device", "virtio-rng-pci,rng=random",
		"-device", "virtio-balloon-pci,id=balloon,deflate-on-oom=on,free-page-reporting=on", "-device", "pvpanic-pci"}
	args = append(args, m.d.sandbox()...)
	if accel.name == "kvm" {
		cpu := "host"
		if s.Image.OS == "windows" {
			cpu += ",hv_relaxed,hv_spinlocks=0x1fff,hv_vapic,hv_time" // Windows knows that it is a guest
		}
		args = append(args, "-accel", "kvm", "-cpu", cpu)
	} else {
		// Nehalem is what today's distributions ask for at least (x86-64-v2). Threads of
		// their own make two processors 40 % faster under emulation (measured).
		args = append(args, "-accel", "tcg,thread=multi", "-cpu", "Nehalem")
	}
	disk, err := diskArguments(s)
	if err != nil {
		return nil, err
	}
	args = append(args, disk...)
	args = append(args, m.seedArguments(q35)...)
	args = append(args, m.bootArguments()...)
	args = append(args, m.networkArguments(devices)...)
	if s.TPM {
		args = append(args, "-chardev", "socket,id=tpm,path="+tpmSocket, "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm")
	}
	if resume {
		args = append(args, "-incoming", "defer")
	}
	return args, nil
}

// bootArguments are firmware or kernel.
func (m *machine) bootArguments() (args []string) {
	s := m.record.Spec
	if s.Image.Kernel != "" {
		args = append(args, "-kernel", s.Image.Kernel, "-append", s.Image.Arguments)
		if s.Image.Initrd != "" {
			args = append(args, "-initrd", s.Image.Initrd)
		}
		return args
	}
	if s.Image.Firmware != "uefi" {
		return nil // SeaBIOS is QEMU's own
	}
	code := m.d.firmware.code
	if s.SecureBoot {
		code = m.d.firmware.secureCode
		// Only code in system management mode may write the firmware's variables.
		args = append(args, "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1")
	}
	return append(args, "-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+code, "-drive", "if=pflash,unit=1,format=raw,file="+varsFile)
}

// class is how a storage account type is carried out.
type class struct {
	rotates bool   // what a SCSI disk says of itself
	limited bool   // to a Standard HDD's speed
	aio     string // how QEMU asks the host
}

// classes are Azure's storage account types. The host's cache is on for all of them:
// what the guest flushes is on the disk all the same, and going around the cache
// needs a file system that can.
var classes = map[string]class{
	"":                {aio: "threads"},
	"standard_lrs":    {aio: "threads", rotates: true, limited: true},
	"standardssd_lrs": {aio: "threads"},
	"standardssd_zrs": {aio: "threads"},
	"premium_lrs":     {aio: "io_uring"},
	"premium_zrs":     {aio: "io_uring"},
	"premiumv2_lrs":   {aio: "io_uring"},
	"ultrassd_lrs":    {aio: "io_uring"},
}

// hddLimits are those of Azure's Standard HDD, 500 operations and 60 MB a second, with
// half a minute of more for booting.
const hddLimits = ",throttling.iops-total=500,throttling.iops-total-max=20000,throttling.iops-total-max-length=30" +
	",throttling.bps-total=62914560,throttling.bps-total-max=1073741824,throttling.bps-total-max-length=30"

// options are the class's share of -drive.
func (c class) options() string {
	aio := c.aio
	if aio == "io_uring" && !ioUring() {
		aio = "threads"
	}
	options := "cache=writeback,discard=unmap,detect-zeroes=unmap,aio=" + aio
	if c.limited {
		options += hddLimits
	}
	return options
}

// ioUring says whether the kernel lets us use io_uring, which containers and careful
// administrators forbid. A request for no entries at all is refused as invalid where
// it is allowed.
func ioUring() bool {
	_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 0, 0, 0)
	return errno == unix.EINVAL || errno == unix.EFAULT
}

// diskDevice is the device of a system disk, by bus and class.
func diskDevice(bus, storage string) ([]string, error) {
	c, ok := classes[strings.ToLower(storage)]
	if !ok {
		return nil, fmt.Errorf("storage account type %q is not known", storage)
	}
	switch bus {
	case "", "virtio":
		return []string{"-device", "virtio-blk-pci,drive=disk,serial=os,bootindex=1"}, nil
	case "scsi":
		rotation := "1" // SCSI's word for "does not rotate"
		if c.rotates {
			rotation = "7200"
		}
		return []string{"-device", "virtio-scsi-pci,id=scsi", "-device", "scsi-hd,bus=scsi.0,drive=disk,serial=os,bootindex=1,rotation_rate=" + rotation}, nil
	case "nvme":
		return []string{"-device", "nvme,drive=disk,serial=os,bootindex=1"}, nil
	}
	return nil, fmt.Errorf("disk bus %q is neither virtio nor scsi nor nvme", bus)
}

func diskArguments(s compute.Spec) ([]string, error) {
	device, err := diskDevice(s.Image.Bus, s.Disk.Class)
	if err != nil {
		return nil, err
	}
	options := classes[strings.ToLower(s.Disk.Class)].options()
	// A full host stops the machine instead of giving its guest errors that break it.
	return append([]string{"-drive", "if=none,id=disk,format=qcow2,werror=stop,rerror=stop,file=" + diskFile + "," + options}, device...), nil
}

func (m *machine) seedArguments(q35 bool) (args []string) {
	if m.record.Seeded {
		args = append(args, "-drive", "if=none,id=seed,format=raw,readonly=on,file="+seedFile)
		switch {
		case m.record.Spec.Image.OS != "windows":
			args = append(args, "-device", "virtio-blk-pci,drive=seed,serial=seed")
		case q35:
			args = append(args, "-device", "ide-cd,drive=seed,bus=ide.0")
		default:
			args = append(args, "-device", "ide-cd,drive=seed")
		}
	}
	for _, name := range m.record.Secrets {
		args = append(args, "-fw_cfg", "name=opt/io.systemd.credentials/"+name+",file="+filepath.Join(credentials, name))
	}
	return args
}

// networkArguments plug the interfaces in: each into its device of the host, or into a
// network of QEMU's own that has only it, its gateway and the name server.
func (m *machine) networkArguments(devices []string) (args []string) {
	for i, n := range m.record.Spec.NICs {
		net := fmt.Sprintf("tap,id=net%d,script=no,downscript=no,ifname=", i)
		if m.record.Network == compute.NetworkBridge {
			net += devices[i]
		} else {
			prefix := n.Network.Prefix.Masked()
			second := prefix.Addr().Next().Next()
			net = fmt.Sprintf("user,id=net%d,ipv6=off,net=%s,host=%s,dns=%s,dhcpstart=%s", i, prefix, second, second.Next(), n.Address)
		}
		args = append(args, "-netdev", net, "-device", fmt.Sprintf("virtio-net-pci,netdev=net%d,mac=%s,romfile=", i, n.MAC))
	}
	return args
}
