package libvirt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/deskyard/deskyard/compute"
)

// Options of a driver. Owner is required.
type Options struct {
	URI     string // of libvirtd; qemu:///system if ""
	Pool    string // the storage pool that machines live in; "deskyard" if ""
	Folder  string // where the pool is made if it does not exist, on libvirtd's host; /var/lib/libvirt/deskyard if ""
	Owner   string // the installation's id, which everything carries
	Network string // compute.NetworkUser ("") or compute.NetworkBridge
	// Bridges are this host's networks; nil for other hosts, whose interfaces go to
	// existing bridges (compute.Network.Bridge), filtered by nwfilter.
	Bridges compute.Bridges
	Log     *slog.Logger

	// ReserveGB must stay free in the pool: Ensure makes no machine that leaves less.
	// Disks grow as they are written. 1 if 0.
	ReserveGB int
	// Grace is what Shutdown gives the guest; compute.ShutdownGrace if 0.
	Grace time.Duration
	Now   func() time.Time // time.Now if nil
}

// Driver makes machines with libvirt. Close it when no verb runs any more; machines
// run on.
type Driver struct {
	o      Options
	prefix string // of everything of this installation's in the pool
	hosts  *connections
	locks  keys

	mu     sync.Mutex // guards what follows
	accel  *accelerator
	images map[string]knownImage // by path
}

var (
	_ compute.Driver  = (*Driver)(nil)
	_ compute.Watcher = (*Driver)(nil)
)

