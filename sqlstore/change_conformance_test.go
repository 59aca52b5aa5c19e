package sqlstore_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/sqlstore"
)

func TestAWriteTellsWhatItChangedOnceItIsCommitted(t *testing.T) {
	var db *sqlstore.DB
	var told []string
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{
		DSN: "sqlite:" + filepath.Join(t.TempDir(), "d.db"), Log: slog.New(slog.DiscardHandler),
		Changed: func(ids []arm.ResourceID) {
			for _, id := range ids {
				told = append(told, id.Name())
				if _, err := db.SessionHost(context.Background(), id); id.Name() == "host00001" && len(told) < 3 && err != nil {
					t.Errorf("told before the commit: %v", err)
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	h := found(putHost(t, db, host("hp", 1)))(t)
	put(t, db, deskyard.Resource{ID: pool("hp")})
	refused := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutSessionHost(ctx, host("hp", 2))
		return errors.Join(err, errors.New("no"))
	})
	if refused == nil {
		t.Fatal("a closure's error was lost")
	}
	write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
		return errors.Join(tx.DeleteSessionHost(ctx, h.ID), tx.DeleteResource(ctx, pool("hp")))
	})
	same(t, told, []string{"host00001", "hp", "host00001", "hp"})
}
