package bootloader

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Service is what the boot loader knows of the service it fetches from: the part
// of the agent's state file that concerns it.
type Service struct {
	BrokerURIs    []string `json:"brokerUris"`    // base URLs, tried in order
	CAPem         string   `json:"caPem"`         // the service's own CA
	ComponentsKey string   `json:"componentsKey"` // base64 of the Ed25519 public key that signs manifests
}

// ErrNotRegistered says that the machine does not know its service yet.
var ErrNotRegistered = errors.New("this machine is not registered yet, so the key that components are signed with is unknown")

// ReadService reads the agent's state file; ErrNotRegistered when there is none or
// it holds no key.
func ReadService(path string) (Service, error) {
	var s Service
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, ErrNotRegistered
	}
	if err != nil {
		return s, fmt.Errorf("read service of this machine: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return s, fmt.Errorf("read service of this machine from %s: %w", path, err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("decode %s: %w", path, err)
	}
	if s.ComponentsKey == "" || len(s.BrokerURIs) == 0 {
		return s, ErrNotRegistered
	}
	return s, nil
}

// Key decodes the key that manifests are signed with.
func (s Service) Key() (ed25519.PublicKey, error) {
	k, err := base64.StdEncoding.DecodeString(s.ComponentsKey)
	if err != nil || len(k) != ed25519.PublicKeySize {
		return nil, errors.New("componentsKey is not the base64 of an Ed25519 public key; register the machine again")
	}
	return k, nil
}
