package network

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/compute"
)

// uplinked makes a bridge that is not ours.
func uplinked(t *testing.T, vlans bool) compute.Network {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "ext0"
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if vlans {
		bridge.VlanFiltering = &vlans
	}
	if err := netlink.LinkAdd(bridge); vlans && errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("this kernel's bridges know no VLANs (CONFIG_BRIDGE_VLAN_FILTERING)")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(bridge); err != nil {
			t.Error(err)
		}
	})
	if err := netlink.LinkSetUp(bridge); err != nil {
		t.Fatal(err)
	}
	return compute.Network{ID: "ext", Prefix: netip.MustParsePrefix("10.92.0.0/24"), Bridge: "ext0", DHCP: true}
}

func TestMachinesOnAnExistingBridgeGoOutAndNobodyComesIn(t *testing.T) {
	needNetwork(t)
	n := uplinked(t, false)
	h := open(t, Options{})
	a := nic(10, n)
	ga := plug(t, attach(t, h, one, a), a.MAC)
	ga.address("10.92.0.10/24", netip.MustParseAddr("10.92.0.1"))
	w := world(t) // behind the bridge's uplink, and the router there
	link, err := netlink.LinkByName("world")
	if err != nil {
		t.Fatal(err)
	}
	bridge, err := netlink.LinkByName("ext0")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetMaster(link, bridge); err != nil {
		t.Fatal(err)
	}
	w.address("10.92.0.1/24", netip.Addr{})
	ga.listen("10.92.0.10:22")
	ga.reaches(worldAddress + ":443")
	w.reaches("10.92.0.10:22") // the own subnet
	if err := h.Filter(t.Context(), one, 0, []compute.Rule{rule(100, true, false, "tcp", "", "", 22)}); err != nil {
		t.Fatal(err)
	}
	w.isCutFrom("10.92.0.10:22")
	ga.reaches(worldAddress + ":443")
	if err := h.Detach(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if left, err := find("ext0"); err != nil || left == nil {
		t.Errorf("a bridge that is not ours went away: %v", err)
	}
}

func TestVLANsKeepMachinesApart(t *testing.T) {
	needNetwork(t)
	n := uplinked(t, true)
	h := open(t, Options{})
	guests := map[string]*guest{}
	for i, id := range []string{one, two, three} {
		c := nic(byte(10+i), n)
		c.Network.VLAN = 7
		if id == three {
			c.Network.VLAN = 8
		}
		guests[id] = plug(t, attach(t, h, id, c), c.MAC)
		guests[id].address(c.Address.String()+"/24", netip.Addr{})
	}
	guests[two].listen("10.92.0.11:22")
	guests[one].reaches("10.92.0.11:22")
	guests[three].isCutFrom("10.92.0.11:22")
}

func TestMachinesStayUnpluggedWhereTheirVLANCannotBe(t *testing.T) {
	needNetwork(t)
	n := uplinked(t, false)
	h := open(t, Options{})
	c := nic(10, n)
	c.Network.VLAN = 7
	for range 2 { // asking again must not help
		if _, err := h.Attach(t.Context(), one, 0, c); err == nil {
			t.Fatal("a bridge without VLANs took a machine of VLAN 7")
		}
	}
	link, err := find(h.tap(one, 0))
	if err != nil || link != nil && link.Attrs().Flags&net.FlagUp != 0 {
		t.Errorf("the tap is up all the same: %v, %v", link, err)
	}
}

func TestABridgeThatIsGoneHoldsUpNobodyElse(t *testing.T) {
	folder := t.TempDir()
	h := open(t, Options{Folder: folder})
	n := compute.Network{ID: "ext", Prefix: netip.MustParsePrefix("10.92.0.0/24"), Bridge: "gone0", DHCP: true}
	if _, err := h.Attach(t.Context(), one, 0, nic(10, n)); err == nil {
		t.Fatal("a machine was plugged into a bridge that is not there")
	}
	attach(t, h, two, nic(11, subnet))
	h.Close()
	h = open(t, Options{Folder: folder})
	b := nic(12, subnet)
	g := plug(t, attach(t, h, three, b), b.MAC)
	g.boot(b)
}
