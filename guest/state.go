package guest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/durable"
	"github.com/deskyard/deskyard/reverse"
)

// maxFile bounds what is read of state, invitation and journal.
const maxFile = 4 << 20

// State is what the guest keeps: who it is and whom it trusts. It holds the machine's
// private key, mode 0600. The boot loader reads the service's addresses and the
// components' key from it until the agent has a state of its own.
type State struct {
	reverse.GuestEnrolled
	MachineID string `json:"machineId"`
	Seed      []byte `json:"seed"` // Ed25519 private key
	Enrolled  bool   `json:"enrolled"`
	Invited   []byte `json:"invited,omitempty"` // SHA-256 of the invitation's token
}

// from reports whether the state was begun for an invitation.
func (s State) from(i deskyard.Invitation) bool {
	hash := sha256.Sum256([]byte(i.Token))
	return s.MachineID == i.MachineID && (len(s.Invited) == 0 || subtle.ConstantTimeCompare(s.Invited, hash[:]) == 1)
}

// String does not tell the private key.
func (s State) String() string { return "guest state of machine " + s.MachineID + " (key redacted)" }

func (s State) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(s.Seed) }

// pin is what the service's CA is known by.
func (s State) pin() (string, error) {
	block, _ := pem.Decode([]byte(s.CAPem))
	if block == nil {
		return "", errors.New("the service's CA is not PEM; delete the machine and make it again")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("read the service's CA: %w", err)
	}
	return reverse.PinOf(ca), nil
}

// ReadState reads the state; a missing file is the zero State.
func ReadState(path string) (State, error) {
	var s State
	if err := readJSON(path, &s); err != nil {
		return State{}, err
	}
	if len(s.Seed) != 0 && len(s.Seed) != ed25519.SeedSize {
		return State{}, fmt.Errorf("read %s: the key has %d bytes, not %d", path, len(s.Seed), ed25519.SeedSize)
	}
	return s, nil
}

// readJSON reads a file into v, which stays as it is when there is none.
func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return durable.Replace(path, b, 0o600)
}

// begin makes a key for an invitation, on disk before it is shown.
func begin(path string, i deskyard.Invitation) (State, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return State{}, fmt.Errorf("make the machine's key: %w", err)
	}
	hash := sha256.Sum256([]byte(i.Token))
	s := State{MachineID: i.MachineID, Seed: private.Seed(), Invited: hash[:]}
	s.BrokerURIs, s.CAPem = i.URLs, i.CAPem
	return s, writeJSON(path, s)
}

// ErrNoInvitation says that this machine was not made by the service: it has neither
// an invitation nor a state from one.
var ErrNoInvitation = errors.New("this machine has no invitation of a service: it was made elsewhere and joins with a registration key")

// Where an invitation may lie: where systemd puts credentials, and where cloud-init
// has been told to write it.
const credentialName = "deskyard.invitation"

// findInvitation looks for the invitation.
func (o Options) findInvitation() (deskyard.Invitation, error) {
	for _, path := range o.invitations() {
		var i deskyard.Invitation
		if err := readJSON(path, &i); err != nil {
			return i, err
		}
		if i.Token != "" && i.MachineID != "" {
			return i, nil
		}
	}
	return deskyard.Invitation{}, ErrNoInvitation
}

func (o Options) invitations() []string {
	paths := []string{o.Invitation}
	if d := os.Getenv("CREDENTIALS_DIRECTORY"); d != "" {
		paths = append([]string{filepath.Join(d, credentialName)}, paths...)
	}
	return paths
}

// eraseInvitation removes the file; a credential is not on any disk of the machine.
func (o Options) eraseInvitation() error {
	if err := os.Remove(o.Invitation); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("erase the invitation: %w", err)
	}
	return nil
}
