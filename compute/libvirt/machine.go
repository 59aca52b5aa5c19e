package libvirt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/deskyard/deskyard/compute"
)

// machine is a domain of ours, as libvirt had it a moment ago.
type machine struct {
	golibvirt.Domain
	description
	state, reason int32
}

func (m machine) active() bool { return golibvirt.DomainState(m.state) != golibvirt.DomainShutoff }

// find looks a machine up; compute.ErrNotFound when there is none.
func find(l *golibvirt.Libvirt, id string) (m machine, err error) {
	if !guid.MatchString(id) {
		return m, fmt.Errorf("%q is no machine's id: %w", id, compute.ErrNotFound)
	}
	u, err := uuid.Parse(id)
	if err != nil {
		return m, fmt.Errorf("%q is no machine's id: %w", id, compute.ErrNotFound)
	}
	if m.Domain, err = l.DomainLookupByUUID(golibvirt.UUID(u)); err != nil {
		return m, err
	}
	if m.state, m.reason, err = l.DomainGetState(m.Domain, 0); err != nil {
		return m, err
	}
	text, err := l.DomainGetXMLDesc(m.Domain, 0)
	if err != nil {
		return m, err
	}
	if m.description, err = parseDescription(text); err != nil {
		return m, err
	}
	if m.Metadata.Machine == nil || m.Metadata.Machine.ID != id {
		return m, fmt.Errorf("domain %s has the machine's UUID and is not Deskyard's", m.Domain.Name)
	}
	return m, nil
}

func (d *Driver) find(ctx context.Context, id string) (machine, error) {
	return ask(ctx, d, quick, func(l *golibvirt.Libvirt) (machine, error) { return find(l, id) })
}

// Ensure makes a machine, off, or finds it.
func (d *Driver) Ensure(ctx context.Context, s compute.Spec) error {
	if !guid.MatchString(s.ID) {
		return fmt.Errorf("make a machine: its id %q is no lower-case GUID", s.ID)
	}
	unlock, err := d.locks.lock(ctx, s.ID)
	if err != nil {
		return fmt.Errorf("make machine %s: %w", s.ID, err)
	}
	defer unlock()
	start := d.o.Now()
	made, err := d.ensure(ctx, s)
	if err != nil {
		return fmt.Errorf("make machine %s (%s): %w", s.ID, s.Name, err)
	}
	if made {
		d.o.Log.Info("machine made", "machine", s.ID, "name", s.Name, "image", s.Image.ID, "after", d.o.Now().Sub(start))
	}
	return nil
}

func (d *Driver) ensure(ctx context.Context, s compute.Spec) (made bool, err error) {
	m, err := d.find(ctx, s.ID)
	switch {
	case err == nil && m.Metadata.Machine.Owner != s.Owner:
		return false, fmt.Errorf("it belongs to %s already", m.Metadata.Machine.Owner)
	case err == nil && m.active():
		return false, nil // what runs has what it needs
	case err == nil:
		return false, d.restore(ctx, s, m)
	case !errors.Is(err, compute.ErrNotFound):
		return false, err
	}
	f, err := d.facts(ctx)
	if err != nil {
		return false, err
	}
	if err := d.check(s, f); err != nil {
		return false, err
	}
	// Without a definition, whatever there is was cut off, maybe in the middle of a file.
	if err := d.sweep(ctx, s.ID); err != nil {
		return false, err
	}
	p, err := d.parts(ctx, s)
	if err != nil {
		return false, err
	}
	nics, err := d.interfaces(ctx, s)
	if err != nil {
		return false, err
	}
	accel, err := d.accelerated(ctx)
	if err != nil {
		return false, err
	}
	definition, err := newDomain(s, d.metadata(s), p, accel.name, nics)
	if err != nil {
		return false, err
	}
	text, err := definition.text()
	if err != nil {
		return false, err
	}
	return true, d.do(ctx, quick, func(l *golibvirt.Libvirt) error {
		_, err := l.DomainDefineXMLFlags(text, 0)
		return err
	})
}

// restore makes what a machine that is off has lost.
func (d *Driver) restore(ctx context.Context, s compute.Spec, m machine) error {
	whole, err := ask(ctx, d, quick, func(l *golibvirt.Libvirt) (bool, error) {
		p, err := d.pool(l)
		if err != nil {
			return false, err
		}
		_, found, err := volume(l, p, m.diskName())
		return found, err
	})
	if err != nil || whole {
		return err
	}
	d.o.Log.Warn("machine's disk is gone; a new one is made", "machine", s.ID, "name", m.Metadata.Machine.Name)
	_, err = d.parts(ctx, s)
	return err
}

