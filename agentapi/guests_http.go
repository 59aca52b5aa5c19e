package agentapi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

// guestRoutes are the paths of package reverse, "Where guests are answered".
func (s *Server) guestRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST "+reverse.GuestEnrollPath, guestHandler(s, guestStranger, s.guestEnroll))
	mux.HandleFunc("POST "+reverse.GuestHelloPath, guestHandler(s, guestStranger, s.guestHello))
	mux.HandleFunc("POST "+reverse.GuestOpenPath, guestHandler(s, guestStranger, s.guestOpen))
	mux.HandleFunc("POST "+reverse.GuestPollPath, guestHandler(s, guestKnown, s.guestPoll))
	mux.HandleFunc("POST "+reverse.GuestResultPath, guestHandler(s, guestKnown, s.guestResult))
	mux.HandleFunc("POST "+reverse.GuestSignInPath, guestHandler(s, guestKnown, s.guestSignIn))
}

// Who calls: a stranger is held to the rate of registrations from one address.
const (
	guestStranger = true
	guestKnown    = false
)

// guestHandler decodes and validates a body, and answers in JSON.
func guestHandler[T any](s *Server, limited bool, handle func(r *http.Request, body T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if limited && !s.sources.allow(s.sources.trusted.Client(r)) {
			problem(w, s.log, arm.Errorf(arm.Throttled, "TooManyRequests", "Too many requests from this address. Come again in some seconds."))
			return
		}
		answer, err := decodeGuest(w, r, handle)
		if err != nil {
			problem(w, s.log, err)
			return
		}
		reply(w, http.StatusOK, answer)
	}
}

func decodeGuest[T any](w http.ResponseWriter, r *http.Request, handle func(r *http.Request, body T) (any, error)) (any, error) {
	invalid := func(err error) error {
		return arm.Errorf(arm.Invalid, "INVALID_FORM", "The request cannot be read: %v.", err)
	}
	var body T
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, reverse.MaxFromGuest)).Decode(&body); err != nil {
		return nil, invalid(err)
	}
	if v, ok := any(body).(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return nil, invalid(err)
		}
	}
	return handle(r, body)
}

// errNotInvited is the one answer to every way in which an invitation does not hold,
// so that nobody learns which machines there are.
var errNotInvited = arm.Errorf(arm.Forbidden, "InvitationNotValid",
	"The invitation is not valid: it was used, has expired, or is for another machine. Delete the machine and make it again.")

// guestEnroll takes the machine's key for its invitation. A guest whose answer was
// lost asks again with the same key.
func (s *Server) guestEnroll(r *http.Request, e reverse.GuestEnroll) (any, error) {
	facts, err := decodeMachine(e.Machine)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(facts.SMBIOSID, e.MachineID) {
		return nil, errNotInvited // a copy of the seed in another machine
	}
	hash := sha256.Sum256([]byte(e.Token))
	now := s.now()
	var vm arm.ResourceID
	err = s.o.Store.Write(r.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		g, err := tx.Guest(ctx, e.MachineID)
		if arm.IsMissing(err) {
			return errNotInvited
		}
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(g.TokenHash, hash[:]) != 1 || !now.Before(g.TokenExpires) {
			return errNotInvited
		}
		if g.PublicKey != nil && !bytes.Equal(g.PublicKey, e.PublicKey) {
			return errNotInvited // used: the hash stays for a repetition by the same key alone
		}
		vm = g.VM
		g.PublicKey, g.EnrolledAt, g.Facts = e.PublicKey, now, facts
		if _, err := tx.PutGuest(ctx, g); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, s.guestEvent(r, g.VM, now, "the guest accepted its invitation"))
	})
	if err != nil {
		s.log.Warn("guest not enrolled", "machine", e.MachineID, "from", s.sources.trusted.Client(r), "err", err)
		return nil, err
	}
	s.log.Info("guest enrolled", "machine", vm)
	return reverse.GuestEnrolled{BrokerURIs: s.o.BrokerURIs, CAPem: s.o.CAPem, ComponentsKey: s.componentsKey()}, nil
}

