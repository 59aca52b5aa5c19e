package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
)

// Times of watching.
const (
	watchEvery  = 15 * time.Second       // machines and hosts are looked at this often
	guestLook   = 250 * time.Millisecond // guests that are awaited: a look into memory
	observeTime = 10 * time.Second       // for a hypervisor to say what it has
	fullFor     = time.Minute            // a host that turned out full is not asked again so soon
	observers   = 8                      // machines of one host looked at together
)

// machines is what the service knows in memory of machines and their hosts. All of
// it can be made again of the rows and the hypervisors.
type machines struct {
	metrics *machineMetrics
	slots   map[string]chan struct{} // by hypervisor: driver calls at a time
	placing sync.Mutex               // held from the choice of a host until it is written down

	mu     sync.Mutex                 // guards what follows
	ledger map[string]*ledgerEntry    // by resource key; nil before it was read
	hosts  map[string]hostView        // by hypervisor, as it last answered
	fulls  map[string]time.Time       // hypervisors that had no room, and when
	missed map[string]map[string]bool // by hypervisor: machines not yet looked at since it was lost
}

// ledgerEntry is a machine as far as placement and watching need it.
type ledgerEntry struct {
	id        arm.ResourceID
	place     place
	machineID string
	step      machineStep
	bootBy    time.Time // of a machine that boots
	power     string
	problem   string
	orders    int
}

// hostView is a hypervisor as it last answered.
type hostView struct {
	caps compute.Capabilities
	err  error
	at   time.Time
}

func newMachines(o Options) *machines {
	m := &machines{
		metrics: newMachineMetrics(o.Registry), slots: map[string]chan struct{}{}, hosts: map[string]hostView{},
		fulls: map[string]time.Time{}, missed: map[string]map[string]bool{},
	}
	for _, h := range o.Hypervisors {
		m.slots[h.Name] = make(chan struct{}, o.Parallel)
	}
	return m
}

// note keeps the ledger as the row is.
func (ms *machines) note(id arm.ResourceID, st machineState) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.ledger == nil {
		return // not read yet: the row will be
	}
	ms.ledger[id.Key()] = entryOf(id, st)
}

func entryOf(id arm.ResourceID, st machineState) *ledgerEntry {
	return &ledgerEntry{id: id, place: st.Place, machineID: st.MachineID, step: st.Step, bootBy: st.BootBy, power: st.Seen.Power, problem: st.Seen.Problem, orders: len(st.Orders)}
}

func (ms *machines) forget(id arm.ResourceID) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	delete(ms.ledger, id.Key())
	for _, missed := range ms.missed {
		delete(missed, id.Key())
	}
}

func (ms *machines) full(host string, at time.Time) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.fulls[host] = at
}

// missedSince reports whether a machine has not been looked at since its host was
// lost, or since this service began.
func (ms *machines) missedSince(host string, id arm.ResourceID) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.missed[host][id.Key()]
}

func (ms *machines) looked(id arm.ResourceID) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, missed := range ms.missed {
		delete(missed, id.Key())
	}
}

// read fills the ledger from the rows, once.
func (s *Service) readLedger(ctx context.Context) error {
	s.machines.mu.Lock()
	defer s.machines.mu.Unlock()
	if s.machines.ledger != nil {
		return nil
	}
	rows, err := s.o.Store.Works(ctx, deskyard.WorkQuery{Kind: deskyard.WorkMachine})
	if err != nil {
		return fmt.Errorf("read the machines that there are: %w", err)
	}
	ledger := map[string]*ledgerEntry{}
	for _, w := range rows.Items {
		st, _, err := s.openMachine(deskyard.Work{ID: w.ID, State: w.State})
		if err != nil {
			return err
		}
		ledger[w.ID.Key()] = entryOf(w.ID, st)
		if st.Place.Host != "" && st.Step == stepReady {
			s.machines.miss(st.Place.Host, w.ID)
		}
	}
	s.machines.ledger = ledger
	return nil
}

