package armapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// beforeNIC gives a new interface its MAC and each of its configurations an address of
// its subnet that no other interface has.
func (s *Server) beforeNIC(ctx context.Context, w *Write) error {
	n := w.Model.(*deskyard.NetworkInterface)
	if n.MAC == "" {
		mac, err := newMAC()
		if err != nil {
			return err
		}
		n.MAC = strings.ToUpper(strings.ReplaceAll(mac, ":", "-"))
	}
	if n.ResourceGUID == "" {
		n.ResourceGUID = newID()
	}
	if n.SecurityGroup != nil {
		if _, err := s.sameRegion(ctx, w, "properties.networkSecurityGroup.id", n.SecurityGroup.ID); err != nil {
			return err
		}
	}
	for i := range n.Configurations {
		p := &n.Configurations[i].Properties
		at := fmt.Sprintf("properties.ipConfigurations[%d].properties", i)
		subnet, prefix, err := s.subnetOf(ctx, w, at+".subnet.id", p.Subnet.ID)
		if err != nil {
			return err
		}
		if p.Address, err = lease(ctx, w, subnet, p.Address, at+".privateIPAddress", deskyard.FreeAddresses(prefix),
			func(a netip.Addr) bool { return deskyard.AddressAllowed(prefix, a) }); err != nil {
			return err
		}
	}
	return nil
}

// newMAC makes a locally administered address of 40 random bits.
func newMAC() (string, error) {
	var b [5]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a MAC address: %w", err)
	}
	return fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4]), nil
}

// subnetOf finds a subnet in its network's row, in the writer's location.
func (s *Server) subnetOf(ctx context.Context, w *Write, at, text string) (arm.ResourceID, netip.Prefix, error) {
	id, err := arm.ParseID(text)
	if err != nil {
		return id, netip.Prefix{}, arm.Errorf(arm.Invalid, "InvalidResourceReference", "The value '%s' is not a resource id.", clip(text)).WithTarget(at)
	}
	r, err := s.sameRegion(ctx, w, at, id.Parent().String())
	if err != nil {
		return id, netip.Prefix{}, err
	}
	n, err := readModel[deskyard.VirtualNetwork](r)
	if err != nil {
		return id, netip.Prefix{}, err
	}
	for _, sub := range n.Subnets {
		if strings.EqualFold(sub.Name, id.Name()) {
			return r.ID.Child("subnets", sub.Name), sub.Properties.Prefix(), nil
		}
	}
	return id, netip.Prefix{}, arm.Errorf(arm.Invalid, "InvalidResourceReference",
		"Resource %s referenced by resource %s was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.", id, w.New.ID).WithTarget(at)
}

// leasesAtOnce is how many addresses are looked up in one query.
const leasesAtOnce = 64

// lease takes an address of a subnet for the interface being written: the wanted one,
// or else the lowest that is free. Transactions on one subnet follow one another, so
// that no two interfaces get the same.
func lease(ctx context.Context, w *Write, subnet arm.ResourceID, wanted, at string, free func(func(netip.Addr) bool), allowed func(netip.Addr) bool) (string, error) {
	if wanted != "" {
		a, err := netip.ParseAddr(wanted)
		if err != nil || !allowed(a) {
			return "", arm.Errorf(arm.Invalid, "PrivateIPAddressNotInSubnet", "Private static IP address %s does not belong to the range of subnet %s, or is reserved in it.", clip(wanted), subnet).WithTarget(at)
		}
		taken, err := holders(ctx, w, subnet, []netip.Addr{a})
		if err != nil {
			return "", err
		}
		if by, ok := taken[a]; ok {
			return "", arm.Errorf(arm.Invalid, "PrivateIPAddressInUse", "IP configuration of %s is using the private IP address %s which is already allocated to resource %s.", w.New.ID, a, by).WithTarget(at)
		}
		return a.String(), nil
	}
	var batch []netip.Addr
	var found netip.Addr
	var failed error
	look := func() bool { // reports whether to go on
		taken, err := holders(ctx, w, subnet, batch)
		if err != nil {
			failed = err
			return false
		}
		for _, a := range batch {
			if _, ok := taken[a]; !ok {
				found = a
				return false
			}
		}
		batch = batch[:0]
		return true
	}
	free(func(a netip.Addr) bool {
		batch = append(batch, a)
		return len(batch) < leasesAtOnce || look()
	})
	if failed == nil && !found.IsValid() && len(batch) > 0 {
		look()
	}
	if failed != nil {
		return "", failed
	}
	if !found.IsValid() {
		return "", arm.Errorf(arm.Invalid, "SubnetIsFull", "Subnet %s does not have enough capacity for 1 IP addresses.", subnet).WithTarget(at)
	}
	return found.String(), nil
}

