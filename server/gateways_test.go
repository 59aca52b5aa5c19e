package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/gateway"
	"github.com/deskyard/deskyard/reverse"
)

// ends is a brokerage that remembers what ended.
type ends struct {
	deskyard.Brokerage
	ended []string
}

func (e *ends) Ended(_ context.Context, c deskyard.ConnectionEnd) error {
	e.ended = append(e.ended, c.Connection)
	return nil
}

// yard is a service's door for gateways at a port of its own.
func yard(t *testing.T) (c Config, e *ends) {
	t.Helper()
	c = Config{Data: t.TempDir(), Listen: "127.0.0.1:1", PublicURL: "https://desk.example"}
	if err := makeFolder(c.keysFolder()); err != nil {
		t.Fatal(err)
	}
	ca, err := openAuthority(c.keysFolder(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{config: c, authority: ca, log: slog.New(slog.DiscardHandler)}
	if s.certificates, err = newCertificates(ca, c, s.log); err != nil {
		t.Fatal(err)
	}
	e = &ends{}
	srv := httptest.NewUnstartedServer(&gateway.BrokerDoor{Brokerage: e, Who: s.gatewayOf, Renew: s.renewGateway, Log: s.log})
	srv.TLS = s.certificates.config()
	srv.StartTLS()
	t.Cleanup(srv.Close)
	c.AgentURL = []string{srv.URL}
	return c, e
}

// enrolled is a gateway of that service, with its bundle in a file.
func enrolled(t *testing.T, c Config, name string) *edge {
	t.Helper()
	b, err := EnrollGateway(c, name, []string{"https://gw.example", "https://192.0.2.7:8443"})
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{bundle: b, log: slog.New(slog.DiscardHandler), config: GatewayConfig{Bundle: filepath.Join(t.TempDir(), "bundle")}}
	pin, err := b.Pin()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := b.Pair()
	if err != nil {
		t.Fatal(err)
	}
	e.certificates = &certificates{now: time.Now, log: e.log}
	e.certificates.internal.Store(pair)
	e.certificates.issue = func() (*tls.Certificate, error) { return e.renew(t.Context()) }
	e.remote = gateway.NewRemote(b.Service, pin, e.certificates.internal.Load)
	t.Cleanup(e.remote.Close)
	return e
}

func TestAnEnrolledGatewayIsHeardUntilItIsRemoved(t *testing.T) {
	c, heard := yard(t)
	e := enrolled(t, c, "edge-1")
	if err := e.remote.Ended(t.Context(), deskyard.ConnectionEnd{Connection: "c1"}); err != nil || !slices.Equal(heard.ended, []string{"c1"}) {
		t.Fatalf("heard %v, %v", heard.ended, err)
	}
	if all, err := Gateways(c); err != nil || len(all) != 1 || all[0].Name != "edge-1" {
		t.Errorf("listed %v, %v", all, err)
	}
	if err := RemoveGateway(c, "edge-1"); err != nil {
		t.Fatal(err)
	}
	err := e.remote.Ended(t.Context(), deskyard.ConnectionEnd{Connection: "c2"})
	if err == nil || !strings.Contains(err.Error(), "edge-1 was removed") || len(heard.ended) != 1 {
		t.Errorf("after its removal heard %v, %v", heard.ended, err)
	}
}

func TestAGatewayRenewsItsCertificateAndKeepsItInItsBundle(t *testing.T) {
	c, heard := yard(t)
	e := enrolled(t, c, "edge-1")
	before := e.certificates.internal.Load()
	if err := e.certificates.renew(); err != nil || e.certificates.internal.Load() != before {
		t.Fatalf("renewed a fresh certificate (%v)", err)
	}
	e.certificates.now = func() time.Time { return time.Now().Add(leafLife - leafLife/3 + time.Hour) }
	if err := e.certificates.renew(); err != nil {
		t.Fatal(err)
	}
	after := e.certificates.internal.Load()
	if after == before || !slices.Equal(after.Leaf.DNSNames, before.Leaf.DNSNames) || len(after.Leaf.IPAddresses) != 1 {
		t.Errorf("the new one has %v %v, the old one %v", after.Leaf.DNSNames, after.Leaf.IPAddresses, before.Leaf.DNSNames)
	}
	kept, err := gateway.ReadBundle(e.config.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	if pair, err := kept.Pair(); err != nil || !pair.Leaf.Equal(after.Leaf) {
		t.Errorf("the bundle keeps another certificate (%v)", err)
	}
	e.remote.Close() // so that the new one is shown
	if err := e.remote.Ended(t.Context(), deskyard.ConnectionEnd{Connection: "c1"}); err != nil || len(heard.ended) != 1 {
		t.Errorf("with the new certificate: %v", err)
	}
	// A gateway whose disk was full goes on with the one before.
	e.certificates.internal.Store(before)
	e.remote.Close()
	if err := e.remote.Ended(t.Context(), deskyard.ConnectionEnd{Connection: "c2"}); err != nil || len(heard.ended) != 2 {
		t.Errorf("with the certificate before: %v", err)
	}
}

func TestAGatewaysCertificateIsNotTheServices(t *testing.T) {
	c, _ := yard(t)
	e := enrolled(t, c, "edge-1")
	pin, err := e.bundle.Pin()
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", e.certificates.config())
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	defer func() { _ = srv.Close(); <-done }()
	conn, err := reverse.Dial(t.Context(), "https://"+l.Addr().String(), reverse.PinnedGateway(pin))
	if err != nil {
		t.Fatalf("a host does not take it for a gateway: %v", err)
	}
	_ = conn.Close()
	if _, err := reverse.Dial(t.Context(), "https://"+l.Addr().String(), reverse.Pinned(pin)); !errors.Is(err, reverse.ErrWrongCA) {
		t.Errorf("a host takes it for the service: %v", err)
	}
}

func TestTheServicesOwnCertificateMakesNoGateway(t *testing.T) {
	c, heard := yard(t)
	e := enrolled(t, c, "edge-1")
	ca, err := openAuthority(c.keysFolder(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	pin, err := e.bundle.Pin()
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.issue([]string{"edge-1"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := ca.gateway(server.Leaf.PublicKey, "edge-1", []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string]*tls.Certificate{
		"a server's certificate": server,
		"one that is not listed": {Certificate: [][]byte{other.Raw}, PrivateKey: server.PrivateKey},
		"none":                   {},
	} {
		r := gateway.NewRemote(c.AgentURL, pin, func() *tls.Certificate { return pair })
		if err := r.Ended(t.Context(), deskyard.ConnectionEnd{Connection: "c1"}); err == nil || len(heard.ended) != 0 {
			t.Errorf("%s: heard %v, %v", name, heard.ended, err)
		}
		r.Close()
	}
}

func TestNamesAndAddressesOfGatewaysAreChecked(t *testing.T) {
	c, _ := yard(t)
	for _, bad := range []struct{ name, url string }{
		{"", "https://gw"}, {"../x", "https://gw"}, {"Edge", "https://gw"}, {"service", "https://gw"}, {"edge", "http://gw"}, {"edge", "https://gw/path"},
	} {
		if _, err := EnrollGateway(c, bad.name, []string{bad.url}); err == nil {
			t.Errorf("%q at %q was enrolled", bad.name, bad.url)
		}
	}
	enrolled(t, c, "edge")
	if _, err := EnrollGateway(c, "edge", []string{"https://gw"}); err == nil || !strings.Contains(err.Error(), "remove it first") {
		t.Errorf("a second one of the name: %v", err)
	}
	if err := RemoveGateway(c, "../ca"); err == nil {
		t.Error("removed what is no gateway")
	}
	if _, err := EnrollGateway(Config{Data: t.TempDir()}, "edge", []string{"https://gw"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("enrolled where no service is: %v", err)
	}
}

// Relaying implements deskyard.Brokerage.
func (e *ends) Relaying(context.Context, deskyard.RelayReport) error { return nil }
