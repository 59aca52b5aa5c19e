package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/deskyard/deskyard/durable"
	"github.com/deskyard/deskyard/reverse"
)

// Bundle is what a gateway on a machine of its own needs: `deskyard gateway enroll`
// writes it on the service, and the gateway keeps its certificate in it fresh. It holds
// a secret key, and stays in a file of mode 0600.
type Bundle struct {
	Name        string   `json:"name"`
	URLs        []string `json:"urls"`        // at which session hosts and clients reach the gateway
	Service     []string `json:"service"`     // at which the gateway reaches the service
	Origins     []string `json:"origins"`     // of the service's pages
	CA          string   `json:"ca"`          // PEM
	Certificate string   `json:"certificate"` // PEM, the leaf first
	Key         string   `json:"key"`         // PEM, PKCS #8
}

// String keeps the key out of logs.
func (b Bundle) String() string { return "bundle of gateway " + b.Name }

const maxBundle = 256 << 10

// ReadBundle reads and checks a bundle's file.
func ReadBundle(path string) (Bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return Bundle{}, fmt.Errorf("read the gateway's bundle: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBundle))
	if err == nil {
		var b Bundle
		if b, err = parseBundle(text); err == nil {
			return b, nil
		}
	}
	return Bundle{}, fmt.Errorf("read the gateway's bundle %s: %w; enroll the gateway again", path, err)
}

func parseBundle(text []byte) (b Bundle, err error) {
	if err := json.Unmarshal(text, &b); err != nil {
		return b, err
	}
	if b.Name == "" || len(b.URLs) == 0 || len(b.Service) == 0 {
		return b, errors.New("it lacks the gateway's name, its addresses or the service's")
	}
	if _, err := b.Pin(); err != nil {
		return b, err
	}
	_, err = b.Pair()
	return b, err
}

// Write writes the bundle's file whole, readable by its owner alone.
func (b Bundle) Write(path string) error {
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the gateway's bundle: %w", err)
	}
	return durable.Replace(path, append(text, '\n'), 0o600)
}

// Pair is the gateway's certificate with its key.
func (b Bundle) Pair() (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair([]byte(b.Certificate), []byte(b.Key))
	if err != nil {
		return nil, fmt.Errorf("read the gateway's certificate: %w", err)
	}
	return &pair, nil
}

// Pin is what the service's CA is known by.
func (b Bundle) Pin() (string, error) {
	block, _ := pem.Decode([]byte(b.CA))
	if block == nil {
		return "", errors.New("read the service's CA: it is not PEM")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("read the service's CA: %w", err)
	}
	return reverse.PinOf(ca), nil
}
