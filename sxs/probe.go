package sxs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// connectionRequest is the smallest X.224 connection request with an RDP
// negotiation request for TLS (MS-RDPBCGR 2.2.1.1): only an RDP server answers it,
// where a TCP connect succeeds at any listener.
var connectionRequest = []byte{
	3, 0, 0, 19, // TPKT: version 3, length 19
	14, 0xe0, 0, 0, 0, 0, 0, // X.224: length 14, connection request
	1, 0, 8, 0, 1, 0, 0, 0, // negotiation request: TLS
}

// probeTimeout bounds a probe; an idle xrdp answers within milliseconds, one on a
// machine under emulation within a second.
const probeTimeout = 5 * time.Second

// probe asks whether an RDP server answers at addr.
func probe(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write(connectionRequest); err != nil {
		return fmt.Errorf("send a connection request: %w", err)
	}
	answer := make([]byte, 7)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return fmt.Errorf("wait for the answer to a connection request: %w", err)
	}
	if answer[0] != 3 || answer[5] != 0xd0 {
		return errors.New("what listens there is not an RDP server")
	}
	return nil
}
