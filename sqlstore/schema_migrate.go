package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Migrations only go forward; a database
// that is ahead of this program is refused untouched.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, log *slog.Logger, options ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read embedded migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, db, files, append(options, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if current > target {
		return fmt.Errorf("%w: its schema is version %d, this program knows up to %d; run the newer program, or restore a backup made before the upgrade",
			ErrNewerSchema, current, target)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate schema from version %d to %d: %w", current, target, err)
	}
	for _, m := range done {
		log.Info("schema migrated", "version", m.Source.Version, "took", m.Duration)
	}
	return nil
}
