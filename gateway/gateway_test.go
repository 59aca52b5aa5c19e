package gateway

import (
	"bytes"
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
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/rdp"
	"github.com/deskyard/deskyard/reverse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a session host: an RDP listener with TLS that echoes, and a key.
type host struct {
	id     string
	public ed25519.PublicKey
	key    ed25519.PrivateKey
	cert   tls.Certificate
	answer rdp.Confirm
	mute   bool // it never answers
}

func newHost(t testing.TB) *host {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sh-1"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return &host{id: "host-1", public: public, key: key, cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}, answer: rdp.Confirm{Protocol: rdp.ProtocolTLS}}
}

// serve is the host's RDP listener on one connection: the negotiation, TLS, an echo.
func (h *host) serve(conn net.Conn) {
	defer conn.Close()
	if _, err := rdp.ReadTPKT(conn, rdp.MaxNegotiation); err != nil || h.mute {
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	if _, err := conn.Write(h.answer.Bytes()); err != nil || h.answer.Failure != 0 {
		return
	}
	inner := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{h.cert}})
	_, _ = io.Copy(inner, inner) // either end ends it
	_ = inner.Close()
}

// service is the brokerage: it has the host dial as an agent would.
type service struct {
	t     testing.TB
	host  *host
	base  string // of the gateway
	http  *http.Client
	legs  sync.WaitGroup
	fail  error
	sign  ed25519.PrivateKey // with which the leg is signed
	alter func(*deskyard.Admission)
	skip  bool // the host does not dial

	mu    sync.Mutex // guards what follows
	seen  []deskyard.AdmitRequest
	ended []deskyard.ConnectionEnd
	deaf  int // ends that are not heard
	heard chan struct{}
}

func (s *service) Admit(ctx context.Context, r deskyard.AdmitRequest) (deskyard.Admission, error) {
	s.mu.Lock()
	s.seen = append(s.seen, r)
	s.mu.Unlock()
	switch {
	case s.fail != nil:
		return deskyard.Admission{}, s.fail
	case r.Ticket != "good":
		return deskyard.Admission{}, &deskyard.ConnectionFailure{Symbol: connect.TicketInvalid, Message: "The ticket has expired. Connect again from the list, or download the connection file again."}
	}
	a := deskyard.Admission{Connection: "c-1", HostID: s.host.id, HostName: "sh-1", HostKey: s.host.public, User: "ann", Certificate: sha256.Sum256(s.host.cert.Certificate[0])}
	if s.alter != nil {
		s.alter(&a)
	}
	if !s.skip {
		if err := s.dial(ctx, r.Leg); err != nil {
			return a, err
		}
	}
	return a, nil
}