// miss notes that nobody looked at a machine; mu is held.
func (ms *machines) miss(host string, id arm.ResourceID) {
	if ms.missed[host] == nil {
		ms.missed[host] = map[string]bool{}
	}
	ms.missed[host][id.Key()] = true
}

// entries are the ledger's, copied.
func (ms *machines) entries(keep func(*ledgerEntry) bool) []ledgerEntry {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var list []ledgerEntry
	for _, e := range ms.ledger {
		if keep(e) {
			list = append(list, *e)
		}
	}
	return list
}

// hypervisor finds a configured host by name.
func (s *Service) hypervisor(name string) (Hypervisor, bool) {
	for _, h := range s.o.Hypervisors {
		if h.Name == name {
			return h, true
		}
	}
	return Hypervisor{}, false
}

// onHost does something with a hypervisor's machines, of which only so many are
// worked on at a time.
func (s *Service) onHost(ctx context.Context, h Hypervisor, f func(ctx context.Context) error) error {
	slot := s.machines.slots[h.Name]
	select {
	case slot <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-slot }()
	return f(ctx)
}

// watch keeps what is known of machines true until ctx ends: it wakes those whose
// guests arrived, looks at machines that their hosts tell of, and at every host and
// machine time and again. A host that is slow to answer keeps no guest waiting.
func (s *Service) watch(ctx context.Context) {
	if err := s.recall(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("machines not recalled; their work goes on as it is due", "err", err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { repeat(ctx, guestLook, s.greet) })
	for _, h := range s.o.Hypervisors {
		if w, tells := h.Driver.(compute.Watcher); tells {
			wg.Go(func() { s.listen(ctx, h, w) })
		}
	}
	s.lookAround(ctx)
	repeat(ctx, watchEvery, func() { s.lookAround(ctx) })
}

// listen looks at what a host tells of, when it tells it, until ctx ends. The telling
// waits for no look: what is told meanwhile is gathered, each machine once.
func (s *Service) listen(ctx context.Context, h Hypervisor, w compute.Watcher) {
	var mu sync.Mutex // guards told
	told := map[string]bool{}
	news := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		err := w.Watch(ctx, func(id string) {
			mu.Lock()
			told[id] = true
			mu.Unlock()
			select {
			case news <- struct{}{}:
			default: // there are some already
			}
		})
		if ctx.Err() == nil {
			s.log.Error("hypervisor tells of no changes any more; its machines are looked at as they are due", "hypervisor", h.Name, "every", watchEvery, "err", err)
		}
	})
	for {
		select {
		case <-ctx.Done():
			return
		case <-news:
		}
		mu.Lock()
		ids := told
		told = map[string]bool{}
		mu.Unlock()
		s.lookAtMachines(ctx, h, func(e *ledgerEntry) bool { return ids[""] || ids[e.machineID] })
	}
}

// repeat does something time and again until ctx ends.
func repeat(ctx context.Context, every time.Duration, f func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// recall takes up what the last process left: work that was asked for and whose wake
// was lost with it, and metadata, which guests are told again.
func (s *Service) recall(ctx context.Context) error {
	if err := s.readLedger(ctx); err != nil {
		return err
	}
	for _, e := range s.machines.entries(func(*ledgerEntry) bool { return true }) {
		if e.orders > 0 || e.step != stepReady && e.step != stepFailed {
			s.Wake(deskyard.WorkMachine, e.id)
		}
		if err := s.describeAgain(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) describeAgain(ctx context.Context, e ledgerEntry) error {
	if s.o.Guests == nil || e.step != stepReady {
		return nil
	}
	row, err := s.o.Store.Resource(ctx, e.id)
	if arm.IsMissing(err) {
		s.Wake(deskyard.WorkMachine, e.id)
		return nil
	}
	if err != nil {
		return err
	}
	m := &machineRun{s: s, id: e.id, row: row, st: machineState{MachineID: e.machineID}}
	if m.facts, err = readMachine(ctx, s.o.Store, row); err != nil {
		var refused *arm.Error
		if errors.As(err, &refused) {
			return nil // what it names is gone; its next turn says so
		}
		return err
	}
	s.o.Guests.Describe(e.machineID, m.metadata())
	return nil
}

// greet wakes the machines whose guests have arrived.
func (s *Service) greet() {
	if s.o.Guests == nil {
		return
	}
	for _, e := range s.machines.entries(func(e *ledgerEntry) bool { return e.step == stepStarted }) {
		if s.o.Guests.Connected(e.machineID) {
			s.Wake(deskyard.WorkMachine, e.id)
		}
	}
}

// lookAround looks at every host and its machines; hosts do not wait for each other.
func (s *Service) lookAround(ctx context.Context) {
	var wg sync.WaitGroup
	for _, h := range s.o.Hypervisors {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, watchEvery)
			defer cancel()
			if s.lookAtHost(ctx, h) {
				s.lookAtMachines(ctx, h, func(*ledgerEntry) bool { return true })
			}
		})
	}
	wg.Wait()
}

