package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/gateway"
	"github.com/deskyard/deskyard/relay"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/server"
)

// edgeRole is a gateway as `deskyard gateway run` runs it.
type edgeRole struct {
	server.GatewayConfig
}

// Run relays until ctx ends.
func (e *edgeRole) Run(ctx context.Context) error {
	return server.RunGateway(ctx, e.GatewayConfig, "bench", server.NewLog(os.Stderr, e.LogLevel, e.LogFormat))
}

// yard is the service for one gateway: it lets every ticket in that a lane has made, and
// its only session host opens a leg for it.
type yard struct {
	gateway string // address
	cert    tls.Certificate
	pin     string
	client  *tls.Config
	key     ed25519.PrivateKey
	public  ed25519.PublicKey
	awaited sync.Map // ticket -> chan *leg
	broker  *http.Server
	orders  gateway.Orders
	bundle  string
}

// leg is a session host's end of a reverse connection.
type leg struct {
	conn    *tls.Conn
	records *relay.Records // below conn
}

const benchHost = "00000000-0000-4000-8000-000000000001"

// openYard serves a brokerage and writes the bundle of its gateway.
func openYard(dir string) (y *yard, err error) {
	y = &yard{}
	if y.public, y.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if y.gateway, err = freeAddress(); err != nil {
		return nil, err
	}
	b := gateway.Bundle{Name: "bench", URLs: []string{"https://" + y.gateway}}
	if err := y.certify(&b); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the gateway: %w", err)
	}
	b.Service = []string{"https://" + l.Addr().String()}
	door := &gateway.BrokerDoor{
		Brokerage: y, Who: func(*http.Request) (string, error) { return b.Name, nil },
		Renew:  func(*http.Request, []byte) (string, error) { return "", errors.New("the bench's certificates last") },
		Orders: &y.orders, Log: slog.New(slog.DiscardHandler),
	}
	y.broker = &http.Server{Handler: door, ReadHeaderTimeout: handshakeIn, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	go func() { // ends with close
		_ = y.broker.Serve(tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{y.cert}, ClientAuth: tls.RequestClientCert}))
	}()
	_, port, err := net.SplitHostPort(y.gateway)
	if err != nil {
		return nil, err
	}
	y.bundle = filepath.Join(dir, "bundle-"+port+".json")
	return y, b.Write(y.bundle)
}

func (y *yard) close() {
	y.orders.Close()
	_ = y.broker.Close() // it goes with the process at the latest
}

// certify makes the one certificate of the yard: CA, service, gateway and RDP listener.
func (y *yard) certify(b *gateway.Bundle) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{reverse.ServerName, reverse.GatewayName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(2, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode a key: %w", err)
	}
	b.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	b.Certificate = b.CA
	b.Key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	pair, err := b.Pair()
	if err != nil {
		return err
	}
	y.cert = *pair
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	y.pin = reverse.PinOf(leaf)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	y.client = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: reverse.GatewayName}
	return nil
}

// Admit implements deskyard.Brokerage.
func (y *yard) Admit(ctx context.Context, q deskyard.AdmitRequest) (deskyard.Admission, error) {
	seat, known := y.awaited.LoadAndDelete(q.Ticket)
	if !known {
		return deskyard.Admission{}, &deskyard.ConnectionFailure{Message: "no lane has that ticket"}
	}
	l, err := y.dial(ctx, q.Leg)
	if err != nil {
		return deskyard.Admission{}, err
	}
	seat.(chan *leg) <- l // has room
	return deskyard.Admission{
		Connection: q.Leg, HostID: benchHost, HostName: "host", HostKey: y.public, User: "bench", Certificate: sha256.Sum256(y.cert.Certificate[0]),
	}, nil
}

// Connected implements deskyard.Brokerage.
func (y *yard) Connected(context.Context, string, []deskyard.ConnectionStage) error { return nil }

// Ended implements deskyard.Brokerage.
func (y *yard) Ended(context.Context, deskyard.ConnectionEnd) error { return nil }

// Relaying implements deskyard.Brokerage.
func (y *yard) Relaying(context.Context, deskyard.RelayReport) error { return nil }

// dial opens a leg as an agent does, but on records that can be gathered.
func (y *yard) dial(ctx context.Context, id string) (*leg, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", y.gateway)
	if err != nil {
		return nil, err
	}
	records := relay.NewRecords(raw)
	conn := tls.Client(records, reverse.PinnedGateway(y.pin))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+y.gateway+reverse.LegPath+id, nil)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {reverse.LegProtocol}, reverse.LegHost: {benchHost},
		reverse.LegHeader: {base64.StdEncoding.EncodeToString(ed25519.Sign(y.key, reverse.LegProof(benchHost, id)))}}
	if err := r.Write(conn); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	const taken = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + reverse.LegProtocol + "\r\n\r\n"
	answer := make([]byte, len(taken))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != taken {
		return nil, errors.Join(fmt.Errorf("the gateway answers %q to the leg", answer), err, raw.Close())
	}
	return &leg{conn, records}, nil
}
