package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxAttempts bounds how often a closure runs. Of those that collide at least one
// gets through each time, so a crowd of n needs at most n rounds.
const maxAttempts = 100

func (p *postgres) write(ctx context.Context, f func(context.Context, *transaction) error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	for attempt := 1; ; attempt++ {
		again, err := p.attempt(ctx, f)
		if !again || attempt == maxAttempts {
			return err
		}
		p.meter.again.Inc()
		// Full jitter, from a millisecond doubling to 64: the time of one
		// transaction, up to a crowd's.
		pause := time.NewTimer(rand.N(time.Millisecond << min(attempt, 6)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

// attempt runs f once. again says that the database refused only the timing.
func (p *postgres) attempt(ctx context.Context, f func(context.Context, *transaction) error) (again bool, err error) {
	tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return false, fmt.Errorf("begin transaction: %w", err)
	}
	defer tx.Rollback() // also when f panics; nothing to roll back once committed
	run := &attemptRunner{direct: direct{tx}}
	if err := f(ctx, &transaction{queries: queries{run}}); err != nil || run.collided {
		return run.collided || collision(err), err
	}
	if err := tx.Commit(); err != nil {
		return collision(err), fmt.Errorf("commit: %w", err)
	}
	return false, nil
}

// attemptRunner notes a collision even when the closure makes another error of it.
type attemptRunner struct {
	direct
	collided bool
}

func (r *attemptRunner) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	rows, err := r.direct.query(ctx, text, args...)
	r.collided = r.collided || collision(err)
	return rows, err
}

func (r *attemptRunner) exec(ctx context.Context, text string, args ...any) (int64, error) {
	n, err := r.direct.exec(ctx, text, args...)
	r.collided = r.collided || collision(err)
	return n, err
}

// collision reports whether a transaction failed only because of another's:
// serialization_failure, deadlock_detected.
func collision(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

func (p *postgres) backup(context.Context, string) error { return errUsePgDump }

func (p *postgres) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return p.db.Close()
}
