package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/broker"
)

// pool is the view of one host pool; see the package's comment.
type pool struct {
	id arm.ResourceID

	note       sync.Mutex                // guards what Changed notes, which must not wait for a decision
	staleHosts map[string]arm.ResourceID // rows to read again, by key
	staleModel bool

	mu     sync.Mutex // guards all below; held over reads of the store, never over writes
	loaded bool
	model  *deskyard.HostPool
	byKey  map[string]*member         // by key of the host's id
	byID   map[string]*member         // by object id in lower case
	order  []*member                  // by name
	list   []broker.Host              // the same, as decisions see them
	index  *broker.Index              // of pooled pools
	holds  map[string]map[string]bool // user -> object ids of hosts where the user has a slot
	looked time.Time                  // when a look at the states of all began last
	doubts map[*member]bool           // slots must be read again: a write of them failed
}

// member is a host of a pool.
type member struct {
	row   deskyard.SessionHost
	at    int                      // its place in order and list
	slots map[string]deskyard.Slot // by user
	power power
}

// power is what is known of a host's machine.
type power struct {
	off     bool      // it could be started
	at      time.Time // of that observation
	started time.Time // when a user's wish had it started last
}

func newPool(id arm.ResourceID) *pool {
	return &pool{id: id, staleHosts: map[string]arm.ResourceID{}}
}

func (p *pool) staleHost(id arm.ResourceID) {
	p.note.Lock()
	defer p.note.Unlock()
	p.staleHosts[id.Key()] = id
}

func (p *pool) stalePool() {
	p.note.Lock()
	defer p.note.Unlock()
	p.staleModel = true
}

// takeStale gives what was noted and forgets it: what is noted from now on is newer
// than what the caller reads.
func (p *pool) takeStale() (hosts map[string]arm.ResourceID, model bool) {
	p.note.Lock()
	defer p.note.Unlock()
	hosts, model = p.staleHosts, p.staleModel
	if len(hosts) > 0 {
		p.staleHosts = map[string]arm.ResourceID{}
	}
	p.staleModel = false
	return hosts, model
}

// errNoPool is answered for a pool that does not exist.
var errNoPool = errors.New("the host pool does not exist")

// rereadMost is how many changed rows are read one by one; beyond it, reading the whole
// pool takes less.
const rereadMost = 2000

// freshen brings the view up to date with the store. The caller holds p.mu.
func (s *Service) freshen(ctx context.Context, p *pool) error {
	hosts, model := p.takeStale()
	var err error
	if !p.loaded || len(hosts) > rereadMost {
		err = s.load(ctx, p)
	} else {
		err = s.reread(ctx, p, hosts, model)
	}
	if err != nil {
		p.loaded = false // whatever was half read is read again
		return fmt.Errorf("read host pool %s: %w", p.id, err)
	}
	return nil
}

func readPool(ctx context.Context, r deskyard.Reader, id arm.ResourceID) (*deskyard.HostPool, error) {
	row, err := r.Resource(ctx, id)
	if arm.IsMissing(err) {
		return nil, errNoPool
	}
	if err != nil {
		return nil, err
	}
	m := new(deskyard.HostPool)
	if err := json.Unmarshal(row.Properties, m); err != nil {
		return nil, fmt.Errorf("read stored properties of %s: %w", id, err)
	}
	return m, nil
}

// load reads the whole pool.
func (s *Service) load(ctx context.Context, p *pool) error {
	model, err := readPool(ctx, s.o.Store, p.id)
	if err != nil {
		if errors.Is(err, errNoPool) {
			s.forget(p.id)
		}
		return err
	}
	rows, err := s.o.Store.SessionHosts(ctx, deskyard.HostQuery{Pool: p.id})
	if err != nil {
		return err
	}
	slots, err := s.o.Store.Slots(ctx, deskyard.SlotQuery{Pool: p.id})
	if err != nil {
		return err
	}
	p.model, p.holds, p.doubts = model, map[string]map[string]bool{}, map[*member]bool{}
	former := p.byKey
	p.byKey, p.byID = make(map[string]*member, len(rows.Items)), make(map[string]*member, len(rows.Items))
	for _, h := range rows.Items {
		m := &member{row: h, slots: map[string]deskyard.Slot{}}
		if f := former[h.ID.Key()]; f != nil {
			m.power = f.power
		}
		p.byKey[h.ID.Key()], p.byID[strings.ToLower(h.ObjectID)] = m, m
	}
	for _, slot := range slots {
		p.hold(slot)
	}
	p.loaded = true
	s.arrange(p)
	for _, m := range p.order {
		if s.differs(m) { // sessions began or ended while nobody kept slots
			s.reported.note(m.row.ObjectID)
		}
	}
	return nil
}

