package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/prometheus/client_golang/prometheus"
)

// Options says which database to open.
type Options struct {
	// DSN is "sqlite:PATH" (made with mode 0600 when missing, its directory with
	// 0700) or a PostgreSQL URL "postgres://user@host/database?sslmode=verify-full".
	DSN     string
	Log     *slog.Logger          // slog.Default() when nil
	Now     func() time.Time      // time.Now when nil
	Metrics prometheus.Registerer // nil: not counted
	// Changed is told, after the commit, which resources and session hosts a write put
	// or deleted. It must return soon and must not write; nil: nobody is.
	Changed func(ids []arm.ResourceID)
}

// ErrClosed is answered to a write that comes while or after the store closes.
var ErrClosed = arm.Errorf(arm.Unavailable, "ServiceUnavailable",
	"The service is shutting down and takes no more changes. Repeat the request.")

// ErrNewerSchema is wrapped by Open's error when a newer Deskyard has already
// migrated the database: this one does not know what the newer one stores.
var ErrNewerSchema = errors.New("the database belongs to a newer Deskyard")

// ErrNestedWrite is answered to a Write inside another's closure, which could
// only wait for itself.
var ErrNestedWrite = errors.New("write inside a write: use the transaction that the closure was given")

// DB is a deskyard.Store. Its methods may be called from any goroutine.
type DB struct {
	queries
	engine  engine
	now     func() time.Time
	changed func(ids []arm.ResourceID)
}

var _ deskyard.Store = (*DB)(nil)

// engine is what differs between the databases.
type engine interface {
	// write runs f in a transaction that is durable when write returns nil.
	write(ctx context.Context, f func(context.Context, *transaction) error) error
	backup(ctx context.Context, path string) error
	close() error
}

// Open opens the database, brings its schema up to date and starts its writer.
// Close must be called.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m, err := newMeter(o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	scheme, rest, _ := strings.Cut(o.DSN, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, rest, o, m)
	case "postgres", "postgresql":
		return openPostgres(ctx, o, m)
	}
	// The DSN itself is not named: it may hold a password.
	return nil, fmt.Errorf("open store: DSN starts with neither %q nor %q", "sqlite:", "postgres://")
}

// insideWrite marks the context of a closure of db.
type insideWrite struct{ db *DB }

// Write implements deskyard.Store. A panic of f passes through to the caller,
// its writes rolled back. When ctx ends before f's turn, f does not run; once it
// runs, its statements are not interrupted by ctx.
func (db *DB) Write(ctx context.Context, f func(ctx context.Context, tx deskyard.Tx) error) error {
	if ctx.Value(insideWrite{db}) != nil {
		return ErrNestedWrite
	}
	var changed []arm.ResourceID
	err := db.engine.write(context.WithValue(ctx, insideWrite{db}, true), func(ctx context.Context, tx *transaction) error {
		tx.now, tx.changed = db.now, nil // f may run more than once
		err := f(ctx, tx)
		changed = tx.changed
		return err
	})
	if err == nil && db.changed != nil && len(changed) > 0 {
		db.changed(changed)
	}
	return err
}

// Check implements deskyard.Store: it commits one small row.
func (db *DB) Check(ctx context.Context) error {
	err := db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		_, err := tx.run.exec(ctx, `insert into store_checks (id, at) values (1, $1)
			on conflict (id) do update set at = excluded.at`, instant(db.now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("write to the store: %w", err)
	}
	return nil
}

// Backup is the package's Backup of an open database.
func (db *DB) Backup(ctx context.Context, path string) error {
	if err := db.engine.backup(ctx, path); err != nil {
		return fmt.Errorf("back up store to %s: %w", path, err)
	}
	return nil
}

// Close waits for the writes under way and closes the database. Reads under way
// fail or finish; later calls answer an error.
func (db *DB) Close() error { return db.engine.close() }
