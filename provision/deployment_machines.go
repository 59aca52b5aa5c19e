package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// plan is what a deployment would make, as far as machines need it: the rows that its
// bodies would become, read as if they stood.
type plan struct {
	deskyard.Reader                              // what stands
	rows            map[string]deskyard.Resource // by key
	later           map[string]bool              // keys of resources whose bodies are not known yet
	open            bool                         // a nested deployment is not known yet, nor what it makes
	order           []planned                    // machines, extensions and new interfaces, in the template's order
}

// planned is one resource of a plan, and where it stands in the template.
type planned struct {
	row deskyard.Resource
	at  step
}

// Resource reads what would stand. errNotYet: whether it would cannot be told.
func (p *plan) Resource(ctx context.Context, id arm.ResourceID) (deskyard.Resource, error) {
	if r, ok := p.rows[id.Key()]; ok {
		return r, nil
	}
	r, err := p.Reader.Resource(ctx, id)
	if arm.IsMissing(err) && (p.open || p.later[id.Key()]) {
		return r, errNotYet
	}
	return r, err
}

// add notes a resource with the row that it would become; nil is one that is not known yet.
func (p *plan) add(ctx context.Context, at step, row *deskyard.Resource) error {
	if row == nil {
		p.later[at.Target.Key()] = true
		return nil
	}
	switch strings.ToLower(row.ID.Type()) {
	case typeVM, typeInstance, typeVM + "/extensions", typeArc + "/extensions":
		p.order = append(p.order, planned{*row, at})
	case typeNIC, typeHCINIC:
		if there, err := exists(ctx, p.Reader, row.ID); there || err != nil {
			return err // it has its address, and says whose it is
		}
		p.order = append(p.order, planned{*row, at})
	}
	p.rows[row.ID.Key()] = *row
	return nil
}

// allotment hands out what there is to the machines of one deployment, one after
// another, without anybody having got anything.
type allotment struct {
	s      *Service
	fault  func(err error, at step) error
	stands map[string]ledgerEntry    // machines that stand or are asked for, by key
	asked  map[string][]askedMachine // those that need a place, by location
	where  []string                  // keys of asked, in the template's order
	loads  map[[2]string]load        // what was taken before, by host and availability set
	sets   map[string]int            // machines, by availability set
}

// askedMachine is a machine that needs a place.
type askedMachine struct {
	at   step
	need need
	new  bool // the usages do not have it yet
}

// machines checks the machines of a plan, each alone and all together: what would be
// told at the step of one of them is told before anything is made.
func (c *preflightCheck) machines(ctx context.Context, p *plan) error {
	if len(p.order) == 0 || len(c.s.o.Hypervisors) == 0 {
		return nil // machines are not made here, which the API says
	}
	if err := c.s.readLedger(ctx); err != nil {
		return err
	}
	a := &allotment{s: c.s, fault: c.fault, stands: map[string]ledgerEntry{}, asked: map[string][]askedMachine{}, loads: map[[2]string]load{}, sets: map[string]int{}}
	for _, e := range c.s.machines.entries(func(*ledgerEntry) bool { return true }) {
		a.stands[e.id.Key()] = e
	}
	subnets := addressWishes{}
	for _, m := range p.order {
		if len(c.faults) >= maxPreflightFaults {
			return nil
		}
		var err error
		switch strings.ToLower(m.row.ID.Type()) {
		case typeVM, typeInstance:
			err = a.machine(ctx, p, m)
		case typeNIC, typeHCINIC:
			subnets.add(m)
		default:
			err = c.s.admitExtension(&m.row)
		}
		if err := c.fault(err, m.at); err != nil {
			return err
		}
	}
	for _, w := range subnets.list {
		if err := c.fault(w.fits(ctx, p), w.at); err != nil {
			return err
		}
	}
	for _, location := range a.where {
		if err := a.hold(ctx, location); err != nil {
			return err
		}
	}
	return nil
}

