package tsgu

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// bare is a connection without frames: what the framing is, is not this package's.
type bare struct {
	net.Conn
	in *bufio.Reader
}

func (b bare) Read(p []byte) (int, error) { return b.in.Read(p) }

func startDoor(t *testing.T) string {
	t.Helper()
	d := &Door{
		Frames: func(conn net.Conn, in *bufio.Reader) Stream { return bare{conn, in} },
		Serve: func(_ context.Context, s Stream, _ *http.Request) {
			if err := echo(s, &gate{}); err != nil {
				t.Log(err)
			}
		},
		Log: slog.New(slog.DiscardHandler),
	}
	srv := httptest.NewServer(d)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func dial(t *testing.T, addr, head string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// head reads an answer's head and gives its status line.
func head(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	first := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("read the answer's head: %v", err)
		}
		if line = strings.TrimSpace(line); line == "" {
			return first
		}
		if first == "" {
			first = line
		}
	}
}

// converse opens a channel and has three bytes echoed.
func converse(t *testing.T, to io.Writer, from io.Reader) {
	t.Helper()
	if _, err := to.Write(append(opening("good"), data("abc")...)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint16{typeHandshakeResponse, typeTunnelResponse, typeTunnelAuthReply, typeChannelResponse, typeData} {
		p, err := readPacket(from, maxBody)
		if err != nil || p.kind != want {
			t.Fatalf("got %#x, %v; want %#x", p.kind, err, want)
		}
		if want == typeData && !bytes.Equal(p.body, []byte("\x03\x00abc")) {
			t.Errorf("echoed %x", p.body)
		}
	}
}

func TestTheWebSocketOfFreeRDP2IsTaken(t *testing.T) {
	addr := startDoor(t)
	conn, in := dial(t, addr, "RDG_OUT_DATA "+Path+" HTTP/1.1\nHost: gw\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: 0123456789abcd?\nRDG-Connection-Id: {1}\n")
	if s := head(t, in); !strings.HasPrefix(s, "HTTP/1.1 101") {
		t.Fatal(s)
	}
	converse(t, conn, in)
}

func TestTwoRequestsAreOneConnection(t *testing.T) {
	addr := startDoor(t)
	_, out := dial(t, addr, "RDG_OUT_DATA "+Path+" HTTP/1.1\nHost: gw\nRDG-Connection-Id: {2}\n")
	if s := head(t, out); s != "HTTP/1.1 200 OK" {
		t.Fatal(s)
	}
	if _, err := out.Discard(10); err != nil {
		t.Fatal(err)
	}
	one := "RDG_IN_DATA " + Path + " HTTP/1.1\nHost: gw\nRDG-Connection-Id: {2}\n"
	conn, in := dial(t, addr, one)
	if s := head(t, in); s != "HTTP/1.1 200 OK" {
		t.Fatal(s)
	}
	if _, err := io.WriteString(conn, strings.ReplaceAll(one+"Transfer-Encoding: chunked\n", "\n", "\r\n")+"\r\n"); err != nil {
		t.Fatal(err)
	}
	converse(t, chunks{conn}, out)
}

// chunks sends each write as a chunk of a body.
type chunks struct{ to io.Writer }

func (c chunks) Write(b []byte) (int, error) {
	_, err := fmt.Fprintf(c.to, "%x\r\n%s\r\n", len(b), b)
	return len(b), err
}

func TestAHalfIsGivenToNobodyElse(t *testing.T) {
	d := &Door{}
	h := &half{client: "192.0.2.1", taken: make(chan net.Conn)}
	if err := d.await("{3}", h); err != nil {
		t.Fatal(err)
	}
	if err := d.await("{3}", &half{}); err == nil {
		t.Error("a connection id was taken twice")
	}
	for id, client := range map[string]string{"{3}": "192.0.2.2", "{4}": "192.0.2.1"} {
		if conn, err := d.take(t.Context(), id, client); err == nil {
			t.Errorf("%s got %v under %s", client, conn, id)
		}
	}
}

func TestABrowserIsToldWhatThisIs(t *testing.T) {
	w := httptest.NewRecorder()
	(&Door{Log: slog.New(slog.DiscardHandler)}).ServeHTTP(w, httptest.NewRequest("GET", Path, nil))
	if w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Body.String(), ".rdp file") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
