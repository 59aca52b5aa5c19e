package connect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/broker"
)

// Ask is what comes with a user's wish to connect.
type Ask struct {
	Door   string // one of deskyard's Door names
	Client deskyard.ClientInfo
}

// Started is a connection that was decided: what a client needs to go on. With a
// *deskyard.ConnectionFailure only Connection is set, the id to ask about.
type Started struct {
	Connection string // its record, and the correlation id
	Ticket     string // for the gateway; a secret
	Expires    time.Time
	Host       string // the session host's name
	Resource   Resource
}

// slotFor is how long a reserved slot is kept for its user to sign in; AVD's placeholder
// lives 30 seconds to 5 minutes.
const slotFor = 2 * time.Minute

// errTaken is answered when a personal desktop has become another's meanwhile.
var errTaken = errors.New("the desktop was assigned to another user")

// Connect decides where the user's session is and reserves its place: record, slot and
// a personal desktop's assignment in one transaction. A refusal is a
// *deskyard.ConnectionFailure, recorded too. A user who has a session, or a place
// reserved a moment ago, gets that one.
func (s *Service) Connect(ctx context.Context, p deskyard.Principal, resource arm.ResourceID, ask Ask) (Started, error) {
	begin := time.Now()
	id, err := uuid.NewV7()
	if err != nil {
		return Started{}, fmt.Errorf("make the id of a connection: %w", err)
	}
	c := deskyard.Connection{ID: id.String(), UserID: p.ObjectID, User: p.Name, Resource: resource, Door: ask.Door, Client: clipped(ask.Client),
		State: deskyard.ConnectionStarted, Started: s.now()}
	started := Started{Connection: c.ID}
	r, err := s.entitled(ctx, p, resource)
	if err == nil {
		c.Resource, c.Pool = r.ID, r.Pool
		err = s.decide(ctx, &c, begin)
	} else {
		err = s.refused(ctx, &c, err)
	}
	result := "ok"
	var failure *deskyard.ConnectionFailure
	switch {
	case errors.As(err, &failure):
		result = failure.Symbol
	case err != nil:
		result = "error"
	}
	s.count.decision(ask.Door, result, time.Since(begin))
	if err != nil {
		return started, err
	}
	s.log.Info("connection decided", "connection", c.ID, "user", c.User, "host", c.Host, "rule", c.Decision.Rule)
	started.Host, started.Resource = c.Host.Name(), r
	started.Ticket, started.Expires = s.ticket(c)
	return started, nil
}

// clip bounds what others say of themselves before it is stored.
func clip(s string) string {
	const most = 256 // bytes; the longest names of devices and programs stay below it
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

func clipped(c deskyard.ClientInfo) deskyard.ClientInfo {
	return deskyard.ClientInfo{Name: clip(c.Name), OS: clip(c.OS), Type: clip(c.Type), Version: clip(c.Version), Address: clip(c.Address)}
}

// refused records a connection that ends before it began.
func (s *Service) refused(ctx context.Context, c *deskyard.Connection, err error) error {
	var failure *deskyard.ConnectionFailure
	if !errors.As(err, &failure) {
		return err
	}
	c.State, c.Failure, c.Ended = deskyard.ConnectionFailed, failure, s.now()
	if err := s.record(ctx, *c); err != nil {
		return err
	}
	s.log.Info("connection refused", "connection", c.ID, "user", c.User, "resource", c.Resource, "symbol", failure.Symbol)
	return failure
}

func (s *Service) record(ctx context.Context, c deskyard.Connection) error {
	return s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutConnection(ctx, c) })
}

// maxRaces bounds how often a decision is made anew because the place was taken: with
// one process on the database it happens after failed writes only.
const maxRaces = 20

// decide finds the host and reserves the place there.
func (s *Service) decide(ctx context.Context, c *deskyard.Connection, begin time.Time) error {
	p := s.view(c.Pool)
	for range maxRaces {
		result, limit, err := s.attempt(ctx, p, c.User)
		if errors.Is(err, errNoPool) {
			return s.refused(ctx, c, notAuthorized())
		}
		if err != nil {
			return err
		}
		c.Decision = &result.Decision
		c.Stages = []deskyard.ConnectionStage{{Name: "decide", Took: time.Since(begin)}}
		if result.Failure != nil {
			return s.none(ctx, p, c, result)
		}
		c.HostID, c.Host = result.Host.ObjectID, p.id.Child("sessionHosts", result.Host.Name)
		err = s.reserve(ctx, c, limit, result.Assign)
		s.settleAttempt(p, c, err)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, deskyard.ErrHostFull), errors.Is(err, errTaken), arm.IsMissing(err):
			continue // the view is read again and has the next candidate
		}
		return err
	}
	return s.refused(ctx, c, &deskyard.ConnectionFailure{Symbol: broker.NoHealthyHost, Code: codeOf(broker.NoHealthyHost), Retry: 5 * time.Second,
		Message: "No resources available. Every place that was found was taken by somebody else in the same moment. Try again."})
}

