package signon

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// secretPrefix marks one-time passwords, so that one which is used up or late is
// never sent to the directory, where it would count as a wrong password.
const secretPrefix = "dysk1-"

const secretBytes = 32

// NewSecret makes a one-time password, and the hash by which a host is told of it.
func NewSecret() (password string, hash [sha256.Size]byte) {
	b := make([]byte, secretBytes)
	rand.Read(b) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	password = secretPrefix + base64.RawURLEncoding.EncodeToString(b)
	return password, sha256.Sum256([]byte(password))
}

// isSecret reports whether a password has the form of NewSecret's.
func isSecret(password string) bool {
	rest, ok := strings.CutPrefix(password, secretPrefix)
	if !ok {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	return err == nil && len(b) == secretBytes
}
