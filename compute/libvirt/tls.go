package libvirt

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	tlsPort = "16514"          // libvirtd's own
	tlsFor  = 20 * time.Second // a connection, its handshake and the host's verdict on our certificate
)

// tlsDialer connects to the libvirtd of another host, where each side shows a
// certificate. The files are where libvirt's own clients have them
// (https://libvirt.org/kbase/tlscerts.html).
type tlsDialer struct {
	host, port string
	folders    []tlsFolder // looked through in this order
}

// tlsFolder is a place of an authority's certificate, and of ours with its key.
type tlsFolder struct{ authority, certificate, key string }

// newTLS connects to host with the certificates in folder, or where the system keeps
// them if that is "".
func newTLS(host, port, folder string) tlsDialer {
	d := tlsDialer{host: host, port: cmp.Or(port, tlsPort)}
	if folder != "" {
		d.folders = []tlsFolder{{folder, folder, folder}}
		return d
	}
	if home, err := os.UserHomeDir(); err == nil && os.Geteuid() != 0 {
		own := filepath.Join(home, ".pki", "libvirt")
		d.folders = append(d.folders, tlsFolder{own, own, own})
	}
	d.folders = append(d.folders, tlsFolder{"/etc/pki/CA", "/etc/pki/libvirt", "/etc/pki/libvirt/private"})
	return d
}

// credentials are what a connection shows and trusts.
type credentials struct {
	tls.Certificate
	roots       *x509.CertPool
	certificate string // its file
	authority   string // the roots' file
}

func (d tlsDialer) credentials() (c credentials, err error) {
	text, path, err := d.first("cacert.pem", func(f tlsFolder) string { return f.authority })
	if err != nil {
		return c, fmt.Errorf("read the authority that certifies libvirt's hosts: %w", err)
	}
	c.authority, c.roots = path, x509.NewCertPool()
	if !c.roots.AppendCertsFromPEM(text) {
		return c, fmt.Errorf("read the authority that certifies libvirt's hosts: %s has no certificate in PEM", path)
	}
	certificate, path, err := d.first("clientcert.pem", func(f tlsFolder) string { return f.certificate })
	if err != nil {
		return c, fmt.Errorf("read the certificate that this service shows to libvirt's hosts: %w", err)
	}
	c.certificate = path
	key, path, err := d.first("clientkey.pem", func(f tlsFolder) string { return f.key })
	if err != nil {
		return c, fmt.Errorf("read the key of %s: %w", c.certificate, err)
	}
	if c.Certificate, err = tls.X509KeyPair(certificate, key); err != nil {
		return c, fmt.Errorf("read the certificate %s with its key %s: %w", c.certificate, path, err)
	}
	return c, nil
}

// first reads a file from the first folder that has it.
func (d tlsDialer) first(name string, in func(tlsFolder) string) (text []byte, path string, err error) {
	for _, f := range d.folders {
		path = filepath.Join(in(f), name)
		if text, err = os.ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
			return text, path, err
		}
	}
	return nil, path, err
}

// Dial connects, and waits until the host has taken our certificate.
func (d tlsDialer) Dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), tlsFor)
	defer cancel()
	c, err := d.credentials()
	if err != nil {
		return nil, err
	}
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(d.host, d.port))
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, &tls.Config{
		ServerName: d.host, RootCAs: c.roots, MinVersion: tls.VersionTLS12,
		// It is shown to any host, also to one that names other authorities: whose log
		// then says which certificate it refuses.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.Certificate, nil },
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(d.explain(err, c), ignoreClosed(plain.Close()))
	}
	if err := d.awaitVerdict(ctx, conn); err != nil {
		return nil, errors.Join(c.refused(err), ignoreClosed(plain.Close()))
	}
	return conn, nil
}

// ignoreClosed drops the error of closing what a failed handshake has closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// awaitVerdict reads the byte by which libvirtd says that it takes the client's
// certificate. TLS 1.3 ends the client's handshake before the host has seen it; a host
// that refuses then closes the connection without a word.
func (d tlsDialer) awaitVerdict(ctx context.Context, conn *tls.Conn) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	var verdict [1]byte
	if _, err := io.ReadFull(conn, verdict[:]); err != nil {
		return err
	}
	if verdict[0] != 1 {
		return fmt.Errorf("its verdict is %d", verdict[0])
	}
	return conn.SetReadDeadline(time.Time{})
}

// explain says whose certificate a handshake failed by.
func (d tlsDialer) explain(err error, c credentials) error {
	var (
		stranger x509.UnknownAuthorityError
		name     x509.HostnameError
		remote   *net.OpError
	)
	switch {
	case errors.As(err, &stranger):
		return fmt.Errorf("the host's certificate is not of the authority in %s: %w", c.authority, err)
	case errors.As(err, &name):
		return fmt.Errorf("the host's certificate is not for the name %s, by which the URI calls it: %w", d.host, err)
	case errors.As(err, &remote) && remote.Op == "remote error": // TLS 1.2 and its alerts
		return c.refused(err)
	}
	return fmt.Errorf("TLS handshake: %w", err)
}

// refused says that the host did not take our certificate.
func (c credentials) refused(err error) error {
	return fmt.Errorf("the host does not take this service's certificate %s (%s): it must be a client's, of an authority in the host's cacert.pem, and in tls_allowed_dn_list where libvirtd.conf has one; the host's log says more: %w",
		c.certificate, c.Leaf.Subject, err)
}
