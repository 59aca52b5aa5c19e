package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
)

// place is where a machine is, and what it takes of the host there.
type place struct {
	Host     string `json:"host,omitempty"`
	CPUs     int    `json:"cpus,omitempty"`
	MemoryMB int    `json:"memoryMB,omitempty"`
	DiskGB   int    `json:"diskGB,omitempty"`
	Set      string `json:"set,omitempty"`      // key of its availability set
	Released bool   `json:"released,omitempty"` // deallocated: only its disk is there
}

// need is what a machine takes, and what its host must be able to do.
type need struct {
	location, zone         string
	cpus, memoryMB, diskGB int
	set                    string
	secureBoot, tpm        bool
	confidential           bool
	hibernate              bool
	refused                error // why its shape is not known
}

func (n need) at(host string) place {
	return place{Host: host, CPUs: n.cpus, MemoryMB: n.memoryMB, DiskGB: n.diskGB, Set: n.set}
}

// Ratios where a hypervisor's configuration says nothing.
const (
	defaultCPURatio = 4.0  // desktops are idle most of the time
	defaultMemRatio = 1.0  // memory is really taken
	diskRatio       = 10.0 // a linked clone takes what it writes, not what it shows
	leastDiskGB     = 2    // a host with less than this free takes nobody
)

// load is what machines take of a host.
type load struct {
	cpus, memoryMB, diskGB, machines int
	ofSet                            int // machines of the set in question
}

// backs reports whether a hypervisor makes machines for a location: one that names
// none does for all. A custom location may be named by its id or its last name.
func (h Hypervisor) backs(location string) bool {
	if len(h.Locations) == 0 {
		return true
	}
	name := location[strings.LastIndexByte(location, '/')+1:]
	return slices.ContainsFunc(h.Locations, func(l string) bool {
		return strings.EqualFold(l, location) || strings.EqualFold(l, name)
	})
}

// reserve chooses the host of a machine and has commit write it down before anybody
// else chooses. A machine whose host is written down never gets here again: that is
// why one that was under way when the service was killed is not made twice.
func (s *Service) reserve(ctx context.Context, id arm.ResourceID, n need, commit func(place) error) error {
	if n.refused != nil {
		return n.refused
	}
	if err := s.readLedger(ctx); err != nil {
		return err
	}
	views := s.askAll(ctx, n.location)
	s.machines.placing.Lock()
	defer s.machines.placing.Unlock()
	host, reasons, waits := s.choose(n, views, func(host string) load { return s.machines.loadOf(host, n.set, id) })
	if host == "" {
		return noHost(id, n, reasons, waits)
	}
	return commit(n.at(host))
}

// askAll asks the hosts of a location what they have, all at once.
func (s *Service) askAll(ctx context.Context, location string) map[string]hostView {
	type answer struct {
		name string
		view hostView
	}
	answers := make(chan answer)
	asked := 0
	for _, h := range s.o.Hypervisors {
		if h.backs(location) {
			asked++
			go func() { answers <- answer{h.Name, s.askHost(ctx, h)} }()
		}
	}
	views := map[string]hostView{}
	for range asked { // each of them answers: askHost has its own bound
		a := <-answers
		views[a.name] = a.view
	}
	return views
}

// candidate is a host that a machine fits on.
type candidate struct {
	host string
	load load
	free float64 // part of its memory that is not promised
}

// choose takes the best host, or tells each one's reason. waits is true when a host
// that does not answer might have taken it.
func (s *Service) choose(n need, views map[string]hostView, loadOf func(host string) load) (host string, reasons []string, waits bool) {
	var fits []candidate
	for _, h := range s.o.Hypervisors {
		if !h.backs(n.location) {
			continue
		}
		v, asked := views[h.Name]
		l := loadOf(h.Name)
		reason := ""
		switch {
		case !asked || v.err != nil:
			reason, waits = fmt.Sprintf("it does not answer (%v)", v.err), waits || n.zone == "" || n.zone == h.Zone
		case s.now().Sub(s.machines.fullSince(h.Name)) < fullFor:
			reason = "it had no room a moment ago"
		default:
			reason = h.refuses(n, v.caps, l)
		}
		if reason != "" {
			reasons = append(reasons, h.Name+": "+reason)
			continue
		}
		fits = append(fits, candidate{h.Name, l, 1 - float64(l.memoryMB)/float64(max(v.caps.MemoryMB, 1))})
	}
	if len(fits) == 0 {
		return "", reasons, waits
	}
	best := slices.MinFunc(fits, func(a, b candidate) int {
		switch {
		case a.load.ofSet != b.load.ofSet:
			return a.load.ofSet - b.load.ofSet // a set is spread: each host is a fault domain
		case a.free != b.free && a.free > b.free:
			return -1
		case a.free != b.free:
			return 1
		}
		return strings.Compare(a.host, b.host)
	})
	return best.host, nil, false
}

