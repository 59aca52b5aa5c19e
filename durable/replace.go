// Package durable replaces files so that neither a crash nor a power loss leaves
// half of one: keys, states and settings that a machine cannot do without.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace makes path hold content with that mode: whole and on disk when it returns
// nil, else unchanged. The folder must exist. prepare is done to the new file before
// it takes its place (give it to another group).
func Replace(path string, content []byte, mode fs.FileMode, prepare ...func(*os.File) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // gone after the rename; after a failure it must not stay
	_, err = f.Write(content)
	for _, p := range prepare {
		err = errors.Join(err, p(f))
	}
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return SyncFolder(dir)
}
