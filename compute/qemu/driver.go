package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/media"
)

// Options of a driver. Folder and Owner are required.
type Options struct {
	Folder  string // where machines live; made if need be
	Owner   string // the installation's id, which everything carries
	Network string // compute.NetworkUser ("") or compute.NetworkBridge
	Bridges compute.Bridges
	Log     *slog.Logger

	// User is the account that QEMU drops to when the service is root; "" keeps root,
	// which Capabilities says. The machine's folder and files become that account's.
	User string
	// ReserveGB must stay free on Folder's file system: Ensure makes no machine that
	// leaves less. Disks grow as they are written. 1 if 0.
	ReserveGB int
	// Grace is what Shutdown gives the guest; compute.ShutdownGrace if 0.
	Grace time.Duration
	Now   func() time.Time // time.Now if nil
}

// Driver makes machines with QEMU. It holds no process, and a connection only as long
// as Watch goes on; there is nothing to close.
type Driver struct {
	o        Options
	binary   string
	version  string
	versions [2]int // major, minor
	firmware firmware
	account  *account // nil: QEMU runs as this process's user
	watchers watchers

	mu    sync.Mutex // guards what follows
	locks map[string]*machineLock
	accel *accelerator // nil until probed
}

// machineLock makes the verbs on one machine follow one another.
type machineLock struct {
	sync.Mutex
	users int
}

type account struct {
	name     string
	uid, gid int
}

var (
	_ compute.Driver  = (*Driver)(nil)
	_ compute.Watcher = (*Driver)(nil)
)

