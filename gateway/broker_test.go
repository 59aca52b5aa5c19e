package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/reverse"
)

// testCA signs certificates as the service does.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newTestCA(t *testing.T) *testCA {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Deskyard CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &testCA{cert, key}
}

// issue gives a certificate for everything, with the CA behind it.
func (ca *testCA) issue(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{reverse.ServerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key}
}

// book is a brokerage that remembers.
type book struct {
	admission deskyard.Admission
	err       error
	orders    Orders
	asked     deskyard.AdmitRequest
	stages    []deskyard.ConnectionStage
	end       deskyard.ConnectionEnd
}

func (b *book) Admit(_ context.Context, r deskyard.AdmitRequest) (deskyard.Admission, error) {
	b.asked = r
	return b.admission, b.err
}

func (b *book) Connected(_ context.Context, _ string, stages []deskyard.ConnectionStage) error {
	b.stages = stages
	return b.err
}

func (b *book) Ended(_ context.Context, e deskyard.ConnectionEnd) error {
	b.end = e
	return b.err
}

// serveBook is the service's door for gateways, and what a gateway called "edge" calls it by.
func serveBook(t *testing.T, b *book, before ...string) *Remote {
	t.Helper()
	ca := newTestCA(t)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	door := &BrokerDoor{Brokerage: b, Orders: &b.orders, Log: slog.New(slog.DiscardHandler),
		Who: func(r *http.Request) (string, error) {
			if len(r.TLS.VerifiedChains) == 0 {
				return "", errors.New("no certificate")
			}
			return r.TLS.PeerCertificates[0].Subject.CommonName, nil
		},
		Renew: func(_ *http.Request, key []byte) (string, error) { return "certificate of " + string(key[:1]), nil },
	}
	srv := httptest.NewUnstartedServer(door)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{*ca.issue(t, "service")}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	edge := ca.issue(t, "edge")
	r := NewRemote(append(before, srv.URL), reverse.PinOf(ca.cert), func() *tls.Certificate { return edge })
	t.Cleanup(r.Close)
	return r
}

func TestAnAdmissionCrossesTheNetworkWhole(t *testing.T) {
	b := &book{admission: deskyard.Admission{Connection: "c1", HostID: "h1", HostName: "vm-1", HostKey: bytes.Repeat([]byte{7}, 32), User: "ann@yard",
		Certificate: [32]byte{1, 31: 9}, SignOn: &deskyard.SignOn{Account: "ann", Password: "once"}, Redirect: deskyard.Redirection{Clipboard: true, PnP: true},
		Idle: time.Hour, Application: "xterm -e top"}}
	r := serveBook(t, b)
	q := deskyard.AdmitRequest{Ticket: "t", Door: deskyard.DoorWeb, Client: deskyard.ClientInfo{Address: "192.0.2.1"}, Leg: "l", Gateway: "another", URLs: []string{"https://gw"}}
	got, err := r.Admit(t.Context(), q)
	if err != nil || !reflect.DeepEqual(got, b.admission) {
		t.Fatalf("got %+v, %v; want %+v", got, err, b.admission)
	}
	if q.Gateway = "edge"; !reflect.DeepEqual(b.asked, q) {
		t.Errorf("the service was asked %+v; want %+v, under the name that the certificate has", b.asked, q)
	}
}

