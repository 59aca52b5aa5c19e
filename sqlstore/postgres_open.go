package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// postgres is the engine for several servers on one database.
type postgres struct {
	db    *sql.DB
	meter *meter

	mu     sync.RWMutex // held for reading by each write, for writing by close
	closed bool
}

// maxConns bounds one server's connections: PostgreSQL's default allows 100 in
// all, and three servers and an administrator must fit.
const maxConns = 24

func openPostgres(ctx context.Context, o Options, m *meter) (*DB, error) {
	config, err := pgx.ParseConfig(o.DSN) // its errors hide the password
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	setDefault := func(name, value string) {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
	setDefault("application_name", "deskyard")
	// A server that dies in a transaction must not hold its locks for ever.
	setDefault("idle_in_transaction_session_timeout", "60s")
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	if err := migratePostgres(ctx, db, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s/%s: %w", config.Host, config.Database, err), db.Close())
	}
	return &DB{queries: queries{direct{db}}, engine: &postgres{db: db, meter: m}, now: o.Now, changed: o.Changed}, nil
}

// migratePostgres makes the collation that the migrations use, then runs them;
// servers that start together take their turns.
func migratePostgres(ctx context.Context, db *sql.DB, o Options) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing to roll back once committed
	for _, text := range []string{
		`select pg_advisory_xact_lock(7301845201)`, // any number that others do not use
		`create collation if not exists "binary" from "C"`,
	} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("create collation: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("create collation: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	return migrate(ctx, db, goose.DialectPostgres, o.Log, goose.WithSessionLocker(locker))
}
