package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/sqlstore"
)

// Database is the file of the service's store in the Dir that it was started with.
func Database(dir string) string { return filepath.Join(dir, "data", "deskyard.db") }

// OpenStore opens a store's file beside the service, or without it.
func OpenStore(ctx context.Context, file string) (*sqlstore.DB, error) {
	return sqlstore.Open(ctx, sqlstore.Options{DSN: "sqlite:" + file, Log: slog.New(slog.DiscardHandler)})
}

// SeedHosts puts session hosts into a store directly: thousands of registrations
// would take minutes and are not what the caller is after.
func SeedHosts(ctx context.Context, file string, hosts []deskyard.SessionHost) error {
	db, err := OpenStore(ctx, file)
	if err != nil {
		return err
	}
	err = db.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		for _, h := range hosts {
			if _, err := tx.PutSessionHost(ctx, h); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("put %d session hosts into the store: %w", len(hosts), err)
	}
	return nil
}
