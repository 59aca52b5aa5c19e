package main

import (
	"context"
	"fmt"

	"github.com/deskyard/deskyard/server"
)

type backupCommand struct {
	server.Config
	File string `arg:"" help:"File to write." type:"path"`
}

// Run writes the backup.
func (b *backupCommand) Run(ctx context.Context) error {
	if err := b.Check(); err != nil {
		return err
	}
	whole, err := server.Backup(ctx, b.Config, b.File)
	if err != nil {
		return err
	}
	if !whole {
		fmt.Println("The backup holds the keys alone; back the PostgreSQL database up with pg_dump.")
	}
	fmt.Println("Backup written to", b.File)
	return nil
}

type restoreCommand struct {
	server.Config
	File string `arg:"" help:"Backup to restore." type:"existingfile"`
}

// Run makes the data folder.
func (r *restoreCommand) Run() error {
	if err := r.Check(); err != nil {
		return err
	}
	if err := server.Restore(r.Config, r.File); err != nil {
		return err
	}
	fmt.Println("Restored into", r.Data+"; start the service.")
	return nil
}
