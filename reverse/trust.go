package reverse

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
)

// ErrWrongCA says that who answered is not the service that the registration key
// is of: another service, or somebody between.
var ErrWrongCA = errors.New("the server's certificate is not of the service that this machine trusts")

// Pinned is the TLS configuration that trusts the service of the CA with that pin and
// nothing else. No date is looked at: a machine with a wrong clock must be able to link,
// and the pin is what is trusted.
func Pinned(pin string) *tls.Config { return pinned(pin, ServerName) }

// PinnedGateway is Pinned for a gateway of that service, which may be the service itself.
func PinnedGateway(pin string) *tls.Config { return pinned(pin, GatewayName) }

func pinned(pin, name string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: name,
		NextProtos: []string{ALPN, "http/1.1"},
		// A host's leg carries pictures, which small records would take apart.
		DynamicRecordSizingDisabled: true,
		// The standard verification would ask the clock and the system's roots;
		// VerifyConnection replaces it whole.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return VerifyChain(cs.PeerCertificates, pin, name) },
	}
}

// VerifyChain checks that the chain holds a CA with that pin, that its leaf is
// signed by it, and that the leaf is for that name: ServerName or GatewayName.
func VerifyChain(chain []*x509.Certificate, pin, name string) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: it showed no certificate", ErrWrongCA)
	}
	leaf := chain[0]
	seen := ""
	for _, ca := range chain {
		got := PinOf(ca)
		if seen += " " + got; subtle.ConstantTimeCompare([]byte(got), []byte(pin)) != 1 || !ca.IsCA {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		at := leaf.NotBefore
		if ca.NotBefore.After(at) {
			at = ca.NotBefore
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrWrongCA, err)
		}
		return nil
	}
	return fmt.Errorf("%w: it expects the CA with the pin %s and was shown%s; check the address, and that no proxy breaks TLS open", ErrWrongCA, pin, seen)
}

// PinOf is what agents know a CA by: base64url of the SHA-256 of its public key.
func PinOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