func TestWhatGatewaysTellCrossesTheNetworkWhole(t *testing.T) {
	b := &book{}
	r := serveBook(t, b)
	stages := []deskyard.ConnectionStage{{Name: "negotiate", Took: time.Second}}
	end := deskyard.ConnectionEnd{Connection: "c1", Reason: "idle", Traffic: deskyard.Traffic{FromClient: 1, FromHost: 2, RTT: 3}, Stages: stages, At: time.Now().UTC().Round(0)}
	if err := errors.Join(r.Connected(t.Context(), "c1", stages), r.Ended(t.Context(), end)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(b.stages, stages) || !reflect.DeepEqual(b.end, end) {
		t.Errorf("told %+v and %+v", b.stages, b.end)
	}
}

func TestARefusalKeepsItsReasonAndAFaultItsSecrets(t *testing.T) {
	b := &book{err: &deskyard.ConnectionFailure{Code: 24, Symbol: "ReverseConnectFailed", Message: "try again", Retry: time.Second}}
	r := serveBook(t, b)
	var failure *deskyard.ConnectionFailure
	if _, err := r.Admit(t.Context(), deskyard.AdmitRequest{}); !errors.As(err, &failure) || *failure != *b.err.(*deskyard.ConnectionFailure) {
		t.Errorf("refused with %v", err)
	}
	b.err = errors.New("the database's secret")
	if err := r.Ended(t.Context(), deskyard.ConnectionEnd{}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("ended with %v", err)
	}
}

func TestTheNextAddressIsAskedWhereOneCannotBeDialled(t *testing.T) {
	b := &book{}
	r := serveBook(t, b, "https://127.0.0.1:1")
	if err := r.Ended(t.Context(), deskyard.ConnectionEnd{Connection: "c1"}); err != nil || b.end.Connection != "c1" {
		t.Errorf("told %+v, %v", b.end, err)
	}
}

func TestATicketIsNotSentTwice(t *testing.T) {
	asked := 0
	cut := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		panic(http.ErrAbortHandler)
	}))
	defer cut.Close()
	r := &Remote{bases: []string{cut.URL, cut.URL}, client: cut.Client()}
	if _, err := r.Admit(t.Context(), deskyard.AdmitRequest{Ticket: "t"}); err == nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestTheServiceIsToldByItsPin(t *testing.T) {
	r := serveBook(t, &book{})
	edge := newTestCA(t).issue(t, "edge")
	stranger := NewRemote(r.bases, reverse.PinOf(newTestCA(t).cert), func() *tls.Certificate { return edge })
	defer stranger.Close()
	if err := stranger.Ended(t.Context(), deskyard.ConnectionEnd{}); !errors.Is(err, reverse.ErrWrongCA) {
		t.Errorf("a service of another CA was told: %v", err)
	}
}

func TestWithoutACertificateThereIsNoBrokerage(t *testing.T) {
	b := &book{}
	r := serveBook(t, b)
	none := NewRemote(r.bases, "", func() *tls.Certificate { return &tls.Certificate{} })
	defer none.Close()
	none.client.Transport.(*http.Transport).TLSClientConfig.VerifyConnection = nil
	err := none.Ended(t.Context(), deskyard.ConnectionEnd{Connection: "c1"})
	if err == nil || !strings.Contains(err.Error(), "403") || b.end.Connection != "" {
		t.Errorf("told %+v, %v", b.end, err)
	}
}

func TestTheOneTimePasswordStaysOutOfJSON(t *testing.T) {
	text, err := json.Marshal(deskyard.Admission{SignOn: &deskyard.SignOn{Password: "once"}})
	if err != nil || strings.Contains(string(text), "once") {
		t.Errorf("%s, %v", text, err)
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add(409, []byte(`{"failure":{"symbol":"X"}}`))
	f.Add(200, []byte(`{"connection":"c","certificate":"AA=="}`))
	f.Add(502, []byte("<html>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		var w admissionWire
		if err := readAnswer(status, bytes.NewReader(body), &w); err != nil {
			return
		}
		if status != http.StatusOK {
			t.Fatalf("status %d is no error", status)
		}
		_, _ = w.admission() // must not panic
	})
}

func testBundle(t testing.TB, ca *testCA, c *tls.Certificate) Bundle {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return Bundle{Name: "edge", URLs: []string{"https://gw"}, Service: []string{"https://yard"}, Origins: []string{"https://yard"},
		CA: text("CERTIFICATE", ca.cert.Raw), Certificate: text("CERTIFICATE", c.Certificate[0]), Key: text("PRIVATE KEY", key)}
}

func TestABundleIsReadAsItWasWritten(t *testing.T) {
	ca := newTestCA(t)
	b := testBundle(t, ca, ca.issue(t, "edge"))
	path := filepath.Join(t.TempDir(), "edge.json")
	if err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadBundle(path)
	if err != nil || !reflect.DeepEqual(got, b) {
		t.Fatalf("read %v, %v", got, err)
	}
	if pin, err := got.Pin(); err != nil || pin != reverse.PinOf(ca.cert) {
		t.Errorf("pin %q, %v", pin, err)
	}
}

func TestABundleWithAnotherKeyIsRefused(t *testing.T) {
	ca := newTestCA(t)
	b, other := testBundle(t, ca, ca.issue(t, "edge")), testBundle(t, ca, ca.issue(t, "edge"))
	b.Key = other.Key
	path := filepath.Join(t.TempDir(), "edge.json")
	if err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBundle(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("read: %v", err)
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte(`{"name":"a","urls":["b"],"service":["c"],"ca":"d"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := parseBundle(text)
		if err != nil {
			return
		}
		if _, err := b.Pair(); err != nil {
			t.Fatal(err)
		}
	})
}

// Relaying implements deskyard.Brokerage.
func (b *book) Relaying(context.Context, deskyard.RelayReport) error { return nil }
