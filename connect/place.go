package connect

import (
	"context"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/broker"
)

// place decides on the view as it is. The caller holds p.mu. What is decided on is what
// the picked host is like at this moment: one whose state has changed since it was last
// looked at is looked at again, and the decision made anew.
func (s *Service) place(p *pool, user string) broker.Result {
	r := broker.Request{User: user, Sessions: p.held(deskyard.SlotUser(user))}
	if len(r.Sessions) == 0 && p.index != nil {
		if result, ok := s.pick(p, r); ok {
			return result
		}
	}
	for tries := 0; ; tries++ {
		s.lookAll(p, tries > 0)
		result := broker.Place(broker.Snapshot{Pool: p.model, Hosts: p.list, At: p.looked}, r)
		if tries > 0 || result.Host != nil && s.current(p, result.Host) {
			return result
		}
	}
}

// nearby is how many hosts the record of a decision names where that many could have
// taken the session: enough to see the order, and short, for records are most of what a
// storm of users has the disk take.
const nearby = 16

// pick is place for a large pooled pool and a user without a session: the index knows
// the host, and the record needs the nearest of the others only. It has no answer where
// fewer hosts than that can take the session.
func (s *Service) pick(p *pool, r broker.Request) (broker.Result, bool) {
	for {
		slot := p.index.Pick()
		if slot == nil {
			return broker.Result{}, false
		}
		if host := slot.Host; !s.current(p, &host) {
			continue
		}
		near := p.index.Nearest(nearby)
		if len(near) < nearby {
			return broker.Result{}, false
		}
		result := broker.Place(broker.Snapshot{Pool: p.model, Hosts: near, At: s.now()}, r)
		result.Decision.Considered = p.index.Len()
		return result, true
	}
}

// current reports whether the host still is as the decision saw it, and otherwise shows
// the view what it is now.
func (s *Service) current(p *pool, h *broker.Host) bool {
	m := p.byID[strings.ToLower(h.ObjectID)]
	now := s.look(m)
	if now == *h {
		return true
	}
	s.show(p, m, now)
	return false
}

// maxPowerLooks bounds how many machines one connection has the hypervisors asked about:
// the first by name that could serve are what is started.
const maxPowerLooks = 32

// sleepers are the hosts of which it matters whether their machines are powered off:
// those that are not up and that this user could get once they are.
func (s *Service) sleepers(p *pool, user string) map[string]arm.ResourceID {
	now := s.now()
	ask := map[string]arm.ResourceID{}
	own := false // the user has a host: only that one counts
	for _, h := range p.list {
		own = own || p.model.Personal() && strings.EqualFold(h.AssignedUser, user)
	}
	for i, m := range p.order {
		h := &p.list[i]
		mine := strings.EqualFold(h.AssignedUser, user)
		switch {
		case deskyard.Usable(h.Status) || !h.AllowNewSession || now.Sub(m.power.at) < powerFor:
		case p.model.Personal() && (own && !mine || !own && h.AssignedUser != ""):
		case len(ask) == maxPowerLooks:
			return ask
		default:
			if vm, ok := machineOf(m.row); ok {
				ask[strings.ToLower(m.row.ObjectID)] = vm
			}
		}
	}
	return ask
}

// machineOf is the resource whose work makes the host's machine.
func machineOf(h deskyard.SessionHost) (arm.ResourceID, bool) {
	id, err := arm.ParseID(h.ResourceID)
	if err != nil || h.ResourceID == "" {
		return arm.ResourceID{}, false
	}
	if strings.EqualFold(id.Type(), deskyard.TypeHybridMachine) {
		id = id.Provider("Microsoft.AzureStackHCI", "virtualMachineInstances", "default")
	}
	return id, true
}

// wake looks which of the machines are powered off; the view then knows. It asks
// hypervisors, so the caller does not hold p.mu.
func (s *Service) wake(ctx context.Context, p *pool, ask map[string]arm.ResourceID) {
	ids := make([]arm.ResourceID, 0, len(ask))
	for _, id := range ask {
		ids = append(ids, id)
	}
	live := s.o.Machines.Live(ctx, ids...)
	p.mu.Lock()
	defer p.mu.Unlock()
	for host, id := range ask {
		m := p.byID[host]
		if m == nil {
			continue
		}
		m.power.at = s.now()
		switch live[id.Key()].Power {
		case "stopped", "deallocated", "hibernated":
			m.power.off = true
			if m.power.at.Sub(m.power.started) > refusedAfter {
				m.power.started = time.Time{} // it was refused, or did not hold: the next user's wish tries again
			}
		case "starting":
			m.power.off = true
			m.power.started = m.power.at
		default:
			m.power.off = false
		}
		if p.loaded {
			s.show(p, m, s.look(m))
		}
	}
}

// refusedAfter is how long an order to start may go without the machine starting.
const refusedAfter = 30 * time.Second

// starter is whom machines are started by when a user connects.
var starter = deskyard.Principal{Name: "Start VM on connect", Kind: "Application"}

// start has a host's machine started, unless somebody's wish just did.
func (s *Service) start(ctx context.Context, p *pool, h *broker.Host) error {
	p.mu.Lock()
	m := p.byID[strings.ToLower(h.ObjectID)]
	if m == nil || s.now().Sub(m.power.started) < startingFor {
		p.mu.Unlock()
		return nil
	}
	m.power.started = s.now() // at once: of those who come now one starts it
	vm, ok := machineOf(m.row)
	p.mu.Unlock()
	if !ok {
		return nil
	}
	err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		_, err := s.o.Machines.Submit(ctx, tx, deskyard.Job{Kind: deskyard.WorkMachine, Verb: deskyard.JobStart, ID: vm, Caller: starter})
		return err
	})
	if err != nil {
		p.mu.Lock()
		m.power.started = m.power.started.Add(-startingFor)
		p.mu.Unlock()
		return err
	}
	s.o.Machines.Wake(deskyard.WorkMachine, vm)
	s.log.Info("machine started for a user", "host", h.Name, "machine", vm)
	return nil
}
