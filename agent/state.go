package agent

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deskyard/deskyard/durable"
	"github.com/deskyard/deskyard/reverse"
)

// maxState bounds the state file.
const maxState = 1 << 20

// State is what the agent keeps on disk: who it is and whom it trusts. The boot
// loader reads the addresses, the CA and the components' key from it. It holds the
// machine's private key: mode 0600.
type State struct {
	reverse.Registered
	CAPin     string `json:"caPin"`
	Seed      []byte `json:"seed"` // Ed25519 private key
	Epoch     string `json:"epoch"`
	KeyDigest string `json:"keyDigest"` // of the registration key that was used, hex SHA-256
}

// Registered reports whether the machine has a session host record to link to.
func (s State) IsRegistered() bool { return s.HostID != "" }

// String does not tell the private key.
func (s State) String() string { return "state of session host " + s.HostID + " (key redacted)" }

func (s State) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(s.Seed) }

// ReadState reads the state file; a missing one is the zero State.
func ReadState(path string) (State, error) {
	var s State
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read the agent's state: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return s, fmt.Errorf("read the agent's state %s: %w", path, err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return State{}, fmt.Errorf("decode the agent's state %s (move it away and register the machine again): %w", path, err)
	}
	if len(s.Seed) != 0 && len(s.Seed) != ed25519.SeedSize {
		return State{}, fmt.Errorf("read the agent's state %s: the key has %d bytes, not %d; move it away and register the machine again", path, len(s.Seed), ed25519.SeedSize)
	}
	return s, nil
}

// write replaces the state file; when it returns the new one is on disk.
func (s State) write(path string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the agent's state: %w", err)
	}
	return replaceFile(path, append(b, '\n'), 0o600)
}

// replaceFile writes a file whole or not at all, in a folder that it makes.
func replaceFile(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return durable.Replace(path, data, mode)
}
