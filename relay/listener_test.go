package relay

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// served is a server as the product's are: TLS over Listen.
func served(t *testing.T, h http.Handler, http2 bool) *httptest.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close() // it has another
	s.Listener, s.EnableHTTP2 = Listen(l), http2
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestServersWorkOnRecords(t *testing.T) {
	for proto, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		s := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil || n != 1<<20 || r.Proto != proto {
				t.Errorf("%s: %d bytes by %s, %v", proto, n, r.Proto, err)
			}
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		}), http2)
		for range 2 { // on one connection
			resp, err := s.Client().Post(s.URL, "text/plain", strings.NewReader(strings.Repeat("y", 1<<20)))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); err != nil || len(b) != 1<<20 {
				t.Errorf("%s: %d bytes, %v", proto, len(b), err)
			}
			_ = resp.Body.Close()
		}
	}
}

// net/http reads in the background until a connection is taken over, and breaks that
// read off by a deadline in the past.
func TestAConnectionOnRecordsIsTakenOver(t *testing.T) {
	s := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if recordsOf(conn) == nil {
			t.Error("the connection is not on Records")
		}
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, err := rw.ReadString('\n')
		if err != nil {
			t.Errorf("read after the take-over: %v", err)
		}
		_, _ = io.WriteString(conn, line)
	}), false)
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("came back: %q, %v", line, err)
	}
}
