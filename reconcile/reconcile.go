// Package reconcile makes rows of work true. A Loop takes what is due, hands it to
// the reconciler of its kind, and writes down when to look again:
//
//	            ┌── Wake(kind, id) ──┐
//	store ──due─▶  Loop.Run  ──────▶ one goroutine a row, bounded per kind
//	   ▲                                   │ Reconcile(ctx, work) -> Result
//	   └────────── due, state, problem ◀───┘
//
// A reconciler looks at the world, takes the next step and says what comes next. It
// must be idempotent: the service may be killed behind any of its steps, and the row
// is then due at once. One service process works on one store (it holds the data
// folder's lock), so a row that is being worked on is known in memory; the loop never
// runs the same row twice at a time.
package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Reconciler does one kind of work.
type Reconciler interface {
	// Reconcile takes the next step. Its error is written to the row's Problem and
	// tried again with backoff: what can never succeed is not an error but a Result
	// that says so in the work's own terms.
	Reconcile(ctx context.Context, w deskyard.Work) (Result, error)
}

// Func is a Reconciler made of a function.
type Func func(ctx context.Context, w deskyard.Work) (Result, error)

// Reconcile calls f.
func (f Func) Reconcile(ctx context.Context, w deskyard.Work) (Result, error) { return f(ctx, w) }

// Result says what comes next for a row.
type Result struct {
	Done  bool            // nothing is left to do: the row is deleted
	After time.Duration   // look again after this; 0 with Done false: when woken
	State json.RawMessage // nil: as it was
}

// Kind is how rows of one kind are worked on.
type Kind struct {
	Reconciler Reconciler
	Parallel   int // rows at a time; 1 when zero
}

// Backoff of a row that fails: doubled each time, with a quarter of jitter, so that
// a hypervisor that comes back is not met by everybody at once.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Loop works on a store's rows. Store and Kinds are required.
type Loop struct {
	Store deskyard.Store
	Kinds map[string]Kind
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: slog.Default()

	mu      sync.Mutex           // guards what follows
	running map[string]bool      // rows under way; true: woken meanwhile
	counts  map[string]int       // rows under way per kind
	nudge   chan struct{}        // something changed: look again
	idle    []chan struct{}      // Settle's waiters
	wakes   map[string]wakeEntry // rows to take though they are not due
}

type wakeEntry struct {
	kind string
	id   arm.ResourceID
}

func key(kind string, id arm.ResourceID) string { return kind + " " + id.Key() }

// init makes the maps; mu is held.
func (l *Loop) init() {
	if l.nudge != nil {
		return
	}
	l.running, l.counts, l.wakes = map[string]bool{}, map[string]int{}, map[string]wakeEntry{}
	l.nudge = make(chan struct{}, 1)
	if l.Now == nil {
		l.Now = time.Now
	}
	if l.Log == nil {
		l.Log = slog.Default()
	}
}

// Wake has a row looked at now, whatever its Due says; one that is under way is
// looked at once more after it. Waking what is not there does nothing. Call it after
// the transaction that changed the world has committed.
func (l *Loop) Wake(kind string, id arm.ResourceID) {
	l.mu.Lock()
	l.init()
	k := key(kind, id)
	if _, under := l.running[k]; under {
		l.running[k] = true
	} else {
		l.wakes[k] = wakeEntry{kind, id}
	}
	l.mu.Unlock()
	l.look()
}

