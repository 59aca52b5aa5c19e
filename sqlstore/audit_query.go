package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/google/uuid"
)

// AppendAudit implements deskyard.Tx. An event without an ID gets one, one
// without a time the store's.
func (t *transaction) AppendAudit(ctx context.Context, e deskyard.AuditEvent) error {
	if e.At.IsZero() {
		e.At = t.now()
	}
	if e.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("append to audit log: %w", err)
		}
		e.ID = id.String()
	}
	doc, err := json.Marshal(e) // replaces invalid UTF-8 and escapes NUL
	if err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	// Of a path or a name of any length, the index has the beginning; doc has all.
	lower := func(s string) string { return clipped(strings.ToLower(cleaned(s)), 512) }
	scope := clipped(strings.ToLower(cleaned(e.Scope)), longestIndexed-512)
	if scope != "/" {
		scope = strings.TrimRight(scope, "/")
	}
	_, err = t.run.exec(ctx, `insert into audit_events (id, at, scope_key, caller, caller_id, action, doc)
		values ($1, $2, $3, $4, $5, $6, $7)`,
		lower(e.ID), instant(e.At), scope, lower(e.Caller), lower(e.CallerID), lower(e.Action), string(doc))
	if err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	return nil
}

// AuditEvents implements deskyard.Reader. Since is inclusive, Until exclusive;
// Caller and Action are compared in any case.
func (q queries) AuditEvents(ctx context.Context, a deskyard.AuditQuery) (deskyard.Page[deskyard.AuditEvent], error) {
	var page deskyard.Page[deskyard.AuditEvent]
	if !storable(a.Scope.Key()) || !storable(a.Caller+a.Action+a.After) {
		return page, nil // nothing stored can match it
	}
	l := selecting(`select doc from audit_events`)
	if !a.Scope.IsZero() {
		from, to := below(a.Scope)
		l.where("(scope_key = ? or (scope_key > ? and scope_key < ?))", a.Scope.Key(), from, to)
	}
	if a.Caller != "" {
		caller := strings.ToLower(a.Caller)
		l.where("(caller_id = ? or caller = ?)", caller, caller)
	}
	if a.Action != "" {
		l.where("action = ?", strings.ToLower(a.Action))
	}
	if !a.Since.IsZero() {
		l.where("at >= ?", instant(a.Since))
	}
	if !a.Until.IsZero() {
		l.where("at < ?", instant(a.Until))
	}
	if a.After != "" {
		at, id, err := parseCursor(a.After)
		if err != nil {
			return page, err
		}
		l.where("(at, id) < (?, ?)", at, id)
	}
	l.page("at desc, id desc", 0, a.Limit)
	rows, err := q.run.query(ctx, l.text.String(), l.args...)
	if err == nil {
		page.Items, err = scanAudit(rows)
	}
	if err != nil {
		return deskyard.Page[deskyard.AuditEvent]{}, fmt.Errorf("read audit log: %w", err)
	}
	page.Items, page.Next = cut(page.Items, a.Limit, cursor)
	return page, nil
}

func scanAudit(rows *sql.Rows) ([]deskyard.AuditEvent, error) {
	defer rows.Close()
	var all []deskyard.AuditEvent
	var doc sql.RawBytes
	for rows.Next() {
		var e deskyard.AuditEvent
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(doc, &e); err != nil {
			return nil, fmt.Errorf("decode audit event: %w", err)
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// cursor is where a page of the audit log ends: "TIME_ID".
func cursor(e deskyard.AuditEvent) string {
	return strconv.FormatInt(instant(e.At), 10) + "_" + strings.ToLower(e.ID)
}

func parseCursor(s string) (at int64, id string, err error) {
	text, id, found := strings.Cut(s, "_")
	at, err = strconv.ParseInt(text, 10, 64)
	if !found || err != nil {
		return 0, "", arm.Errorf(arm.Invalid, "InvalidSkipToken", "%q does not continue a list of the audit log. Start from its first page.", s)
	}
	return at, id, nil
}
