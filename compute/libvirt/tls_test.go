package libvirt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/compute"
)

// authority certifies hosts and clients.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func certify(t *testing.T, c *x509.Certificate, by *authority) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	return authority{c, key}
}

func newAuthority(t *testing.T, name string) authority {
	return certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
}

func (a authority) certify(t *testing.T, name string) authority {
	return certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}, &a)
}

// folder writes what a client has: whom it trusts, and itself.
func folder(t *testing.T, trusted, client authority) string {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(client.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cacert.pem": {Type: "CERTIFICATE", Bytes: trusted.certificate.Raw}, "clientcert.pem": {Type: "CERTIFICATE", Bytes: client.certificate.Raw},
		"clientkey.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tlsHost answers handshakes, takes clients of an authority and then writes verdict.
func tlsHost(t *testing.T, self, clients authority, version uint16, verdict string) (port string) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(clients.certificate)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{self.certificate.Raw}, PrivateKey: self.key}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: version,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if c.(*tls.Conn).Handshake() == nil {
				c.Write([]byte(verdict))
			}
			c.Close()
		}
	}()
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestTLSSaysWhoseCertificateWasRefused(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	us, strangers := ours.certify(t, "deskyard"), theirs.certify(t, "stranger")
	localhost, other := ours.certify(t, "localhost"), ours.certify(t, "rack-1")
	for what, x := range map[string]struct {
		folder  string
		host    authority
		version uint16
		verdict string
		says    string // "" for a connection that stands
	}{
		"both sides are known":           {folder(t, ours, us), localhost, tls.VersionTLS13, "\x01", ""},
		"both sides are known, TLS 1.2":  {folder(t, ours, us), localhost, tls.VersionTLS12, "\x01", ""},
		"a host of another authority":    {folder(t, theirs, us), localhost, tls.VersionTLS13, "\x01", "the host's certificate is not of the authority in"},
		"a host of another name":         {folder(t, ours, us), other, tls.VersionTLS13, "\x01", "not for the name localhost"},
		"a stranger, TLS 1.3":            {folder(t, ours, strangers), localhost, tls.VersionTLS13, "\x01", "does not take this service's certificate"},
		"a stranger, TLS 1.2":            {folder(t, ours, strangers), localhost, tls.VersionTLS12, "\x01", "does not take this service's certificate"},
		"a host that closes, as libvirt": {folder(t, ours, us), localhost, tls.VersionTLS13, "", "does not take this service's certificate"},
		"a host that says no":            {folder(t, ours, us), localhost, tls.VersionTLS13, "\x00", "its verdict is 0"},
		"no certificates":                {t.TempDir(), localhost, tls.VersionTLS13, "\x01", "cacert.pem"},
	} {
		conn, err := newTLS("localhost", tlsHost(t, x.host, ours, x.version, x.verdict), x.folder).Dial()
		if (err == nil) != (x.says == "") || err != nil && !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}

func TestErrorsOfAConnectionNameItsURI(t *testing.T) {
	uri := "qemu+tls://localhost:1/system?pkipath=" + t.TempDir()
	_, err := exampleDriver(t, Options{URI: uri}).Capabilities(t.Context())
	if !errors.Is(err, compute.ErrUnreachable) || !strings.Contains(err.Error(), "connect to "+uri) {
		t.Errorf("the error is %v", err)
	}
}

func TestOnlyASocketsFileIsThisHosts(t *testing.T) {
	for uri, want := range map[string]bool{
		"": true, "qemu:///system": true, "qemu+unix:///system?socket=/run/x": true,
		"qemu://h/system": false, "qemu+tls://localhost/system": false, "qemu+ssh://localhost/system": false, "qemu+tcp://127.0.0.1/system": false,
	} {
		if got, err := Local(uri); err != nil || got != want {
			t.Errorf("%q is this host's: %v, %v", uri, got, err)
		}
	}
}
