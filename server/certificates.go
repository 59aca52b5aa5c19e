package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/deskyard/deskyard/gateway"
)

// agentProtocol in a ClientHello marks a session host, which trusts the service's
// own CA and nothing else. It is never negotiated.
const agentProtocol = "deskyard-agent/1"

// certificates shows the right certificate to each caller: the service's own to
// session hosts, and to everybody unless an own certificate is configured. Both
// change without a restart.
type certificates struct {
	issue   func() (*tls.Certificate, error) // makes a fresh one of the service's own CA
	clients *x509.CertPool                   // what gateways show is of; nil: nobody is asked
	now     func() time.Time
	log     *slog.Logger

	certFile, keyFile string
	read              time.Time // newest change of the files when they were read

	internal atomic.Pointer[tls.Certificate]
	public   atomic.Pointer[tls.Certificate] // nil: show internal
}

func newCertificates(ca *authority, c Config, log *slog.Logger) (*certificates, error) {
	s := &certificates{now: ca.now, log: log, certFile: c.TLSCert, keyFile: c.TLSKey, clients: x509.NewCertPool()}
	s.issue = func() (*tls.Certificate, error) { return ca.issue(hostNames(c)) }
	s.clients.AddCert(ca.cert)
	return s, s.refresh()
}

// config is the TLS configuration of the one port.
func (s *certificates) config() *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Small records at first bring a page's first bytes sooner; of a desktop they take
		// each picture apart.
		DynamicRecordSizingDisabled: true,
		NextProtos:                  []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			ours := slices.Contains(hello.SupportedProtos, agentProtocol) || slices.Contains(hello.SupportedProtos, gateway.Protocol)
			if p := s.public.Load(); p != nil && !ours {
				return p, nil
			}
			return s.internal.Load(), nil
		},
	}
	if s.clients == nil {
		return c
	}
	asking := c.Clone() // gateways only: browsers would trouble people for a certificate
	asking.ClientAuth, asking.ClientCAs = tls.VerifyClientCertIfGiven, s.clients
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, gateway.Protocol) {
			return asking, nil
		}
		return nil, nil
	}
	return c
}

// refresh renews the own leaf when a third of its life is left, and reads the
// configured certificate again when its files have changed.
func (s *certificates) refresh() error { return errors.Join(s.renew(), s.reread()) }

func (s *certificates) renew() error {
	if c := s.internal.Load(); c != nil && c.Leaf.NotAfter.Sub(s.now()) >= leafLife/3 {
		return nil
	}
	fresh, err := s.issue()
	if err != nil {
		return err
	}
	s.internal.Store(fresh)
	s.log.Info("server certificate issued", "names", fresh.Leaf.DNSNames, "addresses", fresh.Leaf.IPAddresses, "until", fresh.Leaf.NotAfter)
	return nil
}

func (s *certificates) reread() error {
	if s.certFile == "" {
		return nil
	}
	changed, err := newest(s.certFile, s.keyFile)
	if err != nil {
		return fmt.Errorf("read the configured certificate: %w", err)
	}
	if !changed.After(s.read) {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
	if err != nil {
		return fmt.Errorf("read the configured certificate %s: %w", s.certFile, err)
	}
	s.read = changed
	s.public.Store(&pair)
	s.log.Info("configured certificate read", "file", s.certFile, "subject", pair.Leaf.Subject.String(), "until", pair.Leaf.NotAfter)
	return nil
}

// keepFresh refreshes every minute until ctx ends. A failed refresh keeps the
// certificates in use and is logged.
func (s *certificates) keepFresh(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.refresh(); err != nil {
				s.log.Error("certificate not refreshed; the one in use stays", "err", err)
			}
		}
	}
}

func newest(paths ...string) (time.Time, error) {
	var t time.Time
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return t, err
		}
		if st.ModTime().After(t) {
			t = st.ModTime()
		}
	}
	return t, nil
}

func urlHost(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	return u.Hostname()
}
