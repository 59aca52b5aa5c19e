package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/deskyard/deskyard/durable"
)

// Backup writes a consistent copy of the SQLite database that dsn names to path,
// which must not exist; it gets mode 0600 and appears only when it is complete and
// on disk. A service may be running on the database and go on writing; the schema
// is left as it is, so that a new program can back up before it upgrades. To
// restore, put the copy in the database's place while the service is stopped. For
// PostgreSQL it answers errors.ErrUnsupported: pg_dump is the tool.
func Backup(ctx context.Context, dsn, path string) error {
	source, ok := strings.CutPrefix(dsn, "sqlite:")
	if !ok {
		return errUsePgDump
	}
	if err := backupSQLite(ctx, source, path); err != nil {
		return fmt.Errorf("back up store to %s: %w", path, err)
	}
	return nil
}

var errUsePgDump = fmt.Errorf("%w for PostgreSQL: use pg_dump", errors.ErrUnsupported)

func backupSQLite(ctx context.Context, source, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fs.ErrExist, err)
	}
	if _, err := os.Stat(source); err != nil { // SQLite would make an empty one
		return err
	}
	partial := path + ".partial"
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = copyInto(ctx, source, partial)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(partial, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return durable.SyncFolder(filepath.Dir(path))
}

func copyInto(ctx context.Context, source, path string) error {
	source, err := filepath.Abs(source)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqliteDSN(source))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `vacuum into $1`, path)
	return errors.Join(err, db.Close())
}
