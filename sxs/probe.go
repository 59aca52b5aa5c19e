package sxs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// rdpAddress is where the machine's RDP server listens, on Linux nowhere else: it is dialled
// from the machine itself.
const rdpAddress = "127.0.0.1:3389"

// connectionRequest is the smallest X.224 connection request with an RDP
// negotiation request (MS-RDPBCGR 2.2.1.1): only an RDP server answers it, where a TCP
// connect succeeds at any listener. It asks for RDP's own security, which one that
// insists on TLS refuses just as audibly: xrdp would wait for TLS and log its absence in
// six lines, each time.
var connectionRequest = []byte{
	3, 0, 0, 19, // TPKT: version 3, length 19
	14, 0xe0, 0, 0, 0, 0, 0, // X.224: length 14, connection request
	1, 0, 8, 0, 0, 0, 0, 0, // negotiation request: no TLS
}

// probeTimeout bounds a probe; an idle xrdp answers within milliseconds, one on a
// machine under emulation within a second.
const probeTimeout = 5 * time.Second

// probe asks whether an RDP server answers at addr.
func probe(ctx context.Context, addr string) error {
	conn, err := request(ctx, addr, connectionRequest)
	if err != nil {
		return err
	}
	_ = conn.Close() // all that was to be known is
	return nil
}

// request sends an RDP server a connection request and reads its answer, which is
// nineteen bytes when it has chosen a security protocol and fewer when it knows none.
// The connection's deadline is the probe's.
func request(ctx context.Context, addr string, packet []byte) (_ net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close() // err says more
		}
	}()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := conn.Write(packet); err != nil {
		return nil, fmt.Errorf("send a connection request: %w", err)
	}
	answer := make([]byte, 7)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, fmt.Errorf("wait for the answer to a connection request: %w", err)
	}
	rest := int(answer[3]) - len(answer)
	if answer[0] != 3 || answer[2] != 0 || answer[5] != 0xd0 || rest < 0 {
		return nil, errors.New("what listens there is not an RDP server")
	}
	if _, err := io.CopyN(io.Discard, conn, int64(rest)); err != nil {
		return nil, fmt.Errorf("read the answer to a connection request: %w", err)
	}
	return conn, nil
}

// tlsRequest is connectionRequest for TLS with CredSSP in it or without: a server that
// insists on either shows its certificate.
var tlsRequest = append(bytes.Clone(connectionRequest[:15]), 3, 0, 0, 0)

// shown gives the fingerprint of the certificate that the RDP server at addr shows.
func shown(ctx context.Context, addr string) (string, error) {
	conn, err := request(ctx, addr, tlsRequest)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// Whatever is shown is what is to be known; nothing is sent.
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // see above
	if err := client.HandshakeContext(ctx); err != nil {
		return "", fmt.Errorf("see the RDP server's certificate: %w", err)
	}
	return fingerprint(client.ConnectionState().PeerCertificates[0].Raw), nil
}
