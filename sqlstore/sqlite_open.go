package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// sqlite is the engine of the embedded database.
type sqlite struct {
	path    string
	readers *sql.DB
	reading *prepared
	writer  *writer
}

func openSQLite(ctx context.Context, path string, o Options, m *meter) (*DB, error) {
	path, err := makeFile(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := migrateSQLite(ctx, path, o); err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	readers, err := sql.Open("sqlite", sqliteDSN(path, "query_only(1)", "cache_size(-8192)"))
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	// A read holds a connection while it decodes, so there are more than cores.
	readers.SetMaxOpenConns(4 * runtime.GOMAXPROCS(0))
	readers.SetMaxIdleConns(4 * runtime.GOMAXPROCS(0))
	writer, err := startWriter(ctx, path, "synchronous(FULL)", m)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), readers.Close())
	}
	s := &sqlite{path: path, readers: readers, reading: &prepared{db: readers}, writer: writer}
	return &DB{queries: queries{s.reading}, engine: s, now: o.Now, changed: o.Changed}, nil
}

// makeFile creates what is missing for nobody but the owner to read: SQLite gives
// its journal files the mode of the database.
func makeFile(path string) (string, error) {
	if path == "" || path == ":memory:" {
		return "", errors.New("DSN \"sqlite:\" must name a file")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("create data directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("create database file: %w", err)
	}
	return path, errors.Join(f.Chmod(0o600), f.Close())
}

// migrateSQLite runs the migrations while no other process does. Their lock is a
// transaction on an empty database beside the real one: it ends with the process,
// and with the context, on every system. The empty file stays.
func migrateSQLite(ctx context.Context, path string, o Options) error {
	beside, err := makeFile(path + "-migrating")
	if err != nil {
		return err
	}
	locks, err := sql.Open("sqlite", dsn(beside, "busy_timeout(60000)"))
	if err != nil {
		return err
	}
	lock, err := locks.BeginTx(ctx, nil)
	if err != nil {
		return errors.Join(fmt.Errorf("wait for another process to migrate the schema: %w", err), locks.Close())
	}
	db, err := sql.Open("sqlite", sqliteDSN(path, "synchronous(FULL)"))
	if err == nil {
		err = errors.Join(migrate(ctx, db, goose.DialectSQLite3, o.Log), db.Close())
	}
	return errors.Join(err, lock.Rollback(), locks.Close())
}

// sqliteDSN names the database's file and how each of its connections is set up.
func sqliteDSN(path string, pragmas ...string) string {
	return dsn(path, append([]string{
		"busy_timeout(10000)", // another process may be at the file: a backup, deskyard doctor
		"journal_mode(WAL)",
		"foreign_keys(1)",
		"journal_size_limit(67108864)", // gives the disk back after a burst
	}, pragmas...)...)
}

func dsn(path string, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": pragmas}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	return u.String()
}

func (s *sqlite) write(ctx context.Context, f func(context.Context, *transaction) error) error {
	return s.writer.write(ctx, f)
}

func (s *sqlite) close() error {
	err := s.writer.close()
	s.reading.close()
	return errors.Join(err, s.readers.Close())
}

func (s *sqlite) backup(ctx context.Context, path string) error {
	return backupSQLite(ctx, s.path, path)
}