// refuses says why a host cannot take a machine; "" when it can.
func (h Hypervisor) refuses(n need, c compute.Capabilities, l load) string {
	cpus := int(float64(c.CPUs) * ratio(h.CPURatio, defaultCPURatio))
	memory := int(float64(c.MemoryMB) * ratio(h.MemRatio, defaultMemRatio))
	switch {
	case n.zone != "" && h.Zone != n.zone:
		return fmt.Sprintf("it is not in zone %s", n.zone)
	case n.confidential && c.Confidential == "":
		return "its hardware does not encrypt memory (AMD SEV-SNP, Intel TDX)"
	case n.secureBoot && !c.SecureBoot:
		return "it has no firmware with secure boot"
	case n.tpm && !c.TPM:
		return "it has no virtual TPM"
	case n.hibernate && !c.Hibernate:
		return "it cannot hibernate machines"
	case n.cpus > c.CPUs*max(1, int(ratio(h.CPURatio, defaultCPURatio))):
		return fmt.Sprintf("it has %d processors, %d are asked for", c.CPUs, n.cpus)
	case l.cpus+n.cpus > cpus:
		return fmt.Sprintf("%d of its %d virtual processors are promised, %d are asked for", l.cpus, cpus, n.cpus)
	case l.memoryMB+n.memoryMB > memory:
		return fmt.Sprintf("%d of its %d MiB of memory are promised, %d are asked for", l.memoryMB, memory, n.memoryMB)
	case c.FreeDiskGB < leastDiskGB:
		return fmt.Sprintf("its storage has %d GB free", c.FreeDiskGB)
	case float64(l.diskGB+n.diskGB) > float64(c.DiskGB)*diskRatio:
		return fmt.Sprintf("%d GB are promised on its %d GB of storage, %d are asked for", l.diskGB, c.DiskGB, n.diskGB)
	}
	return ""
}

func ratio(set, otherwise float64) float64 {
	if set > 0 {
		return set
	}
	return otherwise
}

// loadOf is what machines other than id take of a host.
func (ms *machines) loadOf(host, set string, id arm.ResourceID) load {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var l load
	for key, e := range ms.ledger {
		if e.place.Host != host || key == id.Key() {
			continue
		}
		l.add(e.place, set)
	}
	return l
}

// add adds what one machine takes.
func (l *load) add(p place, set string) {
	l.machines++
	l.diskGB += p.DiskGB
	if set != "" && p.Set == set {
		l.ofSet++
	}
	if !p.Released {
		l.cpus += p.CPUs
		l.memoryMB += p.MemoryMB
	}
}

// noHost is why no host takes a machine. While a host that might does not answer, the
// machine waits for it.
func noHost(id arm.ResourceID, n need, reasons []string, waits bool) error {
	if len(reasons) == 0 {
		return arm.Errorf(arm.Conflicting, "LocationNotBacked",
			"No hypervisor makes machines in '%s'. Add one for it to the file that --hypervisors names, or choose another location.", n.location)
	}
	why := strings.Join(reasons, "; ")
	if waits {
		return fmt.Errorf("place %s: %s: %w", id.Name(), why, compute.ErrUnreachable)
	}
	code := "AllocationFailed"
	if n.zone != "" {
		code = "ZonalAllocationFailed"
	}
	return arm.Errorf(arm.Conflicting, code, "No hypervisor of '%s' can take the machine '%s': %s. Remove or deallocate machines there, add a hypervisor, or ask for less.", n.location, id.Name(), why)
}

// reclaim takes the place of a machine that gave it up, on the host where its disk is.
func (s *Service) reclaim(ctx context.Context, id arm.ResourceID, had place, h Hypervisor, commit func(place) error) error {
	if err := s.readLedger(ctx); err != nil {
		return err
	}
	v := s.askHost(ctx, h)
	if v.err != nil {
		return fmt.Errorf("start %s on %s: %w", id.Name(), h.Name, v.err)
	}
	s.machines.placing.Lock()
	defer s.machines.placing.Unlock()
	l := s.machines.loadOf(h.Name, "", id)
	if why := h.refuses(need{cpus: had.CPUs, memoryMB: had.MemoryMB}, v.caps, l); why != "" {
		return arm.Errorf(arm.Conflicting, "AllocationFailed",
			"The hypervisor '%s', where the disk of '%s' is, has no room for it now: %s. Deallocate another machine there and try again.", h.Name, id.Name(), why)
	}
	had.Released = false
	return commit(had)
}

func (ms *machines) fullSince(host string) time.Time {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.fulls[host]
}
