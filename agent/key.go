package agent

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/deskyard/deskyard/token"
)

// findKey gives the registration key that waits to be used: the file's, or the
// environment's. "" when there is none. AVD's installer fills in INVALID_TOKEN
// when none was given, which counts as none.
func (a *Agent) findKey() (string, error) {
	f, err := os.Open(a.o.KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return a.o.Key, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the registration key: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, token.MaxLength+2))
	if err != nil {
		return "", fmt.Errorf("read the registration key %s: %w", a.o.KeyFile, err)
	}
	key := string(bytes.TrimSpace(b))
	if key == "" || key == "INVALID_TOKEN" {
		return a.o.Key, nil
	}
	return key, nil
}

// eraseKey removes the key file after overwriting it, so that the key does not stay
// behind in a free block of a disk that is copied. On copy-on-write file systems
// the overwriting does not reach the old block.
func (a *Agent) eraseKey() error {
	a.o.Key = ""
	f, err := os.OpenFile(a.o.KeyFile, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("erase the registration key: %w", err)
	}
	st, err := f.Stat()
	if err == nil {
		_, err = io.CopyN(f, rand.Reader, min(st.Size(), 1<<20))
	}
	err = errors.Join(err, f.Sync(), f.Close(), os.Remove(a.o.KeyFile))
	if err != nil {
		return fmt.Errorf("erase the registration key %s: %w", a.o.KeyFile, err)
	}
	return nil
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
