package tsgu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// Types of packets ([MS-TSGU] 2.2.10.1, HTTP_PACKET_TYPE).
const (
	typeHandshakeRequest  = 0x1
	typeHandshakeResponse = 0x2
	typeTunnelCreate      = 0x4
	typeTunnelResponse    = 0x5
	typeTunnelAuth        = 0x6
	typeTunnelAuthReply   = 0x7
	typeChannelCreate     = 0x8
	typeChannelResponse   = 0x9
	typeData              = 0xA
	typeServiceMessage    = 0xB
	typeKeepalive         = 0xD
	typeCloseChannel      = 0x10
	typeCloseReply        = 0x11
)

const (
	headerSize = 8
	// maxSetup bounds a packet before the channel stands: a cookie is at most 64 KiB.
	maxSetup = 70 << 10
	// maxData is what a data packet carries at most: its length is 16 bits.
	maxData = 1<<16 - 1
	maxBody = 2 + maxData
)

// packet is a packet without its header.
type packet struct {
	kind uint16
	body []byte
}

// readPacket reads one packet whose body is at most limit bytes.
func readPacket(r io.Reader, limit int) (packet, error) {
	kind, size, err := readHeader(r, limit)
	if err != nil {
		return packet{}, err
	}
	p := packet{kind: kind, body: make([]byte, size)}
	if _, err := io.ReadFull(r, p.body); err != nil {
		return packet{}, fmt.Errorf("read packet of type %#x: %w", kind, noEOF(err))
	}
	return p, nil
}

// readHeader gives a packet's type and the size of its body. At the stream's end it is
// io.EOF.
func readHeader(r io.Reader, limit int) (kind uint16, size int, err error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, 0, err
	}
	kind, length := binary.LittleEndian.Uint16(h[:]), binary.LittleEndian.Uint32(h[4:])
	if length < headerSize || length > uint32(limit)+headerSize {
		return 0, 0, fmt.Errorf("read packet of type %#x: length %d is not between %d and %d", kind, length, headerSize, limit+headerSize)
	}
	return kind, int(length) - headerSize, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// encode makes a packet of little-endian fields.
func encode(kind uint16, fields ...any) []byte {
	b := make([]byte, headerSize, 64)
	binary.LittleEndian.PutUint16(b, kind)
	for _, f := range fields {
		switch v := f.(type) {
		case uint8:
			b = append(b, v)
		case uint16:
			b = binary.LittleEndian.AppendUint16(b, v)
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, v)
		case []byte:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("tsgu: cannot encode a %T", f)) // a fault of ours, not of a peer
		}
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	return b
}

// fields reads little-endian fields; after one that is missing, all are zero and short
// is true.
type fields struct {
	rest  []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if f.short || len(f.rest) < n {
		f.short = true
		return make([]byte, n)
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) u8() uint8   { return f.take(1)[0] }
func (f *fields) u16() uint16 { return binary.LittleEndian.Uint16(f.take(2)) }
func (f *fields) u32() uint32 { return binary.LittleEndian.Uint32(f.take(4)) }

// text reads a length and so many bytes of UTF-16, with or without a NUL at the end.
func (f *fields) text() string {
	b := f.take(int(f.u16()))
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	for len(units) > 0 && units[len(units)-1] == 0 {
		units = units[:len(units)-1]
	}
	return string(utf16.Decode(units))
}
