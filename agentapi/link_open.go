package agentapi

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
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
	conn, rw, _, err := ws.HTTPUpgrader{Timeout: writeTime}.Upgrade(r, w)
	if err != nil {
		<-s.opening
		s.counts.opened("upgrade")
		s.log.Info("link not upgraded", "from", from, "err", err)
		return
	}
	early := rw.Reader.Buffered() > 0 // the service speaks first
	ok := !early && s.goTracked(func() {
		l, err := s.open(&frames{conn: conn}, from)
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
func (s *Server) open(f *frames, from netip.Addr) (*link, error) {
	ctx, cancel := context.WithTimeout(s.ctx, requestTime)
	defer cancel()
	defer context.AfterFunc(s.ctx, func() { _ = f.conn.Close() })() // Close does not wait for a silent peer
	nonce := make([]byte, 32)
	rand.Read(nonce)
	challenge := hex.EncodeToString(nonce)
	if err := f.send(reverse.TypeHello, "", reverse.Hello{Version: reverse.Version, Nonce: challenge}); err != nil {
		return nil, err
	}
	m, err := f.readMessage(requestTime, func(ws.OpCode, []byte) {})
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
	case isMissing(err):
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
	return s.admitLink(ctx, f, auth, machine, from)
}

// admission is the outcome of admitLink's transaction.
type admission struct {
	host    deskyard.SessionHost
	pool    deskyard.HostPool
	verdict verdict
	gone    bool // removed or revoked since it was read
}

func (s *Server) admitLink(ctx context.Context, f *frames, auth reverse.Auth, m deskyard.Machine, from netip.Addr) (*link, error) {
	var a admission
	now, next := s.now(), uuid.NewString()
	err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		a, err = s.judgeLink(ctx, tx, auth, m, from, now, next)
		return err
	})
	switch {
	case err != nil:
		s.log.Error("link not stored", "host", auth.HostID, "err", err)
		return nil, s.refuse(f, auth.HostID, reverse.RefusedBusy, "The service cannot write to its store.", retrySoon)
	case a.gone:
		return nil, s.refuse(f, auth.HostID, reverse.RefusedUnknown, "The session host was removed or revoked just now.", retrySoon)
	case a.verdict == clone:
		wait := retryClone
		if sameSMBIOS(a.host.Machine, m) {
			wait = retrySoon // perhaps a snapshot whose old link has not lapsed yet
		}
		return nil, s.refuse(f, auth.HostID, reverse.RefusedClone, a.host.Refused, wait)
	}
	welcome := reverse.Welcome{
		NextEpoch: next, HeartbeatSeconds: int(deskyard.HeartbeatEvery / time.Second), BrokerURIs: s.o.BrokerURIs,
		MetadataExpected: m.Kind != "", DirectoryRequired: s.o.DirectoryRequired,
	}
	if err := f.send(reverse.TypeWelcome, "", welcome); err != nil {
		return nil, err
	}
	l := newLink(f, a.host, next, now)
	l.window = policyFrom(a.pool)
	if older := s.links.put(l); older != nil {
		s.goTracked(func() { older.bye("A newer link of this machine has taken over.", retrySoon) })
	}
	s.counts.opened("ok")
	s.log.Info("link up", "host", a.host.ID, "from", from)
	return l, nil
}

// judgeLink decides on a link and stores what was decided.
func (s *Server) judgeLink(ctx context.Context, tx deskyard.Tx, auth reverse.Auth, m deskyard.Machine, from netip.Addr, now time.Time, next string) (a admission, err error) {
	h, err := tx.SessionHostByObjectID(ctx, auth.HostID)
	if isMissing(err) || err == nil && !h.RevokedAt.IsZero() {
		return admission{gone: true}, nil
	}
	if err != nil {
		return a, err
	}
	if r, err := tx.Resource(ctx, h.ID.Parent()); err == nil {
		if a.pool, err = poolProperties(r); err != nil {
			return a, err
		}
	} else if !isMissing(err) {
		return a, err
	}
	a.verdict = judgeEpoch(h, auth.Epoch, m, s.Lease(h.ObjectID).Alive(now), now)
	e := deskyard.AuditEvent{
		ID: uuid.Must(uuid.NewV7()).String(), At: now, Caller: h.ID.Name(), CallerID: h.ObjectID, CallerType: "Host",
		Address: from.String(), Action: linkAction, Scope: h.ID.String(), Status: http.StatusOK,
	}
	switch a.verdict {
	case clone:
		repeated := h.Refused != "" && now.Sub(h.RefusedAt) < time.Hour
		h.Refused, h.RefusedAt = cloneReason(m, from), now
		a.host = h
		if repeated {
			return a, nil // told and audited already
		}
		e.Status, e.Code, e.Detail = http.StatusConflict, reverse.RefusedClone, h.Refused
	case restored:
		e.Detail = "The machine came back with an epoch that had passed, as after a restored snapshot; it was admitted."
	case moved:
		e.Detail = "The machine came back with SMBIOS id " + m.SMBIOSID + " instead of " + h.Machine.SMBIOSID + "; it was admitted, for the old one has long been silent."
	}
	if a.verdict != clone {
		h = linkedUp(h, auth.Epoch, next, m, now)
	}
	if a.host, err = tx.PutSessionHost(ctx, h); err != nil {
		return a, err
	}
	if a.verdict != current {
		return a, tx.AppendAudit(ctx, e)
	}
	return a, nil
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
func (s *Server) refuse(f *frames, host, code, message string, after time.Duration) error {
	s.counts.opened(code)
	message = message[:min(len(message), 4000)]
	r := reverse.Refused{Code: code, Message: message, RetryAfterSeconds: int(after / time.Second)}
	if err := f.send(reverse.TypeRefused, "", r); err == nil {
		f.closeWith(ws.StatusPolicyViolation, code)
	}
	return arm.Errorf(arm.Forbidden, code, "%s", message).WithTarget(host)
}
