//go:build e2e

package hostile

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/reverse"
)

// renewalFor is how long a renewed certificate may take: the service looks at its
// files each minute.
const renewalFor = 90 * time.Second

func TestAnOwnCertificateIsRenewedWithoutARestartAndHostsDoNotSeeIt(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	t.Setenv("DESKYARD_TLS_CERT", certFile)
	t.Setenv("DESKYARD_TLS_KEY", keyFile)
	s, err := service.Start(t.Context(), service.Options{Binary: binary(t), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	if n := serial(t, s); n != 1 {
		t.Fatalf("people see certificate %d, not the configured one", n)
	}
	if n := serial(t, s, reverse.ALPN, "http/1.1"); n == 1 {
		t.Error("session hosts see the configured certificate, not the one that they pin")
	}
	process := s.Process().Pid
	if err := os.WriteFile(certFile, []byte("half a certifi"), 0o600); err != nil { // a renewal under way
		t.Fatal(err)
	}
	if n := serial(t, s); n != 1 {
		t.Errorf("people see certificate %d while the file is broken", n)
	}
	writeCertificate(t, certFile, keyFile, 2)
	for end := time.Now().Add(renewalFor); serial(t, s) != 2; time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatalf("the renewed certificate is not shown after %s", renewalFor)
		}
	}
	if s.Process().Pid != process {
		t.Error("the service was restarted")
	}
}

// serial is the serial number of the certificate that a caller with these protocols
// sees, small enough for an int; what is larger counts as 0.
func serial(t *testing.T, s *service.Service, protocols ...string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: protocols, ServerName: "localhost"}} // looked at, not trusted
	conn, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(strings.Replace(s.Endpoint, "localhost", "127.0.0.1", 1), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n := conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber; n.IsInt64() {
		return n.Int64()
	}
	return 0
}

func writeCertificate(t *testing.T, certFile, keyFile string, number int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "desk.example.org"}, DNSNames: []string{"desk.example.org", "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{keyFile: {Type: "PRIVATE KEY", Bytes: secret}, certFile: {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
