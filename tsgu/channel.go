package tsgu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Request is what a client says until its channel is to be opened.
type Request struct {
	Cookie string // the ticket; "" where it was in the HTTP request
	Bearer bool   // the client says that it is there
}

// Grant is what a tunnel may be used for.
type Grant struct {
	Redirect Redirection
	Idle     time.Duration // told to the client, in whole minutes; 0: none
}

// Refusal is an error with the code that the client is told.
type Refusal struct {
	Code uint32
	// Message is for the person at the client: what happened, and what to do. Clients that
	// show such texts are let into a channel that leads nowhere, told it there, and have
	// the channel closed with Code; others, and where it is empty, get the code alone.
	Message string
	Err     error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Gate decides about tunnels. Open is asked once; its error is told to the client by the
// code of a *Refusal, CodeInternal otherwise. By its return the host must be reached:
// the channel that follows is granted, whatever name the client has for the host.
type Gate interface {
	Open(ctx context.Context, r Request) (Grant, error)
}

// Channel is the stream of one RDP connection. One goroutine may read it and one write.
type Channel struct {
	Client      string      // the client's name for itself
	Destination Destination // as the client asked

	in   *bufio.Reader
	out  io.Writer
	left int // bytes of the data packet being read
	skip int // bytes to pass over before that

	mu  sync.Mutex // guards out and buf
	buf []byte     // the head of a packet; the whole of it for an out that takes no head
}

// behind is an out that can send a head and what follows it as one.
type behind interface {
	WriteBehind(head, b []byte) error
}

// window is the most that one data packet of ours carries; ahead is how much is read of the
// client at once, which an idle session holds: TLS gives one record at most.
const (
	window = 32 << 10
	ahead  = 4 << 10
)

// Accept answers a client's packets on stream until its channel stands. The caller sets
// deadlines on the stream, and closes it.
func Accept(ctx context.Context, stream io.ReadWriter, gate Gate) (*Channel, error) {
	c := &Channel{in: bufio.NewReaderSize(stream, ahead), out: stream}
	auth, err := c.handshake()
	if err != nil {
		return nil, err
	}
	if err := c.tunnel(ctx, gate, auth); err != nil {
		return nil, err
	}
	p, err := c.expect(typeChannelCreate)
	if err != nil {
		return nil, err
	}
	if c.Destination, err = parseChannelCreate(p.body); err != nil {
		return nil, c.refuse(err, channelResponse(CodeInternal, 0))
	}
	return c, c.send(channelResponse(0, 1))
}

func (c *Channel) handshake() (auth uint16, err error) {
	p, err := c.expect(typeHandshakeRequest)
	if err != nil {
		return 0, err
	}
	auth, err = parseHandshake(p.body)
	if err == nil && auth != authPAA && auth != authBearer && auth != authNone {
		err = fmt.Errorf("shake hands: the client wants authentication %#x, and only tickets (%#x) are taken", auth, authPAA)
	}
	if err != nil {
		return 0, c.refuse(err, handshakeResponse(CodeCapability, authPAA))
	}
	return auth, c.send(handshakeResponse(0, auth))
}

func (c *Channel) tunnel(ctx context.Context, gate Gate, auth uint16) error {
	p, err := c.expect(typeTunnelCreate)
	if err != nil {
		return err
	}
	cookie, can, err := parseTunnelCreate(p.body)
	if err != nil {
		return c.refuse(err, tunnelResponse(CodeInternal, 0))
	}
	g, err := gate.Open(ctx, Request{Cookie: cookie, Bearer: auth == authBearer})
	if err != nil {
		code := uint32(CodeInternal)
		var r *Refusal
		if errors.As(err, &r) {
			code = r.Code
		}
		if r != nil && r.Message != "" && can&capServiceMessage != 0 {
			return errors.Join(err, c.tell(r))
		}
		return c.refuse(err, tunnelResponse(code, 0))
	}
	if err := c.send(tunnelResponse(0, 1)); err != nil {
		return err
	}
	if p, err = c.expect(typeTunnelAuth); err != nil {
		return err
	}
	if c.Client, err = parseTunnelAuth(p.body); err != nil {
		return c.refuse(err, tunnelAuthReply(CodeInternal, Redirection{}, 0))
	}
	return c.send(tunnelAuthReply(0, g.Redirect, g.Idle))
}

// maxUnheard bounds what is read of a client that is being refused: its first packets of
// RDP.
const maxUnheard = 64 << 10

// tell has the client show why it is refused: texts (HTTP_SERVICE_MESSAGE) are for clients
// with a channel only. It reads on until the client has closed, or the caller's deadline
// has come: what a peer resets unread takes the text with it.
func (c *Channel) tell(r *Refusal) error {
	for _, step := range []struct {
		answer []byte
		next   uint16 // what the client says to it
	}{{tunnelResponse(0, 1), typeTunnelAuth}, {tunnelAuthReply(0, Redirection{}, 0), typeChannelCreate}} {
		if err := c.send(step.answer); err != nil {
			return err
		}
		if _, err := c.expect(step.next); err != nil {
			return err
		}
	}
	if err := c.send(append(append(channelResponse(0, 1), serviceMessage(r.Message)...), encode(typeCloseChannel, r.Code)...)); err != nil {
		return err
	}
	for unheard := 0; unheard < maxUnheard; {
		p, err := readPacket(c.in, maxBody)
		if err != nil || p.kind == typeCloseReply {
			break // it is over, however it ends
		}
		unheard += headerSize + len(p.body)
	}
	return nil
}

// expect reads the next packet, which must be of that type.
func (c *Channel) expect(kind uint16) (packet, error) {
	p, err := readPacket(c.in, maxSetup)
	switch {
	case err != nil:
		return p, noEOF(err)
	case p.kind != kind:
		return p, fmt.Errorf("read packet: type %#x came where %#x is due", p.kind, kind)
	}
	return p, nil
}

// refuse tells the client and gives err back.
func (c *Channel) refuse(err error, answer []byte) error {
	return errors.Join(err, c.send(answer))
}

func (c *Channel) send(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.out.Write(b); err != nil {
		return fmt.Errorf("answer the client: %w", err)
	}
	return nil
}

// Read gives bytes of the RDP stream. It is io.EOF when the client closed the channel or
// its stream ended between packets.
func (c *Channel) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.in.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, noEOF(err)
}

