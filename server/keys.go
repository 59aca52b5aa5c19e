package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deskyard/deskyard/durable"
	"github.com/deskyard/deskyard/seal"
)

// signingKey reads an Ed25519 key from dir, or makes it there. The service has
// two: "registration" signs registration tokens, "components" the packages that
// session hosts install.
func signingKey(dir, name string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, name+"-key.pem")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSigningKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read signing key %s: no PEM block in it; restore the file from a backup", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read signing key %s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read signing key %s: not an Ed25519 key", path)
	}
	return key, nil
}

// sealingKey reads the key that secrets in the store are sealed with, or makes it.
func sealingKey(dir string) (*seal.Sealer, error) {
	path := filepath.Join(dir, "sealing-key")
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, seal.KeySize)
		rand.Read(key) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
		err = durable.Replace(path, key, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open sealing key: %w", err)
	}
	s, err := seal.New(key)
	if err != nil {
		return nil, fmt.Errorf("read sealing key %s: %w; restore the file from a backup", path, err)
	}
	return s, nil
}

func makeSigningKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key %s: %w", path, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode signing key %s: %w", path, err)
	}
	return key, durable.Replace(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}