// attempt decides on the view and takes the place there, so that decisions made at the
// same moment see each other. limit is what the reservation must respect.
func (s *Service) attempt(ctx context.Context, p *pool, user string) (r broker.Result, limit int, err error) {
	for asked, looked := false, false; ; {
		p.mu.Lock()
		if err := s.freshen(ctx, p); err != nil {
			p.mu.Unlock()
			return broker.Result{}, 0, err
		}
		if why := closed(p.model); why != nil {
			p.mu.Unlock()
			return broker.Result{Failure: why, Decision: deskyard.Decision{Reason: why.Message, Snapshot: s.now()}}, 0, nil
		}
		r = s.place(p, user)
		if r.Host != nil {
			limit = s.take(p, r, user)
			p.mu.Unlock()
			return r, limit, nil
		}
		if !looked && p.unseen(s.now()) {
			p.mu.Unlock()
			s.lookOver(p)
			looked = true
			continue
		}
		var ask map[string]arm.ResourceID
		if on := p.model.StartVMOnConnect; on != nil && *on && !asked && s.o.Machines != nil {
			ask = s.sleepers(p, user)
		}
		p.mu.Unlock()
		if len(ask) == 0 {
			return r, 0, nil
		}
		s.wake(ctx, p, ask)
		asked = true
	}
}

// take notes in the view what is about to be written.
func (s *Service) take(p *pool, r broker.Result, user string) (limit int) {
	m := p.byID[strings.ToLower(r.Host.ObjectID)]
	key := deskyard.SlotUser(user)
	if _, has := m.slots[key]; !has {
		p.hold(deskyard.Slot{Host: r.Host.ObjectID, User: key, State: deskyard.SlotPending})
	}
	if r.Assign {
		m.row.AssignedUser = user
	}
	s.show(p, m, s.look(m))
	if m.slots[key].State == deskyard.SlotActive || p.model.Personal() {
		return deskyard.MaxSessionLimit // a session that exists is never refused; a personal desktop has no limit
	}
	return broker.Limit(p.model)
}

// reserve writes the decision.
func (s *Service) reserve(ctx context.Context, c *deskyard.Connection, limit int, assign bool) error {
	record, err := c.Record()
	if err != nil {
		return err
	}
	return s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		if assign {
			h, err := tx.SessionHost(ctx, c.Host)
			if err != nil {
				return err
			}
			if h.AssignedUser != "" && !strings.EqualFold(h.AssignedUser, c.User) {
				return errTaken
			}
			h.AssignedUser = c.User
			if _, err := tx.PutSessionHost(ctx, h); err != nil {
				return err
			}
		}
		slot := deskyard.Slot{Host: c.HostID, User: deskyard.SlotUser(c.User), Connection: c.ID, State: deskyard.SlotPending, Since: c.Started, Due: c.Started.Add(slotFor)}
		if err := tx.ReserveSlot(ctx, slot, limit); err != nil {
			return err
		}
		return tx.PutConnectionRecord(ctx, record)
	})
}

// settleAttempt makes the view agree with what became of the write.
func (s *Service) settleAttempt(p *pool, c *deskyard.Connection, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.byID[strings.ToLower(c.HostID)]
	if m == nil || !p.loaded {
		return // the view was read anew, after the write or to be read again
	}
	if err != nil {
		p.doubts[m] = true
		p.staleHost(c.Host)
		return
	}
	slot := m.slots[deskyard.SlotUser(c.User)]
	if slot.State == "" {
		slot = deskyard.Slot{Host: c.HostID, User: deskyard.SlotUser(c.User), State: deskyard.SlotPending}
	}
	slot.Connection, slot.Since, slot.Due = c.ID, c.Started, c.Started.Add(slotFor)
	p.hold(slot)
	s.show(p, m, s.look(m))
}

// none ends a decision that found no host, and starts one where that helps.
func (s *Service) none(ctx context.Context, p *pool, c *deskyard.Connection, r broker.Result) error {
	failure := *r.Failure
	if failure.Code == 0 {
		failure.Code = codeOf(failure.Symbol)
	}
	if r.Start != nil {
		c.Host, c.HostID = p.id.Child("sessionHosts", r.Start.Name), r.Start.ObjectID
		if err := s.start(ctx, p, r.Start); err != nil {
			s.log.Error("machine not started for a user", "host", r.Start.Name, "connection", c.ID, "err", err)
			failure = startFailed(r.Start.Name)
		}
	}
	return s.refused(ctx, c, &failure)
}
