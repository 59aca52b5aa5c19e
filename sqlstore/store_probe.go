package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Probe opens the database that dsn names, reads its catalogue and closes it. It
// changes nothing: no file is made and no schema migrated.
func Probe(ctx context.Context, dsn string) error {
	driver, source, ask := "pgx", dsn, `select count(*) from pg_catalog.pg_class`
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil { // SQLite would make it
			return fmt.Errorf("open store: %w", err)
		}
		driver, source, ask = "sqlite", sqliteDSN(path, "query_only(1)"), `select count(*) from sqlite_schema`
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	var objects int
	err = db.QueryRowContext(ctx, ask).Scan(&objects)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("ask store: %w", err)
	}
	return nil
}
