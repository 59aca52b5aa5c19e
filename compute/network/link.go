package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/compute"
)

// alias is what a device carries, so that it is known as ours: the kernel keeps it
// with the device.
func (h *Host) alias(machine string) string { return h.aliasPrefix() + machine }

func (h *Host) aliasPrefix() string { return "deskyard:" + h.table + ":" }

// find returns a device, nil when there is none.
func find(name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at device %s: %w", name, err)
	}
	return link, nil
}

// ensureBridge makes a network's bridge, or looks whether one that is not ours is
// there.
func (h *Host) ensureBridge(name string, n compute.Network) error {
	link, err := find(name)
	if err != nil {
		return err
	}
	if n.Bridge != "" {
		if link == nil || link.Type() != "bridge" {
			return fmt.Errorf("use bridge %s: the host has none of that name", name)
		}
		return callFilters(link)
	}
	if link == nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make bridge %s: %w", name, err)
		}
		if link, err = find(name); err != nil || link == nil {
			return errors.Join(err, fmt.Errorf("make bridge %s: it is not there", name))
		}
		if s := h.servers[name]; s != nil { // of a bridge of that name that somebody deleted
			s.stop()
			delete(h.servers, name)
		}
		h.o.Log.Info("bridge made", "bridge", name, "network", n.ID, "subnet", n.Prefix)
	}
	if err := h.mark(link, ""); err != nil {
		return err
	}
	if err := callFilters(link); err != nil {
		return err
	}
	gateway := &netlink.Addr{IPNet: &net.IPNet{IP: n.Gateway.AsSlice(), Mask: net.CIDRMask(n.Prefix.Bits(), 32)}}
	if err := netlink.AddrReplace(link, gateway); err != nil {
		return fmt.Errorf("give bridge %s the gateway's address %s: %w", name, n.Gateway, err)
	}
	if err := quietIPv6(name); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring bridge %s up: %w", name, err)
	}
	return nil
}

// mark writes our alias on a device.
func (h *Host) mark(link netlink.Link, machine string) error {
	if link.Attrs().Alias == h.alias(machine) {
		return nil
	}
	if err := netlink.LinkSetAlias(link, h.alias(machine)); err != nil {
		return fmt.Errorf("mark device %s as ours: %w", link.Attrs().Name, err)
	}
	return nil
}

// quietIPv6 keeps the host from speaking IPv6 on a bridge, which machines may not.
func quietIPv6(name string) error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1\n"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
		return fmt.Errorf("keep IPv6 off bridge %s: %w", name, err)
	}
	return nil
}

// callFilters has a bridge show its packets to the inet family, where connections are
// tracked.
func callFilters(bridge netlink.Link) error {
	if _, err := os.Stat("/proc/sys/net/bridge"); errors.Is(err, os.ErrNotExist) {
		if out, err := exec.Command("modprobe", "br_netfilter").CombinedOutput(); err != nil {
			return fmt.Errorf("load br_netfilter, without which rules cannot know answers: %w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	request := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(bridge.Attrs().Index)
	request.AddData(message)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_BR_NF_CALL_IPTABLES, []byte{1})
	request.AddData(info)
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("have bridge %s filter: %w", bridge.Attrs().Name, err)
	}
	return nil
}

// ensureTap makes an interface's device, on its bridge and up.
func (h *Host) ensureTap(p port) error {
	name := h.tap(p.Machine, p.Index)
	link, err := find(name)
	if err != nil {
		return err
	}
	if link == nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		tap := &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR, Owner: uint32(h.o.UID)}
		if err := netlink.LinkAdd(tap); err != nil {
			return fmt.Errorf("make tap %s: %w", name, err)
		}
		for _, f := range tap.Fds {
			f.Close() // the device is persistent; QEMU opens it by name
		}
		if link, err = find(name); err != nil || link == nil {
			return errors.Join(err, fmt.Errorf("make tap %s: it is not there", name))
		}
	}
	if err := h.mark(link, p.Machine); err != nil {
		return err
	}
	bridge, err := find(h.bridge(p.NIC.Network))
	if err != nil || bridge == nil {
		return errors.Join(err, fmt.Errorf("plug tap %s in: its bridge is gone", name))
	}
	plugged := link.Attrs().MasterIndex == bridge.Attrs().Index
	if plugged && link.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if !plugged {
		if err := netlink.LinkSetMaster(link, bridge); err != nil {
			return fmt.Errorf("plug tap %s into %s: %w", name, bridge.Attrs().Name, err)
		}
	}
	// Before it is up: a tap is never in the wrong VLAN.
	if err := setVLAN(link, p.NIC.Network.VLAN); err != nil {
		return err
	}
	if err := quietIPv6(name); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring tap %s up: %w", name, err)
	}
	return nil
}

// setVLAN makes a port an untagged member of a VLAN alone.
func setVLAN(link netlink.Link, vlan int) error {
	if vlan == 0 {
		return nil
	}
	if err := netlink.BridgeVlanAdd(link, uint16(vlan), true, true, false, true); err != nil {
		return fmt.Errorf("put tap %s into VLAN %d: %w", link.Attrs().Name, vlan, err)
	}
	if vlan == 1 {
		return nil
	}
	if err := netlink.BridgeVlanDel(link, 1, false, false, false, true); err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("take tap %s out of VLAN 1: %w", link.Attrs().Name, err)
	}
	return nil
}

// ours lists the devices that carry our alias.
func (h *Host) ours() ([]netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the host's devices: %w", err)
	}
	return slices.DeleteFunc(links, func(l netlink.Link) bool { return !strings.HasPrefix(l.Attrs().Alias, h.aliasPrefix()) }), nil
}

// dropDevices takes away what is ours and no file speaks for.
func (h *Host) dropDevices(networks map[string]compute.Network) error {
	links, err := h.ours()
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for name := range networks {
		wanted[name] = true
	}
	for _, p := range h.ports {
		wanted[h.tap(p.Machine, p.Index)] = true
	}
	for _, l := range links {
		name := l.Attrs().Name
		if wanted[name] {
			continue
		}
		if s := h.servers[name]; s != nil {
			s.stop()
			delete(h.servers, name)
		}
		if err := netlink.LinkDel(l); err != nil {
			if still, findErr := find(name); findErr != nil || still != nil {
				return fmt.Errorf("delete device %s: %w", name, err)
			}
		}
		h.o.Log.Info("device deleted", "device", name)
	}
	return nil
}

// Items lists the devices of machines that are there.
func (h *Host) Items(ctx context.Context) ([]compute.Item, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	links, err := h.ours()
	if err != nil {
		return nil, err
	}
	var items []compute.Item
	for _, l := range links {
		if machine := strings.TrimPrefix(l.Attrs().Alias, h.aliasPrefix()); machine != "" {
			items = append(items, compute.Item{MachineID: machine, Kind: "network", Where: l.Attrs().Name})
		}
	}
	return items, nil
}
