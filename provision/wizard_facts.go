package provision

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
)

// runFacts are the facts that a run is checked against, and what else starting it takes.
type runFacts struct {
	deskyard.RunFacts
	pool       deskyard.HostPool
	poolRow    deskyard.Resource
	group      arm.ResourceID
	subnet     arm.ResourceID // subnet, or logical network
	image      compute.Image
	set        arm.ResourceID
	nsg        arm.ResourceID
	custom     arm.ResourceID
	deployment arm.ResourceID
	state      runState
	token      string
}

// mixedIdentityTag on a host pool with the value "true" lifts the rule that all hosts
// of a pool have one identity provider.
const mixedIdentityTag = "deskyard-allow-mixed-identity"

// alikeHosts is how many of a pool's hosts are looked at for their size and image.
const alikeHosts = 50

// gather reads what the rules of a run need to know. It puts full ids and defaults
// into the run, as the rules expect them.
func (s *Service) gather(ctx context.Context, reader deskyard.Reader, r *AddRequest) (runFacts, error) {
	f := runFacts{RunFacts: deskyard.RunFacts{FreeCores: -1, FreeMachines: -1, FreeMemoryMB: -1}}
	var err error
	if f.poolRow, err = reader.Resource(ctx, r.Pool); err != nil {
		return f, err
	}
	if err := readProperties(f.poolRow, &f.pool); err != nil {
		return f, err
	}
	if r.Run.Basics.ResourceGroup == "" {
		r.Run.Basics.ResourceGroup = r.Pool.ResourceGroup
	}
	f.group = arm.ResourceID{Subscription: r.Pool.Subscription, ResourceGroup: r.Run.Basics.ResourceGroup}
	f.Personal = f.pool.Personal()
	f.MixedIdentity = strings.EqualFold(f.poolRow.Envelope.Tags[mixedIdentityTag], "true")
	if f.GroupExists, err = exists(ctx, reader, f.group); err != nil {
		return f, err
	}
	steps := []func(context.Context, deskyard.Reader, *AddRequest) error{f.readHosts, f.readSubnets, f.readReferred}
	for _, step := range steps {
		if err := step(ctx, reader, r); err != nil {
			return f, err
		}
	}
	if f.FirstNumber, err = s.firstFree(ctx, reader, r.Pool, f.group, r.Run.Basics.NamePrefix); err != nil {
		return f, err
	}
	f.readSize(&r.Run)
	s.readImage(ctx, reader, &r.Run, &f)
	s.readCapacity(&r.Run, &f)
	return f, nil
}

func exists(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) (bool, error) {
	_, err := reader.Resource(ctx, id)
	if arm.IsMissing(err) {
		return false, nil
	}
	return err == nil, err
}

// readHosts gathers what the pool's hosts are like.
func (f *runFacts) readHosts(ctx context.Context, reader deskyard.Reader, r *AddRequest) error {
	hosts, err := reader.SessionHosts(ctx, deskyard.HostQuery{Pool: r.Pool})
	if err != nil {
		return err
	}
	f.Hosts = len(hosts.Items)
	kinds, identities, images, sizes := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, h := range hosts.Items {
		if h.Machine.Kind != "" {
			kinds[h.Machine.Kind] = true
		}
		identities[h.Machine.Identity] = true
		if i >= alikeHosts || h.ResourceID == "" {
			continue
		}
		vm, err := reader.Resource(ctx, parsed(h.ResourceID))
		if arm.IsMissing(err) {
			continue
		}
		if err != nil {
			return err
		}
		var p machineProperties
		if err := readProperties(vm, &p); err != nil {
			return err
		}
		if p.Hardware.Size != "" {
			sizes[p.Hardware.Size] = true
		}
		if name := imageName(p.Storage.Image); name != "" {
			images[name] = true
		}
	}
	f.HostKinds, f.Identities, f.Images, f.Sizes = sortedNames(kinds), sortedNames(identities), sortedNames(images), sortedNames(sizes)
	return nil
}