// look makes Run look for work.
func (l *Loop) look() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, then waits for what is under way.
func (l *Loop) Run(ctx context.Context) {
	l.mu.Lock()
	l.init()
	l.mu.Unlock()
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		wait, err := l.take(ctx, &wg)
		if err != nil && ctx.Err() == nil {
			l.Log.Error("work not read; trying again", "err", err)
			wait = firstRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.nudge:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// farAway is how long Run sleeps when nothing is due: Wake ends it early.
const farAway = time.Hour

// take starts everything that is due or woken and fits, and says when to look again.
func (l *Loop) take(ctx context.Context, wg *sync.WaitGroup) (time.Duration, error) {
	now := l.Now()
	due, err := l.Store.Works(ctx, deskyard.WorkQuery{DueBy: now})
	if err != nil {
		return 0, err
	}
	woken, err := l.woken(ctx)
	if err != nil {
		return 0, err
	}
	for _, w := range append(woken, due.Items...) {
		l.start(ctx, wg, w)
	}
	next, err := l.Store.NextWork(ctx)
	if err != nil {
		return 0, err
	}
	l.settle(due.Items, next)
	// A row that is due and did not fit is taken when another of its kind ends, which nudges.
	if next.IsZero() || !next.After(now) {
		return farAway, nil
	}
	return min(next.Sub(now), farAway), nil
}

// woken are the rows that Wake named, as they are now.
func (l *Loop) woken(ctx context.Context) ([]deskyard.Work, error) {
	l.mu.Lock()
	wakes := l.wakes
	l.wakes = map[string]wakeEntry{}
	l.mu.Unlock()
	var rows []deskyard.Work
	for k, e := range wakes {
		w, err := l.Store.Work(ctx, e.kind, e.id)
		if arm.IsMissing(err) {
			continue
		}
		if err != nil {
			l.mu.Lock()
			l.wakes[k] = e // not lost with the read that failed
			l.mu.Unlock()
			return nil, err
		}
		rows = append(rows, w)
	}
	return rows, nil
}

// start runs a row unless it is under way or its kind is full.
func (l *Loop) start(ctx context.Context, wg *sync.WaitGroup, w deskyard.Work) {
	kind, known := l.Kinds[w.Kind]
	if !known {
		return
	}
	k := key(w.Kind, w.ID)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, under := l.running[k]; under {
		return
	}
	if l.counts[w.Kind] >= max(kind.Parallel, 1) {
		l.wakes[k] = wakeEntry{w.Kind, w.ID} // a woken row need not be due: keep it in mind
		return
	}
	l.running[k] = false
	l.counts[w.Kind]++
	wg.Go(func() {
		err := l.turn(ctx, kind.Reconciler, w)
		l.mu.Lock()
		if l.running[k] {
			l.wakes[k] = wakeEntry{w.Kind, w.ID}
		}
		delete(l.running, k)
		l.counts[w.Kind]--
		l.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			l.Log.Error("work not written down; it will be done again", "kind", w.Kind, "of", w.ID, "err", err)
			l.Wake(w.Kind, w.ID)
		}
		l.look()
	})
}

// turn is one look at one row. The row was read before it was known to be free, so
// it is read again here.
func (l *Loop) turn(ctx context.Context, r Reconciler, w deskyard.Work) error {
	w, err := l.Store.Work(ctx, w.Kind, w.ID)
	if arm.IsMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	result, failure := safely(ctx, r, w)
	if ctx.Err() != nil && failure != nil {
		return nil // the service stops; the row is as due as it was
	}
	return l.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		// The reconciler may have changed the row itself, or somebody its Sealed part:
		// what counts here is laid over what stands.
		now, err := tx.Work(ctx, w.Kind, w.ID)
		if arm.IsMissing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if failure == nil && result.Done {
			return tx.DeleteWork(ctx, w.Kind, w.ID)
		}
		l.settleRow(&now, result, failure)
		_, err = tx.PutWork(ctx, now)
		return err
	})
}

// settleRow writes a turn's outcome into its row.
func (l *Loop) settleRow(w *deskyard.Work, result Result, failure error) {
	at := l.Now()
	w.Changed = at
	if failure != nil {
		w.Attempts++
		w.Problem = failure.Error()
		wait := retryAfter(w.Attempts)
		w.Due = at.Add(wait)
		l.Log.Warn("work failed; it will be tried again", "kind", w.Kind, "of", w.ID, "attempt", w.Attempts, "in", wait, "err", failure)
		return
	}
	w.Attempts, w.Problem = 0, ""
	if result.State != nil {
		w.State = result.State
	}
	w.Due = time.Time{}
	if result.After > 0 {
		w.Due = at.Add(result.After)
	}
}

// safely turns a reconciler's panic into a failure of that row alone.
func safely(ctx context.Context, r Reconciler, w deskyard.Work) (result Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(ctx, "reconciler panicked", "kind", w.Kind, "of", w.ID, "panic", p)
			err = fmt.Errorf("reconcile %s %s: the service met a fault of its own: %v", w.Kind, w.ID, p)
		}
	}()
	return r.Reconcile(ctx, w)
}

func retryAfter(attempts int) time.Duration {
	d := lastRetry
	if attempts < 7 {
		d = min(firstRetry<<(attempts-1), lastRetry)
	}
	return d + time.Duration(rand.Int64N(int64(d)/4+1)) //nolint:gosec // spreads load, guards nothing
}

// Settle waits until no row is due, woken or under way: for tests, which then look
// at what has become of the world. Rows due later do not count.
func (l *Loop) Settle(ctx context.Context) error {
	done := make(chan struct{})
	l.mu.Lock()
	l.init()
	l.idle = append(l.idle, done)
	l.mu.Unlock()
	l.look()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("settle work: %w", ctx.Err())
	}
}

// settle releases Settle's waiters when a look found nothing to do.
func (l *Loop) settle(due []deskyard.Work, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range due {
		if _, known := l.Kinds[w.Kind]; known {
			return
		}
	}
	if len(l.running) > 0 || len(l.wakes) > 0 || !next.IsZero() && !next.After(l.Now()) {
		return
	}
	for _, c := range l.idle {
		close(c)
	}
	l.idle = nil
}
