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

// framed is a connection that ends each stream once. libvirtd says the end of a
// stream with an empty packet, and now and then says more; go-libvirt, which has
// stopped listening by then, waits for ever over that.
type framed struct {
	net.Conn
	r     *bufio.Reader
	rest  []byte // of a packet, not yet read
	ended uint32 // serial number of the stream that ended last
}

func frame(c net.Conn) *framed { return &framed{Conn: c, r: bufio.NewReader(c)} }

// Read reads whole packets and gives them on, but for those after a stream's end.
func (f *framed) Read(b []byte) (int, error) {
	for len(f.rest) == 0 {
		packet, err := readPacket(f.r)
		if err != nil {
			return 0, err
		}
		word := func(i int) uint32 { return binary.BigEndian.Uint32(packet[4+4*i:]) }
		kind, serial, status := word(3), word(4), word(5)
		if kind == socket.Stream && serial == f.ended {
			continue
		}
		if kind == socket.Stream && status == socket.StatusContinue && len(packet) == packetLeast {
			f.ended = serial
		}
		f.rest = packet
	}
	n := copy(b, f.rest)
	f.rest = f.rest[n:]
	return n, nil
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
