package sxs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/deskyard/deskyard/relay"
	"github.com/deskyard/deskyard/reverse"
)

// speaker is an RDP server as far as a leg sees it: an answer in clear, TLS, and an end.
func speaker(t *testing.T, version uint16, end func(secure *tls.Conn, raw net.Conn)) net.Conn {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		raw, err := l.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		_, _ = raw.Write([]byte("\x03\x00\x00\x13the answer, clear"))
		s := tls.Server(raw, &tls.Config{MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
		if s.Handshake() == nil {
			_, _ = s.Write(make([]byte, 3000))
			end(s, raw)
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestAnRDPServersLeaveIsToldFromItsDeath(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, c := range map[string]struct {
			end  func(*tls.Conn, net.Conn)
			lost bool
		}{
			"leaves":    {func(s *tls.Conn, _ net.Conn) { _ = s.Close() }, false},
			"is killed": {func(_ *tls.Conn, raw net.Conn) { _ = raw.Close() }, true},
		} {
			t.Run(tls.VersionName(version)+" "+name, func(t *testing.T) {
				host := &listened{Conn: speaker(t, version, c.end)}
				if _, err := io.ReadFull(host, make([]byte, 21)); err != nil {
					t.Fatal(err)
				}
				client := tls.Client(host, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test's own server
				if _, err := io.ReadFull(client, make([]byte, 3000)); err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, client)
				l := &legs{parts: true}
				if got := l.seen("c", host, relay.HostClosed); (got.What == reverse.SeenLost) != c.lost || got.Connection != "c" {
					t.Errorf("%+v", got)
				}
				if got := l.seen("c", host, relay.ClientClosed); got.What != SeenClosed {
					t.Errorf("a client that left: %+v", got)
				}
			})
		}
	}
}

func TestAnRDPServerThatRefusesIsNotLost(t *testing.T) {
	here, there := net.Pipe()
	go func() {
		_, _ = there.Write([]byte("\x03\x00\x00\x13negotiation failure"))
		_ = there.Close()
	}()
	host := &listened{Conn: here}
	if _, err := io.Copy(io.Discard, host); err != nil {
		t.Fatal(err)
	}
	if host.vanished() {
		t.Error("lost before TLS")
	}
}

func TestNewsAreCountedAndBounded(t *testing.T) {
	n := newNews()
	n.opened("a")
	n.opened("b")
	n.opened("")
	for range mostEvents {
		n.add(reverse.Seen{Connection: "b", What: reverse.SeenRefused})
	}
	n.add(reverse.Seen{Connection: "a", What: SeenClosed})
	n.add(reverse.Seen{What: SeenClosed})
	r := n.read()
	if len(r.Open) != 1 || r.Open[0] != "b" || len(r.Events) != mostEvents || r.Stack == "" || r.Stack == newNews().stack {
		t.Fatalf("%v open, %d events", r.Open, len(r.Events))
	}
	if last := r.Events[mostEvents-1]; last.Number != mostEvents+1 || last.Connection != "a" {
		t.Errorf("the last event is %+v", last)
	}
}
