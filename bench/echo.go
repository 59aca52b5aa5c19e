package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/deskyard/deskyard/reverse"
)

// beatSize and answerSize are what the bare loop's heartbeat has on the wire.
const (
	beatSize   = 32
	answerSize = 2
)

// echoRole is the baseline of the agents' door: accept, TLS, answer each heartbeat.
type echoRole struct {
	Listen string `required:""`
	CA     string `required:"" help:"Its certificate and key; made if missing, so that it is the same after a restart."`
}

// Run accepts until ctx ends.
func (e *echoRole) Run(ctx context.Context) error {
	cert, err := tls.LoadX509KeyPair(e.CA, e.CA)
	if errors.Is(err, fs.ErrNotExist) {
		cert, err = selfSigned(e.CA)
	}
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", e.Listen, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}})
	if err != nil {
		return fmt.Errorf("listen on %s: %w", e.Listen, err)
	}
	collectOnSignal()
	context.AfterFunc(ctx, func() { _ = l.Close() })
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		go answerBeats(conn) // the process's end ends it
	}
}

func answerBeats(conn net.Conn) {
	defer conn.Close()
	beat := make([]byte, beatSize)
	for {
		if err := conn.SetDeadline(time.Now().Add(12 * time.Second)); err != nil {
			return
		}
		if _, err := io.ReadFull(conn, beat); err != nil {
			return
		}
		if _, err := conn.Write(beat[:answerSize]); err != nil {
			return
		}
	}
}

// selfSigned writes a P-256 certificate like the service's own, and its key, to file.
func selfSigned(file string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{reverse.ServerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("encode a key: %w", err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return tls.Certificate{}, fmt.Errorf("write the bare loop's certificate: %w", err)
	}
	return tls.X509KeyPair(text, text)
}
