package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// reports are the hosts whose sessions changed and whose slots have not followed yet.
type reports struct {
	mu    sync.Mutex // guards hosts
	hosts map[string]bool
	wake  chan struct{} // one place: Run is to look
}

func (r *reports) note(host string) {
	r.keep(host)
	r.look()
}

// look has Run look.
func (r *reports) look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// keep notes a host for the next look, and has nobody look.
func (r *reports) keep(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hosts == nil {
		r.hosts = map[string]bool{}
	}
	r.hosts[host] = true
}

func (r *reports) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for h := range r.hosts {
		all = append(all, h)
	}
	r.hosts = nil
	return all
}

// SessionsChanged tells that a host reported other sessions than before, or a host's
// first report. It returns at once; Run has the slots follow.
func (s *Service) SessionsChanged(hostObjectID string) {
	s.reported.note(strings.ToLower(hostObjectID))
}

// Settle has the slots of hosts follow what these reported, and writes down what hosts
// said of connections. Run calls it. What could not be written is tried again with the
// next report or sweep.
func (s *Service) Settle(ctx context.Context) {
	s.writeSeen(ctx)
	for _, host := range s.reported.take() {
		if err := s.follow(ctx, host); err != nil {
			s.reported.keep(host)
			if ctx.Err() == nil {
				s.log.Error("slots do not follow the host's sessions", "host", host, "err", err)
			}
		}
	}
}

// sessionsOf are the sessions that a host last reported; known is false where it could
// not tell, or is not up.
func (s *Service) sessionsOf(h deskyard.SessionHost) (sessions []deskyard.UserSession, known bool) {
	report := h.Report
	if r, ok := s.o.Fleet.Report(h.ObjectID); ok {
		report = r
	}
	if report.Stopping {
		return nil, true // its sessions end with it
	}
	return report.Sessions, report.SessionsKnown
}

// differs reports whether the host's slots are not as its sessions want them.
func (s *Service) differs(m *member) bool {
	sessions, known := s.sessionsOf(m.row)
	if !known {
		return false
	}
	var slots []deskyard.Slot
	for _, slot := range m.slots {
		slots = append(slots, slot)
	}
	put, gone := follow(slots, sessions, m.row.ObjectID, s.now())
	return len(put)+len(gone) > 0
}

// follow makes one host's slots what its sessions say.
func (s *Service) follow(ctx context.Context, host string) error {
	h, err := s.o.Store.SessionHostByObjectID(ctx, host)
	if arm.IsMissing(err) {
		return nil // its slots went with it
	}
	if err != nil {
		return err
	}
	sessions, known := s.sessionsOf(h)
	if !known {
		return nil
	}
	before, err := s.o.Store.Slots(ctx, deskyard.SlotQuery{Host: host})
	if err != nil {
		return err
	}
	if put, gone := follow(before, sessions, h.ObjectID, s.now()); len(put)+len(gone) == 0 {
		return nil
	}
	var after []deskyard.Slot
	err = s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		slots, err := tx.Slots(ctx, deskyard.SlotQuery{Host: host})
		if err != nil {
			return err
		}
		put, gone := follow(slots, sessions, h.ObjectID, s.now())
		for _, slot := range gone {
			if _, err := tx.ReleaseSlot(ctx, slot); err != nil {
				return err
			}
		}
		for _, slot := range put {
			if err := tx.PutSlot(ctx, slot); err != nil {
				return err
			}
		}
		after = apply(slots, put, gone)
		return nil
	})
	if err != nil {
		return fmt.Errorf("follow the sessions of %s: %w", h.ID, err)
	}
	for _, slot := range before {
		if !slices.ContainsFunc(after, func(a deskyard.Slot) bool { return a.User == slot.User }) {
			s.count.released.WithLabelValues("session ended").Inc()
		}
	}
	s.doubtSlots(h.ID)
	return nil
}

// doubtSlots has the view read a host's slots again.
func (s *Service) doubtSlots(host arm.ResourceID) {
	s.mu.Lock()
	p := s.pools[host.Parent().Key()]
	s.mu.Unlock()
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.byKey[host.Key()]; m != nil && p.loaded {
		p.doubts[m] = true
	}
}

func apply(slots, put, gone []deskyard.Slot) []deskyard.Slot {
	left := slices.DeleteFunc(slices.Clone(slots), func(a deskyard.Slot) bool {
		return slices.ContainsFunc(append(slices.Clone(put), gone...), func(b deskyard.Slot) bool { return a.User == b.User })
	})
	return append(left, put...)
}

