package network

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/durable"
)

// Options of a host's networks. Folder and Owner are required.
type Options struct {
	Folder     string // where the interfaces' files are; made if need be
	Owner      string // the installation's id, which every device carries
	Masquerade bool   // hide the subnets behind this host's address on their way out
	UID        int    // the user that may open the taps: the one QEMU runs as
	Log        *slog.Logger
}

// Host is this host's networks. Close it; what it made stays.
type Host struct {
	o     Options
	table string // of nftables, this installation's own

	mu      sync.Mutex // guards what follows, and the kernel's devices
	ports   map[string]port
	servers map[string]*leases // by bridge
	closed  bool
}

// port is an interface of a machine, as its file has it.
type port struct {
	Machine string
	Index   int
	NIC     compute.NIC
}

func (p port) key() string { return fmt.Sprintf("%s-%d", p.Machine, p.Index) }

var (
	guid       = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	deviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$`)
)

// Open brings the host to what the files say. It needs CAP_NET_ADMIN and nft.
func Open(ctx context.Context, o Options) (*Host, error) {
	if o.Owner == "" || !filepath.IsAbs(o.Folder) {
		return nil, errors.New("open the host's networks: an owner and an absolute folder are needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{o: o, ports: map[string]port{}, servers: map[string]*leases{}}
	h.table = "deskyard_" + digest(o.Owner, o.Folder)
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("open the host's networks: %w", err)
	}
	if err := h.load(); err != nil {
		return nil, fmt.Errorf("open the host's networks: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.reconcile(ctx, ""); err != nil {
		h.stopServers()
		return nil, fmt.Errorf("open the host's networks: %w", err)
	}
	return h, nil
}

// Close ends the DHCP servers. Devices and rules stay, and the machines' traffic
// with them.
func (h *Host) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.stopServers()
}

func (h *Host) stopServers() {
	for name, s := range h.servers {
		s.stop()
		delete(h.servers, name)
	}
}

// digest is a short name for something that has a long one.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])[:10]
}

// bridge is the device that a network's machines are on.
func (h *Host) bridge(n compute.Network) string {
	if n.Bridge != "" {
		return n.Bridge
	}
	return "dy" + digest(h.o.Owner, h.o.Folder, n.ID)
}

// tap is the device that an interface is plugged into.
func (h *Host) tap(machine string, nic int) string {
	return "dyt" + digest(h.o.Owner, h.o.Folder, machine, fmt.Sprint(nic))
}

// Device names the tap of an interface, be it there or not.
func (h *Host) Device(machine string, nic int) string { return h.tap(machine, nic) }

// load reads the files.
func (h *Host) load() error {
	entries, err := os.ReadDir(h.o.Folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(h.o.Folder, e.Name()))
		if err != nil {
			return err
		}
		p, err := parsePort(text)
		if err != nil {
			return fmt.Errorf("read interface %s: %w", e.Name(), err)
		}
		h.ports[p.key()] = p
	}
	return nil
}

// parsePort reads an interface's file.
func parsePort(text []byte) (port, error) {
	var p port
	if err := json.Unmarshal(text, &p); err != nil {
		return port{}, err
	}
	if err := p.check(); err != nil {
		return port{}, err
	}
	return p, nil
}

// check refuses what could not be written into rules, or would be no network.
func (p port) check() error {
	mac, err := net.ParseMAC(p.NIC.MAC)
	n := p.NIC.Network
	switch {
	case !guid.MatchString(p.Machine) || p.Index < 0 || p.Index > 15:
		return fmt.Errorf("%q has no interface %d", p.Machine, p.Index)
	case err != nil || len(mac) != 6 || mac[0]&1 != 0:
		return fmt.Errorf("%q is no address of a network card", p.NIC.MAC)
	case n.ID == "":
		return errors.New("its network has no id")
	case n.Bridge != "" && !deviceName.MatchString(n.Bridge):
		return fmt.Errorf("%q is no name of a bridge", n.Bridge)
	case n.VLAN < 0 || n.VLAN > 4094:
		return fmt.Errorf("there is no VLAN %d", n.VLAN)
	case n.VLAN != 0 && n.Bridge == "":
		return fmt.Errorf("VLAN %d needs a bridge that has an uplink: %w", n.VLAN, compute.ErrUnsupported)
	}
	if !n.Prefix.IsValid() || !n.Prefix.Addr().Is4() || n.Prefix.Bits() > 29 {
		return fmt.Errorf("subnet %s is not of IPv4 with at least 8 addresses: %w", n.Prefix, compute.ErrUnsupported)
	}
	switch {
	case n.Bridge != "" && p.NIC.Address.IsValid() && !n.Prefix.Contains(p.NIC.Address):
		return fmt.Errorf("address %s is not one of subnet %s", p.NIC.Address, n.Prefix)
	case n.Bridge != "":
		return nil // gateway and addresses are its owner's affair
	case !n.Gateway.Is4() || !n.Prefix.Contains(n.Gateway):
		return fmt.Errorf("gateway %s is not in subnet %s", n.Gateway, n.Prefix)
	case !p.NIC.Address.Is4() || !n.Prefix.Contains(p.NIC.Address) || p.NIC.Address == n.Gateway:
		return fmt.Errorf("address %s is not one of subnet %s", p.NIC.Address, n.Prefix)
	}
	return nil
}

// Attach makes an interface's device with its rules, or finds it.
func (h *Host) Attach(ctx context.Context, machine string, nic int, n compute.NIC) (device string, err error) {
	p := port{Machine: machine, Index: nic, NIC: n}
	if err := p.check(); err != nil {
		return "", fmt.Errorf("attach interface %d of machine %s: %w", nic, machine, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.attach(ctx, p); err != nil {
		return "", fmt.Errorf("attach interface %d of machine %s: %w", nic, machine, err)
	}
	return h.tap(machine, nic), nil
}

func (h *Host) attach(ctx context.Context, p port) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if former, ok := h.ports[p.key()]; ok {
		p.NIC.Rules = former.NIC.Rules // Filter has the last word
		same := former.NIC.MAC == p.NIC.MAC && former.NIC.Address == p.NIC.Address && former.NIC.Network.ID == p.NIC.Network.ID
		if !same {
			return fmt.Errorf("it is there with address %s in network %s", former.NIC.Address, former.NIC.Network.ID)
		}
		return h.reconcile(ctx, p.key())
	}
	for _, other := range h.ports {
		a, b := other.NIC, p.NIC
		switch {
		case a.Network.Bridge != "" || b.Network.Bridge != "":
		case a.Network.ID != b.Network.ID && a.Network.Prefix.Overlaps(b.Network.Prefix):
			return fmt.Errorf("its subnet %s overlaps %s, which this host has already: %w", b.Network.Prefix, a.Network.Prefix, compute.ErrUnsupported)
		case a.Network.ID == b.Network.ID && (a.Address == b.Address || strings.EqualFold(a.MAC, b.MAC)):
			return fmt.Errorf("address %s or %s is machine %s's", b.Address, b.MAC, other.Machine)
		}
	}
	if err := h.save(p); err != nil {
		return err
	}
	return h.reconcile(ctx, p.key())
}

// save writes an interface's file.
func (h *Host) save(p port) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err == nil {
		err = durable.Replace(h.file(p.key()), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("note the interface: %w", err)
	}
	h.ports[p.key()] = p
	return nil
}

func (h *Host) file(key string) string { return filepath.Join(h.o.Folder, key+".json") }

// Filter replaces an interface's rules; its connections so far last.
func (h *Host) Filter(ctx context.Context, machine string, nic int, rules []compute.Rule) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.ports[port{Machine: machine, Index: nic}.key()]
	if !ok {
		return fmt.Errorf("filter interface %d of machine %s: %w", nic, machine, compute.ErrNotFound)
	}
	p.NIC.Rules = slices.Clone(rules)
	if err := h.save(p); err != nil {
		return fmt.Errorf("filter interface %d of machine %s: %w", nic, machine, err)
	}
	if err := h.applyRules(ctx); err != nil {
		return fmt.Errorf("filter interface %d of machine %s: %w", nic, machine, err)
	}
	return nil
}

// Detach takes away a machine's devices and rules, and bridges that nobody is on.
func (h *Host) Detach(ctx context.Context, machine string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := false
	for key, p := range h.ports {
		if p.Machine != machine {
			continue
		}
		found = true
		if err := os.Remove(h.file(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("detach machine %s: %w", machine, err)
		}
		delete(h.ports, key)
	}
	if !found {
		return nil
	}
	if err := h.reconcile(ctx, ""); err != nil {
		return fmt.Errorf("detach machine %s: %w", machine, err)
	}
	return nil
}

// networks are those that some interface is in, by bridge.
func (h *Host) networks() map[string]compute.Network {
	all := map[string]compute.Network{}
	for _, key := range slices.Sorted(maps.Keys(h.ports)) {
		n := h.ports[key].NIC.Network
		all[h.bridge(n)] = n
	}
	return all
}

// reconcile makes what is missing and takes away what is too much; the lock is held.
// A tap comes up only once its rules stand. What is wrong with one interface is the
// error of the verb on it, by its key, and only logged for others: a bridge that
// somebody deleted must not hold up machines elsewhere.
func (h *Host) reconcile(ctx context.Context, key string) error {
	if h.closed {
		return errors.New("the host's networks are closed")
	}
	networks := h.networks()
	broken := map[string]error{} // by bridge
	for name, n := range networks {
		if err := h.ensureBridge(name, n); err != nil {
			broken[name] = err
		}
	}
	if err := h.applyRules(ctx); err != nil {
		return err
	}
	if h.o.Masquerade && len(networks) > 0 {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1\n"), 0); err != nil {
			return fmt.Errorf("let the host forward: %w", err)
		}
	}
	if err := h.dropDevices(networks); err != nil {
		return err
	}
	for name, n := range networks {
		if broken[name] == nil {
			broken[name] = h.serve(name, n)
		}
	}
	var mine error
	for _, p := range h.ports {
		err := broken[h.bridge(p.NIC.Network)]
		if err == nil {
			err = h.ensureTap(p)
		}
		if err != nil && p.key() == key {
			mine = err
		} else if err != nil {
			h.o.Log.Warn("interface has no network", "machine", p.Machine, "interface", p.Index, "err", err)
		}
	}
	return mine
}
