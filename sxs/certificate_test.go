package sxs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vm-1"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTheFirstCertificateOfAFileIsTheServersOwn(t *testing.T) {
	own, issuer := selfSigned(t).Certificate[0], selfSigned(t).Certificate[0]
	file := filepath.Join(t.TempDir(), "cert.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own})...)
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := fingerprintOf(file); err != nil || got != fingerprint(own) {
		t.Errorf("read %q, %v; the certificate's is %q", got, err, fingerprint(own))
	}
	if err := os.WriteFile(file, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := fingerprintOf(file); err == nil {
		t.Errorf("a file without a certificate gave %q", got)
	}
}

// rdpServer answers one connection request with the confirm and speaks TLS after it.
func rdpServer(t *testing.T, confirm []byte, c tls.Certificate) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		request := make([]byte, len(tlsRequest))
		if _, err := io.ReadFull(conn, request); err != nil || !bytes.Equal(request, tlsRequest) {
			t.Errorf("request % x, %v", request, err)
			return
		}
		if _, err := conn.Write(confirm); err != nil {
			t.Error(err)
			return
		}
		_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{c}}).Handshake() // the client judges
	}()
	return l.Addr().String()
}

func TestTheCertificateThatAnRDPServerShowsIsSeen(t *testing.T) {
	c := selfSigned(t)
	hybrid := []byte{3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0x1f, 8, 0, 2, 0, 0, 0}
	got, err := shown(t.Context(), rdpServer(t, hybrid, c))
	if err != nil || got != fingerprint(c.Certificate[0]) {
		t.Errorf("saw %q, %v; it shows %q", got, err, fingerprint(c.Certificate[0]))
	}
}

func TestWhatIsNoRDPServerShowsNoCertificate(t *testing.T) {
	for _, answer := range [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n"), {3, 0, 0, 5, 2, 0xd0, 0}} {
		if got, err := shown(t.Context(), rdpServer(t, answer, selfSigned(t))); err == nil {
			t.Errorf("% x gave %q", answer, got)
		}
	}
}