// lookAtHost asks a host for what it has, and reports whether it answered. One that
// is back has the work gone on with that waited for it.
func (s *Service) lookAtHost(ctx context.Context, h Hypervisor) bool {
	before, _ := s.view(h.Name)
	v := s.askHost(ctx, h)
	if before.err != nil && v.err == nil {
		s.log.Info("hypervisor answers again", "hypervisor", h.Name)
		for _, e := range s.machines.entries(func(e *ledgerEntry) bool {
			return (e.place.Host == h.Name || e.place.Host == "") && (e.orders > 0 || e.step != stepReady && e.step != stepFailed)
		}) {
			s.Wake(deskyard.WorkMachine, e.id)
		}
	}
	if v.err != nil {
		s.log.Warn("hypervisor does not answer", "hypervisor", h.Name, "err", v.err)
	}
	return v.err == nil
}

// view is what a host last answered, if it was asked.
func (s *Service) view(host string) (hostView, bool) {
	s.machines.mu.Lock()
	defer s.machines.mu.Unlock()
	v, asked := s.machines.hosts[host]
	return v, asked
}

// askHost asks a host what it is and has, and remembers it for those who must not wait.
func (s *Service) askHost(ctx context.Context, h Hypervisor) hostView {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	caps, err := h.Driver.Capabilities(ctx)
	v := hostView{caps: caps, err: err, at: s.now()}
	s.machines.mu.Lock()
	defer s.machines.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		return v
	}
	if old, known := s.machines.hosts[h.Name]; known && old.err == nil && err != nil {
		for _, e := range s.machines.ledger {
			if e.place.Host == h.Name && e.step == stepReady {
				s.machines.miss(h.Name, e.id)
			}
		}
	}
	s.machines.hosts[h.Name] = v
	s.machines.metrics.host(h.Name, v)
	return v
}

// lookAtMachines wakes those of a host's machines that are not as they were seen last.
// Those that are cost their hypervisor a question and the store nothing.
func (s *Service) lookAtMachines(ctx context.Context, h Hypervisor, which func(*ledgerEntry) bool) {
	todo := make(chan ledgerEntry)
	var wg sync.WaitGroup
	for range observers {
		wg.Go(func() {
			for e := range todo {
				if s.looksChanged(ctx, h, e) {
					s.Wake(deskyard.WorkMachine, e.id)
				}
			}
		})
	}
	for _, e := range s.machines.entries(func(e *ledgerEntry) bool {
		return e.place.Host == h.Name && (e.step == stepReady || e.step == stepFailed) && which(e)
	}) {
		todo <- e
	}
	close(todo)
	wg.Wait()
}

func (s *Service) looksChanged(ctx context.Context, h Hypervisor, e ledgerEntry) bool {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	o, err := h.Driver.Observe(ctx, e.machineID)
	if ctx.Err() != nil {
		return false
	}
	power := e.power
	if power == powerDeallocated {
		power = powerStopped // off, to a hypervisor
	}
	st := machineState{Step: e.step}
	return st.sees(o, err, h.Name).Power != power || s.machines.missedSince(h.Name, e.id)
}
