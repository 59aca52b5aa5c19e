package reverse

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// throughProxy makes every dial of the test use a proxy that answers CONNECT so.
func throughProxy(t *testing.T, user *url.Userinfo, answer func(r *http.Request, conn net.Conn)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(r, conn)
				}
			})
		}
	})
	before := proxyFor
	proxyFor = func(*http.Request) (*url.URL, error) {
		return &url.URL{Scheme: "http", Host: l.Addr().String(), User: user}, nil
	}
	t.Cleanup(func() { proxyFor = before; l.Close(); wg.Wait() })
}

func TestTheLinkGoesThroughTheProxyOfTheEnvironment(t *testing.T) {
	requests := make(chan *http.Request, 1)
	throughProxy(t, url.UserPassword("ada", "secret"), func(r *http.Request, conn net.Conn) {
		requests <- r
		io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		io.Copy(conn, conn)
	})
	conn, err := dialTCP(t.Context(), &url.URL{Scheme: "https", Host: "deskyard.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "hello")
	b := make([]byte, 5)
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hello" {
		t.Fatalf("through the tunnel came %q, %v", b, err)
	}
	asked := <-requests
	if user, password, _ := (&http.Request{Header: http.Header{"Authorization": asked.Header["Proxy-Authorization"]}}).BasicAuth(); asked.Method != "CONNECT" || asked.Host != "deskyard.example.org:443" || user != "ada" || password != "secret" {
		t.Errorf("the proxy was asked %s %s as %s", asked.Method, asked.Host, user)
	}
}

func TestAProxyThatRefusesIsNamedWithoutItsPassword(t *testing.T) {
	throughProxy(t, url.UserPassword("ada", "secret"), func(_ *http.Request, conn net.Conn) {
		io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
	})
	_, err := dialTCP(t.Context(), &url.URL{Scheme: "https", Host: "deskyard.example.org"})
	if err == nil || !strings.Contains(err.Error(), "407") || strings.Contains(err.Error(), "secret") {
		t.Fatalf("%v", err)
	}
}