// imageName is how people name an image.
func imageName(r deskyard.ImageReference) string {
	if r.ID != "" {
		return parsed(r.ID).Name()
	}
	if r.Publisher == "" {
		return ""
	}
	return r.Publisher + ":" + r.Offer + ":" + r.SKU
}

// named is the id that a run names: a full one, or a name of a type in its group.
func (f *runFacts) named(text, namespace, collection string) arm.ResourceID {
	if strings.HasPrefix(text, "/") {
		return parsed(text)
	}
	if text == "" {
		return arm.ResourceID{}
	}
	return f.group.Provider(namespace, collection, text)
}

// readSubnets reads the network that the hosts would be in.
func (f *runFacts) readSubnets(ctx context.Context, reader deskyard.Reader, r *AddRequest) error {
	n := &r.Run.Network
	var network arm.ResourceID
	if r.Run.HCI() {
		f.subnet = f.named(n.LogicalNetwork, "Microsoft.AzureStackHCI", "logicalNetworks")
		network = f.subnet
	} else {
		f.Location = strings.ToLower(r.Run.Machines.Location) // until the network, which may be missing, says it
		network = f.named(n.VirtualNetwork, "Microsoft.Network", "virtualNetworks")
		if !network.IsZero() && n.Subnet != "" {
			f.subnet = network.Child("subnets", parsedName(n.Subnet))
		}
	}
	if f.subnet.IsZero() {
		return nil
	}
	row, err := reader.Resource(ctx, network)
	if arm.IsMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	subnet, err := readSubnet(ctx, reader, f.subnet.String())
	var refused *arm.Error
	if errors.As(err, &refused) {
		return nil // Network stays nil: there is no such subnet
	}
	if err != nil {
		return err
	}
	f.Location = strings.ToLower(row.Envelope.Location)
	f.Known = f.Location != ""
	f.Network = &deskyard.NetworkFacts{Location: row.Envelope.Location}
	if l := row.Envelope.ExtendedLocation; l != nil {
		f.Network.Custom = l.Name
	}
	f.Network.FreeAddresses, err = freeAddresses(ctx, reader, r.Pool.Subscription, subnet)
	return err
}

// parsedName is the name that an id ends with, or a name as it is.
func parsedName(text string) string { return text[strings.LastIndexByte(text, '/')+1:] }

// freeAddresses counts what a subnet can still give; -1 where somebody else gives.
func freeAddresses(ctx context.Context, reader deskyard.Reader, subscription string, subnet subnetFacts) (int, error) {
	if subnet.dhcp || subnet.free == nil {
		return -1, nil
	}
	taken := map[netip.Addr]bool{}
	for _, typ := range []string{typeNIC, typeHCINIC} {
		rows, err := reader.Resources(ctx, deskyard.ResourceQuery{Scope: arm.ResourceID{Subscription: subscription}, Type: typ})
		if err != nil {
			return 0, err
		}
		for _, r := range rows.Items {
			var p nicProperties
			if err := readProperties(r, &p); err != nil {
				return 0, err
			}
			for _, c := range p.Configs {
				if a, err := netip.ParseAddr(c.Properties.Address); err == nil && parsed(c.Properties.Subnet.ID).Key() == subnet.id.Key() {
					taken[a] = true
				}
			}
		}
	}
	free := 0
	for a := range subnet.free {
		if !taken[a] {
			free++
		}
		if free > mostAsked {
			break // more than any run needs
		}
	}
	return free, nil
}

// mostAsked bounds the counting of addresses: a run has 400 hosts at most.
const mostAsked = 1000

