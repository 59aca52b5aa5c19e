package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// maxBatch bounds how many writes share one commit: 256 callers waiting at once
// is what the group commit is measured with; more would only make the first of
// them wait longer for their answer.
const maxBatch = 256

// writer owns SQLite's one writing connection; doc.go draws its flow.
type writer struct {
	db      *sql.DB
	meter   *meter
	queue   chan *turn // unbuffered: what is taken from it is always answered
	closing chan struct{}
	stopped chan struct{} // closed when run has returned
	once    sync.Once

	conn *sql.Conn // used by run alone; nil when it must be opened (again)
	stmt *prepared // statements of conn
}

// turn is one caller's place in a batch.
type turn struct {
	ctx   context.Context
	grant chan *transaction // unbuffered: the caller takes it, or leaves with ctx
	ran   chan error        // what its closure came to
	done  chan error        // what became of the batch
}

// errAbandoned stands for a closure that ended in a panic or runtime.Goexit.
var errAbandoned = errors.New("the write did not return")

var errEnded = errors.New("the transaction has ended: its closure has returned")

func startWriter(ctx context.Context, path, synchronous string, m *meter) (*writer, error) {
	db, err := sql.Open("sqlite", sqliteDSN(path, synchronous,
		"temp_store(MEMORY)",       // what a savepoint undoes with, a few pages until its turn ends: in a file, each was a system call
		"cache_size(-32768)",       // KiB: a full batch's pages stay in memory until its commit
		"wal_autocheckpoint(4000)", // pages, 16 MiB: what changes often is copied into the database once for many commits
	))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	w := &writer{db: db, meter: m, queue: make(chan *turn), closing: make(chan struct{}), stopped: make(chan struct{})}
	if err := w.connect(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	go w.run()
	return w, nil
}

// write waits for a turn, runs f in it and waits for the commit.
func (w *writer) write(ctx context.Context, f func(context.Context, *transaction) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := &turn{ctx: ctx, grant: make(chan *transaction), ran: make(chan error, 1), done: make(chan error, 1)}
	select {
	case w.queue <- t:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closing:
		return ErrClosed
	}
	select {
	case tx := <-t.grant:
		if err := t.take(tx, f); err != nil {
			return err
		}
		return <-t.done
	case err := <-t.done: // no transaction could be begun
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take runs f in the caller's goroutine, so that a panic is the caller's own, and
// always hands the turn back.
func (t *turn) take(tx *transaction, f func(context.Context, *transaction) error) (err error) {
	returned := false
	defer func() {
		tx.run.(*turnRunner).ended.Store(true)
		if !returned {
			err = errAbandoned
		}
		t.ran <- err
	}()
	err = f(t.ctx, tx)
	returned = true
	return err
}

// close lets the batch under way finish and refuses all that come after.
func (w *writer) close() error {
	var err error
	w.once.Do(func() {
		close(w.closing)
		<-w.stopped
		w.disconnect()
		err = w.db.Close()
	})
	return err
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case t := <-w.queue:
			w.batch(t)
		case <-w.closing:
			return
		}
	}
}

// batch commits the turns of first and of all who wait behind it.
func (w *writer) batch(first *turn) {
	members, err := w.transact(first)
	if err != nil {
		w.disconnect() // whatever state it is in, the next batch gets a fresh one
	}
	for _, t := range members {
		t.done <- err
	}
}

// transact answers the turns that wait for its outcome: those that wrote, and
// with an error also one that got no turn.
func (w *writer) transact(first *turn) ([]*turn, error) {
	ctx := context.WithoutCancel(first.ctx)
	if err := w.connect(ctx); err != nil {
		return []*turn{first}, fmt.Errorf("connect to the database: %w", err)
	}
	if _, err := w.stmt.exec(ctx, `begin immediate`); err != nil {
		return []*turn{first}, fmt.Errorf("begin transaction: %w", err)
	}
	// The first turn needs no savepoint: when it fails, the transaction is its own.
	if w.offer(first) != nil {
		_, err := w.stmt.exec(ctx, `rollback`)
		if err != nil {
			w.disconnect()
		}
		return nil, nil
	}
	members := []*turn{first}
	for len(members) < maxBatch {
		var t *turn
		select {
		case t = <-w.queue:
		default:
		}
		if t == nil {
			break
		}
		wrote, err := w.member(ctx, t)
		if wrote || err != nil {
			members = append(members, t)
		}
		if err != nil {
			return members, err
		}
	}
	begin := w.meter.now()
	if _, err := w.stmt.exec(ctx, `commit`); err != nil {
		return members, fmt.Errorf("commit: %w", err)
	}
	w.meter.committed(len(members), begin)
	return members, nil
}

// member gives t its turn behind a savepoint. An error means that the whole
// transaction is lost (the disk is full, say), and with it everybody's writes.
func (w *writer) member(ctx context.Context, t *turn) (wrote bool, err error) {
	if _, err := w.stmt.exec(ctx, `savepoint turn`); err != nil {
		return false, fmt.Errorf("set savepoint: %w", err)
	}
	refusal := w.offer(t)
	if refusal == nil {
		if _, err := w.stmt.exec(ctx, `release turn`); err != nil {
			return true, fmt.Errorf("release savepoint: %w", err)
		}
		return true, nil
	}
	for _, undo := range []string{`rollback to turn`, `release turn`} {
		if _, err := w.stmt.exec(ctx, undo); err != nil {
			return false, fmt.Errorf("roll back to savepoint after %v: %w", refusal, err)
		}
	}
	return false, nil
}

// offer lets the caller run its closure; an error is the closure's, or the
// caller's context's when it has left.
func (w *writer) offer(t *turn) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	tx := &transaction{queries: queries{&turnRunner{stmt: w.stmt}}}
	select {
	case t.grant <- tx:
		defer w.meter.held(w.meter.now())
		return <-t.ran
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
}

func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn, w.stmt = conn, &prepared{db: conn}
	return nil
}

func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	w.stmt.close()
	// ErrBadConn has the pool close the connection, which rolls back what is open.
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	w.conn = nil
}

// turnRunner runs the statements of one turn. They do not stop with a context:
// SQLite would roll back the whole batch with the statement that it interrupts.
type turnRunner struct {
	stmt  *prepared
	ended atomic.Bool
}

func (r *turnRunner) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if r.ended.Load() {
		return nil, errEnded
	}
	return r.stmt.query(context.WithoutCancel(ctx), text, args...)
}

func (r *turnRunner) exec(ctx context.Context, text string, args ...any) (int64, error) {
	if r.ended.Load() {
		return 0, errEnded
	}
	return r.stmt.exec(context.WithoutCancel(ctx), text, args...)
}
