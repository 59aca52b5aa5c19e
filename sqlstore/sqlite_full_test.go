package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/deskyard/deskyard"
)

func TestADiskThatFillsUpLosesNoAcknowledgedWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deskyard.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(t.Context(), Options{DSN: "sqlite:" + path, Log: slog.New(slog.DiscardHandler)})
		check(t, err)
		defer func() { check(t, db.Close()) }()
		bound := func(pages string) {
			t.Helper()
			check(t, db.engine.write(t.Context(), func(ctx context.Context, tx *transaction) error {
				_, err := tx.run.exec(ctx, `pragma max_page_count = `+pages)
				return err
			}))
		}
		setting := func(name string, size int) error {
			return db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
				return tx.PutSetting(ctx, name, json.RawMessage(`"`+strings.Repeat("x", size)+`"`))
			})
		}
		bound("200") // 800 KiB

		// All wait behind a write that holds the writer, and become one batch.
		var all sync.WaitGroup
		held, gate := make(chan struct{}), make(chan struct{})
		all.Go(func() {
			err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
				close(held)
				<-gate
				return nil
			})
			if err != nil {
				t.Log("first:", err)
			}
		})
		<-held
		errs := make([]error, 20)
		for i := range errs {
			all.Go(func() { errs[i] = setting(fmt.Sprint(i), 100_000) })
		}
		synctest.Wait()
		close(gate)
		all.Wait()

		refused := 0
		for i, err := range errs {
			_, missing := db.Setting(t.Context(), fmt.Sprint(i))
			switch {
			case err == nil && missing != nil:
				t.Errorf("acknowledged write %d: %v", i, missing)
			case err != nil && missing == nil:
				t.Errorf("write %d is there, its caller was told %v", i, err)
			case err != nil:
				refused++
			}
		}
		if refused == 0 {
			t.Fatal("the disk did not fill up")
		}
		bound("100000")
		check(t, setting("again", 100_000))
	})
}
