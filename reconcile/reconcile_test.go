package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reconcile"
	"github.com/deskyard/deskyard/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const kind = "test"

func id(n int) arm.ResourceID {
	return arm.ResourceID{Subscription: "s", ResourceGroup: "rg"}.Provider("Test", "things", fmt.Sprint("t", n))
}

func openStore(t *testing.T) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "t.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func put(t *testing.T, s deskyard.Store, w deskyard.Work) {
	t.Helper()
	err := s.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutWork(ctx, w)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run starts a loop over one kind and stops it with the test.
func run(t *testing.T, s deskyard.Store, parallel int, f reconcile.Func) *reconcile.Loop {
	t.Helper()
	l := &reconcile.Loop{Store: s, Kinds: map[string]reconcile.Kind{kind: {Reconciler: f, Parallel: parallel}}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return l
}

func settle(t *testing.T, l *reconcile.Loop) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestDueWorkIsDoneAndItsRowGoes(t *testing.T) {
	s := openStore(t)
	put(t, s, deskyard.Work{Kind: kind, ID: id(1), Due: time.Now()})
	var turns atomic.Int32
	l := run(t, s, 1, func(context.Context, deskyard.Work) (reconcile.Result, error) {
		turns.Add(1)
		return reconcile.Result{Done: true}, nil
	})
	settle(t, l)
	if turns.Load() != 1 {
		t.Errorf("looked %d times", turns.Load())
	}
	var e *arm.Error
	if _, err := s.Work(t.Context(), kind, id(1)); !errors.As(err, &e) || e.Kind != arm.Missing {
		t.Errorf("the row is still there: %v", err)
	}
}

func TestParkedWorkWaitsForItsWakeAndKeepsItsState(t *testing.T) {
	s := openStore(t)
	put(t, s, deskyard.Work{Kind: kind, ID: id(1)})
	seen := make(chan string, 10)
	l := run(t, s, 1, func(_ context.Context, w deskyard.Work) (reconcile.Result, error) {
		seen <- string(w.State)
		return reconcile.Result{State: json.RawMessage(`"second"`)}, nil
	})
	settle(t, l)
	if len(seen) != 0 {
		t.Fatal("parked work was looked at")
	}
	for _, want := range []string{"", `"second"`} {
		l.Wake(kind, id(1))
		settle(t, l)
		if got := <-seen; got != want {
			t.Errorf("state %q, want %q", got, want)
		}
	}
}

func TestAWakeDuringATurnCausesOneMore(t *testing.T) {
	s := openStore(t)
	put(t, s, deskyard.Work{Kind: kind, ID: id(1), Due: time.Now()})
	began, release := make(chan struct{}, 10), make(chan struct{})
	l := run(t, s, 4, func(context.Context, deskyard.Work) (reconcile.Result, error) {
		began <- struct{}{}
		<-release
		return reconcile.Result{}, nil
	})
	<-began
	for range 5 {
		l.Wake(kind, id(1))
	}
	close(release)
	settle(t, l)
	if n := len(began); n != 1 {
		t.Errorf("%d more turns after five wakes during the first, want 1", n)
	}
}

func TestAKindIsHeldToItsNumberAtATimeAndNothingIsLeftOut(t *testing.T) {
	s := openStore(t)
	for n := range 20 {
		put(t, s, deskyard.Work{Kind: kind, ID: id(n), Due: time.Now()})
	}
	var under, most, turns atomic.Int32
	l := run(t, s, 3, func(context.Context, deskyard.Work) (reconcile.Result, error) {
		n := under.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		turns.Add(1)
		under.Add(-1)
		return reconcile.Result{Done: true}, nil
	})
	settle(t, l)
	if turns.Load() != 20 || most.Load() > 3 {
		t.Errorf("%d turns, %d at a time", turns.Load(), most.Load())
	}
}

func TestAFailureIsWrittenDownAndTriedAgain(t *testing.T) {
	s := openStore(t)
	put(t, s, deskyard.Work{Kind: kind, ID: id(1), Due: time.Now()})
	failed := make(chan struct{}, 1)
	var turns atomic.Int32
	l := run(t, s, 1, func(context.Context, deskyard.Work) (reconcile.Result, error) {
		switch turns.Add(1) {
		case 1:
			failed <- struct{}{}
			return reconcile.Result{}, errors.New("the hypervisor sulks")
		case 2:
			panic("and throws things")
		}
		return reconcile.Result{}, nil
	})
	<-failed
	settle(t, l)
	w, err := s.Work(t.Context(), kind, id(1))
	if err != nil || w.Attempts != 1 || w.Problem != "the hypervisor sulks" || !w.Due.After(time.Now()) {
		t.Fatalf("after a failure: %+v, %v", w, err)
	}
	l.Wake(kind, id(1))
	settle(t, l)
	if w, err = s.Work(t.Context(), kind, id(1)); err != nil || w.Attempts != 2 {
		t.Fatalf("after a panic: %+v, %v", w, err)
	}
	l.Wake(kind, id(1))
	settle(t, l)
	if w, err = s.Work(t.Context(), kind, id(1)); err != nil || w.Attempts != 0 || w.Problem != "" {
		t.Fatalf("after a success: %+v, %v", w, err)
	}
}

func TestWorkCutOffByTheServicesEndIsDueForTheNext(t *testing.T) {
	s := openStore(t)
	put(t, s, deskyard.Work{Kind: kind, ID: id(1), Due: time.Now()})
	began := make(chan struct{})
	first := &reconcile.Loop{Store: s, Kinds: map[string]reconcile.Kind{kind: {Reconciler: reconcile.Func(
		func(ctx context.Context, _ deskyard.Work) (reconcile.Result, error) {
			close(began)
			<-ctx.Done()
			return reconcile.Result{}, ctx.Err()
		})}}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { first.Run(ctx) })
	<-began
	cancel()
	wg.Wait()

	var turns atomic.Int32
	l := run(t, s, 1, func(_ context.Context, w deskyard.Work) (reconcile.Result, error) {
		if w.Attempts != 0 || w.Problem != "" {
			t.Errorf("being cut off counted as a failure: %+v", w)
		}
		turns.Add(1)
		return reconcile.Result{Done: true}, nil
	})
	settle(t, l)
	if turns.Load() != 1 {
		t.Errorf("looked %d times", turns.Load())
	}
}

func TestSecretsPutWhileATurnRunsAreKept(t *testing.T) {
	s := openStore(t)
	put(t, s, deskyard.Work{Kind: kind, ID: id(1), Due: time.Now()})
	l := run(t, s, 1, func(ctx context.Context, w deskyard.Work) (reconcile.Result, error) {
		w.Sealed = []byte("box")
		return reconcile.Result{}, s.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
			_, err := tx.PutWork(ctx, w)
			return err
		})
	})
	settle(t, l)
	w, err := s.Work(t.Context(), kind, id(1))
	if err != nil || string(w.Sealed) != "box" {
		t.Fatalf("%+v, %v", w, err)
	}
}