// Buffered is how many bytes of the RDP stream can be read without waiting for the
// client; it looks no further than the packet being read.
func (c *Channel) Buffered() int { return min(c.left, c.in.Buffered()) }

// next reads packets up to the next data. A head that has not arrived whole stays where
// it is: a read that may not wait is tried again.
func (c *Channel) next() error {
	for c.skip > 0 {
		n, err := c.in.Discard(c.skip)
		if c.skip -= n; err != nil {
			return noEOF(err)
		}
	}
	head, err := c.peek(headerSize)
	if err != nil {
		return err
	}
	kind, size, err := readHeader(bytes.NewReader(head), maxBody)
	if err != nil {
		return err
	}
	switch kind {
	case typeData:
		if size < dataHead-headerSize {
			return fmt.Errorf("read data: %w", errShort)
		}
		if head, err = c.peek(dataHead); err != nil {
			return err
		}
		length := int(binary.LittleEndian.Uint16(head[headerSize:]))
		if length != size-(dataHead-headerSize) {
			return fmt.Errorf("read data: a packet of %d bytes says that it carries %d", size, length)
		}
		c.left = length
		_, err = c.in.Discard(dataHead)
		return err
	case typeCloseChannel:
		if err := c.send(encode(typeCloseReply, uint32(0), uint16(0), uint16(0))); err != nil {
			return err
		}
		return io.EOF
	case typeKeepalive:
		c.skip = headerSize + size
		return nil
	}
	return fmt.Errorf("read packet: type %#x came where data is due", kind)
}

// dataHead is what stands before a data packet's bytes.
const dataHead = headerSize + 2

// peek waits for n bytes and leaves them where they are.
func (c *Channel) peek(n int) ([]byte, error) {
	b, err := c.in.Peek(n)
	if err != nil && len(b) > 0 {
		err = noEOF(err)
	}
	return b, err
}

// Write sends bytes of the RDP stream, in one write to the client for each 32 KiB.
func (c *Channel) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := 0
	for sent < len(b) {
		part := b[sent:min(len(b), sent+window)]
		if err := c.data(part); err != nil {
			return sent, err
		}
		sent += len(part)
	}
	return sent, nil
}

// data sends one packet of them.
func (c *Channel) data(part []byte) error {
	c.buf = binary.LittleEndian.AppendUint32(append(c.buf[:0], typeData, 0, 0, 0), uint32(dataHead+len(part)))
	c.buf = binary.LittleEndian.AppendUint16(c.buf, uint16(len(part)))
	if out, ok := c.out.(behind); ok {
		return out.WriteBehind(c.buf, part)
	}
	c.buf = append(c.buf, part...)
	_, err := c.out.Write(c.buf)
	return err
}

// CloseWrite tells the client that nothing more comes.
func (c *Channel) CloseWrite() error { return c.send(encode(typeCloseChannel, uint32(0))) }