func (d *Driver) metadata(s compute.Spec) metadata {
	m := metadata{ID: s.ID, Owner: s.Owner, Name: s.Name, Spec: specSum(s), Image: s.Image.ID, MinMem: s.MinMemMB, Network: d.o.Network}
	for _, n := range s.NICs {
		one := metaNIC{MAC: n.MAC}
		for into, value := range map[*string]interface {
			IsValid() bool
			String() string
		}{&one.Address: n.Address, &one.Prefix: n.Network.Prefix, &one.Gateway: n.Network.Gateway} {
			if value.IsValid() {
				*into = value.String()
			}
		}
		m.NICs = append(m.NICs, one)
	}
	for _, name := range sortedKeys(s.Tags) {
		m.Tags = append(m.Tags, metaTag{name, s.Tags[name]})
	}
	return m
}

// specSum is a checksum of what a machine was made from, without its secrets.
func specSum(s compute.Spec) string {
	s.Seed = compute.Seed{}
	b, err := json.Marshal(s)
	if err != nil {
		return "" // a Spec has nothing that JSON does not know
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// interfaces are a machine's, with their filters; none for network "user".
func (d *Driver) interfaces(ctx context.Context, s compute.Spec) (all []nic, err error) {
	if d.o.Network == compute.NetworkUser {
		return nil, nil
	}
	for i, n := range s.NICs {
		one := nic{Type: "bridge", MAC: macAddress{n.MAC}, Model: modelType{"virtio"}, ROM: romBar{"no"}}
		if d.o.Bridges != nil {
			device, err := d.o.Bridges.Attach(ctx, s.ID, i, n)
			if err != nil {
				return nil, err
			}
			one.Type, one.Target = "ethernet", &nicTarget{Device: device, Managed: "no"}
		} else {
			name := filterName(s.Owner, s.ID, i)
			if err := d.defineFilter(ctx, name, n); err != nil {
				return nil, err
			}
			one.Source, one.Filter = &bridge{n.Network.Bridge}, &filterRef{name}
		}
		all = append(all, one)
	}
	return all, nil
}

// Remove ends and deletes a machine with all that is its own.
func (d *Driver) Remove(ctx context.Context, id string) error {
	if !guid.MatchString(id) {
		return nil // nothing was ever made with such an id
	}
	unlock, err := d.locks.lock(ctx, id)
	if err != nil {
		return fmt.Errorf("remove machine %s: %w", id, err)
	}
	defer unlock()
	m, err := d.find(ctx, id)
	switch {
	case errors.Is(err, compute.ErrNotFound):
	case err != nil:
		return fmt.Errorf("remove machine %s: %w", id, err)
	default:
		err := d.do(ctx, slow, func(l *golibvirt.Libvirt) error { return undefine(l, m) })
		if err != nil {
			return fmt.Errorf("remove machine %s: %w", id, err)
		}
		d.o.Log.Info("machine removed", "machine", id, "name", m.Metadata.Machine.Name)
	}
	if err := d.sweep(ctx, id); err != nil {
		return fmt.Errorf("remove machine %s: %w", id, err)
	}
	if d.o.Bridges != nil {
		return d.o.Bridges.Detach(ctx, id)
	}
	return nil
}

// undefine ends a domain and deletes what libvirt itself keeps for it.
func undefine(l *golibvirt.Libvirt, m machine) error {
	if m.active() {
		if err := l.DomainDestroyFlags(m.Domain, 0); err != nil && !is(err, golibvirt.ErrOperationInvalid, golibvirt.ErrNoDomain) {
			return fmt.Errorf("end it: %w", err)
		}
	}
	flags := golibvirt.DomainUndefineManagedSave | golibvirt.DomainUndefineSnapshotsMetadata | golibvirt.DomainUndefineCheckpointsMetadata |
		golibvirt.DomainUndefineNvram | golibvirt.DomainUndefineTpm
	err := l.DomainUndefineFlags(m.Domain, flags)
	if is(err, golibvirt.ErrInvalidArg) { // libvirt before 8.9 knows no word for the TPM, and deletes it unasked
		err = l.DomainUndefineFlags(m.Domain, flags&^golibvirt.DomainUndefineTpm)
	}
	if err := ignoreMissing(err); err != nil {
		return fmt.Errorf("undefine it: %w", err)
	}
	return nil
}

// sweep deletes a machine's volumes and filters, whoever's it was.
func (d *Driver) sweep(ctx context.Context, id string) error {
	return d.do(ctx, slow, func(l *golibvirt.Libvirt) error {
		p, err := d.pool(l)
		if err != nil {
			return err
		}
		if err := d.refresh(l, p); err != nil { // console logs that were rotated appear
			return err
		}
		volumes, _, err := l.StoragePoolListAllVolumes(p, 1, 0)
		if err != nil {
			return err
		}
		for _, v := range volumes {
			if _, machine, ok := parseVolume(v.Name); ok && machine == id {
				if err := deleteVolume(ctx, l, v); err != nil {
					return fmt.Errorf("delete volume %s: %w", v.Name, err)
				}
			}
		}
		filters, err := filtersOf(l, func(_, machine string) bool { return machine == id })
		if err != nil {
			return err
		}
		for _, f := range filters {
			if err := ignoreMissing(l.NwfilterUndefine(f)); err != nil {
				return fmt.Errorf("delete filter %s: %w", f.Name, err)
			}
		}
		return nil
	})
}

// parseVolume reads a volume's name: the prefix of its owner, and the machine.
func parseVolume(name string) (prefix, machine string, ok bool) {
	const owner, id = len("dy-0123456789-"), 36
	if !strings.HasPrefix(name, "dy-") || len(name) <= owner+id || name[owner+id] != '-' || !guid.MatchString(name[owner:owner+id]) {
		return "", "", false
	}
	return name[:owner], name[owner : owner+id], true
}

// Inventory lists everything on the host that carries owner.
func (d *Driver) Inventory(ctx context.Context, owner string) (items []compute.Item, err error) {
	err = d.do(ctx, slow, func(l *golibvirt.Libvirt) error {
		if items, err = machineItems(l, owner); err != nil {
			return err
		}
		p, err := d.pool(l)
		if err != nil {
			return err
		}
		if err := d.refresh(l, p); err != nil {
			return err
		}
		volumes, _, err := l.StoragePoolListAllVolumes(p, 1, 0)
		if err != nil {
			return err
		}
		for _, v := range volumes {
			if prefix, machine, ok := parseVolume(v.Name); ok && prefix == ownerPrefix(owner) {
				items = append(items, compute.Item{MachineID: machine, Name: v.Name, Kind: volumeKind(v.Name), Where: v.Key})
			}
		}
		filters, err := filtersOf(l, func(prefix, _ string) bool { return prefix == ownerPrefix(owner) })
		for _, f := range filters {
			_, machine, _ := parseVolume(f.Name)
			items = append(items, compute.Item{MachineID: machine, Name: f.Name, Kind: "network", Where: "nwfilter " + f.Name})
		}
		return err
	})
	if err == nil && d.o.Bridges != nil && owner == d.o.Owner {
		var devices []compute.Item
		devices, err = d.o.Bridges.Items(ctx)
		items = append(items, devices...)
	}
	if err != nil {
		return nil, fmt.Errorf("list what %s has: %w", owner, err)
	}
	return items, nil
}

func volumeKind(name string) string {
	switch {
	case strings.HasSuffix(name, "-disk.qcow2"):
		return "disk"
	case strings.Contains(name, "-console.log"):
		return "folder"
	}
	return "seed"
}

func machineItems(l *golibvirt.Libvirt, owner string) (items []compute.Item, err error) {
	domains, _, err := l.ConnectListAllDomains(1, 0)
	if err != nil {
		return nil, err
	}
	for _, one := range domains {
		if !strings.HasPrefix(one.Name, "deskyard-") {
			continue
		}
		text, err := l.DomainGetXMLDesc(one, 0)
		if is(err, golibvirt.ErrNoDomain) {
			continue // it went while we looked
		}
		if err != nil {
			return nil, err
		}
		desc, err := parseDescription(text)
		if err != nil {
			return nil, err
		}
		if m := desc.Metadata.Machine; m != nil && m.Owner == owner {
			items = append(items, compute.Item{MachineID: m.ID, Name: m.Name, Kind: "machine", Where: one.Name})
		}
	}
	return items, nil
}

// nic finds an interface in a machine's metadata.
func (m machine) nic(i int) (compute.NIC, error) {
	if i < 0 || i >= len(m.Metadata.Machine.NICs) {
		return compute.NIC{}, fmt.Errorf("it has no interface %d", i)
	}
	noted := m.Metadata.Machine.NICs[i]
	n := compute.NIC{MAC: noted.MAC}
	var problems []error
	read := func(text string, into interface{ UnmarshalText([]byte) error }) {
		problems = append(problems, into.UnmarshalText([]byte(text)))
	}
	read(noted.Address, &n.Address)
	read(noted.Prefix, &n.Network.Prefix)
	read(noted.Gateway, &n.Network.Gateway)
	if err := errors.Join(problems...); err != nil {
		return compute.NIC{}, fmt.Errorf("read interface %d of its metadata: %w", i, err)
	}
	return n, nil
}
