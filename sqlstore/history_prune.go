package sqlstore

import (
	"context"
	"fmt"
	"time"
)

// pruneBatch bounds one transaction of Prune, so that other writes wait no longer
// than a few milliseconds.
const pruneBatch = 1000

// Prune removes audit events from before auditBefore and operations that ended
// before operationsBefore, and says how many. What it did stays done when ctx ends.
func (db *DB) Prune(ctx context.Context, auditBefore, operationsBefore time.Time) (events, operations int64, err error) {
	events, err = db.prune(ctx, `delete from audit_events where id in
		(select id from audit_events where at < $1 order by at limit $2)`, auditBefore)
	if err != nil {
		return events, 0, fmt.Errorf("prune the audit log: %w", err)
	}
	operations, err = db.prune(ctx, `delete from operations where id in
		(select id from operations where ended < $1 and ended > 0 limit $2)`, operationsBefore)
	if err != nil {
		return events, operations, fmt.Errorf("prune operations: %w", err)
	}
	return events, operations, nil
}

func (db *DB) prune(ctx context.Context, statement string, before time.Time) (total int64, err error) {
	for {
		var n int64
		err := db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
			var err error
			n, err = tx.run.exec(ctx, statement, instant(before), pruneBatch)
			return err
		})
		total += n
		if err != nil || n < pruneBatch {
			return total, err
		}
	}
}
