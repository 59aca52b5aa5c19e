package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// A guest that boots keeps a processor busy; more of them than a host has processors for
// hinder each other, so that all come later than if some had waited: under emulation,
// where each of a guest's processors is a thread that spins for the others, twice as
// late. The figures are of guests at a time for each processor of the host.
const (
	bootsEmulated = 1
	bootsVirtual  = 4 // half of such a boot is its wait for the disk
	// bootBusy is how long a boot counts. One that has not come by then hangs more than
	// it works, and must not keep the others waiting until its deadline.
	bootBusy = 3 * time.Minute
)

// takeBoot has a machine begin its boot unless its host has enough that boot already:
// then it is false, with how many they are and how many processors the host has.
func (s *Service) takeBoot(id arm.ResourceID, host string) (ok bool, boot, processors int) {
	view, known := s.lastSeen(host)
	ms := s.machines
	ms.mu.Lock()
	defer ms.mu.Unlock()
	own := ms.ledger[id.Key()]
	if !known || own == nil {
		return true, 0, 0
	}
	now := s.now()
	for _, e := range ms.ledger {
		if e != own && e.place.Host == host && e.step == stepStarted && now.Before(e.bootBy.Add(bootBusy-s.o.BootDeadline)) {
			boot++
		}
	}
	most := view.caps.CPUs * bootsVirtual
	if view.caps.Accelerator == "tcg" {
		most = view.caps.CPUs * bootsEmulated
	}
	if boot >= most {
		return false, boot, view.caps.CPUs
	}
	own.step, own.bootBy = stepStarted, now.Add(s.o.BootDeadline) // until the row says so, or this turn fails
	return true, boot, view.caps.CPUs
}

// awaitBoot says what the machine waits for; the end of another's boot wakes it.
func (m *machineRun) awaitBoot(ctx context.Context, boot, processors int) error {
	return m.reason(ctx, fmt.Sprintf("Its machine is made. %d machines boot on '%s', which has %d processors: it starts when one of them is through. Nothing need be done.", boot, m.st.Place.Host, processors))
}

// bootOver wakes the first of the machines of a host that wait to boot: there is a place
// for one more.
func (s *Service) bootOver(host string) {
	waiting := s.machines.entries(func(e *ledgerEntry) bool { return e.step == stepMade && e.place.Host == host })
	if len(waiting) == 0 {
		return
	}
	first := slices.MinFunc(waiting, func(a, b ledgerEntry) int { return cmp.Compare(a.id.Key(), b.id.Key()) })
	s.Wake(deskyard.WorkMachine, first.id)
}