// reread reads what changed.
func (s *Service) reread(ctx context.Context, p *pool, hosts map[string]arm.ResourceID, model bool) error {
	again := false
	if model {
		m, err := readPool(ctx, s.o.Store, p.id)
		if err != nil {
			if errors.Is(err, errNoPool) {
				s.forget(p.id)
			}
			return err
		}
		p.model, again = m, true
	}
	for key, id := range hosts {
		moved, err := s.rereadHost(ctx, p, key, id)
		if err != nil {
			return err
		}
		again = again || moved
	}
	for m := range p.doubts {
		if err := s.rereadSlots(ctx, p, m); err != nil {
			return err
		}
	}
	if again {
		s.arrange(p)
	}
	return nil
}

// rereadHost reads one host's row; moved says that the pool must be arranged anew.
func (s *Service) rereadHost(ctx context.Context, p *pool, key string, id arm.ResourceID) (moved bool, err error) {
	row, err := s.o.Store.SessionHost(ctx, id)
	m := p.byKey[key]
	switch {
	case arm.IsMissing(err):
		if m != nil {
			p.dropSlots(m)
			delete(p.byKey, key)
			delete(p.byID, strings.ToLower(m.row.ObjectID))
		}
		return m != nil, nil
	case err != nil:
		return false, err
	case m == nil:
		m = &member{row: row, slots: map[string]deskyard.Slot{}}
		p.byKey[key], p.byID[strings.ToLower(row.ObjectID)] = m, m
		return true, s.rereadSlots(ctx, p, m)
	case !strings.EqualFold(m.row.ObjectID, row.ObjectID): // another machine under its name
		p.dropSlots(m)
		delete(p.byID, strings.ToLower(m.row.ObjectID))
		m.row = row
		p.byID[strings.ToLower(row.ObjectID)] = m
		return true, s.rereadSlots(ctx, p, m)
	}
	m.row = row
	s.show(p, m, s.look(m))
	return false, nil
}

// rereadSlots reads the slots of one host.
func (s *Service) rereadSlots(ctx context.Context, p *pool, m *member) error {
	slots, err := s.o.Store.Slots(ctx, deskyard.SlotQuery{Host: m.row.ObjectID})
	if err != nil {
		return err
	}
	p.dropSlots(m)
	for _, slot := range slots {
		p.hold(slot)
	}
	delete(p.doubts, m)
	if m.at < len(p.order) && p.order[m.at] == m {
		s.show(p, m, s.look(m))
	}
	return nil
}

// arrange sorts the hosts and makes the index of a pooled pool anew.
func (s *Service) arrange(p *pool) {
	p.order = p.order[:0]
	for _, m := range p.byKey {
		p.order = append(p.order, m)
	}
	slices.SortFunc(p.order, func(a, b *member) int {
		return strings.Compare(strings.ToLower(a.row.ID.Name()), strings.ToLower(b.row.ID.Name()))
	})
	p.list = make([]broker.Host, len(p.order))
	for i, m := range p.order {
		m.at, p.list[i] = i, s.look(m)
	}
	p.index = nil
	if !p.model.Personal() {
		p.index = broker.NewIndex(p.model, p.list)
	}
	p.looked = s.now()
}

// powerFor is how long a look at a machine's power is believed: about as long as a
// user's patience between two tries.
const powerFor = 10 * time.Second

// startingFor bounds how long a machine that was started for a user counts as coming:
// the boot deadline of a slow machine.
const startingFor = 5 * time.Minute

