package server

import (
	"fmt"
	"os"
)

// makeFolder makes a folder that only its owner may enter.
func makeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make folder %s: %w", path, err)
	}
	return nil
}
