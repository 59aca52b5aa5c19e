package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// change rewrites a connection's record.
func (s *Service) change(ctx context.Context, id string, f func(*deskyard.Connection)) error {
	return s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		c, err := tx.Connection(ctx, id)
		if err != nil {
			return err
		}
		f(&c)
		return tx.PutConnection(ctx, c)
	})
}

// abandon ends a connection that came to nothing after its decision: the record says
// why, and the place is given back unless a newer connection or a session has it.
func (s *Service) abandon(ctx context.Context, c deskyard.Connection, why error) error {
	var failure *deskyard.ConnectionFailure
	if !errors.As(why, &failure) {
		return why
	}
	// The client may be gone already; its place must be given back all the same.
	ctx = context.WithoutCancel(ctx)
	released := false
	err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		now, err := tx.Connection(ctx, c.ID)
		if err != nil {
			return err
		}
		if now.State != deskyard.ConnectionStarted {
			return nil
		}
		now.State, now.Failure, now.Ended = deskyard.ConnectionFailed, failure, s.now()
		if err := tx.PutConnection(ctx, now); err != nil {
			return err
		}
		released, err = tx.ReleaseSlot(ctx, deskyard.Slot{Host: c.HostID, User: c.User, Connection: c.ID, State: deskyard.SlotPending})
		return err
	})
	if err != nil {
		return errors.Join(failure, fmt.Errorf("record the end of connection %s: %w", c.ID, err))
	}
	if released {
		s.count.released.WithLabelValues("failed").Inc()
	}
	s.doubtSlots(c.Host)
	s.log.Info("connection failed", "connection", c.ID, "user", c.User, "host", c.Host, "symbol", failure.Symbol)
	return failure
}

// Connected implements deskyard.Brokerage. Telling it twice changes nothing.
func (s *Service) Connected(ctx context.Context, connection string, stages []deskyard.ConnectionStage) error {
	err := s.change(ctx, connection, func(c *deskyard.Connection) {
		if c.State == deskyard.ConnectionStarted {
			c.State = deskyard.ConnectionConnected
			c.Stages = withStages(c.Stages, stages)
		}
	})
	if err != nil {
		return fmt.Errorf("record that connection %s stands: %w", connection, err)
	}
	s.log.Info("connection stands", "connection", connection)
	return nil
}

// withStages adds stages that are not there yet.
func withStages(have, more []deskyard.ConnectionStage) []deskyard.ConnectionStage {
	const most = 32 // a gateway names a handful
	for _, m := range more {
		known := false
		for _, h := range have {
			known = known || h.Name == m.Name
		}
		if !known && len(have) < most {
			have = append(have, m)
		}
	}
	return have
}

