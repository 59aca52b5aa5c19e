package agentapi

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

// registerAction is the audit log's name for a registration.
const registerAction = "Microsoft.DesktopVirtualization/hostpools/sessionhosts/register"

// requestTime bounds the reading of a registration and the work on it.
const requestTime = 20 * time.Second

// attempt is one registration under way.
type attempt struct {
	from    netip.Addr
	at      time.Time
	request reverse.Register
	machine deskyard.Machine
	name    string // session host name
	keyID   string
	pool    string // object id, from the token
	scope   string // for the audit log: as much as is known
	trace   string // correlation id
}

func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTime)
	defer cancel()
	// Not every ResponseWriter has deadlines (a test's recorder): ctx bounds the work then.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTime))
	a := &attempt{from: s.sources.trusted.Client(r), at: s.now(), scope: "/", trace: uuid.NewString()}
	w.Header().Set("x-ms-correlation-request-id", a.trace)
	if !s.sources.allow(a.from) {
		s.counts.registered("throttled")
		problem(w, s.log, arm.Errorf(arm.Throttled, "TooManyRequests", "Too many registrations come from %s. Wait some seconds.", a.from))
		return
	}
	h, adopted, err := s.enrol(ctx, w, r, a)
	if err != nil {
		status, code := problem(w, s.log, err)
		s.counts.registered(code)
		s.auditRefusal(ctx, a, status, code, err)
		return
	}
	s.counts.registered("ok")
	s.log.Info("session host registered", "host", h.ID, "key", a.keyID, "from", a.from, "adopted", adopted)
	s.Drop(h.ObjectID, "The machine has registered anew.")
	reply(w, http.StatusOK, reverse.Registered{
		HostID: h.ObjectID, ResourceID: h.ID.String(), TenantID: s.o.TenantID,
		BrokerURIs: s.o.BrokerURIs, CAPem: s.o.CAPem, ComponentsKey: s.componentsKey(),
	})
}

// enrol reads the request, checks what needs no store, and stores the host.
func (s *Server) enrol(ctx context.Context, w http.ResponseWriter, r *http.Request, a *attempt) (h deskyard.SessionHost, adopted bool, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, reverse.MaxRegister))
	if err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return h, false, arm.Errorf(arm.TooLarge, "RequestEntityTooLarge", "A registration has at most %d bytes.", reverse.MaxRegister)
		}
		return h, false, arm.Errorf(arm.Invalid, "INVALID_FORM", "The registration could not be read to its end.")
	}
	if a.request, err = reverse.DecodeRegister(body); err != nil {
		return h, false, arm.Errorf(arm.Invalid, "INVALID_FORM", "The registration cannot be read: %v.", err)
	}
	if a.machine, err = decodeMachine(a.request.Machine); err != nil {
		return h, false, err
	}
	if a.name, err = hostName(a.machine); err != nil {
		return h, false, err
	}
	if a.keyID, a.pool, err = s.o.Tokens.Verify(a.request.Token, a.at); err != nil {
		return h, false, err
	}
	if !ed25519.Verify(a.request.PublicKey, reverse.RegisterProof(a.request.Token, a.request.Machine), a.request.Proof) {
		return h, false, arm.Errorf(arm.Forbidden, "INVALID_PROOF", "The proof of the machine's key does not hold. Reinstall the agent.")
	}
	err = s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		h, adopted, err = s.admitMachine(ctx, tx, a)
		return err
	})
	return h, adopted, err
}

// auditRefusal writes down a refused registration. The request has been answered:
// a failure here is logged and changes nothing.
func (s *Server) auditRefusal(ctx context.Context, a *attempt, status int, code string, cause error) {
	e := a.event(status, code, cause.Error())
	err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error { return tx.AppendAudit(ctx, e) })
	if err != nil {
		s.log.Error("refused registration not audited", "from", a.from, "code", code, "err", err)
	}
	s.log.Warn("registration refused", "host", a.name, "from", a.from, "key", a.keyID, "code", code)
}

// event is the audit log's line on this registration.
func (a *attempt) event(status int, code, detail string) deskyard.AuditEvent {
	return deskyard.AuditEvent{
		ID: uuid.Must(uuid.NewV7()).String(), At: a.at, Caller: a.name, CallerID: a.machine.MachineID, CallerType: "Host",
		Address: a.from.String(), Action: registerAction, Scope: a.scope, Status: status, Code: code,
		Correlation: a.trace, Detail: "key " + a.keyID + ": " + detail,
	}
}
