package rdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Fix is what is set right in a client's packets while it connects, where the gateway
// ends TLS and so can: the web client asks for 16 bits of colour and cannot log on by
// itself, and its user has no password for the host but a credential that works once.
type Fix struct {
	// Colours asks for 32 bits. xrdp then sends RemoteFX instead of bitmaps, of which
	// IronRDP 0.7.0 garbles those whose width is no multiple of four.
	Colours bool
	// Protocol, where not nil, is what the client is to believe was selected.
	Protocol *uint32
	// Credentials, where not nil, take the place of the client's, and log on at once.
	Credentials *Credentials
	// Keyboard, where not 0, is the layout that the client's keys have, as Windows numbers
	// them: 0x407 is German.
	Keyboard uint32
	// Shell, where not "", is started instead of a desktop.
	Shell string
}

// Credentials are what a client logs on with.
type Credentials struct {
	Domain, User, Password string
}

// String keeps the password out of logs.
func (c Credentials) String() string { return c.User + " (password withheld)" }

// maxConnecting bounds the packets of a connection phase: one joins up to 31 channels.
const maxConnecting = 64

// Fixer reads a client's stream and gives it with its connection phase set right. It is
// io.EOF after the last packet of that phase; not a byte beyond it was read.
type Fixer struct {
	from    io.Reader
	fix     Fix
	out     []byte
	packets int
	done    bool
}

// NewFixer makes a Fixer of a client's stream behind the negotiation.
func NewFixer(from io.Reader, fix Fix) *Fixer { return &Fixer{from: from, fix: fix} }

// Read implements io.Reader.
func (f *Fixer) Read(b []byte) (int, error) {
	for len(f.out) == 0 {
		if f.done {
			return 0, io.EOF
		}
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, f.out)
	f.out = f.out[n:]
	return n, nil
}

func (f *Fixer) next() error {
	p, err := ReadTPKT(f.from, maxTPKT)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF // the client left while it connected
		}
		return err
	}
	if f.packets++; f.packets > maxConnecting {
		return fmt.Errorf("connect: more than %d packets came before the client's credentials", maxConnecting)
	}
	switch {
	case isConnectInitial(p):
		f.fix.core(p)
	case isClientInfo(p):
		f.done = true
		if p, err = f.fix.info(p); err != nil {
			return err
		}
	}
	f.out = p
	return nil
}

var x224Data = []byte{2, 0xf0, 0x80}

func isConnectInitial(p []byte) bool {
	return len(p) > 9 && bytes.Equal(p[4:7], x224Data) && p[7] == 0x7f && p[8] == 0x65
}

// Offsets in CS_CORE, from its header ([MS-RDPBCGR] 2.2.1.3.2).
const (
	csCore           = 0xC001
	coreKeyboard     = 16  // keyboardLayout
	coreDepth        = 140 // highColorDepth
	coreEarly        = 144 // earlyCapabilityFlags
	coreProtocol     = 212 // serverSelectedProtocol
	want32           = 0x2
	depth24          = 24
	coreWithKeyboard = coreKeyboard + 4
	coreWithDepth    = coreEarly + 2
	coreWithProtocol = coreProtocol + 4
)

// core sets CS_CORE right in place. A client that sends less of it is left alone.
func (f Fix) core(p []byte) {
	at := bytes.Index(p, []byte("Duca")) // the key of GCC's user data, and of nothing else
	if at < 0 {
		return
	}
	at += 4
	if at < len(p) && p[at]&0x80 != 0 {
		at++
	}
	at++ // the length in one or two bytes
	for at+4 <= len(p) {
		kind, size := binary.LittleEndian.Uint16(p[at:]), int(binary.LittleEndian.Uint16(p[at+2:]))
		if size < 4 || at+size > len(p) {
			return
		}
		if kind == csCore {
			block := p[at : at+size]
			if f.Keyboard != 0 && size >= coreWithKeyboard {
				binary.LittleEndian.PutUint32(block[coreKeyboard:], f.Keyboard)
			}
			if f.Colours && size >= coreWithDepth {
				binary.LittleEndian.PutUint16(block[coreDepth:], depth24)
				binary.LittleEndian.PutUint16(block[coreEarly:], binary.LittleEndian.Uint16(block[coreEarly:])|want32)
			}
			if f.Protocol != nil && size >= coreWithProtocol {
				binary.LittleEndian.PutUint32(block[coreProtocol:], *f.Protocol)
			}
			return
		}
		at += size
	}
}

const (
	mcsSend     = 0x64   // SendDataRequest
	infoPacket  = 0x0040 // of the security header: a Client Info PDU
	autologon   = 0x8
	infoUnicode = 0x10
	mcsHead     = 4 + 3 + 6 // TPKT, X.224, SendDataRequest up to its length
	infoHead    = 18        // of TS_INFO_PACKET: code page, flags, five sizes
)

// body gives where the data of an MCS packet begin; 0 where p is none.
func body(p []byte) int {
	if len(p) < mcsHead+2 || !bytes.Equal(p[4:7], x224Data) || p[7] != mcsSend {
		return 0
	}
	if p[mcsHead]&0x80 != 0 {
		return mcsHead + 2
	}
	return mcsHead + 1
}

func isClientInfo(p []byte) bool {
	at := body(p)
	return at > 0 && len(p) >= at+4+infoHead && binary.LittleEndian.Uint16(p[at:])&infoPacket != 0
}

// info rewrites a Client Info PDU ([MS-RDPBCGR] 2.2.1.11).
func (f Fix) info(p []byte) ([]byte, error) {
	if f.Credentials == nil && f.Shell == "" {
		return p, nil
	}
	at := body(p)
	security, packet := p[at:at+4], p[at+4:]
	flags := binary.LittleEndian.Uint32(packet[4:])
	if flags&infoUnicode == 0 {
		return nil, errors.New("rewrite the client's credentials: they are not in Unicode")
	}
	rest := packet[infoHead:]
	var texts [5][]byte // domain, user, password, shell, working directory; without their NUL
	for i := range texts {
		size := int(binary.LittleEndian.Uint16(packet[8+2*i:]))
		if len(rest) < size+2 {
			return nil, errors.New("rewrite the client's credentials: the packet is shorter than they are")
		}
		texts[i], rest = rest[:size], rest[size+2:]
	}
	if c := f.Credentials; c != nil {
		texts[0], texts[1], texts[2] = toUTF16(c.Domain), toUTF16(c.User), toUTF16(c.Password)
		flags |= autologon
	}
	if f.Shell != "" {
		texts[3] = toUTF16(f.Shell)
	}
	b := append(bytes.Clone(security), packet[:4]...)
	b = binary.LittleEndian.AppendUint32(b, flags)
	for _, t := range texts {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(t)))
	}
	for _, t := range texts {
		b = append(append(b, t...), 0, 0)
	}
	b = append(b, rest...)
	return frame(p[:mcsHead], b)
}

// frame puts data behind an MCS header, with the lengths that they make.
func frame(head, data []byte) ([]byte, error) {
	if len(data) > 0x3fff {
		return nil, fmt.Errorf("rewrite the client's credentials: %d bytes are more than a packet holds", len(data))
	}
	b := append(bytes.Clone(head), byte(len(data)>>8)|0x80, byte(len(data)))
	b = append(b, data...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b, nil
}