// look is a host as decisions see it, at this moment.
func (s *Service) look(m *member) broker.Host {
	now := s.now()
	row := m.row
	if r, ok := s.o.Fleet.Report(row.ObjectID); ok {
		row.Report = r
	}
	lease := s.o.Fleet.Lease(row.ObjectID)
	h := broker.Host{ObjectID: row.ObjectID, Name: row.ID.Name(), AllowNewSession: row.AllowNewSession, AssignedUser: row.AssignedUser, Sessions: len(m.slots)}
	h.Status, h.StatusReason = row.Status(lease, now)
	coming := now.Sub(m.power.started) < startingFor
	// Its agent may be there before it has said that all is well.
	if !row.RevokedAt.IsZero() || lease.Alive(now) && (!coming || deskyard.Usable(h.Status)) {
		return h
	}
	switch {
	case coming:
		h.Startable, h.Status, h.StatusReason = true, deskyard.StatusShutdown, "The machine is being started."
	case m.power.off && now.Sub(m.power.at) < powerFor:
		h.Startable, h.Status, h.StatusReason = true, deskyard.StatusShutdown, "The machine is powered off."
	}
	return h
}

// show makes decisions see a host so.
func (s *Service) show(p *pool, m *member, h broker.Host) {
	if p.list[m.at] == h {
		return
	}
	p.list[m.at] = h
	if p.index != nil {
		p.index.Put(h)
	}
}

// lookMost is the largest pool of which all hosts are looked at for each refusal: it
// takes half a millisecond. In a larger one what a host reports is seen at once too, for
// the store tells of it; only that a host is heard again after a silence is not.
const lookMost = 512

// lookFor is how long the states of hosts of a large pool that were not picked are
// believed when somebody is to be refused.
const lookFor = time.Second

// lookAll looks at the states of all hosts. The caller holds p.mu.
func (s *Service) lookAll(p *pool) {
	for _, m := range p.order {
		s.show(p, m, s.look(m))
	}
	p.looked = s.now()
}

// unseen reports whether somebody is to be refused on states that are too old for that.
// The caller holds p.mu.
func (p *pool) unseen(now time.Time) bool {
	return len(p.order) > lookMost && now.Sub(p.looked) >= lookFor
}

// lookOver is lookAll for a large pool whose states are too old to refuse somebody. The
// caller does not hold p.mu: others decide meanwhile, on what was last seen.
func (s *Service) lookOver(p *pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.unseen(s.now()) {
		return // another did, or does
	}
	p.looked = s.now()
	const share = lookMost / 4 // looked at between two chances for others
	for i := 0; i < len(p.order); i++ {
		if i > 0 && i%share == 0 {
			p.mu.Unlock()
			p.mu.Lock()
			if !p.loaded {
				break // it is read again from the store
			}
		}
		if i < len(p.order) { // it may have been arranged anew
			s.show(p, p.order[i], s.look(p.order[i]))
		}
	}
}

// hold notes a slot; on a host that the view does not have it is nobody's.
func (p *pool) hold(slot deskyard.Slot) {
	host := strings.ToLower(slot.Host)
	m := p.byID[host]
	if m == nil {
		return
	}
	m.slots[slot.User] = slot
	if p.holds[slot.User] == nil {
		p.holds[slot.User] = map[string]bool{}
	}
	p.holds[slot.User][host] = true
}

// release forgets a user's slot on a host.
func (p *pool) release(host, user string) {
	host = strings.ToLower(host)
	if m := p.byID[host]; m != nil {
		delete(m.slots, user)
	}
	if delete(p.holds[user], host); len(p.holds[user]) == 0 {
		delete(p.holds, user)
	}
}

func (p *pool) dropSlots(m *member) {
	for user := range m.slots {
		p.release(m.row.ObjectID, user)
	}
}

// held are the hosts on which a user has a slot.
func (p *pool) held(user string) []string {
	var ids []string
	for id := range p.holds[user] {
		ids = append(ids, p.byID[id].row.ObjectID)
	}
	slices.Sort(ids)
	return ids
}
