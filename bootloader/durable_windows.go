package bootloader

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/deskyard/deskyard/durable"
)

// pointCurrent makes the file dir/current name version; a link would need a privilege.
func pointCurrent(dir, version string) error {
	return durable.Replace(filepath.Join(dir, currentName), []byte(version+"\n"), 0o644)
}

// readCurrent is the version that dir/current names; os.ErrNotExist when there is none.
func readCurrent(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, currentName))
	return strings.TrimSpace(string(b)), err
}
