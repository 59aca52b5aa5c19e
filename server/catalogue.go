package server

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/deskyard/deskyard/components"
	"github.com/deskyard/deskyard/sqlstore"
)

func openCatalogue(c Config, store *sqlstore.DB, log *slog.Logger) (*components.Catalogue, error) {
	key, err := signingKey(c.keysFolder(), "components")
	if err != nil {
		return nil, err
	}
	return components.Open(components.Options{Store: store, Dir: filepath.Join(c.Data, "components"), Key: key, Log: log})
}

// WithCatalogue gives f the catalogue of the installation in the data folder, which
// may be in service meanwhile: a running service sees a change within seconds.
func WithCatalogue(ctx context.Context, c Config, f func(*components.Catalogue) error) (err error) {
	if err := c.Check(); err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	store, err := sqlstore.Open(ctx, sqlstore.Options{DSN: c.Database, Log: quiet})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	catalogue, err := openCatalogue(c, store, quiet)
	if err != nil {
		return err
	}
	return f(catalogue)
}
