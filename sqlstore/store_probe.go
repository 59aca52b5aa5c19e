package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Probe opens the database that dsn names, asks it one question and closes it. It
// changes nothing: no file is made and no schema migrated.
func Probe(ctx context.Context, dsn string) error {
	driver, source := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, source = "sqlite", sqliteDSN(path, "query_only(1)")
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	var one int
	err = db.QueryRowContext(ctx, `select 1`).Scan(&one)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("ask store: %w", err)
	}
	return nil
}