func (s *Server) guestEvent(r *http.Request, vm arm.ResourceID, at time.Time, detail string) deskyard.AuditEvent {
	return deskyard.AuditEvent{
		ID: uuid.Must(uuid.NewV7()).String(), At: at, Caller: vm.Name(), CallerType: "Host",
		Address: s.sources.trusted.Client(r).String(), Action: guestAction + "/enroll/action", Scope: vm.String(), Status: http.StatusOK, Detail: detail,
	}
}

// guestHello gives a challenge, to anyone: that a machine exists is not told here.
func (s *Server) guestHello(_ *http.Request, h reverse.GuestHello) (any, error) {
	now := s.now()
	s.guests.mu.Lock()
	defer s.guests.mu.Unlock()
	if len(s.guests.nonces) >= maxNonces {
		for k, n := range s.guests.nonces {
			if !now.Before(n.until) {
				delete(s.guests.nonces, k)
			}
		}
		if len(s.guests.nonces) >= maxNonces {
			return nil, arm.Errorf(arm.Unavailable, "ServiceUnavailable", "Too many guests connect at this moment. Come again in some seconds.")
		}
	}
	c := randomHex()
	s.guests.nonces[c] = nonce{strings.ToLower(h.MachineID), now.Add(nonceLife)}
	return reverse.GuestChallenge{Nonce: c}, nil
}

var errGuestUnknown = arm.Errorf(arm.Forbidden, "GuestUnknown",
	"The service does not know this machine by that key: it was deleted, or is a copy of another's disk.")

// guestOpen opens a link for whoever proves the machine's key.
func (s *Server) guestOpen(r *http.Request, o reverse.GuestOpen) (any, error) {
	id := strings.ToLower(o.MachineID)
	s.guests.mu.Lock()
	n, found := s.guests.nonces[o.Nonce]
	delete(s.guests.nonces, o.Nonce)
	s.guests.mu.Unlock()
	if !found || n.machine != id || !s.now().Before(n.until) {
		return nil, arm.Errorf(arm.Forbidden, "ChallengeNotValid", "The challenge has expired. Ask for another.")
	}
	g, err := s.o.Store.Guest(r.Context(), id)
	if arm.IsMissing(err) {
		return nil, errGuestUnknown
	}
	if err != nil {
		return nil, err
	}
	if len(g.PublicKey) != ed25519.PublicKeySize || !ed25519.Verify(g.PublicKey, reverse.GuestProof(id, o.Nonce, o.Machine), o.Signature) {
		return nil, errGuestUnknown
	}
	facts, err := decodeMachine(o.Machine)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(facts.SMBIOSID, id) {
		return nil, errGuestUnknown
	}
	if err := s.guestSeen(r.Context(), g, facts, o.BootLoader); err != nil {
		return nil, err
	}
	session := s.beginGuest(id, g.VM, facts)
	return reverse.GuestSession{Session: session.secret, BrokerURIs: s.o.BrokerURIs}, nil
}

// guestSeen writes down what the guest is now.
func (s *Server) guestSeen(ctx context.Context, g deskyard.Guest, facts deskyard.Machine, bootLoader string) error {
	now := s.now()
	err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		stored, err := tx.Guest(ctx, g.MachineID)
		if err != nil {
			return err
		}
		stored.Facts, stored.BootLoader, stored.LastSeen = facts, bootLoader, now
		_, err = tx.PutGuest(ctx, stored)
		return err
	})
	if arm.IsMissing(err) {
		return errGuestUnknown
	}
	return err
}

// beginGuest makes the link; an older one of the same machine ends.
func (s *Server) beginGuest(id string, vm arm.ResourceID, facts deskyard.Machine) *guestSession {
	g := &guestSession{
		secret: randomHex(), machine: id, vm: vm, facts: facts, seen: s.now(),
		steps: map[string]*guestStep{}, news: make(chan struct{}), ended: make(chan struct{}),
	}
	g.timer = time.AfterFunc(guestGrace, func() { s.endGuest(g) })
	s.guests.mu.Lock()
	older := s.guests.byID[id]
	s.guests.sessions[g.secret], s.guests.byID[id] = g, g
	if about := s.guests.about[id]; about != nil {
		g.describe(about)
	}
	s.guests.mu.Unlock()
	if older != nil {
		s.endGuest(older)
	}
	s.log.Info("guest link up", "machine", vm)
	s.guestChanged(vm)
	return g
}

var errNoSession = arm.Errorf(arm.Forbidden, "SessionEnded", "The link has ended. Open another.")

