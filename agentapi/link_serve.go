package agentapi

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/reverse"
)

// link is one connected host.
type link struct {
	*reverse.Frames
	host     string // object id
	id       string // ARM id
	pool     *pool
	os, arch string
	next     string // epoch handed out
	beat     atomic.Int64
	rtt      atomic.Int64 // microseconds, as the agent measured
	since    time.Time    // when it came up

	state   sync.Mutex // guards what follows
	told    bool       // what to install, on this link
	report  deskyard.HostReport
	online  bool // EverOnline is stored
	update  deskyard.UpdateRecord
	metrics *reverse.Metrics
	taken   time.Time                      // when metrics came
	waiting map[string]chan reverse.Result // commands under way; nil when none ever was
	seq     uint64
	closed  bool
}

// newLink makes the link of h. It copies what it keeps: the record's strings share
// the memory of the whole stored document.
func newLink(f *reverse.Frames, h deskyard.SessionHost, p *pool, next string, now time.Time) *link {
	l := &link{
		Frames: f, host: strings.Clone(h.ObjectID), id: h.ID.String(), pool: p, next: next, since: now,
		os: known(h.Machine.OS), arch: known(h.Machine.Arch), online: h.EverOnline, update: h.Update,
	}
	l.update.State, l.update.Target, l.update.Error = strings.Clone(h.Update.State), strings.Clone(h.Update.Target), strings.Clone(h.Update.Error)
	l.report.Sessions = slices.Clone(h.Report.Sessions) // shown until the first report
	l.beat.Store(now.UnixNano())
	return l
}

// known gives a word of a closed set without the memory that it came in.
func known(word string) string {
	for _, w := range []string{"linux", "windows", "amd64", "arm64"} {
		if w == word {
			return w
		}
	}
	return ""
}

// serve reads a link until it ends.
func (s *Server) serve(l *link) {
	seen := func(op ws.OpCode, payload []byte) {
		l.beat.Store(s.now().UnixNano())
		if op == ws.OpPing {
			l.rtt.Store(reverse.BeatRTT(payload))
		}
	}
	for {
		op, payload, err := l.Read(deskyard.LeaseFor)
		if err == nil {
			seen(op, payload)
		}
		switch {
		case err != nil:
		case op == ws.OpPing:
			err = l.Write(ws.OpPong, payload)
		case op == ws.OpClose:
			err = reverse.ErrPeerClosed
		case op == ws.OpText:
			elsewhere(func() { err = s.receiveText(l, payload) })
		}
		if err != nil {
			s.leave(l, whyEnded(err))
			return
		}
	}
}