// follow compares a host's slots with its sessions: put are slots to write, gone those
// to release. Each session makes its user's slot active, or gets one; an active slot
// without a session is released, unless its user is just connecting again: then it is
// pending once more.
func follow(slots []deskyard.Slot, sessions []deskyard.UserSession, host string, now time.Time) (put, gone []deskyard.Slot) {
	left := make(map[string]deskyard.Slot, len(slots))
	for _, slot := range slots {
		left[slot.User] = slot
	}
	sessions = slices.Clone(sessions)
	slices.SortFunc(sessions, func(a, b deskyard.UserSession) int {
		return cmp.Or(a.CreateTime.Compare(b.CreateTime), cmp.Compare(a.ID, b.ID))
	})
	users := principals(slots, sessions)
	seen := map[string]int{}
	for _, u := range sessions {
		key := holder(u, users)
		if seen[key]++; seen[key] > 1 {
			key += another + strconv.Itoa(seen[key]) // a user's second session takes a place too
		}
		slot, has := left[key]
		delete(left, key)
		switch {
		case !has:
			put = append(put, deskyard.Slot{Host: host, User: key, State: deskyard.SlotActive, Since: now})
		case slot.State != deskyard.SlotActive:
			slot.State, slot.Due = deskyard.SlotActive, time.Time{}
			put = append(put, slot)
		}
	}
	for _, slot := range slots { // in their order, for the same outcome each time
		if _, is := left[slot.User]; !is || slot.State != deskyard.SlotActive {
			continue
		}
		if slot.Due.After(now) {
			slot.State = deskyard.SlotPending
			put = append(put, slot)
			continue
		}
		gone = append(gone, slot)
	}
	return put, gone
}

// another goes between a user and the number of the user's second and further slot on a
// host; no principal name has it.
const another = " #"

// principals are the users that slots and sessions name by principal name, by the part
// before the @.
func principals(slots []deskyard.Slot, sessions []deskyard.UserSession) map[string]string {
	users := map[string]string{}
	add := func(user string) {
		user, _, _ = strings.Cut(user, another)
		if local, _, ok := strings.Cut(user, "@"); ok && (users[local] == "" || user < users[local]) {
			users[local] = user
		}
	}
	for _, s := range slots {
		add(s.User)
	}
	for _, u := range sessions {
		add(deskyard.SlotUser(u.User))
	}
	return users
}

// holder is the user whose slot a session takes. Hosts name their users by principal
// name; where one knows accounts of its own only, a session is that of the user whose
// name begins like the account.
func holder(u deskyard.UserSession, users map[string]string) string {
	name := deskyard.SlotUser(cmp.Or(u.User, u.Account))
	if strings.Contains(name, "@") {
		return name
	}
	return cmp.Or(users[name[strings.LastIndexByte(name, '\\')+1:]], name)
}

// Times of the sweep.
const (
	// afterEnd is how long a slot outlives its connection, for the host to report the
	// session that it may have left: two reports.
	afterEnd = 15 * time.Second
	// signInFor is how long a user may look at the host's own sign-in page before the
	// place is given to others: the longest that AVD keeps its placeholder.
	signInFor = 5 * time.Minute
)

// Sweep gives back the slots whose time is over and ends the records of connections
// that never came to be, or whose gateway is gone. Run calls it.
func (s *Service) Sweep(ctx context.Context) error {
	s.Settle(ctx)
	due, err := s.o.Store.Slots(ctx, deskyard.SlotQuery{DueBy: s.now()})
	if err != nil {
		return err
	}
	var errs []error
	for _, slot := range due {
		errs = append(errs, s.sweepSlot(ctx, slot))
	}
	return errors.Join(append(errs, s.sweepRelayed(ctx))...)
}

// sweepSlot decides about one slot whose time is over.
func (s *Service) sweepSlot(ctx context.Context, slot deskyard.Slot) error {
	c, err := s.o.Store.Connection(ctx, slot.Connection)
	if err != nil && !arm.IsMissing(err) {
		return err
	}
	now := s.now()
	aborted := false
	err = s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		aborted = false
		switch {
		case slot.State == deskyard.SlotActive: // nobody is connecting any more; the session stays
			slot := slot
			slot.Due = time.Time{}
			return s.unlessMoved(ctx, tx, slot, func() error { return tx.PutSlot(ctx, slot) })
		case c.State == deskyard.ConnectionConnected && now.Sub(slot.Since) < signInFor:
			slot := slot
			slot.Due = slot.Since.Add(signInFor)
			return s.unlessMoved(ctx, tx, slot, func() error { return tx.PutSlot(ctx, slot) })
		}
		gone, err := tx.ReleaseSlot(ctx, slot)
		if err != nil || !gone || c.State != deskyard.ConnectionStarted {
			return err
		}
		aborted = true
		c.State, c.Ended = deskyard.ConnectionFailed, now
		c.Failure = failure(ClientDisconnect, 0, "The client did not go on with the connection within %s.", slotFor)
		return tx.PutConnection(ctx, c)
	})
	if err != nil {
		return fmt.Errorf("sweep the slot of %s on host %s: %w", slot.User, slot.Host, err)
	}
	if aborted {
		s.count.released.WithLabelValues("aborted").Inc()
		s.log.Info("connection aborted by its client", "connection", c.ID, "user", c.User, "host", c.Host)
	}
	return s.doubtHost(ctx, slot.Host)
}

// unlessMoved does f if the slot still belongs to the same connection in the same state.
func (s *Service) unlessMoved(ctx context.Context, tx deskyard.Tx, slot deskyard.Slot, f func() error) error {
	all, err := tx.Slots(ctx, deskyard.SlotQuery{Host: slot.Host})
	if err != nil {
		return err
	}
	for _, now := range all {
		if now.User == slot.User && now.Connection == slot.Connection && now.State == slot.State {
			return f()
		}
	}
	return nil
}

// doubtHost is doubtSlots for a host known by its object id.
func (s *Service) doubtHost(ctx context.Context, host string) error {
	h, err := s.o.Store.SessionHostByObjectID(ctx, host)
	if arm.IsMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	s.doubtSlots(h.ID)
	return nil
}