var (
	plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	guid      = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// New reads the options. It connects to nothing: a host that does not answer now is
// unreachable until it does.
func New(o Options) (*Driver, error) {
	e, err := parseURI(o.URI)
	if err != nil {
		return nil, fmt.Errorf("open libvirt's machines: %w", err)
	}
	if !plainName.MatchString(o.Owner) {
		return nil, fmt.Errorf("open libvirt's machines: owner %q must be letters, digits, dots and hyphens", o.Owner)
	}
	if o.Pool == "" {
		o.Pool = "deskyard"
	}
	if o.Folder == "" {
		o.Folder = "/var/lib/libvirt/deskyard"
	}
	if !plainName.MatchString(o.Pool) || !filepath.IsAbs(o.Folder) {
		return nil, fmt.Errorf("open libvirt's machines: pool %q must be a plain name, and its folder %q an absolute path", o.Pool, o.Folder)
	}
	switch o.Network {
	case "":
		o.Network = compute.NetworkUser
	case compute.NetworkUser, compute.NetworkBridge:
	default:
		return nil, fmt.Errorf("open libvirt's machines: network %q is neither user nor bridge", o.Network)
	}
	if o.Bridges != nil && !e.local {
		return nil, errors.New("open libvirt's machines: bridges of this host are no use to machines of another")
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
	return &Driver{
		o: o, prefix: ownerPrefix(o.Owner), images: map[string]knownImage{},
		hosts: &connections{endpoint: e, log: o.Log, now: o.Now},
	}, nil
}

// Close ends the connections.
func (d *Driver) Close() { d.hosts.close() }

// ownerPrefix begins the name of every volume and filter of an installation's.
func ownerPrefix(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return "dy-" + hex.EncodeToString(sum[:])[:10] + "-"
}

// keys are locks by name.
type keys struct {
	mu   sync.Mutex // guards held
	held map[string]chan struct{}
}

// lock waits until nobody else has name; unlock gives it back.
func (k *keys) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		k.mu.Lock()
		if k.held == nil {
			k.held = map[string]chan struct{}{}
		}
		other := k.held[name]
		if other == nil {
			mine := make(chan struct{})
			k.held[name] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				defer k.mu.Unlock()
				delete(k.held, name)
				close(mine)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func sortedKeys(m map[string]string) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// hostFacts is what libvirt tells of its host.
type hostFacts struct {
	name             string
	version, library uint64
	cpus             int
	totalKiB         uint64
	freeKiB          uint64
	machines         int
	features         domainFeatures
}

// domainFeatures is what of libvirt's domain capabilities matters here.
type domainFeatures struct {
	Machine string `xml:"machine"`
	Enums   []enum `xml:"os>enum"`
	Loader  []enum `xml:"os>loader>enum"`
	TPM     struct {
		Supported string `xml:"supported,attr"`
		Enums     []enum `xml:"enum"`
	} `xml:"devices>tpm"`
}

type enum struct {
	Name   string   `xml:"name,attr"`
	Values []string `xml:"value"`
}

func has(enums []enum, name, value string) bool {
	return slices.ContainsFunc(enums, func(e enum) bool { return e.Name == name && slices.Contains(e.Values, value) })
}

func (f domainFeatures) uefi() bool { return has(f.Enums, "firmware", "efi") }

func (f domainFeatures) secureBoot() bool { return f.uefi() && has(f.Loader, "secure", "yes") }

func (f domainFeatures) tpm() bool {
	return f.TPM.Supported == "yes" && has(f.TPM.Enums, "model", "tpm-crb") && has(f.TPM.Enums, "backendModel", "emulator")
}

func parseFeatures(text string) (domainFeatures, error) {
	var f domainFeatures
	if err := xml.Unmarshal([]byte(text), &f); err != nil {
		return domainFeatures{}, fmt.Errorf("read the domain capabilities: %w", err)
	}
	return f, nil
}

// allCells asks for the memory of the whole host.
const allCells = -1

func (d *Driver) facts(ctx context.Context) (f hostFacts, err error) {
	// A libvirtd that was just installed first asks every QEMU what it can: 30 s.
	err = d.do(ctx, slow, func(l *golibvirt.Libvirt) (err error) {
		if f.name, err = l.ConnectGetHostname(); err != nil {
			return err
		}
		if f.version, err = l.ConnectGetVersion(); err != nil {
			return err
		}
		if f.library, err = l.ConnectGetLibVersion(); err != nil {
			return err
		}
		_, total, cpus, _, _, _, _, _, err := l.NodeGetInfo()
		if err != nil {
			return err
		}
		f.totalKiB, f.cpus = total, int(cpus)
		if f.freeKiB, err = freeMemory(l); err != nil {
			return err
		}
		domains, _, err := l.ConnectListAllDomains(1, 0)
		if err != nil {
			return err
		}
		for _, one := range domains {
			if strings.HasPrefix(one.Name, "deskyard-") {
				f.machines++
			}
		}
		f.features, err = featuresOf(l)
		return err
	})
	return f, err
}

func featuresOf(l *golibvirt.Libvirt) (domainFeatures, error) {
	text, err := l.ConnectGetDomainCapabilities(nil, golibvirt.OptString{"x86_64"}, golibvirt.OptString{"q35"}, golibvirt.OptString{"qemu"}, 0)
	if err != nil {
		return domainFeatures{}, err
	}
	return parseFeatures(text)
}

// freeMemory is what could be given away without swapping, in KiB.
func freeMemory(l *golibvirt.Libvirt) (free uint64, err error) {
	_, n, err := l.NodeGetMemoryStats(0, allCells, 0)
	if err != nil {
		return 0, err
	}
	stats, _, err := l.NodeGetMemoryStats(n, allCells, 0)
	if err != nil {
		return 0, err
	}
	for _, s := range stats {
		switch s.Field {
		case "free", "buffers", "cached":
			free += s.Value
		}
	}
	return free, nil
}

// Capabilities asks the host what it is and has.
func (d *Driver) Capabilities(ctx context.Context) (compute.Capabilities, error) {
	fail := func(err error) (compute.Capabilities, error) {
		return compute.Capabilities{}, fmt.Errorf("ask libvirt what its host can: %w", err)
	}
	f, err := d.facts(ctx)
	if err != nil {
		return fail(err)
	}
	room, err := d.space(ctx)
	if err != nil {
		return fail(err)
	}
	accel, err := d.accelerated(ctx)
	if err != nil {
		return fail(err)
	}
	c := compute.Capabilities{
		Host: f.name, Version: "QEMU " + version(f.version) + ", libvirt " + version(f.library),
		Accelerator: accel.name, Reason: accel.reason, Architecture: "amd64",
		SecureBoot: f.features.secureBoot(), TPM: f.features.tpm(), Hibernate: true,
		CPUs: f.cpus, MemoryMB: int(f.totalKiB >> 10), FreeMemMB: int(min(f.freeKiB, f.totalKiB) >> 10),
		DiskGB: int(room.total >> 30), FreeDiskGB: int(room.free >> 30), Machines: f.machines,
	}
	if d.o.Network == compute.NetworkUser {
		c.Warnings = append(c.Warnings, `network "user" is QEMU's own: machines do not reach each other, and libvirt marks them as tainted (custom-argv)`)
	}
	if d.hosts.plain {
		c.Warnings = append(c.Warnings, "the way to libvirtd is plain TCP: whoever can listen reads seeds, and whoever can connect is root there; use qemu+tls or qemu+ssh")
	}
	return c, nil
}

// version writes libvirt's numbers as people do.
func version(v uint64) string { return fmt.Sprintf("%d.%d.%d", v/1000000, v/1000%1000, v%1000) }

// check refuses what can never be made here.
func (d *Driver) check(s compute.Spec, f hostFacts) error {
	switch {
	case !plainName.MatchString(s.Owner):
		return fmt.Errorf("its owner %q is no plain name", s.Owner)
	case !plainName.MatchString(s.Name):
		return fmt.Errorf("its name %q is no plain name", s.Name)
	case s.CPUs < 1 || s.CPUs > 255 || s.MemoryMB < 64 || s.MinMemMB < 0 || s.MinMemMB > s.MemoryMB:
		return fmt.Errorf("%d processors, %d MiB of memory (at least %d): that is no machine", s.CPUs, s.MemoryMB, s.MinMemMB)
	case s.Confidential:
		return fmt.Errorf("encrypt its memory: this driver does not know how: %w", compute.ErrUnsupported)
	case s.SecureBoot && !f.features.secureBoot():
		return fmt.Errorf("secure boot: the host has no OVMF for it (apt-get install ovmf): %w", compute.ErrUnsupported)
	case s.SecureBoot && (s.Image.Firmware != "uefi" || s.Image.Kernel != ""):
		return fmt.Errorf("secure boot of an image that does not boot by UEFI: %w", compute.ErrUnsupported)
	case s.Image.Firmware == "uefi" && s.Image.Kernel == "" && !f.features.uefi():
		return fmt.Errorf("UEFI: the host has no OVMF (apt-get install ovmf): %w", compute.ErrUnsupported)
	case s.TPM && !f.features.tpm():
		return fmt.Errorf("virtual TPM: the host has no swtpm (apt-get install swtpm swtpm-tools): %w", compute.ErrUnsupported)
	case s.MemoryMB > int(f.totalKiB>>10):
		return fmt.Errorf("%d MiB of memory on a host of %d MiB: %w", s.MemoryMB, f.totalKiB>>10, compute.ErrNoSpace)
	}
	for name := range s.Seed.Credentials {
		if !plainName.MatchString(name) || len(name) > 28 { // fw_cfg's names end at 55 bytes, of which 27 are systemd's
			return fmt.Errorf("credential %q cannot be named so", name)
		}
	}
	for i, n := range s.NICs {
		if err := d.checkNIC(n); err != nil {
			return fmt.Errorf("interface %d: %w", i, err)
		}
	}
	return nil
}

func (d *Driver) checkNIC(n compute.NIC) error {
	mac, err := net.ParseMAC(n.MAC)
	switch {
	case err != nil || len(mac) != 6 || mac[0]&1 != 0:
		return fmt.Errorf("%q is no address of a network card", n.MAC)
	case d.o.Network == compute.NetworkUser:
		if !n.Network.Prefix.IsValid() || !n.Address.Is4() || !n.Network.Prefix.Contains(n.Address) {
			return fmt.Errorf("address %s is not in its subnet %s", n.Address, n.Network.Prefix)
		}
		return refuseDenials(n.Rules)
	case d.o.Bridges != nil:
		return nil
	case !plainName.MatchString(n.Network.Bridge) || len(n.Network.Bridge) > 15:
		return fmt.Errorf("its network names no bridge of the host's, and bridges are made on the service's own machine alone: give the host one and name it in a logical network (vmSwitchName), or have the host's network be %q: %w", compute.NetworkUser, compute.ErrUnsupported)
	case n.Network.VLAN != 0:
		return fmt.Errorf("VLAN %d on a bridge of another host: give it a bridge of its own: %w", n.Network.VLAN, compute.ErrUnsupported)
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