func (s *Server) guestSession(secret string) (*guestSession, error) {
	s.guests.mu.Lock()
	defer s.guests.mu.Unlock()
	g := s.guests.sessions[secret]
	if g == nil {
		return nil, errNoSession
	}
	return g, nil
}

// guestPoll holds the request until there is work. While it is held the guest is
// there; when its connection breaks, the link ends after the grace.
func (s *Server) guestPoll(r *http.Request, p reverse.GuestPoll) (any, error) {
	g, err := s.guestSession(p.Session)
	if err != nil {
		return nil, err
	}
	s.guests.mu.Lock()
	g.polls++
	g.timer.Stop()
	g.told = max(g.told, p.Seen)
	work, news := g.work(p.Seen), g.news
	s.guests.mu.Unlock()
	defer func() {
		s.guests.mu.Lock()
		defer s.guests.mu.Unlock()
		if g.polls--; g.polls == 0 {
			wait := guestGrace
			if r.Context().Err() != nil {
				wait = 0 // the connection broke: nothing more will come over it
			}
			g.timer.Reset(wait)
		}
	}()
	if len(work.Steps) == 0 && work.Metadata == nil {
		hold := time.NewTimer(guestHold)
		defer hold.Stop()
		select {
		case <-news:
		case <-g.ended:
			return nil, errNoSession
		case <-s.ctx.Done():
			return nil, arm.Errorf(arm.Unavailable, "ServiceUnavailable", "The service is stopping. Come again in some seconds.")
		case <-hold.C:
		case <-r.Context().Done():
			return nil, errNoSession // nobody hears it: the connection is gone
		}
		s.guests.mu.Lock()
		work = g.work(p.Seen)
		s.guests.mu.Unlock()
	}
	return work, nil
}

// work is what the guest has not taken in yet; mu is held.
func (g *guestSession) work(seen int64) reverse.GuestWork {
	w := reverse.GuestWork{Number: g.number}
	for _, id := range g.order {
		if st := g.steps[id]; st != nil && st.number > seen {
			w.Steps = append(w.Steps, st.body)
		}
	}
	if g.metaNew && seen < g.number {
		w.Metadata = g.meta
	}
	return w
}

// guestResult hands a result to those who wait for it.
func (s *Server) guestResult(_ *http.Request, r reverse.GuestResult) (any, error) {
	g, err := s.guestSession(r.Session)
	if err != nil {
		return nil, err
	}
	var result deskyard.StepResult
	if err := json.Unmarshal(r.Result, &result); err != nil {
		return nil, arm.Errorf(arm.Invalid, "INVALID_FORM", "The result cannot be read: %v.", err)
	}
	if err := checkResult(&result, r.Step); err != nil {
		return nil, err
	}
	s.guests.mu.Lock()
	st := g.steps[r.Step]
	if st != nil && result.State != deskyard.StepRunning {
		delete(g.steps, r.Step)
		g.order = slices.DeleteFunc(g.order, func(id string) bool { return id == r.Step })
	}
	s.guests.mu.Unlock()
	if st == nil || result.State == deskyard.StepRunning {
		return struct{}{}, nil
	}
	s.log.Info("step ended", "machine", g.vm, "step", r.Step, "state", result.State, "code", result.Code, "exit", result.ExitCode)
	for _, w := range st.waiting {
		w <- result
	}
	return struct{}{}, nil
}

// Bounds of what a guest may say of a step.
const maxStepOutput = 64 << 10

// checkResult holds a result to its forms; it comes from inside a machine whose
// administrator may be anybody.
func checkResult(r *deskyard.StepResult, step string) error {
	if r.ID != step {
		return arm.Errorf(arm.Invalid, "INVALID_FORM", "The result is of another step.")
	}
	switch r.State {
	case deskyard.StepRunning, deskyard.StepSucceeded, deskyard.StepFailed:
	default:
		return arm.Errorf(arm.Invalid, "INVALID_FORM", "The state %.20q is none of a step.", r.State)
	}
	r.Output = strings.ToValidUTF8(clip(r.Output, maxStepOutput), "\uFFFD")
	r.Message = strings.ToValidUTF8(clip(r.Message, 4<<10), "\uFFFD")
	r.Code = clip(r.Code, 128)
	return nil
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}
