package identity

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/directory"
)

// Actions that the audit log names beside the directory's RBAC actions.
const (
	actionSignIn    = "Microsoft.Directory/users/signIn/action"
	actionAppSignIn = "Microsoft.Directory/servicePrincipals/signIn/action"
	actionReplay    = "Microsoft.Directory/users/revokeSignInSessions/action"
)

// event is one line for the audit log, before what every line has is filled in.
type event struct {
	action string
	id     string // of the caller
	name   string
	kind   string // User | Application | System
	scope  string // of what was acted on; "/" when empty
	status int
	code   string
	detail string
}

// note writes an event. A log that cannot be written is told of, and does not undo
// what has happened.
func (s *Service) note(ctx context.Context, e event) {
	if e.scope == "" {
		e.scope = "/"
	}
	line := deskyard.AuditEvent{
		ID: uuid.Must(uuid.NewV7()).String(), At: s.now().UTC(), Caller: e.name, CallerID: e.id, CallerType: e.kind,
		Action: e.action, Scope: e.scope, Status: e.status, Code: e.code, Detail: e.detail,
	}
	if r, ok := ctx.Value(requestKey).(*http.Request); ok {
		line.Address, line.Correlation = s.address(r), correlationID(r)
	}
	if s.options.Audit == nil {
		s.log.InfoContext(ctx, "directory event", "action", line.Action, "caller", line.Caller, "address", line.Address, "code", line.Code, "detail", line.Detail)
		return
	}
	if err := s.options.Audit(ctx, line); err != nil {
		s.log.ErrorContext(ctx, "audit event not stored", "action", line.Action, "caller", line.Caller, "error", err)
	}
}

// noteClient records that somebody could not prove to be an application.
func (s *Service) noteClient(ctx context.Context, sp directory.ServicePrincipal, why string) {
	s.signIns.WithLabelValues("application_refused").Inc()
	s.note(ctx, event{action: actionAppSignIn, id: sp.ObjectID, name: sp.AppID, kind: "Application", status: http.StatusUnauthorized, code: "AADSTS7000215", detail: why})
}
