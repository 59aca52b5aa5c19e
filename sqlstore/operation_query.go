package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// storedOperation adds what arm.Error's JSON leaves out: the error's kind.
type storedOperation struct {
	Operation deskyard.Operation `json:"operation"`
	ErrorKind arm.Kind           `json:"errorKind,omitempty"`
}

// Operation implements deskyard.Reader; the id's case does not matter.
func (q queries) Operation(ctx context.Context, operationID string) (deskyard.Operation, error) {
	missing := arm.Errorf(arm.Missing, "OperationNotFound", "The operation '%s' was not found.", cleaned(operationID))
	if !storable(operationID) {
		return deskyard.Operation{}, missing
	}
	var doc []byte
	err := q.one(ctx, `select doc from operations where id = $1`, []any{strings.ToLower(operationID)}, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return deskyard.Operation{}, missing
	}
	var s storedOperation
	if err == nil {
		err = json.Unmarshal(doc, &s)
	}
	if err != nil {
		return deskyard.Operation{}, fmt.Errorf("read operation %s: %w", operationID, err)
	}
	if s.Operation.Error != nil {
		s.Operation.Error.Kind = s.ErrorKind
	}
	return s.Operation, nil
}

// PutOperation implements deskyard.Tx: it inserts or replaces by ID.
func (t *transaction) PutOperation(ctx context.Context, o deskyard.Operation) error {
	s := storedOperation{Operation: o}
	if o.Error != nil {
		s.ErrorKind = o.Error.Kind
	}
	doc, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode operation %s: %w", o.ID, err)
	}
	if o.ID == "" || !storable(o.ID+string(doc)) {
		return arm.Errorf(arm.Invalid, "InvalidOperation", "The operation %q cannot be stored.", o.ID)
	}
	_, err = t.run.exec(ctx, `insert into operations (id, scope, status, started, ended, doc)
		values ($1, $2, $3, $4, $5, $6)
		on conflict (id) do update set scope = excluded.scope, status = excluded.status,
			started = excluded.started, ended = excluded.ended, doc = excluded.doc`,
		strings.ToLower(o.ID), cleaned(o.Scope.Key()), cleaned(o.Status), instant(o.Started), instant(o.Ended), string(doc))
	if err != nil {
		return fmt.Errorf("write operation %s: %w", o.ID, err)
	}
	return nil
}
