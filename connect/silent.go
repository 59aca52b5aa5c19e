package connect

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// silentFor is how long a gateway may be silent, which reports each minute, before the
// hosts are believed about what it relays.
const silentFor = 3 * time.Minute

// heard is when each gateway last told what it relays.
type heard struct {
	mu     sync.Mutex // guards all below
	at     map[string]time.Time
	begun  time.Time // of the first look
	listed bool      // the gateways of records from before this process are in at
}

func (h *heard) note(gateway string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil {
		h.at = map[string]time.Time{}
	}
	h.at[gateway] = now
}

// silent are the gateways that were not heard of for long; all tells that there may be
// others, which this process has never heard of.
func (h *heard) silent(now time.Time) (names []string, all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.begun.IsZero() {
		h.begun = now
	}
	for name, at := range h.at {
		if now.Sub(at) >= silentFor {
			names = append(names, name)
		}
	}
	return names, !h.listed && now.Sub(h.begun) >= silentFor
}

// list adds a gateway of which there are records only.
func (h *heard) list(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil {
		h.at = map[string]time.Time{}
	}
	if _, is := h.at[name]; !is {
		h.at[name] = time.Time{}
	}
}

func (h *heard) done(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.at, name)
}

// sweepRelayed ends the records of what gateways relayed that are gone for good: those
// not heard of whose host has no client of the user's any more. A gateway that lives on
// and is only cut off from the service keeps the records of its sessions so.
func (s *Service) sweepRelayed(ctx context.Context) error {
	names, all := s.heard.silent(s.now())
	if all {
		known, err := s.o.Store.Connections(ctx, deskyard.ConnectionQuery{Relayer: deskyard.AnyRelayer})
		if err != nil {
			return err
		}
		for _, c := range known.Items {
			s.heard.list(c.Gateway)
		}
		s.heard.mu.Lock()
		s.heard.listed = true
		s.heard.mu.Unlock()
		names, _ = s.heard.silent(s.now())
	}
	var errs []error
	for _, name := range names {
		open, err := s.o.Store.Connections(ctx, deskyard.ConnectionQuery{Relayer: name})
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if len(open.Items) == 0 {
			s.heard.done(name)
		}
		for _, c := range open.Items {
			if over, err := s.hostHasNoClient(ctx, c); err != nil || !over {
				errs = append(errs, err)
				continue
			}
			errs = append(errs, s.Ended(ctx, deskyard.ConnectionEnd{Connection: c.ID, At: s.now(), Reason: "error: gateway " + name + " is not heard of any more, and no client is on the host"}))
		}
	}
	return errors.Join(errs...)
}

// hostHasNoClient reports whether a connection's host says that nobody looks at a session
// of its user; one that cannot be asked does not.
func (s *Service) hostHasNoClient(ctx context.Context, c deskyard.Connection) (bool, error) {
	h, err := s.o.Store.SessionHostByObjectID(ctx, c.HostID)
	if arm.IsMissing(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	sessions, known := s.sessionsOf(h)
	if !known {
		return false, nil
	}
	users := principals([]deskyard.Slot{{User: deskyard.SlotUser(c.User)}}, sessions)
	for _, u := range sessions {
		if u.State == deskyard.SlotActive && holder(u, users) == deskyard.SlotUser(c.User) {
			return false, nil
		}
	}
	return true, nil
}
