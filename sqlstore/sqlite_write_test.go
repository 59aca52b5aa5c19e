package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/sqlstore"
	"go.uber.org/goleak"
)

// queued holds the writer in one turn until all of the others wait for theirs, so
// that they form one batch; it must be called in a synctest bubble.
func queued(t *testing.T, db *sqlstore.DB, others []func()) {
	t.Helper()
	var all sync.WaitGroup
	held, gate := make(chan struct{}), make(chan struct{})
	all.Go(func() {
		err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
			close(held)
			<-gate
			_, err := tx.PutResource(ctx, located(pool("first"), nil))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	for _, f := range others {
		all.Go(f)
		synctest.Wait() // f waits in the queue: the order is that of others
	}
	close(gate)
	all.Wait()
}

func TestWhoWaitsTogetherIsCommittedTogether(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db := open(t, "sqlite:"+filepath.Join(dir, "deskyard.db"))
		inTransaction, outside := 0, 0
		var others []func()
		for i := range 20 {
			others = append(others, func() {
				err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
					for _, at := range []struct {
						deskyard.Reader
						n *int
					}{{tx, &inTransaction}, {db, &outside}} {
						p, err := at.Resources(ctx, deskyard.ResourceQuery{Type: poolType})
						if err != nil {
							return err
						}
						*at.n += len(p.Items)
					}
					_, err := tx.PutResource(ctx, located(pool(fmt.Sprint("other", i)), nil))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		queued(t, db, others)
		// Each sees the writes of those before it, which nobody outside does.
		if inTransaction != 20*21/2 || outside != 0 {
			t.Fatalf("%d rows seen inside, %d outside; want 210 and 0", inTransaction, outside)
		}
	})
}

func TestAPoisonedClosureSpoilsOnlyItself(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db := open(t, "sqlite:"+filepath.Join(dir, "deskyard.db"))
		refusal := errors.New("no")
		cancelled, cancel := context.WithCancel(t.Context())
		defer cancel()
		attempt := func(ctx context.Context, name string, end func() error) error {
			return db.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
				if _, err := tx.PutResource(ctx, located(pool(name), nil)); err != nil {
					return err
				}
				return end()
			})
		}
		fine := func(name string) func() {
			return func() {
				if err := attempt(t.Context(), name, func() error { return nil }); err != nil {
					t.Error(err)
				}
			}
		}
		var stale deskyard.Tx
		queued(t, db, []func(){
			fine("a"),
			func() {
				if err := attempt(t.Context(), "failed", func() error { return refusal }); err != refusal {
					t.Errorf("error %v", err)
				}
			},
			fine("b"),
			func() {
				defer func() {
					if v := recover(); v != "boom" {
						t.Errorf("recovered %v", v)
					}
				}()
				attempt(t.Context(), "panicked", func() error { panic("boom") })
			},
			fine("c"),
			func() {
				attempt(t.Context(), "exited", func() error { runtime.Goexit(); return nil })
			},
			func() { // cancelled while it runs: it was begun, so it ends as it would have
				if err := attempt(cancelled, "d", func() error { cancel(); return nil }); err != nil {
					t.Errorf("error %v", err)
				}
			},
			func() {
				err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { stale = tx; return nil })
				if err != nil {
					t.Error(err)
				}
			},
			fine("e"),
		})
		if err := attempt(cancelled, "late", func() error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v of a write whose caller has gone", err)
		}
		p, err := db.Resources(t.Context(), deskyard.ResourceQuery{Type: poolType})
		if got := names(p.Items); err != nil || got != "a b c d e first" {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := stale.PutResource(t.Context(), located(pool("stale"), nil)); err == nil {
			t.Fatal("a transaction wrote after its end")
		}
	})
}

func TestACallerWhoLeavesTheQueueIsNotRun(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db := open(t, "sqlite:"+filepath.Join(dir, "deskyard.db"))
		ctx, cancel := context.WithCancel(t.Context())
		queued(t, db, []func(){
			func() {
				err := db.Write(ctx, func(context.Context, deskyard.Tx) error { t.Error("ran"); return nil })
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
			},
			cancel,
		})
	})
}

func TestCloseAnswersEveryWriteAndLeavesNothingRunning(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "deskyard.db")
	running := goleak.IgnoreCurrent()
	db := open(t, dsn)
	const writers = 16
	type outcome struct {
		name string
		err  error
	}
	outcomes := make(chan outcome)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := 0; ; i++ {
				o := outcome{name: fmt.Sprintf("w%d-%d", w, i)}
				o.err = db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
					_, err := tx.PutResource(ctx, located(pool(o.name), nil))
					return err
				})
				if outcomes <- o; o.err != nil {
					return
				}
			}
		})
	}
	go func() { all.Wait(); close(outcomes) }()
	var stored []string
	for o := range outcomes {
		if o.err == nil {
			stored = append(stored, o.name)
		} else if wantKind(t, o.err, arm.Unavailable) != sqlstore.ErrClosed {
			t.Errorf("error %v", o.err)
		}
		if len(stored) == 100 && o.err == nil {
			go func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}()
		}
	}
	if err := db.Close(); err != nil { // waits for the other one
		t.Fatal(err)
	}
	goleak.VerifyNone(t, running)
	again := open(t, dsn)
	for _, name := range stored {
		if _, err := again.Resource(t.Context(), pool(name)); err != nil {
			t.Fatalf("acknowledged write %s: %v", name, err)
		}
	}
}
