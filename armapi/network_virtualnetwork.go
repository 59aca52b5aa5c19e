package armapi

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// beforeNetwork holds a network to its users: a subnet with interfaces in it stays, and
// stays where its addresses are.
func (s *Server) beforeNetwork(ctx context.Context, w *Write) error {
	n := w.Model.(*deskyard.VirtualNetwork)
	if n.ResourceGUID == "" {
		n.ResourceGUID = newID()
	}
	for i, sub := range n.Subnets {
		if sub.Properties.SecurityGroup == nil {
			continue
		}
		at := fmt.Sprintf("properties.subnets[%d].properties.networkSecurityGroup.id", i)
		if _, err := s.sameRegion(ctx, w, at, sub.Properties.SecurityGroup.ID); err != nil {
			return err
		}
	}
	old, _ := w.OldModel.(*deskyard.VirtualNetwork)
	if old == nil {
		return nil
	}
	for _, before := range old.Subnets {
		i := slices.IndexFunc(n.Subnets, func(now deskyard.NamedSubnet) bool { return strings.EqualFold(now.Name, before.Name) })
		if i >= 0 && n.Subnets[i].Properties.Prefix() == before.Properties.Prefix() {
			continue
		}
		if err := subnetUnused(ctx, w.Tx, w.New.ID.Child("subnets", before.Name)); err != nil {
			return err
		}
	}
	return nil
}

// subnetUnused refuses to remove or move a subnet that interfaces are in.
func subnetUnused(ctx context.Context, reader deskyard.Reader, subnet arm.ResourceID) error {
	users, err := reader.Referrers(ctx, deskyard.RelationSubnet, subnet)
	if err != nil {
		return err
	}
	for _, nic := range users[subnet.Key()] {
		return arm.Errorf(arm.Conflicting, "InUseSubnetCannotBeDeleted",
			"Subnet %s is in use by %s/ipConfigurations and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet.", subnet.Name(), nic)
	}
	return nil
}

func (s *Server) networkUnused(ctx context.Context, w *Write, _ bool) error {
	for _, sub := range w.OldModel.(*deskyard.VirtualNetwork).Subnets {
		if err := subnetUnused(ctx, w.Tx, w.Old.ID.Child("subnets", sub.Name)); err != nil {
			return err
		}
	}
	return nil
}

// networkChanged has the machines of a network looked at.
func (s *Server) networkChanged(ctx context.Context, w *Write) {
	if w.New == nil || w.Old == nil {
		return
	}
	s.wakeSubnets(ctx, w.New.ID, w.Model.(*deskyard.VirtualNetwork))
}

func (s *Server) wakeSubnets(ctx context.Context, network arm.ResourceID, n *deskyard.VirtualNetwork) {
	var subnets []arm.ResourceID
	for _, sub := range n.Subnets {
		subnets = append(subnets, network.Child("subnets", sub.Name))
	}
	s.wakeReferrers(ctx, deskyard.RelationSubnet, subnets...)
}

// subnetShown is a subnet on the wire with the interfaces in it.
type subnetShown struct {
	deskyard.Subnet
	IPConfigurations []deskyard.SubResource `json:"ipConfigurations,omitempty"`
}

// part is a subnet, or a rule, on the wire.
type part struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Type       string `json:"type"`
	Properties any    `json:"properties"`
}

// networkShown is a virtual network's properties on the wire.
type networkShown struct {
	*deskyard.VirtualNetwork
	Subnets []part `json:"subnets"`
	Peers   []any  `json:"virtualNetworkPeerings"`
}

func (s *Server) renderNetworks(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	return renderEachErr(rows, func(r deskyard.Resource, n *deskyard.VirtualNetwork) (any, error) {
		row := s.rowOf(r.ID)
		parts, err := s.showSubnets(ctx, v.Reader, r.ID, n.Subnets)
		if err != nil {
			return nil, err
		}
		return row.RenderBody(r, networkShown{VirtualNetwork: n, Subnets: parts, Peers: []any{}}), nil
	})
}

// showSubnets are subnets of one network on the wire.
func (s *Server) showSubnets(ctx context.Context, reader deskyard.Reader, network arm.ResourceID, subnets []deskyard.NamedSubnet) ([]part, error) {
	row := s.routes.types[strings.ToLower(deskyard.TypeSubnet)]
	ids := make([]arm.ResourceID, len(subnets))
	for i, sub := range subnets {
		ids[i] = network.Child("subnets", sub.Name)
	}
	users, err := reader.Referrers(ctx, deskyard.RelationSubnet, ids...)
	if err != nil {
		return nil, err
	}
	out := make([]part, len(subnets))
	for i, sub := range subnets {
		shown := subnetShown{Subnet: sub.Properties}
		for _, nic := range s.subResources(users[ids[i].Key()]) {
			shown.IPConfigurations = append(shown.IPConfigurations, deskyard.SubResource{ID: nic.ID + "/ipConfigurations/ipconfig"})
		}
		out[i] = part{Name: sub.Name, ID: row.WireID(ids[i]), Type: row.WireType(), Properties: shown}
	}
	return out, nil
}

