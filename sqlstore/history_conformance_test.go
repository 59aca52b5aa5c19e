package sqlstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/sqlstore"
)

func TestPruneRemovesOldHistoryAndNothingElse(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		const old = 2500 // more than one transaction takes
		err := db.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
			for i := range old + 3 {
				at := now.Add(-48 * time.Hour)
				if i >= old {
					at = now.Add(-time.Hour)
				}
				if err := tx.AppendAudit(ctx, deskyard.AuditEvent{ID: fmt.Sprintf("event-%04d", i), At: at, Scope: "/"}); err != nil {
					return err
				}
			}
			for id, ended := range map[string]time.Time{"running": {}, "old": now.Add(-48 * time.Hour), "young": now.Add(-time.Hour)} {
				if err := tx.PutOperation(ctx, deskyard.Operation{ID: id, Started: now.Add(-72 * time.Hour), Ended: ended}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		cut := now.Add(-24 * time.Hour)
		events, operations, err := db.Prune(ctx, cut, cut)
		if err != nil || events != old || operations != 1 {
			t.Fatalf("Prune = %d events, %d operations, %v", events, operations, err)
		}
		left, err := db.AuditEvents(ctx, deskyard.AuditQuery{Scope: arm.ResourceID{}})
		if err != nil || len(left.Items) != 3 {
			t.Fatalf("%d events left, %v", len(left.Items), err)
		}
		for _, id := range []string{"running", "young"} {
			if _, err := db.Operation(ctx, id); err != nil {
				t.Errorf("operation %s: %v", id, err)
			}
		}
	})
}
