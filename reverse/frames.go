package reverse

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// writeTime bounds the writing of one frame: a peer that does not read is gone.
const writeTime = 10 * time.Second

// Frames reads and writes the link's WebSocket frames (RFC 6455): whole messages only,
// of a bounded size, each written in one TLS record. One goroutine reads; any may write.
type Frames struct {
	conn net.Conn
	in   io.Reader
	most int64      // bytes that the peer may send in a frame
	mask bool       // this is the agent's side: it masks what it writes, the service does not
	mu   sync.Mutex // guards writing
}

// ServiceFrames are those of the service's side of a link. It reads from conn itself:
// a buffer for each of many agents that are idle would be most of their memory.
func ServiceFrames(conn net.Conn) *Frames {
	return &Frames{conn: conn, in: conn, most: MaxFromAgent}
}

// AgentFrames are those of the agent's side of a link. in reads conn, and may hold what
// came with the upgrade; nil is nothing.
func AgentFrames(conn net.Conn, in *bufio.Reader) *Frames {
	if in == nil {
		in = bufio.NewReaderSize(conn, 512)
	}
	return &Frames{conn: conn, in: in, most: MaxFromService, mask: true}
}

var (
	// ErrPeerClosed says that the other side closed the link, without a bye.
	ErrPeerClosed = errors.New("the other side closed the link")

	errFragmented = errors.New("the other side sent a fragmented message, which the protocol does not have")
	errMask       = errors.New("the other side masks as its side must not (RFC 6455, 5.1)")
)

// Read waits for one frame until wait has passed and gives its kind and payload, which is
// the caller's. A service's link sees frames without a payload for most of its life.
func (f *Frames) Read(wait time.Duration) (ws.OpCode, []byte, error) {
	if err := f.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return 0, nil, err
	}
	h, err := ws.ReadHeader(f.in)
	if err != nil {
		return 0, nil, err
	}
	switch {
	case h.Masked == f.mask:
		return 0, nil, errMask
	case !h.Fin || h.OpCode == ws.OpContinuation || h.Rsv != 0:
		return 0, nil, errFragmented
	case h.OpCode.IsControl() && h.Length > ws.MaxControlFramePayloadSize, h.Length > f.most:
		return 0, nil, fmt.Errorf("the other side sent a frame of %d bytes", h.Length)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(f.in, payload); err != nil {
		return 0, nil, err
	}
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	return h.OpCode, payload, nil
}

// ReadMessage reads until a message comes, answering pings; every frame is told to seen.
// A close is ErrPeerClosed.
func (f *Frames) ReadMessage(wait time.Duration, seen func(op ws.OpCode, payload []byte)) (Message, error) {
	for {
		op, payload, err := f.Read(wait)
		if err != nil {
			return Message{}, err
		}
		seen(op, payload)
		switch op {
		case ws.OpText:
			return Decode(payload, int(f.most))
		case ws.OpPing:
			if err := f.Write(ws.OpPong, payload); err != nil {
				return Message{}, err
			}
		case ws.OpClose:
			return Message{}, ErrPeerClosed
		}
	}
}

// Write sends one frame. The payload stays as it is.
func (f *Frames) Write(op ws.OpCode, payload []byte) error {
	frame := ws.NewFrame(op, true, payload)
	if f.mask {
		var mask [4]byte
		rand.Read(mask[:])
		frame = ws.MaskFrameWith(frame, mask)
	}
	b, err := ws.CompileFrame(frame)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err = f.conn.Write(b)
	return err
}

// Send sends one message.
func (f *Frames) Send(kind, id string, body any) error {
	b, err := Encode(kind, id, body)
	if err != nil {
		return err
	}
	return f.Write(ws.OpText, b)
}

// Close says goodbye as far as the peer still listens, with at most 120 bytes of the
// reason, and closes the connection.
func (f *Frames) Close(code ws.StatusCode, reason string) {
	// The peer may be gone: the close that follows is what counts.
	_ = f.Write(ws.OpClose, ws.NewCloseFrameBody(code, reason[:min(len(reason), 120)]))
	f.Cut()
}

// Cut closes the connection without a word; who reads is told by the read.
func (f *Frames) Cut() {
	_ = f.conn.Close() // a second close only says that it was closed
}
