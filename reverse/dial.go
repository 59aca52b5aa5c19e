package reverse

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// proxyFor finds the proxy to an address, by HTTPS_PROXY and NO_PROXY; nil: none.
var proxyFor = http.ProxyFromEnvironment

// dialTime bounds an answer of a proxy where the caller set no deadline.
const dialTime = 15 * time.Second

// Dial opens TLS with the service (trust is Pinned's), or a gateway of it (PinnedGateway's),
// at an https address, through the proxy that the environment names.
func Dial(ctx context.Context, base string, trust *tls.Config) (*tls.Conn, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" {
		return nil, fmt.Errorf("the address %s does not begin with https", base)
	}
	raw, err := dialTCP(ctx, u)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, trust)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return conn, nil
}

// dialTCP opens a connection to an https address, through the proxy that the
// environment names as every other way to the service does.
func dialTCP(ctx context.Context, u *url.URL) (net.Conn, error) {
	proxy, err := proxyFor(&http.Request{URL: u})
	if err != nil {
		return nil, fmt.Errorf("read the proxy's address: %w", err)
	}
	var d net.Dialer
	if proxy == nil {
		return d.DialContext(ctx, "tcp", hostPort(u, "443"))
	}
	if proxy.Scheme != "http" {
		return nil, fmt.Errorf("the proxy %s is not an http:// one, which is all that the control link can use", proxy.Redacted())
	}
	conn, err := d.DialContext(ctx, "tcp", hostPort(proxy, "80"))
	if err != nil {
		return nil, fmt.Errorf("dial the proxy: %w", err)
	}
	if err := tunnel(ctx, conn, proxy, hostPort(u, "443")); err != nil {
		return nil, errors.Join(fmt.Errorf("ask the proxy %s for %s: %w", proxy.Host, u.Host, err), conn.Close())
	}
	return conn, nil
}

// tunnel asks a proxy to connect to a target (RFC 9110, 9.3.6).
func tunnel(ctx context.Context, conn net.Conn, proxy *url.URL, target string) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dialTime)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers HTTP %s", resp.Status)
	}
	if r.Buffered() > 0 {
		return errors.New("it speaks before the service can")
	}
	return conn.SetDeadline(time.Time{})
}

func hostPort(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}
