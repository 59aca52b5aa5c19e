package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/rdp"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/tsgu"
)

func TestALegIsTakenOnce(t *testing.T) {
	s, _ := newService(t)
	b, _ := s.greet("good")
	s.mu.Lock()
	leg := s.seen[0].Leg
	s.mu.Unlock()
	if err := s.dial(t.Context(), leg); err == nil || !strings.Contains(err.Error(), "HTTP/1.1 410") {
		t.Errorf("the same leg, signed by the host, again: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if e := s.end(); e.Connection != "c-1" {
		t.Errorf("ended %+v", e)
	}
}

func TestAFirstMessageThatIsNoneIsRefusedUnread(t *testing.T) {
	long := append([]byte{0x30, 0x83, 0xff, 0xff, 0xff}, make([]byte, 512)...) // says it has 16 MiB
	for name, message := range map[string][]byte{
		"too long":    long,
		"no DER":      []byte("GET / HTTP/1.1\r\n\r\n"),
		"no ticket":   {0x30, 6, 0xa0, 4, 2, 2, 0x0d, 0x3e},
		"no version":  {0x30, 0},
		"RDP at once": rdp.Request{Protocols: 1}.Bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newService(t)
			b, err := s.browse(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Write(message); err != nil {
				t.Fatal(err)
			}
			want := said(t, rdp.CleanPathError{Code: rdp.CleanPathGeneral, HTTP: http.StatusBadRequest}, nil)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("told %x, %v", got, err)
			}
			if s.mu.Lock(); len(s.seen) != 0 {
				t.Error("the service was asked")
			}
			s.mu.Unlock()
		})
	}
}

func TestAClientThatLeavesBeforeItsTicketCostsNothing(t *testing.T) {
	s, g := newService(t)
	for range 3 {
		b, err := s.browse(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Write([]byte{0x30}); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, answer := s.greet("bad") // behind them, and served
	if len(answer) == 0 || g.Sessions() != 0 {
		t.Errorf("answered %x with %d sessions", answer, g.Sessions())
	}
}

func TestSlowClientsOfOneAddressKeepOutNobodyElse(t *testing.T) {
	s, g := newService(t)
	for range maxGreeting { // they say nothing, or half of it
		if _, err := s.browse(nil); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.browse(nil)
	var status ws.StatusError
	if !errors.As(err, &status) || status != http.StatusServiceUnavailable {
		t.Fatalf("one too many: %v", err)
	}
	g.o.ClientAddress = func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.9") }
	b, answer := s.greet("good")
	if len(answer) == 0 {
		t.Fatal("a client of another address is not served")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if e := s.end(); e.Connection != "c-1" {
		t.Errorf("ended %+v", e)
	}
}

func TestHalvesOfRDGatewayConnectionsAreBoundedByAddress(t *testing.T) {
	s, _ := newService(t)
	u, err := url.Parse(s.base)
	if err != nil {
		t.Fatal(err)
	}
	half := func(method string, n int) string {
		conn, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: gw\r\nRDG-Connection-Id: {%d}\r\n\r\n", method, tsgu.Path, n); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, len("HTTP/1.1 200"))
		if _, err := io.ReadFull(conn, line); err != nil {
			t.Fatal(err)
		}
		return string(line[9:])
	}
	for i := range maxGreeting {
		if got := half([]string{"RDG_OUT_DATA", "RDG_IN_DATA"}[i%2], i); got != "200" {
			t.Fatalf("half %d: %s", i, got)
		}
	}
	for _, method := range []string{"RDG_OUT_DATA", "RDG_IN_DATA"} {
		if got := half(method, maxGreeting); got != "503" {
			t.Errorf("one too many %s: %s", method, got)
		}
	}
}

func TestAGatewayThatStopsWaitsForNoSlowClient(t *testing.T) {
	s, g := newService(t)
	for range 3 {
		if _, err := s.browse(nil); err != nil {
			t.Fatal(err)
		}
		s.dialRDG("good", 1)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	g.Close(ctx)
	if took := time.Since(begin); took > greetWithin/2 {
		t.Errorf("it took %s", took)
	}
	_, err := s.browse(nil)
	var status ws.StatusError
	if !errors.As(err, &status) || status != http.StatusServiceUnavailable {
		t.Errorf("a client of the stopped gateway: %v", err)
	}
}

func TestAClientIsNotServedByTheWrongHost(t *testing.T) {
	for name, wrong := range map[string]func(*service){
		"another host's key": func(s *service) { s.sign = newHost(t).key },
		"another host's id":  func(s *service) { s.alter = func(a *deskyard.Admission) { a.HostID = "host-2" } },
		"another host's key is expected": func(s *service) {
			other := newHost(t)
			s.alter = func(a *deskyard.Admission) { a.HostKey = other.public }
		},
		"no key is known": func(s *service) { s.alter = func(a *deskyard.Admission) { a.HostKey = ed25519.PublicKey{} } },
	} {
		t.Run(name, func(t *testing.T) {
			s, g := newService(t)
			wrong(s)
			_, answer := s.greet("good")
			if want := said(t, rdp.CleanPathError{Code: rdp.CleanPathGeneral, HTTP: http.StatusBadGateway}, nil); !bytes.Equal(answer, want) {
				t.Errorf("told %x", answer)
			}
			if e := s.end(); !strings.Contains(e.Reason, "not signed by the host's key") || g.Sessions() != 0 {
				t.Errorf("ended %+v", e)
			}
		})
	}
}

func TestAServiceThatDoesNotAnswerHoldsUpNoSession(t *testing.T) {
	s, g := newService(t)
	g.o.Brokerage = deaf{s}
	b, _ := s.greet("good")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	e := s.end()
	if last := e.Stages[len(e.Stages)-1].Name; last != deskyard.StageReady {
		t.Errorf("the end of a session whose beginning was not heard tells %v", e.Stages)
	}
}

// deaf never hears that a session stands.
type deaf struct{ *service }

func (deaf) Connected(ctx context.Context, _ string, _ []deskyard.ConnectionStage) error {
	<-ctx.Done()
	return ctx.Err()
}

// FuzzLeg has the door of hosts' legs see whatever somebody sends: without a client that
// waits nothing is ever taken over.
func FuzzLeg(f *testing.F) {
	f.Add("0123456789abcdef0123456789abcdef", "AAAA", "host-1", reverse.LegProtocol)
	f.Add("..%2f", "!", strings.Repeat("x", 100), "websocket")
	g, err := New(Options{Brokerage: deaf{}, Name: "gw", URLs: []string{"https://gw"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { g.Close(f.Context()) })
	f.Fuzz(func(t *testing.T, leg, proof, host, protocol string) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: reverse.LegPath + leg}, Host: "gw", Header: http.Header{
			"Upgrade": {protocol}, reverse.LegHeader: {proof}, reverse.LegHost: {host}}}
		w := httptest.NewRecorder()
		g.Handler().ServeHTTP(w, r)
		if w.Code < 300 {
			t.Fatalf("a leg that nobody awaits is answered %d", w.Code)
		}
	})
}
