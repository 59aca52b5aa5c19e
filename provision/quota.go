package provision

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Names of quotas, as Azure's usages have them.
const (
	quotaCores    = "cores"
	quotaMachines = "virtualMachines"
)

// Limits where the configuration says nothing: Azure's for machines and sets of a
// region. Processors are bounded by what the location's hypervisors promise.
const (
	defaultMachines = 25000
	maxSetMachines  = 200 // article "FAQ": 200 machines in one availability set
)

// Usages are the quotas of a location.
func (s *Service) Usages(ctx context.Context, location string) ([]deskyard.Usage, error) {
	if err := s.readLedger(ctx); err != nil {
		return nil, err
	}
	location = strings.ToLower(location)
	for _, h := range s.o.Hypervisors {
		if _, known := s.lastSeen(h.Name); !known && h.backs(location) {
			s.askHost(ctx, h)
		}
	}
	return s.usages(location), nil
}

// usages are the quotas as the hypervisors last answered.
func (s *Service) usages(location string) []deskyard.Usage {
	var cores, count, capacity int64
	for _, h := range s.o.Hypervisors {
		if !h.backs(location) {
			continue
		}
		l := s.machines.loadOf(h.Name, "", arm.ResourceID{})
		cores, count = cores+int64(l.cpus), count+int64(l.machines)
		if v, known := s.lastSeen(h.Name); known {
			capacity += int64(float64(v.caps.CPUs) * ratio(h.CPURatio, defaultCPURatio))
		}
	}
	// Asked for and not placed yet.
	count += int64(len(s.machines.entries(func(e *ledgerEntry) bool { return e.place.Host == "" && e.step == stepNew })))
	list := []deskyard.Usage{
		{Name: quotaCores, Localized: "Total Regional vCPUs", Current: cores, Limit: s.limit(quotaCores, capacity), Unit: "Count"},
		{Name: quotaMachines, Localized: "Virtual Machines", Current: count, Limit: s.limit(quotaMachines, defaultMachines), Unit: "Count"},
	}
	slices.SortFunc(list, func(a, b deskyard.Usage) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// limit is a quota's bound: what is configured for it, or what there is.
func (s *Service) limit(name string, otherwise int64) int64 {
	if n, set := s.o.Quotas[name]; set {
		return n
	}
	return otherwise
}

// lastSeen is what a hypervisor last answered; known is false before the first time.
func (s *Service) lastSeen(host string) (v hostView, known bool) {
	v, known = s.view(host)
	return v, known && v.caps.CPUs > 0
}

// overQuota refuses what a quota does not leave room for.
func overQuota(u deskyard.Usage, location string, more int64) error {
	if u.Name == quotaCores && u.Limit == 0 || u.Current+more <= u.Limit {
		return nil // no hypervisor answered yet, or it fits
	}
	return arm.Errorf(arm.Conflicting, "QuotaExceeded",
		"Operation could not be completed as it results in exceeding approved %s quota. Location: %s, Current Limit: %d, Current Usage: %d, Additional Required: %d, (Minimum) New Limit Required: %d. Remove machines, add a hypervisor or have the quota raised.",
		u.Localized, location, u.Limit, u.Current, more, u.Current+more)
}

// admitRoom refuses a machine that the quota or every hypervisor's nature rules out.
// A host that is full now or does not answer is not held against it: placement
// waits for the one and tells the other.
func (s *Service) admitRoom(id arm.ResourceID, f machineFacts, n need) error {
	for _, u := range s.usages(n.location) {
		more := int64(1)
		if u.Name == quotaCores {
			more = int64(n.cpus)
		}
		if err := overQuota(u, n.location, more); err != nil {
			return err
		}
	}
	backed, reasons := false, []string{}
	for _, h := range s.o.Hypervisors {
		if !h.backs(n.location) {
			continue
		}
		v, known := s.lastSeen(h.Name)
		if !known {
			backed = true
			continue
		}
		if why := h.refuses(n, v.caps, load{}); why != "" {
			reasons = append(reasons, h.Name+": "+why)
			continue
		}
		backed = true
	}
	if backed {
		return nil
	}
	return noHost(id, n, reasons, false)
}

// setKey is the key of a machine's availability set; "" for none.
func setKey(f machineFacts) string {
	if f.Set == nil {
		return ""
	}
	return strings.ToLower(f.Set.ID)
}

// admitSet holds a machine to its availability set, which more machines than stand
// may be on their way into.
func (s *Service) admitSet(ctx context.Context, reader deskyard.Reader, id arm.ResourceID, f machineFacts, more int) error {
	if f.Set == nil {
		return nil
	}
	const at = "properties.availabilitySet.id"
	set, err := referredRow(ctx, reader, f.Set.ID)
	if err != nil {
		return err
	}
	switch {
	case !strings.EqualFold(set.Envelope.Location, f.location):
		return arm.Errorf(arm.Invalid, "InvalidParameter", "The availability set '%s' is in '%s', the machine would be in '%s'.", set.ID.Name(), set.Envelope.Location, f.location).WithTarget(at)
	case f.zone != "":
		return arm.Errorf(arm.Invalid, "InvalidParameter", "A machine is in an availability zone or in an availability set, not in both.").WithTarget(at)
	case f.Capabilities.Hibernation:
		return arm.Errorf(arm.Invalid, "InvalidParameter", "Machines of an availability set cannot hibernate.").WithTarget(at)
	}
	if s.inSet(set.ID, id)+more >= maxSetMachines {
		return arm.Errorf(arm.Conflicting, "MaximumVMsReached", "Can't create VM because the limit of %d VMs has already been reached. Choose another availability set than '%s'.", maxSetMachines, set.ID.Name()).WithTarget(at)
	}
	return nil
}

// inSet counts a set's machines other than id.
func (s *Service) inSet(set, id arm.ResourceID) int {
	return len(s.machines.entries(func(e *ledgerEntry) bool { return e.place.Set == set.Key() && e.id.Key() != id.Key() }))
}
