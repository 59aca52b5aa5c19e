package agentapi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

// linkAction is the audit log's name for what a link shows of a host's identity.
const linkAction = "Microsoft.DesktopVirtualization/hostpools/sessionhosts/link"

// When a refused agent comes again: a removed host stays removed until somebody
// acts; a clone's original may be gone soon, and a lease ends in seconds.
const (
	retryUnknown = 5 * time.Minute
	retryRevoked = 15 * time.Minute
	retryClone   = time.Minute
	retrySoon    = 15 * time.Second
)

// link upgrades the request and leaves net/http behind: what follows runs in fresh
// goroutines, without the server's buffers and its grown stack.
func (s *Server) link(w http.ResponseWriter, r *http.Request) {
	from := s.sources.trusted.Client(r)
	select {
	case s.opening <- struct{}{}:
	default:
		s.counts.opened("busy")
		problem(w, s.log, arm.Errorf(arm.Unavailable, "ServiceUnavailable", "Too many agents connect at this moment. Come again in some seconds."))
		return
	}
	conn, rw, _, err := ws.HTTPUpgrader{Timeout: requestTime}.Upgrade(r, w)
	if err != nil {
		<-s.opening
		s.counts.opened("upgrade")
		s.log.Info("link not upgraded", "from", from, "err", err)
		return
	}
	early := rw.Reader.Buffered() > 0 // the service speaks first
	ok := !early && s.goTracked(func() {
		l, err := s.open(reverse.ServiceFrames(conn), from)
		<-s.opening
		if err != nil {
			s.log.Info("link not opened", "from", from, "err", err)
			_ = conn.Close() // the refusal has been told, or the peer is gone
			return
		}
		if !s.goTracked(func() { s.serve(l) }) {
			s.leave(l, "the service is stopping")
		}
	})
	if !ok {
		<-s.opening
		_ = conn.Close()
	}
}

// open asks who is there and admits it.
func (s *Server) open(f *reverse.Frames, from netip.Addr) (*link, error) {
	ctx, cancel := context.WithTimeout(s.ctx, requestTime)
	defer cancel()
	defer context.AfterFunc(s.ctx, f.Cut)() // Close does not wait for a silent peer
	nonce := make([]byte, 32)
	rand.Read(nonce)
	challenge := hex.EncodeToString(nonce)
	if err := f.Send(reverse.TypeHello, "", reverse.Hello{Version: reverse.Version, Nonce: challenge}); err != nil {
		return nil, err
	}
	m, err := f.ReadMessage(requestTime, func(ws.OpCode, []byte) {})
	if err != nil {
		return nil, err
	}
	var auth reverse.Auth
	if m.Type != reverse.TypeAuth {
		return nil, s.refuse(f, "", reverse.RefusedProtocol, "The first message must be auth.", retryUnknown)
	}
	if err := m.Into(&auth); err != nil {
		return nil, s.refuse(f, "", reverse.RefusedProtocol, err.Error(), retryUnknown)
	}
	machine, err := decodeMachine(auth.Machine)
	if err != nil {
		return nil, s.refuse(f, auth.HostID, reverse.RefusedProtocol, err.Error(), retryUnknown)
	}
	h, err := s.o.Store.SessionHostByObjectID(ctx, auth.HostID)
	switch {
	case arm.IsMissing(err):
		return nil, s.refuse(f, auth.HostID, reverse.RefusedUnknown,
			"The service has no such session host: it was removed from its pool. Register the machine again with a valid key.", retryUnknown)
	case err != nil:
		s.log.Error("session host not read", "host", auth.HostID, "err", err)
		return nil, s.refuse(f, auth.HostID, reverse.RefusedBusy, "The service cannot reach its store.", retrySoon)
	case !ed25519.Verify(h.PublicKey, reverse.LinkProof(auth.HostID, challenge, auth.Epoch, auth.Machine), auth.Signature):
		return nil, s.refuse(f, auth.HostID, reverse.RefusedSignature,
			"The proof of the machine's key does not hold: another agent has registered this host since. Register the machine again with a valid key.", retryUnknown)
	case !h.RevokedAt.IsZero():
		return nil, s.refuse(f, auth.HostID, reverse.RefusedRevoked,
			"The session host was revoked: "+h.RevokedReason+". Register the machine again with a valid key.", retryRevoked)
	}
	return s.admitLink(ctx, f, h, auth, machine, from)
}

// admission is what is decided on a link.
type admission struct {
	host    deskyard.SessionHost // as it is to be stored
	next    string               // epoch to hand out
	verdict verdict
	event   *deskyard.AuditEvent // nil: nothing to audit
	known   bool                 // a refusal that is stored already
}

