package libvirt

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/digitalocean/go-libvirt/socket"
)

// Bounds of libvirt's packets: a length, then a header of six words.
const (
	packetLeast = 28
	packetMost  = 32<<20 + packetLeast // VIR_NET_MESSAGE_MAX
)

// heldMost bounds the packets that wait for a reply; libvirtd sends one or two.
const heldMost = 64

// framed is a connection that puts streams in order, for one call at a time. libvirtd
// answers calls and feeds streams from different threads: now and then a stream's
// first packets, or all of them, come before the reply to the call that opened it.
// go-libvirt would take them for the reply and the reply for the stream's end; what
// comes then has no reader, and the connection hangs.
type framed struct {
	net.Conn
	r       *bufio.Reader
	rest    []byte   // of a packet, not yet read
	held    [][]byte // of a stream whose reply has not come
	replied uint32   // serial number of the last reply
	over    bool     // the stream of that reply, if it has one, has ended
}

func frame(c net.Conn) *framed { return &framed{Conn: c, r: bufio.NewReader(c)} }

// Read gives packets on as go-libvirt expects them.
func (f *framed) Read(b []byte) (int, error) {
	for len(f.rest) == 0 {
		packet, err := f.next()
		if err != nil {
			return 0, err
		}
		h := parseHeader(packet)
		switch {
		case h.kind == socket.Reply:
			f.replied, f.over = h.serial, h.status == socket.StatusError
		case h.kind != socket.Stream: // events
		case h.serial > f.replied:
			if len(f.held) >= heldMost {
				return 0, fmt.Errorf("read from libvirtd: a stream of %d packets without a reply: %w", len(f.held), io.ErrUnexpectedEOF)
			}
			f.held = append(f.held, packet)
			continue
		case h.serial < f.replied || f.over:
			continue // nobody reads that stream any more
		default:
			f.over = h.status != socket.StatusContinue || len(packet) == packetLeast
		}
		f.rest = packet
	}
	n := copy(b, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// next is a packet that was held and may go now, or one from libvirtd.
func (f *framed) next() ([]byte, error) {
	if len(f.held) > 0 && parseHeader(f.held[0]).serial <= f.replied {
		packet := f.held[0]
		f.held = f.held[1:]
		return packet, nil
	}
	return readPacket(f.r)
}

// header is what of a packet's header matters here.
type header struct{ kind, serial, status uint32 }

func parseHeader(packet []byte) header {
	word := func(i int) uint32 { return binary.BigEndian.Uint32(packet[4+4*i:]) }
	return header{word(3), word(4), word(5)}
}

func readPacket(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < packetLeast || n > packetMost {
		return nil, fmt.Errorf("read from libvirtd: a packet of %d bytes: %w", n, io.ErrUnexpectedEOF)
	}
	packet := make([]byte, n)
	copy(packet, length[:])
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}
