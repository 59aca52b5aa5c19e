package server

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/fake"
	"github.com/deskyard/deskyard/compute/libvirt"
	"github.com/deskyard/deskyard/compute/network"
	"github.com/deskyard/deskyard/compute/qemu"
	"github.com/deskyard/deskyard/provision"
)

// openHypervisors makes the driver of each configured host. A host that does not
// answer now is not an error: it is unreachable until it does.
func (s *service) openHypervisors(ctx context.Context) ([]provision.Hypervisor, error) {
	entries, err := s.config.hypervisorEntries()
	if err != nil {
		return nil, err
	}
	var list []provision.Hypervisor
	for _, e := range entries {
		if e.Folder == "" && e.Driver != "libvirt" { // whose QEMU is another user, perhaps on another machine
			e.Folder = filepath.Join(s.config.Data, "machines", e.Name)
		}
		driver, err := s.openDriver(ctx, e)
		if err != nil && s.config.autoHypervisors() {
			s.log.Warn("no machines will be made: this machine's QEMU cannot be used", "err", err)
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("open hypervisor %s: %w", e.Name, err)
		}
		locations := slices.Clone(e.Locations)
		if len(locations) == 0 {
			locations = slices.Clone(s.config.Location)
		}
		for i := range locations {
			locations[i] = strings.ToLower(locations[i])
		}
		list = append(list, provision.Hypervisor{
			Name: e.Name, Driver: driver, Locations: locations, Zone: e.Zone, Network: e.Network,
			CPURatio: e.CPURatio, MemRatio: e.MemoryRatio,
		})
	}
	return list, nil
}

// openDriver makes the driver of one host. What it opens is closed with the service;
// machines run on.
func (s *service) openDriver(ctx context.Context, e hypervisorEntry) (compute.Driver, error) {
	owner := s.instance.TenantID
	log := s.log.With("hypervisor", e.Name)
	switch e.Driver {
	case "qemu":
		o := qemu.Options{Folder: e.Folder, Owner: owner, Network: e.Network, User: e.User, Log: log, Now: s.now}
		if e.Network == compute.NetworkBridge {
			bridges, err := network.Open(ctx, network.Options{Folder: filepath.Join(e.Folder, "network"), Owner: owner, Masquerade: e.Masquerade, Log: log})
			if err != nil {
				return nil, err
			}
			o.Bridges = bridges
			s.drivers = append(s.drivers, bridges)
		}
		return qemu.New(o)
	case "libvirt":
		return s.openLibvirt(ctx, e, log)
	case "fake":
		o := fake.Options{Host: e.Name, Now: s.now}
		if e.Guest != "" {
			o.Guest = fake.Program(e.Guest)
		}
		d := fake.New(o)
		s.drivers = append(s.drivers, d)
		return d, nil
	}
	return nil, fmt.Errorf("the driver %q is not built in", e.Driver)
}

// openLibvirt makes the driver of a host that libvirt rules. Bridges are made on this
// machine alone: another's libvirt plugs machines into bridges that its administrator
// has made there.
func (s *service) openLibvirt(ctx context.Context, e hypervisorEntry, log *slog.Logger) (compute.Driver, error) {
	owner := s.instance.TenantID
	o := libvirt.Options{URI: e.URI, Folder: e.Folder, Owner: owner, Network: e.Network, Log: log, Now: s.now}
	local, err := libvirt.Local(e.URI)
	if err != nil {
		return nil, err
	}
	if local && e.Network == compute.NetworkBridge {
		bridges, err := network.Open(ctx, network.Options{Folder: filepath.Join(s.config.Data, "networks", e.Name), Owner: owner, Masquerade: e.Masquerade, Log: log})
		if err != nil {
			return nil, err
		}
		o.Bridges = bridges
		s.drivers = append(s.drivers, bridges)
	}
	d, err := libvirt.New(o)
	if err != nil {
		return nil, err
	}
	s.drivers = append(s.drivers, d)
	return d, nil
}

// closeDrivers closes what the drivers hold, newest first.
func (s *service) closeDrivers() {
	for _, d := range slices.Backward(s.drivers) {
		d.Close()
	}
}