// admitLink stores the decision on a link and tells it to the agent.
func (s *Server) admitLink(ctx context.Context, f *reverse.Frames, h deskyard.SessionHost, auth reverse.Auth, m deskyard.Machine, from netip.Addr) (*link, error) {
	now := s.now()
	a, gone, err := s.storeAdmission(ctx, h, auth, m, from, now)
	switch {
	case err != nil:
		s.log.Error("link not stored", "host", auth.HostID, "err", err)
		return nil, s.refuse(f, auth.HostID, reverse.RefusedBusy, "The service cannot write to its store.", retrySoon)
	case gone:
		return nil, s.refuse(f, auth.HostID, reverse.RefusedUnknown, "The session host was removed, revoked or registered anew just now.", retrySoon)
	case a.verdict == clone:
		wait := retryClone
		if sameSMBIOS(a.host.Machine, m) {
			wait = retrySoon // perhaps a snapshot whose old link has not lapsed yet
		}
		return nil, s.refuse(f, auth.HostID, reverse.RefusedClone, a.host.Refused, wait)
	}
	welcome := reverse.Welcome{
		NextEpoch: a.next, HeartbeatSeconds: int(deskyard.HeartbeatEvery / time.Second), BrokerURIs: s.o.BrokerURIs, GatewayURIs: s.o.GatewayURIs,
		MetadataExpected: m.Kind != "", DirectoryRequired: s.o.DirectoryRequired,
	}
	if err := f.Send(reverse.TypeWelcome, "", welcome); err != nil {
		return nil, err
	}
	p := s.links.pool(a.host.ID.Parent())
	if p.policy.Load() == nil {
		if err := s.refresh(p); err != nil {
			s.log.Error("update policy not read", "pool", p.id, "err", err)
		}
	}
	l := newLink(f, a.host, p, a.next, now)
	if older := s.links.put(l); older != nil {
		s.goTracked(func() { older.bye("A newer link of this machine has taken over.", retrySoon) })
	}
	s.counts.opened("ok")
	s.log.Info("link up", "host", a.host.ID, "from", from)
	return l, nil
}

// storeAdmission judges the host as it was read and stores the outcome if the host
// is still the same; else it reads and judges again. gone: it was removed, revoked
// or registered anew meanwhile.
func (s *Server) storeAdmission(ctx context.Context, h deskyard.SessionHost, auth reverse.Auth, m deskyard.Machine, from netip.Addr, now time.Time) (a admission, gone bool, err error) {
	for range 5 { // each time another write has come first
		a = s.judgeLink(h, auth, m, from, now)
		if a.known {
			return a, false, nil
		}
		err = s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
			if _, err := tx.PutSessionHost(ctx, a.host); err != nil || a.event == nil {
				return err
			}
			return tx.AppendAudit(ctx, *a.event)
		})
		var e *arm.Error
		if !errors.As(err, &e) || e.Kind != arm.Precondition {
			return a, false, err
		}
		proven := h.PublicKey
		h, err = s.o.Store.SessionHostByObjectID(ctx, auth.HostID)
		if arm.IsMissing(err) || err == nil && (!h.RevokedAt.IsZero() || !bytes.Equal(h.PublicKey, proven)) {
			return a, true, nil
		}
		if err != nil {
			return a, false, err
		}
	}
	return a, false, err
}

// judgeLink decides on a link to h.
func (s *Server) judgeLink(h deskyard.SessionHost, auth reverse.Auth, m deskyard.Machine, from netip.Addr, now time.Time) admission {
	a := admission{next: uuid.NewString(), verdict: judgeEpoch(h, auth.Epoch, m, s.Lease(h.ObjectID).Alive(now), now)}
	e := deskyard.AuditEvent{
		ID: uuid.Must(uuid.NewV7()).String(), At: now, Caller: h.ID.Name(), CallerID: h.ObjectID, CallerType: "Host",
		Address: from.String(), Action: linkAction, Scope: h.ID.String(), Status: http.StatusOK,
	}
	switch a.verdict {
	case clone:
		a.known = h.Refused != "" && now.Sub(h.RefusedAt) < time.Hour // told and audited already
		h.Refused, h.RefusedAt = cloneReason(m, from), now
		e.Status, e.Code, e.Detail = http.StatusConflict, reverse.RefusedClone, h.Refused
		a.host, a.event = h, &e
		return a
	case restored:
		e.Detail = "The machine came back with an epoch that had passed, as after a restored snapshot; it was admitted."
		a.event = &e
	case moved:
		e.Detail = "The machine came back with SMBIOS id " + m.SMBIOSID + " instead of " + h.Machine.SMBIOSID + "; it was admitted, for the old one has long been silent."
		a.event = &e
	}
	a.host = linkedUp(h, auth.Epoch, a.next, m, now)
	return a
}

// linkedUp is h with a link that began now. The checks of the time before are not
// shown as today's: the host is Unavailable until its first report.
func linkedUp(h deskyard.SessionHost, epoch, next string, m deskyard.Machine, now time.Time) deskyard.SessionHost {
	h.Epoch, h.NextEpoch = epoch, next
	h.Machine, h.VirtualMachineID = m, m.SMBIOSID
	h.Refused, h.RefusedAt = "", time.Time{}
	h.LastSeen, h.StatusAt = now, now
	h.Report.Stopping, h.Report.Checks = false, nil
	return h
}

func cloneReason(m deskyard.Machine, from netip.Addr) string {
	return "Another machine with this session host's key tried to connect from " + from.String() + " (host name " + m.Hostname +
		", SMBIOS id " + m.SMBIOSID + ") and was refused as a copy of its disk. Remove /var/lib/deskyard from the copy and register it with a key of its own."
}

// refuse tells the agent why not, closes, and gives the refusal as an error.
func (s *Server) refuse(f *reverse.Frames, host, code, message string, after time.Duration) error {
	s.counts.opened(code)
	message = message[:min(len(message), 4000)]
	r := reverse.Refused{Code: code, Message: message, RetryAfterSeconds: int(after / time.Second)}
	if err := f.Send(reverse.TypeRefused, "", r); err == nil {
		f.Close(ws.StatusPolicyViolation, code)
	}
	return arm.Errorf(arm.Forbidden, code, "%s", message).WithTarget(host)
}