// renderEachErr is renderEach for a rendering that may fail.
func renderEachErr[M any](rows []deskyard.Resource, render func(deskyard.Resource, *M) (any, error)) ([]any, error) {
	out := make([]any, len(rows))
	for i, r := range rows {
		m, err := readModel[M](r)
		if err != nil {
			return nil, err
		}
		if out[i], err = render(r, m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// suggestions is how many free addresses are named beside one that is taken.
const suggestions = 5

// checkAddress tells whether an address of the network is free, and some that are.
func (s *Server) checkAddress(ctx context.Context, req *Request) (Response, error) {
	r, err := req.Load(ctx, s.store)
	if err != nil {
		return Response{}, err
	}
	n, err := readModel[deskyard.VirtualNetwork](r)
	if err != nil {
		return Response{}, err
	}
	wanted, err := netip.ParseAddr(req.Query("ipAddress"))
	if err != nil {
		return Response{}, badQuery("ipAddress", req.Query("ipAddress"), "an IP address")
	}
	for _, sub := range n.Subnets {
		prefix := sub.Properties.Prefix()
		if !prefix.Contains(wanted) {
			continue
		}
		return s.addressAnswer(ctx, r.ID.Child("subnets", sub.Name), prefix, wanted)
	}
	return Response{}, arm.Errorf(arm.Invalid, "PrivateIPAddressNotInAnySubnet", "Private static IP address %s is not in range of any of the subnets in virtual network %s.", wanted, r.ID)
}

func (s *Server) addressAnswer(ctx context.Context, subnet arm.ResourceID, prefix netip.Prefix, wanted netip.Addr) (Response, error) {
	isFree := func(a netip.Addr) (bool, error) {
		key := deskyard.AddressLease(subnet, a.String())
		users, err := s.store.Referrers(ctx, deskyard.RelationAddress, key)
		return len(users[key.Key()]) == 0, err
	}
	free, err := isFree(wanted)
	if err != nil {
		return Response{}, err
	}
	if free && deskyard.AddressAllowed(prefix, wanted) {
		return Response{Body: map[string]any{"available": true, "availableIPAddresses": []string{}}}, nil
	}
	others := []string{}
	for a := range deskyard.FreeAddresses(prefix) {
		ok, err := isFree(a)
		if err != nil {
			return Response{}, err
		}
		if ok {
			others = append(others, a.String())
		}
		if len(others) == suggestions {
			break
		}
	}
	return Response{Body: map[string]any{"available": false, "availableIPAddresses": others}}, nil
}

// networkUsages tells how many addresses of each subnet are taken.
func (s *Server) networkUsages(ctx context.Context, req *Request) (Response, error) {
	r, err := req.Load(ctx, s.store)
	if err != nil {
		return Response{}, err
	}
	n, err := readModel[deskyard.VirtualNetwork](r)
	if err != nil {
		return Response{}, err
	}
	items := []any{}
	for _, sub := range n.Subnets {
		id := r.ID.Child("subnets", sub.Name)
		users, err := s.store.Referrers(ctx, deskyard.RelationSubnet, id)
		if err != nil {
			return Response{}, err
		}
		b := usageOf(deskyard.Usage{Name: "SubnetSpace", Localized: "Subnet size and usage", Current: int64(len(users[id.Key()])),
			Limit: 1<<(32-sub.Properties.Prefix().Bits()) - 5})
		b.ID = s.wireIDOf(id)
		items = append(items, b)
	}
	return req.ListResponse(items, ""), nil
}

// Limits that Azure has by default, per subscription and location.
const (
	maxNetworks   = 1000
	maxInterfaces = 65536
	maxGroups     = 5000
)

// listNetworkUsages tells how many network resources a location has.
func (s *Server) listNetworkUsages(ctx context.Context, req *Request) (Response, error) {
	location, err := s.checkLocation("locations", req.Vars["location"])
	if err != nil {
		return Response{}, err
	}
	items := []any{}
	for _, kind := range []struct {
		typ, name, words string
		limit            int64
	}{
		{deskyard.TypeVirtualNetwork, "VirtualNetworks", "Virtual Networks", maxNetworks},
		{networkNamespace + "/networkInterfaces", "NetworkInterfaces", "Network Interfaces", maxInterfaces},
		{deskyard.TypeSecurityGroup, "NetworkSecurityGroups", "Network Security Groups", maxGroups},
	} {
		rows, err := s.store.Resources(ctx, deskyard.ResourceQuery{Scope: req.ID, Type: kind.typ})
		if err != nil {
			return Response{}, err
		}
		count := int64(0)
		for _, r := range rows.Items {
			if canonicalLocation(r.Envelope.Location) == location {
				count++
			}
		}
		b := usageOf(deskyard.Usage{Name: kind.name, Localized: kind.words, Current: count, Limit: kind.limit})
		b.ID = req.ID.String() + "/providers/Microsoft.Network/locations/" + location + "/usages/" + kind.name
		items = append(items, b)
	}
	return req.ListResponse(items, ""), nil
}