// readReferred reads what else the run names: set, security group, custom location.
func (f *runFacts) readReferred(ctx context.Context, reader deskyard.Reader, r *AddRequest) error {
	m := r.Run.Machines
	f.set = f.named(m.AvailabilitySet, "Microsoft.Compute", "availabilitySets")
	f.nsg = f.named(r.Run.Network.SecurityID, "Microsoft.Network", "networkSecurityGroups")
	f.custom = f.named(m.CustomLocation, "Microsoft.ExtendedLocation", "customLocations")
	if !f.set.IsZero() {
		row, err := reader.Resource(ctx, f.set)
		if err == nil {
			f.Set = &deskyard.SetFacts{Location: row.Envelope.Location}
		} else if !arm.IsMissing(err) {
			return err
		}
	}
	if !f.nsg.IsZero() {
		row, err := reader.Resource(ctx, f.nsg)
		if err != nil && !arm.IsMissing(err) {
			return err
		}
		f.NSGExists = err == nil && strings.EqualFold(row.Envelope.Location, f.Location)
	}
	if f.custom.IsZero() {
		return nil
	}
	row, err := reader.Resource(ctx, f.custom)
	if arm.IsMissing(err) {
		return nil
	}
	f.Custom = err == nil
	if f.Custom && f.Location == "" {
		f.Location = strings.ToLower(row.Envelope.Location)
	}
	return err
}

func (f *runFacts) readSize(run *deskyard.AddSessionHosts) {
	if size, ok := deskyard.LookupVMSize(run.Machines.Size); ok && !run.HCI() {
		f.Size = &deskyard.SizeFacts{Name: size.Name, CPUs: size.CPUs, MemoryMB: size.MemoryMB, Premium: size.Premium,
			Hibernation: size.Hibernation, Trusted: size.TrustedLaunch}
	}
}

// readImage finds the image, or why it cannot be had.
func (s *Service) readImage(ctx context.Context, reader deskyard.Reader, run *deskyard.AddSessionHosts, f *runFacts) {
	image, err := s.findImage(ctx, reader, f.backing(run), run.Machines.Image)
	if err != nil {
		var refused *arm.Error
		if f.ImageWhy = err.Error(); errors.As(err, &refused) {
			f.ImageWhy = refused.Message
		}
		return
	}
	f.image = image
	name := imageName(run.Machines.Image)
	if name == "" {
		name = image.ID
	}
	f.Image = &deskyard.ImageFacts{
		Name: name, OS: image.OS, UEFI: strings.EqualFold(image.Firmware, "uefi"),
		Managed:    strings.Contains(strings.ToLower(run.Machines.Image.ID), "/providers/microsoft.compute/images/"),
		SizeGB:     int(math.Ceil(float64(image.VirtualBytes) / (1 << 30))),
		SignedBoot: strings.EqualFold(image.Firmware, "uefi"), // a firmware that refuses it says so on the console
	}
}

// backing is what hypervisors are looked for by: the custom location where there is one.
func (f *runFacts) backing(run *deskyard.AddSessionHosts) string {
	switch {
	case !run.HCI():
		return f.Location
	case f.custom.IsZero():
		return ""
	}
	return f.custom.Key()
}

// readCapacity adds what the location's hypervisors can and have, as they last answered.
func (s *Service) readCapacity(run *deskyard.AddSessionHosts, f *runFacts) {
	at := f.backing(run)
	zones, backed, memory := map[string]bool{}, false, 0
	for _, h := range s.o.Hypervisors {
		if at == "" || !h.backs(at) {
			continue
		}
		backed = true
		if h.Zone != "" {
			zones[h.Zone] = true
		}
		v, known := s.lastSeen(h.Name)
		if !known {
			continue
		}
		f.SecureBoot, f.TPM = f.SecureBoot || v.caps.SecureBoot, f.TPM || v.caps.TPM
		f.Confidential = f.Confidential || v.caps.Confidential != ""
		l := s.machines.loadOf(h.Name, "", arm.ResourceID{})
		memory += max(0, int(float64(v.caps.MemoryMB)*ratio(h.MemRatio, defaultMemRatio))-l.memoryMB)
		f.FreeMemoryMB = memory
	}
	f.Zones = sortedNames(zones)
	if !backed && at != "" {
		f.NoHypervisor = "No hypervisor makes machines in '" + at + "'. Add one for it to the file that --hypervisors names, or choose another location."
	}
	if f.Set != nil {
		f.Set.Machines = s.inSet(f.set, arm.ResourceID{})
	}
	for _, u := range s.usages(at) {
		left := int(max(0, u.Limit-u.Current))
		switch {
		case u.Name == quotaCores && u.Limit > 0:
			f.FreeCores = left
		case u.Name == quotaMachines:
			f.FreeMachines = left
		}
	}
}
