//go:build unix

package bootloader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/deskyard/deskyard/durable"
)

// pointCurrent makes dir/current name version in one step.
func pointCurrent(dir, version string) error {
	next := filepath.Join(dir, ".current-next")
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("point %s at %s: %w", filepath.Join(dir, currentName), version, err)
	}
	if err := os.Symlink(version, next); err != nil {
		return fmt.Errorf("point %s at %s: %w", filepath.Join(dir, currentName), version, err)
	}
	if err := os.Rename(next, filepath.Join(dir, currentName)); err != nil {
		return fmt.Errorf("point %s at %s: %w", filepath.Join(dir, currentName), version, err)
	}
	return durable.SyncFolder(dir)
}

// readCurrent is the version that dir/current names; os.ErrNotExist when there is none.
func readCurrent(dir string) (string, error) {
	return os.Readlink(filepath.Join(dir, currentName))
}
