package bootloader

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/deskyard/deskyard/durable"
)

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return durable.Replace(path, b, 0o600)
}

// syncTree flushes every directory below and including dir; the files are flushed
// by who writes them.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return durable.SyncFolder(p)
	})
}
