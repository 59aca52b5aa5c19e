package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// agentProtocol in a ClientHello marks a session host, which trusts the service's
// own CA and nothing else. It is never negotiated.
const agentProtocol = "deskyard-agent/1"

// certificates shows the right certificate to each caller: the service's own to
// session hosts, and to everybody unless an own certificate is configured. Both
// change without a restart.
type certificates struct {
	ca    *authority
	names []string
	log   *slog.Logger

	certFile, keyFile string
	read              time.Time // newest change of the files when they were read

	internal atomic.Pointer[tls.Certificate]
	public   atomic.Pointer[tls.Certificate] // nil: show internal
}

func newCertificates(ca *authority, c Config, log *slog.Logger) (*certificates, error) {
	s := &certificates{ca: ca, names: hostNames(c), log: log, certFile: c.TLSCert, keyFile: c.TLSKey}
	return s, s.refresh()
}

// config is the TLS configuration of the one port.
func (s *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if p := s.public.Load(); p != nil && !slices.Contains(hello.SupportedProtos, agentProtocol) {
				return p, nil
			}
			return s.internal.Load(), nil
		},
	}
}

// refresh renews the own leaf when a third of its life is left, and reads the
// configured certificate again when its files have changed.
func (s *certificates) refresh() error {
	now := s.ca.now()
	if c := s.internal.Load(); c == nil || c.Leaf.NotAfter.Sub(now) < leafLife/3 {
		fresh, err := s.ca.issue(s.names)
		if err != nil {
			return err
		}
		s.internal.Store(fresh)
		s.log.Info("server certificate issued", "names", s.names, "until", fresh.Leaf.NotAfter)
	}
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