// elsewhere runs f in a goroutine of its own and waits for it. A stack that has
// once grown past 4 KiB does not shrink again while its goroutine waits in a read,
// so the ones that live as long as their links leave JSON and the store to others.
func elsewhere(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (s *Server) receiveText(l *link, payload []byte) error {
	m, err := reverse.Decode(payload, reverse.MaxFromAgent)
	if err != nil {
		return err
	}
	return s.receive(l, m)
}

// receive acts on one message; an error ends the link. Types that this version
// does not know are passed over.
func (s *Server) receive(l *link, m reverse.Message) error {
	switch m.Type {
	case reverse.TypeConfirm:
		return s.confirm(l, m)
	case reverse.TypeReport:
		return s.report(l, m)
	case reverse.TypeResult:
		var r reverse.Result
		if err := m.Into(&r); err != nil {
			return err
		}
		l.answer(m.ID, r)
	case reverse.TypeMetrics:
		var x reverse.Metrics
		if err := m.Into(&x); err != nil {
			return err
		}
		l.state.Lock()
		l.metrics, l.taken = &x, s.now()
		l.state.Unlock()
	case reverse.TypeStopping:
		s.stopping(l)
	case reverse.TypeSeen:
		s.seen(l, m)
	}
	return nil
}

func (s *Server) confirm(l *link, m reverse.Message) error {
	var c reverse.Confirm
	if err := m.Into(&c); err != nil {
		return err
	}
	if c.Epoch != l.next {
		return fmt.Errorf("the agent confirmed epoch %q, not the one it was given", c.Epoch)
	}
	s.ledger.note(l.host, func(h *deskyard.SessionHost) {
		if h.NextEpoch == c.Epoch {
			h.Epoch, h.NextEpoch = c.Epoch, ""
		}
	})
	return nil
}

// report takes a report. It is stored only when it differs from the last one in
// more than its times.
func (s *Server) report(l *link, m reverse.Message) error {
	var r deskyard.HostReport
	if err := m.Into(&r); err != nil {
		return err
	}
	if err := boundedReport(r); err != nil {
		return err
	}
	now := s.now()
	r.At = now
	l.state.Lock()
	before := l.report
	l.report = r
	probe := deskyard.SessionHost{Report: r, Update: l.update}
	status, _ := probe.Status(deskyard.Lease{Connected: true, Heartbeat: now}, now)
	first := !l.online && (status == deskyard.StatusAvailable || status == deskyard.StatusNeedsAssistance)
	l.online = l.online || first
	l.state.Unlock()
	if first {
		s.log.Info("host available", "host", l.id, "status", status)
	}
	if first || !sameReport(before, r) {
		s.ledger.note(l.host, func(h *deskyard.SessionHost) { reported(h, r, now) })
	}
	s.tellSessions(l.host, before, r)
	s.considerUpdate(l)
	return nil
}

// reported is what a changed report changes in a host's record.
func reported(h *deskyard.SessionHost, r deskyard.HostReport, now time.Time) {
	lease := deskyard.Lease{Connected: true, Heartbeat: now}
	was, _ := h.Status(lease, now)
	h.Report, h.LastSeen = r, now
	is, _ := h.Status(lease, now)
	if is != was {
		h.StatusAt = now
	}
	if is == deskyard.StatusAvailable || is == deskyard.StatusNeedsAssistance {
		h.EverOnline = true
	}
}

// stopping notes that the machine itself goes down, which the lease cannot tell
// from a failure.
func (s *Server) stopping(l *link) {
	now := s.now()
	l.state.Lock()
	before := l.report
	l.report.Stopping = true
	after := l.report
	l.state.Unlock()
	s.tellSessions(l.host, before, after)
	s.log.Info("host stopping", "host", l.id)
	s.ledger.note(l.host, func(h *deskyard.SessionHost) { h.Report.Stopping, h.LastSeen, h.StatusAt = true, now, now })
}

// leave ends a link: its commands fail, and unless a newer link has taken over the
// host's lease ends with it.
func (s *Server) leave(l *link, why string) {
	l.Cut()
	l.state.Lock()
	l.closed = true
	last := l.report
	for id, c := range l.waiting {
		close(c)
		delete(l.waiting, id)
	}
	l.state.Unlock()
	if !s.links.remove(l) {
		return
	}
	now := s.now()
	s.log.Info("link down", "host", l.id, "why", why)
	down := func(h *deskyard.SessionHost) {
		if h.NextEpoch == l.next || h.Epoch == l.next { // no newer link since
			h.LastSeen, h.StatusAt = now, now
		}
	}
	if last.Stopping || len(last.Checks) > 0 { // it reported on this link
		s.ledger.noteLast(l.host, last, down)
	} else {
		s.ledger.note(l.host, down)
	}
}

// bye announces the end of the link and closes it; its goroutine then leaves.
func (l *link) bye(reason string, after time.Duration) {
	if l.Send(reverse.TypeBye, "", reverse.Bye{Reason: reason, RetryAfterSeconds: int(after / time.Second)}) == nil {
		l.Close(ws.StatusGoingAway, reason)
		return
	}
	l.Cut()
}

// Bounds on the lists of a report.
const (
	maxChecks     = 64
	maxSessions   = 1000
	maxComponents = 32
)

func boundedReport(r deskyard.HostReport) error {
	if len(r.Checks) > maxChecks || len(r.Sessions) > maxSessions || len(r.Components) > maxComponents {
		return fmt.Errorf("the report lists %d checks, %d sessions and %d components; at most %d, %d and %d are allowed",
			len(r.Checks), len(r.Sessions), len(r.Components), maxChecks, maxSessions, maxComponents)
	}
	return nil
}

// sameReport reports whether two reports say the same at different times.
func sameReport(a, b deskyard.HostReport) bool { return reflect.DeepEqual(timeless(a), timeless(b)) }

func timeless(r deskyard.HostReport) deskyard.HostReport {
	r.At = time.Time{}
	checks := make([]deskyard.HealthCheck, len(r.Checks))
	for i, c := range r.Checks {
		c.At = time.Time{}
		checks[i] = c
	}
	r.Checks = checks
	return r
}

func whyEnded(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "no heartbeat for " + deskyard.LeaseFor.String()
	}
	return err.Error()
}
