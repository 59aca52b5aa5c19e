package rdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Security protocols of the negotiation ([MS-RDPBCGR] 2.2.1.1.1).
const (
	ProtocolRDP      = 0x0 // RDP's own: no TLS
	ProtocolTLS      = 0x1
	ProtocolHybrid   = 0x2 // CredSSP in TLS
	ProtocolRDSTLS   = 0x4
	ProtocolHybridEx = 0x8
)

const (
	tpktHead = 4
	// maxTPKT is what a packet's 16-bit length allows.
	maxTPKT = 1<<16 - 1
	// MaxNegotiation bounds the first packet each way; with a routing token it has some
	// hundred bytes.
	MaxNegotiation = 4096
)

// ReadTPKT reads one packet, header and all, of at most limit bytes ([T.123] 8).
func ReadTPKT(r io.Reader, limit int) ([]byte, error) {
	var head [tpktHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read packet: %w", err)
	}
	length := int(binary.BigEndian.Uint16(head[2:]))
	if head[0] != 3 || length < tpktHead+1 || length > min(limit, maxTPKT) {
		return nil, fmt.Errorf("read packet: version %d and length %d; 3 and %d to %d are due", head[0], length, tpktHead+1, limit)
	}
	b := make([]byte, length)
	copy(b, head[:])
	if _, err := io.ReadFull(r, b[tpktHead:]); err != nil {
		return nil, fmt.Errorf("read packet of %d bytes: %w", length, err)
	}
	return b, nil
}

// Request is a client's X.224 connection request.
type Request struct {
	Protocols uint32 // those that the client takes
}

// Types of X.224 packets and of what negotiates in them.
const (
	x224Request   = 0xE0
	x224Confirm   = 0xD0
	negotiation   = 1
	negotiated    = 2
	negotiateFail = 3
)

var errX224 = errors.New("it is no X.224 connection packet")

// ParseRequest reads a connection request, a whole TPKT. Without a negotiation it is for
// RDP's own security.
func ParseRequest(b []byte) (q Request, err error) {
	if len(b) < 11 || b[5] != x224Request {
		return q, fmt.Errorf("read connection request: %w", errX224)
	}
	// A cookie or token may stand before the negotiation, which is the last eight bytes.
	if tail := b[len(b)-8:]; len(b) >= 11+8 && tail[0] == negotiation && binary.LittleEndian.Uint16(tail[2:]) == 8 {
		q.Protocols = binary.LittleEndian.Uint32(tail[4:])
	}
	return q, nil
}

// Bytes is a request without a cookie.
func (q Request) Bytes() []byte {
	b := []byte{3, 0, 0, 19, 14, x224Request, 0, 0, 0, 0, 0, negotiation, 0, 8, 0}
	return binary.LittleEndian.AppendUint32(b, q.Protocols)
}

// Confirm is a host's answer to a request.
type Confirm struct {
	Protocol uint32 // the one selected
	Failure  uint32 // why there is none ([MS-RDPBCGR] 2.2.1.2.2); 0: there is one
}

// ParseConfirm reads a connection confirm, a whole TPKT.
func ParseConfirm(b []byte) (c Confirm, err error) {
	if len(b) < 11 || b[5] != x224Confirm {
		return c, fmt.Errorf("read connection confirm: %w", errX224)
	}
	if len(b) < 19 {
		return c, nil // no negotiation: RDP's own security
	}
	value := binary.LittleEndian.Uint32(b[15:])
	switch b[11] {
	case negotiated:
		c.Protocol = value
	case negotiateFail:
		c.Failure = max(value, 1)
	default:
		return c, fmt.Errorf("read connection confirm: negotiation of type %d", b[11])
	}
	return c, nil
}

// Bytes is the confirm as a host sends it.
func (c Confirm) Bytes() []byte {
	b := []byte{3, 0, 0, 19, 14, x224Confirm, 0, 0, 0x12, 0x34, 0, negotiated, 0, 8, 0}
	if c.Failure != 0 {
		b[11] = negotiateFail
		return binary.LittleEndian.AppendUint32(b, c.Failure)
	}
	return binary.LittleEndian.AppendUint32(b, c.Protocol)
}
