// Package seal keeps secrets that the service has to store for a while: the
// password that a machine's administrator will get, a directory account that joins
// it. They are in the database only as sealed boxes, whose key is a file beside it.
package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a key in bytes.
const KeySize = chacha20poly1305.KeySize

// ErrBroken is answered for a box that this key did not seal for this purpose, or
// that was changed.
var ErrBroken = errors.New("the sealed secret does not open: it was sealed with another key, for another object, or was changed")

// Sealer seals and opens boxes with one key (XChaCha20-Poly1305, whose random
// nonces may be drawn without counting).
type Sealer struct {
	aead cipher.AEAD
}

// New makes a Sealer of a key of KeySize bytes.
func New(key []byte) (*Sealer, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("use sealing key: %w", err)
	}
	return &Sealer{aead: aead}, nil
}

// Seal closes a box about an object. Whoever opens it must name the same object
// (any case), so that a box cannot be moved to another row.
func (s *Sealer) Seal(plain []byte, about string) []byte {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	rand.Read(nonce) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	return s.aead.Seal(nonce, nonce, plain, []byte(strings.ToLower(about)))
}

// Open opens a box about an object; ErrBroken otherwise.
func (s *Sealer) Open(box []byte, about string) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(box) < n {
		return nil, ErrBroken
	}
	plain, err := s.aead.Open(nil, box[:n], box[n:], []byte(strings.ToLower(about)))
	if err != nil {
		return nil, ErrBroken
	}
	return plain, nil
}