// holders are the interfaces that have addresses of a subnet, other than the one
// being written.
func holders(ctx context.Context, w *Write, subnet arm.ResourceID, addresses []netip.Addr) (map[netip.Addr]arm.ResourceID, error) {
	leases := make([]arm.ResourceID, len(addresses))
	for i, a := range addresses {
		leases[i] = deskyard.AddressLease(subnet, a.String())
	}
	users, err := w.Tx.Referrers(ctx, deskyard.RelationAddress, leases...)
	if err != nil {
		return nil, err
	}
	taken := map[netip.Addr]arm.ResourceID{}
	for i, a := range addresses {
		for _, u := range users[leases[i].Key()] {
			if !u.Equal(w.New.ID) {
				taken[a] = u
			}
		}
	}
	return taken, nil
}

// nicChanged has the interface's machine looked at: its filter may have changed.
func (s *Server) nicChanged(ctx context.Context, w *Write) {
	if w.New != nil && w.Old != nil {
		s.wakeUsers(ctx, []arm.ResourceID{w.New.ID})
	}
}

// wakeUsers wakes the machines that have the given interfaces.
func (s *Server) wakeUsers(ctx context.Context, nics []arm.ResourceID) {
	if s.opt.Machines == nil || len(nics) == 0 {
		return
	}
	users, err := s.store.Referrers(ctx, deskyard.RelationNIC, nics...)
	if err != nil {
		s.log.Warn("machines not told of a change in their network; they see it at their next look", "error", err)
		return
	}
	for _, list := range users {
		for _, vm := range list {
			s.opt.Machines.Wake(deskyard.WorkMachine, vm)
		}
	}
}

// wakeReferrers wakes the machines whose interfaces point at targets by a relation.
func (s *Server) wakeReferrers(ctx context.Context, relation string, targets ...arm.ResourceID) {
	if s.opt.Machines == nil || len(targets) == 0 {
		return
	}
	users, err := s.store.Referrers(ctx, relation, targets...)
	if err != nil {
		s.log.Warn("machines not told of a change in their network; they see it at their next look", "error", err)
		return
	}
	var nics []arm.ResourceID
	for _, list := range users {
		nics = append(nics, list...)
	}
	s.wakeUsers(ctx, nics)
}

// renderNICs shows the machine that has each interface.
func (s *Server) renderNICs(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	users, err := v.Reader.Referrers(ctx, deskyard.RelationNIC, idsOf(rows)...)
	if err != nil {
		return nil, err
	}
	return renderEach(rows, func(r deskyard.Resource, n *deskyard.NetworkInterface) any {
		row := s.rowOf(r.ID)
		n.VirtualMachine, n.Primary = nil, nil
		if by := users[r.ID.Key()]; len(by) > 0 {
			yes := true
			n.VirtualMachine, n.Primary = &deskyard.SubResource{ID: s.wireIDOf(by[0])}, &yes
		}
		for i := range n.Configurations {
			n.Configurations[i].ID = row.WireID(r.ID) + "/ipConfigurations/" + n.Configurations[i].Name
		}
		return row.RenderBody(r, n)
	})
}