// Ended implements deskyard.Brokerage. The first word counts; a repeated one, or one of
// a connection whose record is no longer kept, is no error.
func (s *Service) Ended(ctx context.Context, e deskyard.ConnectionEnd) error {
	var host arm.ResourceID
	if e.At.IsZero() {
		e.At = s.now()
	}
	err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		c, err := tx.Connection(ctx, e.Connection)
		if arm.IsMissing(err) || err == nil && !c.Ended.IsZero() {
			return nil
		}
		if err != nil {
			return err
		}
		host = c.Host
		end(&c, e)
		if err := tx.PutConnection(ctx, c); err != nil {
			return err
		}
		// The host may be about to report the session that the connection left behind,
		// or there is none: the place is kept a moment longer.
		slot := deskyard.Slot{User: deskyard.SlotUser(c.User), Connection: c.ID}
		slots, err := tx.Slots(ctx, deskyard.SlotQuery{Host: c.HostID})
		if err != nil {
			return err
		}
		for _, now := range slots {
			switch {
			case now.User != slot.User || now.Connection != slot.Connection:
			case now.State == deskyard.SlotPending:
				now.Due = s.now().Add(afterEnd)
				return tx.PutSlot(ctx, now)
			case !now.Due.IsZero(): // nobody is connecting any more: the place goes with the session
				now.Due = time.Time{}
				return tx.PutSlot(ctx, now)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the end of connection %s: %w", e.Connection, err)
	}
	if !host.IsZero() {
		s.doubtSlots(host)
		s.log.Info("connection ended", "connection", e.Connection, "host", host, "reason", e.Reason,
			"fromClient", e.Traffic.FromClient, "fromHost", e.Traffic.FromHost)
	}
	return nil
}

// settleFor is how long a gateway's report may lack a connection that it has: longer
// than any takes from the decision to its first bytes.
const settleFor = 2 * time.Minute

// Relaying implements deskyard.Brokerage.
func (s *Service) Relaying(ctx context.Context, r deskyard.RelayReport) error {
	s.heard.note(r.Gateway, s.now())
	known, err := s.o.Store.Connections(ctx, deskyard.ConnectionQuery{Relayer: r.Gateway})
	if err != nil {
		return fmt.Errorf("look what gateway %s relays: %w", r.Gateway, err)
	}
	live := make(map[string]bool, len(r.Connections))
	for _, id := range r.Connections {
		live[strings.ToLower(id)] = true
	}
	var errs []error
	for _, c := range known.Items {
		if live[strings.ToLower(c.ID)] || !r.Fresh && s.now().Sub(c.Started) < settleFor {
			continue
		}
		errs = append(errs, s.Ended(ctx, deskyard.ConnectionEnd{Connection: c.ID, At: s.now(), Reason: "error: gateway " + r.Gateway + " was restarted, or cut off, and has it no more"}))
	}
	return errors.Join(errs...)
}

// asked are the ends that somebody wished for, but not the user.
var asked = map[string]string{
	"gateway stopping": "The gateway %s was stopped. The session goes on; connect again to return to it.",
	"administrator":    "An administrator disconnected the session from gateway %s. Connect again to return to it, or ask your administrator.",
	"idle":             "Nothing crossed gateway %s for so long that the connection was ended. The session goes on; connect again to return to it.",
}

// end completes a record. What ended by a fault, or by somebody else's wish than the
// user's, says so.
func end(c *deskyard.Connection, e deskyard.ConnectionEnd) {
	e.Reason = clip(e.Reason)
	c.Ended, c.EndReason, c.Traffic, c.Stages = e.At, e.Reason, e.Traffic, withStages(c.Stages, e.Stages)
	detail, faulty := strings.CutPrefix(e.Reason, "error: ")
	// A gateway that could not tell that bytes flow tells it with their end.
	ready := slices.ContainsFunc(e.Stages, func(s deskyard.ConnectionStage) bool { return s.Name == deskyard.StageReady })
	switch {
	case c.State == deskyard.ConnectionConnected || ready:
		c.State = deskyard.ConnectionCompleted
		if faulty {
			c.Failure = failure(NetworkDisconnect, 0, "The connection broke: %s. The session goes on; connect again to return to it.", detail)
		}
		if words := asked[e.Reason]; words != "" {
			c.Failure = failure(NetworkDisconnect, 0, words, c.Gateway)
		}
	case faulty:
		c.State, c.Failure = deskyard.ConnectionFailed, failure(Broken, 0, "The connection broke before the desktop came up: %s. Connect again.", detail)
	default:
		c.State, c.Failure = deskyard.ConnectionFailed, failure(ClientDisconnect, 0, "The connection ended before the desktop came up: %s.", e.Reason)
	}
	explainEnd(c)
}

// Explain is the record of a connection.
func (s *Service) Explain(ctx context.Context, id string) (deskyard.Connection, error) {
	return s.o.Store.Connection(ctx, id)
}

// Connections lists records, newest first.
func (s *Service) Connections(ctx context.Context, q deskyard.ConnectionQuery) (deskyard.Page[deskyard.Connection], error) {
	return s.o.Store.Connections(ctx, q)
}

// Outcome is what a connection would come to.
type Outcome struct {
	User     string
	Resource Resource
	Decision deskyard.Decision
	Failure  *deskyard.ConnectionFailure // nil: Decision names the host
	Starts   string                      // with Failure: the host that would be started
	Assigns  bool                        // the personal desktop would become the user's
}

// WhatIf decides as Connect would, for every resource that the user may open in a pool
// (of all pools where it is zero), and changes nothing.
func (s *Service) WhatIf(ctx context.Context, user string, pool arm.ResourceID) ([]Outcome, error) {
	p, err := s.o.People.Principal(ctx, user)
	if err != nil {
		return nil, err
	}
	workspaces, err := s.Resources(ctx, p)
	if err != nil {
		return nil, err
	}
	var all []Outcome
	seen := map[string]bool{}
	for _, w := range workspaces {
		for _, r := range w.Resources {
			if seen[r.ID.Key()] || !pool.IsZero() && !r.Pool.Equal(pool) {
				continue
			}
			seen[r.ID.Key()] = true
			o, err := s.rehearse(ctx, p.Name, r)
			if err != nil {
				return nil, err
			}
			all = append(all, o)
		}
	}
	return all, nil
}

// rehearse decides without taking anything.
func (s *Service) rehearse(ctx context.Context, user string, r Resource) (Outcome, error) {
	p := s.view(r.Pool)
	for asked, looked := false, false; ; {
		p.mu.Lock()
		if err := s.freshen(ctx, p); err != nil {
			p.mu.Unlock()
			return Outcome{}, err
		}
		result := s.place(p, user)
		if result.Host == nil && !looked && p.unseen(s.now()) {
			p.mu.Unlock()
			s.lookOver(p)
			looked = true
			continue
		}
		o := Outcome{User: user, Resource: r, Decision: result.Decision, Failure: result.Failure, Assigns: result.Assign}
		if why := closed(p.model); why != nil {
			o.Failure, o.Decision.Host = why, ""
		}
		if result.Start != nil {
			o.Starts = result.Start.Name
		}
		var ask map[string]arm.ResourceID
		if on := p.model.StartVMOnConnect; on != nil && *on && result.Host == nil && !asked && s.o.Machines != nil {
			ask = s.sleepers(p, user)
		}
		p.mu.Unlock()
		if len(ask) == 0 {
			return o, nil
		}
		s.wake(ctx, p, ask)
		asked = true
	}
}

// Pending are the slots whose sessions the hosts have not reported, by the hosts' object
// ids, as the sessions in state Pending that they are to an administrator.
func (s *Service) Pending(ctx context.Context, q deskyard.SlotQuery) (map[string][]deskyard.UserSession, error) {
	slots, err := s.o.Store.Slots(ctx, q)
	if err != nil {
		return nil, err
	}
	all := map[string][]deskyard.UserSession{}
	for _, slot := range slots {
		if slot.State == deskyard.SlotPending {
			all[slot.Host] = append(all[slot.Host], deskyard.UserSession{ID: pendingID(slot.User), ObjectID: slot.Connection, User: slot.User,
				State: deskyard.SlotPending, ApplicationType: KindDesktop, CreateTime: slot.Since})
		}
	}
	return all, nil
}

// Disconnect ends the relay of the connection through which a user is on a host; the
// session stays. It is for hosts that cannot be told. It answers whether there was one.
func (s *Service) Disconnect(ctx context.Context, hostObjectID, user string) (bool, error) {
	slots, err := s.o.Store.Slots(ctx, deskyard.SlotQuery{Host: hostObjectID})
	if err != nil || s.relays == nil {
		return false, err
	}
	for _, slot := range slots {
		if slot.User == deskyard.SlotUser(user) && slot.Connection != "" {
			return s.relays.Disconnect(slot.Connection, "administrator"), nil
		}
	}
	return false, nil
}

// Release gives a user's pending place on a host back, and ends the connection that it
// was reserved for, relay and all. Where there is none, nothing is to be done.
func (s *Service) Release(ctx context.Context, hostObjectID, user string) error {
	slots, err := s.o.Store.Slots(ctx, deskyard.SlotQuery{Host: hostObjectID})
	if err != nil {
		return err
	}
	for _, slot := range slots {
		if slot.User != deskyard.SlotUser(user) || slot.State != deskyard.SlotPending {
			continue
		}
		if s.relays != nil { // its user may be at the host's own sign-in page
			s.relays.Disconnect(slot.Connection, "administrator")
		}
		err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
			gone, err := tx.ReleaseSlot(ctx, slot)
			if err != nil || !gone {
				return err
			}
			c, err := tx.Connection(ctx, slot.Connection)
			if arm.IsMissing(err) || err == nil && c.State != deskyard.ConnectionStarted {
				return nil
			}
			if err != nil {
				return err
			}
			c.State, c.Ended = deskyard.ConnectionFailed, s.now()
			c.Failure = failure(ClientDisconnect, 0, "An administrator ended the session before it began.")
			return tx.PutConnection(ctx, c)
		})
		if err != nil {
			return fmt.Errorf("release the place of %s on host %s: %w", user, hostObjectID, err)
		}
		s.count.released.WithLabelValues("administrator").Inc()
	}
	return s.doubtHost(ctx, hostObjectID)
}

// pendingID is a number for a session that has none yet: the same each time it is
// listed, and above those that hosts give.
func pendingID(user string) int {
	h := uint32(2166136261) // FNV-1a
	for i := range len(user) {
		h = (h ^ uint32(user[i])) * 16777619
	}
	return 1<<30 | int(h&(1<<30-1))
}
