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
// looked at is looked at again, and the decision made anew. So are all hosts of a small
// pool before anybody is refused; those of a large one are looked at as lookOver says.
func (s *Service) place(p *pool, user string) broker.Result {
	r := broker.Request{User: user, Sessions: p.held(deskyard.SlotUser(user))}
	var held []string
	for _, id := range r.Sessions {
		m := p.byID[strings.ToLower(id)]
		s.show(p, m, s.look(m))
		held = append(held, m.row.ID.Name())
	}
	if p.model.Personal() {
		for i := range p.list {
			if m := p.order[i]; strings.EqualFold(p.list[i].AssignedUser, user) {
				s.show(p, m, s.look(m))
			}
		}
	}
	for looked := false; ; {
		result := s.choose(p, r, held)
		switch {
		case result.Host != nil && !s.current(p, result.Host):
		case result.Host != nil || looked || len(p.order) > lookMost:
			return result
		default:
			s.lookAll(p)
			looked = true
		}
	}
}

// choose decides on what was last seen of the hosts.
func (s *Service) choose(p *pool, r broker.Request, held []string) broker.Result {
	if p.index != nil {
		return p.index.Place(r, held, nearby, s.now())
	}
	return broker.Place(broker.Snapshot{Pool: p.model, Hosts: p.list, At: s.now()}, r)
}

// nearby is how many hosts the record of a decision names where that many could have
// taken the session: enough to see the order, and short, for records are most of what a
// storm of users has the disk take.
const nearby = 16

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
