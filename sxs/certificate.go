package sxs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// fingerprint is what gateways pin a listener by: the SHA-256 of the certificate's DER,
// in hexadecimal.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// fingerprintOf reads the first certificate of a PEM file, which is the one that a
// server shows as its own.
func fingerprintOf(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the RDP server's certificate: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return fingerprint(block.Bytes), nil
		}
	}
	return "", errors.New("read the RDP server's certificate: " + path + " holds none")
}
