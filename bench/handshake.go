package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deskyard/deskyard/reverse"
)

// Full TLS 1.3 handshakes with each side, in turns of this many.
const (
	handshakeTurns = 6
	handshakesEach = 300
)

// handshakes compares the CPU of a full handshake with the bare loop's.
func (f *fleet) handshakes(ctx context.Context, s *sheet) error {
	var total usage
	for range handshakeTurns {
		before, err := f.cpu()
		if err != nil {
			return err
		}
		if err := shakeHands(ctx, f.echoAddress, f.echoCA); err != nil {
			return fmt.Errorf("shake hands with the bare loop: %w", err)
		}
		if err := shakeHands(ctx, addressOf(f.service.Endpoint), f.service.CAFile); err != nil {
			return fmt.Errorf("shake hands with the service: %w", err)
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil { // the servers notice the end
			return err
		}
		after, err := f.cpu()
		if err != nil {
			return err
		}
		total.ours += after.ours - before.ours
		total.baseline += after.baseline - before.baseline
	}
	n := float64(handshakeTurns * handshakesEach)
	s.add("agents.handshake.cpu_us", total.ours/n, total.baseline/n, "bare accept and handshake", "A3 <= 1.25")
	s.add("agents.handshakes_per_core.per_s", n*1e6/total.ours, n*1e6/total.baseline, "bare accept and handshake", "A3 >= 1400/s")
	return nil
}

func shakeHands(ctx context.Context, address, ca string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second},
		Config: &tls.Config{RootCAs: roots, ServerName: reverse.ServerName, NextProtos: []string{reverse.ALPN, "http/1.1"}}}
	var all errgroup.Group
	all.SetLimit(16)
	for range handshakesEach {
		all.Go(func() error {
			conn, err := d.DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return conn.Close()
		})
	}
	return all.Wait()
}