// dial opens the leg and has the host serve it.
func (s *service) dial(ctx context.Context, leg string) error {
	u, err := url.Parse(s.base)
	if err != nil {
		return err
	}
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	r, err := http.NewRequest("GET", s.base+reverse.LegPath+leg, nil)
	if err != nil {
		return err
	}
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {reverse.LegProtocol}, reverse.LegHost: {s.host.id},
		reverse.LegHeader: {base64.StdEncoding.EncodeToString(ed25519.Sign(s.sign, reverse.LegProof(s.host.id, leg)))}}
	if err := r.Write(conn); err != nil {
		return err
	}
	head := make([]byte, len("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+reverse.LegProtocol+"\r\n\r\n"))
	if _, err := io.ReadFull(conn, head); err != nil || !bytes.HasPrefix(head, []byte("HTTP/1.1 101")) {
		return errors.Join(errors.New(string(head)), err, conn.Close())
	}
	s.legs.Go(func() { s.host.serve(conn) })
	return nil
}

func (s *service) Connected(context.Context, string, []deskyard.ConnectionStage) error { return nil }

func (s *service) Ended(_ context.Context, e deskyard.ConnectionEnd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf > 0 {
		s.deaf--
		return errors.New("the service is away")
	}
	s.ended = append(s.ended, e)
	s.heard <- struct{}{}
	return nil
}

// end waits for the end that the service is told.
func (s *service) end() deskyard.ConnectionEnd {
	s.t.Helper()
	select {
	case <-s.heard:
	case <-time.After(20 * time.Second):
		s.t.Fatal("the service was not told of the end")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended[len(s.ended)-1]
}

func newService(t testing.TB) (*service, *Gateway) {
	t.Helper()
	s := &service{t: t, host: newHost(t), heard: make(chan struct{}, 10)}
	s.sign = s.host.key
	g, err := New(Options{Brokerage: s, Name: "gw", URLs: []string{"https://gw"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewTLSServer(g.Handler())
	s.base, s.http = srv.URL, srv.Client()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		g.Close(ctx)
		srv.Close()
		s.legs.Wait()
	})
	return s, g
}

// browser is a web client's WebSocket.
type browser struct {
	net.Conn
	rest []byte
}

func (s *service) browse(header http.Header) (*browser, error) {
	d := ws.Dialer{TLSConfig: &tls.Config{InsecureSkipVerify: true}, Header: ws.HandshakeHeaderHTTP(header), Timeout: 10 * time.Second}
	conn, br, _, err := d.Dial(s.t.Context(), strings.Replace(s.base, "https", "wss", 1)+"/gateway/v1/rdp")
	if err != nil {
		return nil, err
	}
	if br != nil {
		return nil, errors.New("the gateway spoke first")
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return &browser{Conn: conn}, conn.SetDeadline(time.Now().Add(20 * time.Second))
}

func (b *browser) Write(p []byte) (int, error) { return len(p), wsutil.WriteClientBinary(b.Conn, p) }

func (b *browser) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		m, err := wsutil.ReadServerBinary(b.Conn)
		if err != nil {
			return 0, err
		}
		b.rest = m
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// greet sends the first message and gives the answer.
func (s *service) greet(ticket string) (*browser, []byte) {
	s.t.Helper()
	b, err := s.browse(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	q, err := rdp.CleanPathRequest{Destination: "x", Ticket: ticket, X224: rdp.Request{Protocols: 0xb}.Bytes()}.Bytes()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := b.Write(q); err != nil {
		s.t.Fatal(err)
	}
	answer, err := wsutil.ReadServerBinary(b.Conn)
	if err != nil {
		s.t.Fatal(err)
	}
	return b, answer
}

// said is a failure's message.
func said(t testing.TB, e rdp.CleanPathError, confirm []byte) []byte {
	t.Helper()
	b, err := rdp.CleanPathFailure(e, confirm)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAWebClientReachesItsHost(t *testing.T) {
	s, g := newService(t)
	s.deaf = 1 // the end must be told again
	s.alter = func(a *deskyard.Admission) { a.SignOn = &deskyard.SignOn{Account: "ann", Password: "once"} }
	b, answer := s.greet("good")
	want, err := rdp.CleanPathSuccess(s.host.answer.Bytes(), s.host.cert.Certificate, "sh-1")
	if err != nil || !bytes.Equal(answer, want) {
		t.Fatalf("answer %x, %v", answer, err)
	}
	for _, text := range []string{"\x03\x00\x00\x0c\x02\xf0\x80\x04\x01\x00\x01\x00", "\x03\x00\x00\x0a\x02\xf0\x80\x38\x00\x06"} {
		if _, err := b.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(b, got); err != nil || string(got) != text {
			t.Fatalf("echo %q, %v", got, err)
		}
	}
	if n := g.Sessions(); n != 1 {
		t.Errorf("%d sessions", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if e := s.end(); e.Connection != "c-1" || e.Traffic.FromClient != 22 || e.Traffic.FromHost != 22 || !strings.Contains(e.Reason, "client") {
		t.Errorf("%+v", e)
	}
	if r := s.seen[0]; r.Door != deskyard.DoorWeb || r.Gateway != "gw" || r.URLs[0] != "https://gw" || !reverse.LegID(r.Leg) || r.Client.Address != "127.0.0.1" {
		t.Errorf("asked %+v", r)
	}
}

func TestAWebClientIsToldWhyNot(t *testing.T) {
	general := func(status, socket int) rdp.CleanPathError {
		return rdp.CleanPathError{Code: rdp.CleanPathGeneral, HTTP: status, Socket: socket}
	}
	for name, c := range map[string]struct {
		ticket string
		set    func(*service)
		want   rdp.CleanPathError
		ends   bool // a place was taken, and is given back
	}{
		"a bad ticket":              {"bad", func(*service) {}, general(401, 0), false},
		"no right":                  {"good", func(s *service) { s.fail = &deskyard.ConnectionFailure{Symbol: connect.NotAuthorized} }, general(403, 0), false},
		"no host":                   {"good", func(s *service) { s.fail = &deskyard.ConnectionFailure{Symbol: "x"} }, general(503, 0), false},
		"a host that cannot dial":   {"good", func(s *service) { s.fail = &deskyard.ConnectionFailure{Symbol: connect.ReverseConnect} }, general(0, 10060), false},
		"a fault":                   {"good", func(s *service) { s.fail = errors.New("disk on fire") }, general(502, 0), false},
		"another host's leg":        {"good", func(s *service) { s.sign = newHost(s.t).key }, general(502, 0), true},
		"no certificate to pin":     {"good", func(s *service) { s.alter = func(a *deskyard.Admission) { a.Certificate = [32]byte{} } }, general(502, 0), true},
		"another certificate":       {"good", func(s *service) { s.alter = func(a *deskyard.Admission) { a.Certificate[0]++ } }, general(502, 0), true},
		"a host without TLS":        {"good", func(s *service) { s.host.answer = rdp.Confirm{} }, general(502, 0), true},
		"a host that wants CredSSP": {"good", func(s *service) { s.host.answer = rdp.Confirm{Failure: 5} }, rdp.CleanPathError{Code: rdp.CleanPathNegotiation}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newService(t)
			s.t = t
			c.set(s)
			_, answer := s.greet(c.ticket)
			var confirm []byte
			if c.want.Code == rdp.CleanPathNegotiation {
				confirm = s.host.answer.Bytes()
			}
			if !bytes.Equal(answer, said(t, c.want, confirm)) {
				t.Errorf("told %x, not %+v", answer, c.want)
			}
			if c.ends {
				if e := s.end(); !strings.HasPrefix(e.Reason, "error: ") {
					t.Errorf("ended %+v", e)
				}
			}
		})
	}
}

func TestPagesOfOtherSitesOpenNothing(t *testing.T) {
	s, _ := newService(t)
	host := strings.TrimPrefix(s.base, "https://")
	for origin, ok := range map[string]bool{"https://" + host: true, "https://evil.test": false, "null": false} {
		if _, err := s.browse(http.Header{"Origin": {origin}}); (err == nil) != ok {
			t.Errorf("%s: %v", origin, err)
		}
	}
}

func TestLegsThatNobodyAwaitsAreRefused(t *testing.T) {
	s, _ := newService(t)
	for _, leg := range []string{strings.Repeat("a", 32), "x"} {
		if err := s.dial(t.Context(), leg); err == nil {
			t.Errorf("leg %q was taken", leg)
		}
	}
}

func TestASessionIsEndedFromOutside(t *testing.T) {
	s, g := newService(t)
	b, _ := s.greet("good")
	for !g.Disconnect("c-1", "administrator") {
		if _, err := b.Write(nil); err != nil { // until the session runs
			t.Fatal(err)
		}
	}
	if e := s.end(); e.Reason != "administrator" {
		t.Errorf("%+v", e)
	}
	if _, err := io.ReadAll(b); err == nil {
		t.Error("the client was not disconnected")
	}
}

// Relaying implements deskyard.Brokerage.
func (s *service) Relaying(context.Context, deskyard.RelayReport) error { return nil }