// New opens the folder. It finds what a former process left and starts nothing.
func New(o Options) (*Driver, error) {
	if o.Owner == "" || !plainName.MatchString(o.Owner) {
		return nil, fmt.Errorf("open QEMU's machines: owner %q must be letters, digits, dots and hyphens", o.Owner)
	}
	if !filepath.IsAbs(o.Folder) || strings.ContainsAny(o.Folder, ",\n") {
		return nil, fmt.Errorf("open QEMU's machines: folder %q must be an absolute path without commas, which separate QEMU's options", o.Folder)
	}
	switch o.Network {
	case "":
		o.Network = compute.NetworkUser
	case compute.NetworkUser:
	case compute.NetworkBridge:
		if o.Bridges == nil {
			return nil, errors.New("open QEMU's machines: network bridge needs the host's bridges")
		}
	default:
		return nil, fmt.Errorf("open QEMU's machines: network %q is neither user nor bridge", o.Network)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ReserveGB == 0 {
		o.ReserveGB = 1
	}
	if o.Grace == 0 {
		o.Grace = compute.ShutdownGrace
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Driver{o: o, locks: map[string]*machineLock{}}
	if err := d.look(); err != nil {
		return nil, fmt.Errorf("open QEMU's machines: %w", err)
	}
	if err := os.MkdirAll(d.machines(), 0o711); err != nil {
		return nil, fmt.Errorf("open QEMU's machines: %w", err)
	}
	return d, nil
}

var versionText = regexp.MustCompile(`version (\d+)\.(\d+)(\.\d+)?`)

// look finds out what is installed.
func (d *Driver) look() (err error) {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("on %s: %w", runtime.GOARCH, compute.ErrUnsupported)
	}
	if d.binary, err = exec.LookPath("qemu-system-x86_64"); err != nil {
		return fmt.Errorf("find QEMU (apt-get install qemu-system-x86 qemu-utils): %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, d.binary, "--version").Output()
	if err != nil {
		return fmt.Errorf("ask QEMU for its version: %w", err)
	}
	m := versionText.FindStringSubmatch(string(out))
	if m == nil {
		return fmt.Errorf("ask QEMU for its version: it says %q", lastLine(string(out)))
	}
	d.version = strings.TrimPrefix(m[0], "version ")
	for i := range d.versions {
		if d.versions[i], err = strconv.Atoi(m[i+1]); err != nil {
			return fmt.Errorf("ask QEMU for its version: %w", err)
		}
	}
	d.firmware = findFirmware()
	if d.o.User == "" || os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(d.o.User)
	if err != nil {
		return fmt.Errorf("look up the user that QEMU runs as: %w", err)
	}
	a := &account{name: u.Username}
	if a.uid, err = strconv.Atoi(u.Uid); err == nil {
		a.gid, err = strconv.Atoi(u.Gid)
	}
	d.account = a
	return err
}

// machines is the folder of the machines' folders.
func (d *Driver) machines() string { return filepath.Join(d.o.Folder, "machines") }

// lock takes a machine; unlock gives it back.
func (d *Driver) lock(id string) (unlock func()) {
	d.mu.Lock()
	l := d.locks[id]
	if l == nil {
		l = &machineLock{}
		d.locks[id] = l
	}
	l.users++
	d.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		d.mu.Lock()
		defer d.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(d.locks, id)
		}
	}
}

// probeFile keeps what the probe found, for the service's next processes: KVM does
// not come or go but with a boot of the host or another QEMU.
const probeFile = "accelerator.json"

type probeRecord struct{ Boot, Version, Name, Reason string }

// accelerated probes once per boot of the host; a probe that was cancelled is made
// again.
func (d *Driver) accelerated(ctx context.Context) (accelerator, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.accel != nil {
		return *d.accel, nil
	}
	boot, err := bootID()
	if err != nil {
		return accelerator{}, err
	}
	path := filepath.Join(d.o.Folder, probeFile)
	var known probeRecord
	if err := readJSON(path, &known); err == nil && known.Boot == boot && known.Version == d.version {
		d.accel = &accelerator{known.Name, known.Reason}
		return *d.accel, nil
	}
	a, err := probeAccelerator(ctx, d.binary, d.o.Folder)
	if err != nil {
		return accelerator{}, err
	}
	if err := writeJSON(path, probeRecord{boot, d.version, a.name, a.reason}); err != nil {
		return accelerator{}, fmt.Errorf("keep what the probe of KVM found: %w", err)
	}
	d.accel = &a
	d.o.Log.Info("accelerator probed", "accelerator", a.name, "reason", a.reason)
	return a, nil
}

// Capabilities asks the host what it is and has.
func (d *Driver) Capabilities(ctx context.Context) (compute.Capabilities, error) {
	accel, err := d.accelerated(ctx)
	if err != nil {
		return compute.Capabilities{}, fmt.Errorf("ask the host what it can: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return compute.Capabilities{}, fmt.Errorf("ask the host what it can: %w", err)
	}
	total, free, err := memory()
	if err != nil {
		return compute.Capabilities{}, fmt.Errorf("ask the host what it can: %w", err)
	}
	disk, freeDisk, err := d.space()
	if err != nil {
		return compute.Capabilities{}, fmt.Errorf("ask the host what it can: %w", err)
	}
	ids, err := d.list()
	if err != nil {
		return compute.Capabilities{}, fmt.Errorf("ask the host what it can: %w", err)
	}
	c := compute.Capabilities{
		Host: host, Version: "QEMU " + d.version, Accelerator: accel.name, Reason: accel.reason, Architecture: "amd64",
		SecureBoot: d.firmware.secureCode != "", TPM: d.firmware.swtpm != "", Confidential: confidential(), Hibernate: true,
		CPUs: runtime.NumCPU(), MemoryMB: total, FreeMemMB: free, DiskGB: int(disk >> 30), FreeDiskGB: int(freeDisk >> 30), Machines: len(ids),
	}
	if os.Geteuid() == 0 && d.account == nil {
		c.Warnings = append(c.Warnings, "QEMU runs as root, behind its seccomp sandbox only: no user is configured for it to drop to")
	}
	return c, nil
}

// confidential names the memory encryption that this host's hardware and kernel offer.
func confidential() string {
	for name, path := range map[string]string{"SEV-SNP": "/sys/module/kvm_amd/parameters/sev_snp", "TDX": "/sys/module/kvm_intel/parameters/tdx"} {
		if b, err := os.ReadFile(path); err == nil && strings.ContainsAny(string(b[:min(len(b), 1)]), "Y1") {
			return name
		}
	}
	return ""
}

// memory is the host's, and what could be given away without swapping, in MiB.
func memory() (total, free int, err error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, fmt.Errorf("read the host's memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		var kib int
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kib); err == nil {
			total = kib >> 10
		} else if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); err == nil {
			free = kib >> 10
		}
	}
	if total == 0 {
		return 0, 0, errors.New("read the host's memory: the kernel names none")
	}
	return total, free, nil
}

// space is what the folder's file system has in all and free, in bytes.
func (d *Driver) space() (total, free int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(d.o.Folder, &s); err != nil {
		return 0, 0, fmt.Errorf("look how full %s is: %w", d.o.Folder, err)
	}
	return int64(s.Blocks) * s.Bsize, int64(s.Bavail) * s.Bsize, nil
}

