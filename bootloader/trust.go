package bootloader

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// The service shows the certificate of its own CA, with this name, to clients that
// offer this protocol, whatever name and certificate people see.
const (
	agentProtocol   = "deskyard-agent/1"
	agentServerName = "agents.deskyard.internal"
)

// trust is the public keys of the CAs that may vouch for the service. No date is
// looked at: a machine with a wrong clock must be able to update, and a CA that was
// renewed with its key is the same.
type trust [][]byte

// trust reads the CAs of the service.
func (s Service) trust() (trust, error) {
	var t trust
	for rest := []byte(s.CAPem); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read caPem: %w; register the machine again", err)
		}
		t = append(t, c.RawSubjectPublicKeyInfo)
	}
	if len(t) == 0 {
		return nil, errors.New("caPem holds no certificate; register the machine again")
	}
	return t, nil
}

// verify checks that a CA with a trusted key is in the chain, and that it signed the
// leaf, which is the one for agents.
func (t trust) verify(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the service showed no certificate")
	}
	leaf := cs.PeerCertificates[0]
	for _, ca := range cs.PeerCertificates {
		if !ca.IsCA || !t.has(ca) {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		at := leaf.NotBefore
		if ca.NotBefore.After(at) {
			at = ca.NotBefore
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: agentServerName, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if err != nil {
			return fmt.Errorf("verify the service's certificate: %w", err)
		}
		return nil
	}
	return errors.New("the certificate is not of the service that this machine registered with; check that no proxy breaks TLS open")
}

func (t trust) has(c *x509.Certificate) bool {
	for _, key := range t {
		if bytes.Equal(key, c.RawSubjectPublicKeyInfo) {
			return true
		}
	}
	return false
}