// machine looks at a machine alone, and notes that it needs a place.
func (a *allotment) machine(ctx context.Context, p *plan, m planned) error {
	entry, stands := a.stands[m.row.ID.Key()]
	if stands && entry.place.Host != "" {
		return nil
	}
	f, err := readMachine(ctx, p, m.row)
	if err != nil {
		return err
	}
	n, err := a.s.examine(ctx, p, m.row.ID, f, a.sets[setKey(f)])
	if err != nil {
		return err
	}
	if n.set != "" {
		a.sets[n.set]++
	}
	if a.asked[n.location] == nil {
		a.where = append(a.where, n.location)
	}
	a.asked[n.location] = append(a.asked[n.location], askedMachine{m.at, n, !stands || entry.step != stepNew})
	return nil
}

// hold holds the machines that need a place in a location to its quotas, and, where
// these have room, to its hosts.
func (a *allotment) hold(ctx context.Context, location string) error {
	list := a.asked[location]
	more := map[string]int64{}
	for _, m := range list {
		more[quotaCores] += int64(m.need.cpus)
		if m.new {
			more[quotaMachines]++
		}
	}
	views := a.s.askAll(ctx, location)
	over := false
	for _, u := range a.s.usages(location) {
		if err := overQuota(u, location, more[u.Name]); err != nil {
			over = true
			if err := a.fault(err, list[0].at); err != nil {
				return err
			}
		}
	}
	if over {
		return nil
	}
	var given []place
	together := false // is told once: those behind do not fit either
	for _, m := range list {
		host, reasons, waits := a.s.choose(m.need, views, func(host string) load { return a.load(host, m.need.set, given) })
		if host != "" || waits {
			given = append(given, m.need.at(host))
			continue
		}
		if together {
			continue
		}
		together = len(given) > 0
		if err := a.fault(noRoom(m, reasons, len(given)), m.at); err != nil {
			return err
		}
	}
	return nil
}

// noRoom is why no host takes a machine beside those before it.
func noRoom(m askedMachine, reasons []string, before int) error {
	err := noHost(m.at.Target, m.need, reasons, false)
	var refused *arm.Error
	if before == 0 || !errors.As(err, &refused) {
		return err
	}
	counted := *refused
	counted.Message += fmt.Sprintf(" The %d machines of this deployment before it are counted.", before)
	return &counted
}

// load is what a host would carry with the machines before.
func (a *allotment) load(host, set string, before []place) load {
	l, known := a.loads[[2]string{host, set}]
	if !known {
		l = a.s.machines.loadOf(host, set, arm.ResourceID{})
		a.loads[[2]string{host, set}] = l
	}
	for _, g := range before {
		if g.Host == host {
			l.add(g, set)
		}
	}
	return l
}

// addressWish is how many addresses a deployment's new interfaces take of a subnet.
type addressWish struct {
	subnet arm.ResourceID
	count  int
	at     step // of the first of them
}

// addressWishes are those of all subnets, in the template's order.
type addressWishes struct{ list []addressWish }

// add notes what an interface takes.
func (w *addressWishes) add(m planned) {
	var nic nicProperties
	if readProperties(m.row, &nic) != nil {
		return // of a form that the API has refused
	}
	for _, config := range nic.Configs {
		subnet := parsed(config.Properties.Subnet.ID)
		if subnet.IsZero() {
			continue
		}
		i := slices.IndexFunc(w.list, func(have addressWish) bool { return have.subnet.Key() == subnet.Key() })
		if i < 0 {
			i, w.list = len(w.list), append(w.list, addressWish{subnet: subnet, at: m.at})
		}
		w.list[i].count++
	}
}

// fits refuses more addresses than the subnet has left.
func (w addressWish) fits(ctx context.Context, p *plan) error {
	subnet, err := readSubnet(ctx, p, w.subnet.String())
	if err != nil {
		return err
	}
	free, err := freeAddresses(ctx, p, w.subnet.Subscription, subnet)
	if err != nil || free < 0 || w.count <= free {
		return err
	}
	return arm.Errorf(arm.Invalid, "SubnetIsFull",
		"Subnet %s does not have enough capacity for %d IP addresses: %d are free. Free some, choose a larger subnet, or make fewer machines.", w.subnet, w.count, free)
}
