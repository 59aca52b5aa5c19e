package agentapi

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/reverse"
)

// updateTick is how often hosts that do not report are considered: windows open on
// the hour, so a minute's delay costs nothing.
const updateTick = time.Minute

// DesiredMessage is the body of reverse.TypeDesired.
type DesiredMessage struct {
	Components []bootloader.Desired `json:"components"`
}

// pool is what all links of a host pool share.
type pool struct {
	id     arm.ResourceID
	policy atomic.Pointer[updatePolicy]
}

// offer remembers what the catalogue desires, so that ten thousand reports at once
// ask it a handful of times.
type offer struct {
	mu   sync.Mutex // guards made
	made map[offerKey]offerMade
}

type offerKey struct {
	os, arch   string
	validation bool
}

type offerMade struct {
	at      time.Time
	desired []bootloader.Desired
}

func (s *Server) desired(ctx context.Context, os, arch string, validation bool) ([]bootloader.Desired, error) {
	k, now := offerKey{os, arch, validation}, s.now()
	s.offers.mu.Lock()
	defer s.offers.mu.Unlock()
	if o, ok := s.offers.made[k]; ok && now.Sub(o.at) < updateTick/2 {
		return o.desired, nil
	}
	d, err := s.o.Components.Desired(ctx, os, arch, validation)
	if err != nil {
		return nil, err
	}
	if s.offers.made == nil {
		s.offers.made = map[offerKey]offerMade{}
	}
	s.offers.made[k] = offerMade{now, d}
	return d, nil
}

// keepUpdating considers every linked host each minute, with its pool's policy of
// that minute.
func (s *Server) keepUpdating() {
	tick := time.NewTicker(updateTick)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		for _, p := range s.links.linkedPools() {
			if err := s.refresh(p); err != nil {
				s.log.Error("update policy not read", "pool", p.id, "err", err)
			}
		}
		for _, l := range s.links.all() {
			s.considerUpdate(l)
		}
	}
}

// refresh reads a pool's update policy anew.
func (s *Server) refresh(p *pool) error {
	ctx, cancel := context.WithTimeout(s.ctx, requestTime)
	defer cancel()
	r, err := s.o.Store.Resource(ctx, p.id)
	if arm.IsMissing(err) {
		return nil // its hosts are being dropped
	}
	if err != nil {
		return err
	}
	props, err := poolProperties(r)
	if err != nil {
		return err
	}
	policy := policyFrom(props)
	p.policy.Store(&policy)
	return nil
}

func policyFrom(p deskyard.HostPool) updatePolicy {
	return updatePolicy{agentUpdate: p.AgentUpdate, validation: p.ValidationEnvironment != nil && *p.ValidationEnvironment}
}

// UpdateNow implements deskyard.Updater.
func (s *Server) UpdateNow(objectID string) (deskyard.UpdateRecord, error) {
	l := s.links.get(objectID)
	if l == nil {
		return deskyard.UpdateRecord{}, deskyard.ErrHostUnreachable
	}
	if err := s.refresh(l.pool); err != nil {
		return deskyard.UpdateRecord{}, fmt.Errorf("read the update policy of %s: %w", l.pool.id, err)
	}
	s.consider(l, true)
	l.state.Lock()
	defer l.state.Unlock()
	return l.update, nil
}

// considerUpdate decides on the link's host by its pool's policy.
func (s *Server) considerUpdate(l *link) { s.consider(l, false) }

// consider decides on the link's host, stores a changed record and tells the host what to
// install. asked is an administrator's word that it be now.
func (s *Server) consider(l *link, asked bool) {
	policy := l.pool.policy.Load()
	if policy == nil {
		return // the pool could not be read yet; the next tick tries again
	}
	var desired []bootloader.Desired
	if s.o.Components != nil {
		var err error
		if desired, err = s.desired(s.ctx, l.os, l.arch, policy.validation); err != nil {
			s.log.Error("desired components not known", "host", l.id, "err", err)
			return
		}
	}
	l.state.Lock()
	if l.report.At.Before(l.since) { // no report on this link yet
		l.state.Unlock()
		return
	}
	u := updateCase{
		now: s.now(), record: l.update, components: l.report.Components, desired: desired,
		policy: policy.agentUpdate, offset: l.report.TimeZoneOffset, asked: asked,
	}
	next, push := decideUpdate(u)
	if push == nil && next.State == updateStarted && !l.told {
		push = u.behind() // the link broke after the start: tell it again
	}
	l.told = l.told || push != nil
	changed := next != l.update
	l.update = next
	l.state.Unlock()
	if changed {
		s.log.Info("update "+next.State, "host", l.id, "target", next.Target, "attempts", next.Attempts, "why", next.Error)
		s.ledger.note(l.host, func(h *deskyard.SessionHost) { h.Update, h.StatusAt = next, next.At })
	}
	if push == nil {
		return
	}
	if err := l.Send(reverse.TypeDesired, "", DesiredMessage{push}); err != nil {
		s.log.Warn("desired components not sent", "host", l.id, "err", err) // the link ends and the next one tells them
	}
}
