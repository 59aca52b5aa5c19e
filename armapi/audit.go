package armapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
)

// auditor writes a request's line in the audit log: with the write itself when it
// has one, before the answer when it has none.
type auditor struct {
	event   deskyard.AuditEvent
	wanted  bool
	written bool
	request *Request // whose Detail goes into the line; nil for generic verbs
}

// prepareAudit decides whether the request is audited: every write is, and every
// action that says so (handing out a key).
func (x *exchange) prepareAudit(op operation) {
	read := isRead(x.r.Method)
	x.audit.wanted = !x.target.public() && (op.audit || !read)
	x.audit.event = deskyard.AuditEvent{
		At: x.start.UTC(), Caller: x.principal.Name, CallerID: x.principal.ObjectID, CallerType: x.principal.Kind,
		Address: x.s.clientAddress(x.r), Action: op.permission, Scope: x.target.id.String(), Correlation: x.correlation,
	}
	if op.permission == "" {
		x.audit.event.Action = x.r.Method + " " + x.target.label()
	}
}

// append puts the line into tx, once the request is known to succeed with status.
func (a *auditor) append(ctx context.Context, tx deskyard.Tx, status int, detail string) error {
	if !a.wanted {
		return nil
	}
	e := a.event
	e.Status, e.Detail = status, detail
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make an audit event's id: %w", err)
	}
	e.ID = id.String()
	return tx.AppendAudit(ctx, e)
}

// Write runs f in one transaction of the store and puts the request's audit line
// into the same one. Actions that write use it and not the store itself. As with
// deskyard.Store, f may run more than once.
func (q *Request) Write(ctx context.Context, f func(ctx context.Context, tx deskyard.Tx) error) error {
	err := q.server.store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		return q.audit.append(ctx, tx, http.StatusOK, q.Detail)
	})
	if err == nil {
		q.audit.written = true
	}
	return err
}

// auditSuccess writes the line of a request that succeeded without a transaction of
// its own. Without the line there is no answer: no key leaves unrecorded.
func (x *exchange) auditSuccess(ctx context.Context, resp Response) error {
	if !x.audit.wanted || x.audit.written {
		return nil
	}
	status := resp.Status
	if status == 0 {
		status = http.StatusOK
	}
	err := x.s.store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		return x.audit.append(ctx, tx, status, x.audit.detail())
	})
	if err != nil {
		return fmt.Errorf("write the audit event: %w", err)
	}
	x.audit.written = true
	return nil
}

// auditRefusal writes the line of a refused write in a transaction of its own. The
// refusal stands even when the line cannot be written.
func (x *exchange) auditRefusal(ctx context.Context, f refusal) {
	if !x.audit.wanted || x.audit.written {
		return
	}
	x.audit.event.Code = f.err.Code
	err := x.s.store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		return x.audit.append(ctx, tx, f.status, x.audit.detail())
	})
	if err != nil {
		x.s.log.Error("audit event not written", "error", err, "action", x.audit.event.Action,
			"scope", x.audit.event.Scope, "caller", x.audit.event.Caller, "status", f.status, "correlation", x.correlation)
		return
	}
	x.audit.written = true
}

func (a *auditor) detail() string {
	if a.request == nil {
		return ""
	}
	return a.request.Detail
}