// plainName is what may stand in QEMU's arguments and file names without escaping.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// check refuses what can never be made here.
func (d *Driver) check(s compute.Spec) error {
	switch {
	case !guid.MatchString(s.ID):
		return fmt.Errorf("its id %q is no lower-case GUID", s.ID)
	case s.Owner != d.o.Owner && !plainName.MatchString(s.Owner):
		return fmt.Errorf("its owner %q is no plain name", s.Owner)
	case !plainName.MatchString(s.Name):
		return fmt.Errorf("its name %q is no plain name", s.Name)
	case s.CPUs < 1 || s.CPUs > 255 || s.MemoryMB < 64 || s.MinMemMB < 0 || s.MinMemMB > s.MemoryMB:
		return fmt.Errorf("%d processors, %d MiB of memory (at least %d): that is no machine", s.CPUs, s.MemoryMB, s.MinMemMB)
	case s.Confidential && confidential() == "":
		return fmt.Errorf("encrypt its memory: neither SEV-SNP nor TDX is there: %w", compute.ErrUnsupported)
	case s.Confidential:
		return fmt.Errorf("encrypt its memory: this driver does not know how: %w", compute.ErrUnsupported)
	case s.SecureBoot && d.firmware.secureCode == "":
		return fmt.Errorf("secure boot: OVMF with Microsoft's keys is not installed (apt-get install ovmf): %w", compute.ErrUnsupported)
	case s.SecureBoot && (s.Image.Firmware != "uefi" || s.Image.Kernel != ""):
		return fmt.Errorf("secure boot of an image that does not boot by UEFI: %w", compute.ErrUnsupported)
	case s.Image.Firmware == "uefi" && s.Image.Kernel == "" && d.firmware.code == "":
		return fmt.Errorf("UEFI: OVMF is not installed (apt-get install ovmf): %w", compute.ErrUnsupported)
	case s.TPM && d.firmware.swtpm == "":
		return fmt.Errorf("virtual TPM: swtpm is not installed (apt-get install swtpm swtpm-tools): %w", compute.ErrUnsupported)
	}
	if _, err := diskDevice(s.Image.Bus, s.Disk.Class); err != nil {
		return err
	}
	for name := range s.Seed.Credentials {
		if !plainName.MatchString(name) || len(name) > 40 { // fw_cfg's names end at 56 bytes
			return fmt.Errorf("credential %q cannot be named so", name)
		}
	}
	return d.checkNICs(s)
}

func (d *Driver) checkNICs(s compute.Spec) error {
	for i, n := range s.NICs {
		mac, err := net.ParseMAC(n.MAC)
		if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
			return fmt.Errorf("interface %d: %q is no address of a network card", i, n.MAC)
		}
		if d.o.Network == compute.NetworkBridge {
			continue
		}
		if !n.Network.Prefix.IsValid() || !n.Address.Is4() || !n.Network.Prefix.Contains(n.Address) {
			return fmt.Errorf("interface %d: address %s is not in its subnet %s", i, n.Address, n.Network.Prefix)
		}
		if err := refuseDenials(n.Rules); err != nil {
			return fmt.Errorf("interface %d: %w", i, err)
		}
	}
	return nil
}

// refuseDenials says what QEMU's own network cannot keep: nothing comes in there
// whatever the rules, and everything goes out.
func refuseDenials(rules []compute.Rule) error {
	for _, r := range rules {
		if !r.Inbound && !r.Allow {
			return fmt.Errorf("rule %q denies outbound traffic, which network %q cannot: %w", r.Name, compute.NetworkUser, compute.ErrUnsupported)
		}
	}
	return nil
}

// room refuses what does not fit on the host.
func (d *Driver) room(s compute.Spec, image media.Info) error {
	total, free, err := d.space()
	if err != nil {
		return err
	}
	size := max(int64(s.Disk.SizeGB)<<30, image.VirtualBytes)
	switch reserve := int64(d.o.ReserveGB) << 30; {
	case s.Disk.SizeGB != 0 && int64(s.Disk.SizeGB)<<30 < max(image.VirtualBytes, s.Image.VirtualBytes):
		return fmt.Errorf("a disk of %d GiB is smaller than its image of %.1f GiB", s.Disk.SizeGB, float64(max(image.VirtualBytes, s.Image.VirtualBytes))/(1<<30))
	case size > total:
		return fmt.Errorf("a disk of %d GiB on storage of %d GiB: %w", size>>30, total>>30, compute.ErrNoSpace)
	case free < reserve:
		return fmt.Errorf("%d MiB are free in %s, and %d GiB are kept: %w", free>>20, d.o.Folder, d.o.ReserveGB, compute.ErrNoSpace)
	}
	memory, _, err := memory()
	if err != nil {
		return err
	}
	if s.MemoryMB > memory {
		return fmt.Errorf("%d MiB of memory on a host of %d MiB: %w", s.MemoryMB, memory, compute.ErrNoSpace)
	}
	return nil
}

// exists tells whether a file is there.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
