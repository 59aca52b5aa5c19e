package server

import (
	"fmt"
	"os"
	"path/filepath"
)

// writeSecret replaces a file that only its owner may read, so that a crash leaves
// the old content or the new, never half of it.
func writeSecret(path string, content []byte) error { return replaceFile(path, content, 0o600) }

// writePublic replaces a file that everybody may read.
func writePublic(path string, content []byte) error { return replaceFile(path, content, 0o644) }

func replaceFile(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // does nothing once renamed
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// makeFolder makes a folder that only its owner may enter.
func makeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make folder %s: %w", path, err)
	}
	return nil
}
