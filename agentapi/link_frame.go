package agentapi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/deskyard/deskyard/reverse"
)

// writeTime bounds the writing of one frame: a peer that does not read is gone.
const writeTime = 10 * time.Second

// frames reads and writes the WebSocket frames of one link on the service's side.
// One goroutine reads; any may write.
type frames struct {
	conn net.Conn
	mu   sync.Mutex // guards writing
}

var (
	errClosedByPeer = errors.New("the agent closed the link")
	errFragmented   = errors.New("the agent sent a fragmented message, which the protocol does not have")
	errUnmasked     = errors.New("the agent sent a frame without a mask (RFC 6455, 5.1)")
)

// read waits until wait has passed for one frame and gives its kind and payload.
// The payload is empty, not kept, for most of a link's life.
func (f *frames) read(wait time.Duration) (ws.OpCode, []byte, error) {
	if err := f.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return 0, nil, err
	}
	h, err := ws.ReadHeader(f.conn)
	if err != nil {
		return 0, nil, err
	}
	switch {
	case !h.Masked:
		return 0, nil, errUnmasked
	case !h.Fin || h.OpCode == ws.OpContinuation || h.Rsv != 0:
		return 0, nil, errFragmented
	case h.OpCode.IsControl() && h.Length > ws.MaxControlFramePayloadSize, h.Length > reverse.MaxFromAgent:
		return 0, nil, fmt.Errorf("the agent sent a frame of %d bytes", h.Length)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(f.conn, payload); err != nil {
		return 0, nil, err
	}
	ws.Cipher(payload, h.Mask, 0)
	return h.OpCode, payload, nil
}

// readMessage reads until a message comes, answering pings; every frame is told to seen.
func (f *frames) readMessage(wait time.Duration, seen func(op ws.OpCode, payload []byte)) (reverse.Message, error) {
	for {
		op, payload, err := f.read(wait)
		if err != nil {
			return reverse.Message{}, err
		}
		seen(op, payload)
		switch op {
		case ws.OpText:
			return reverse.Decode(payload, reverse.MaxFromAgent)
		case ws.OpPing:
			if err := f.write(ws.OpPong, payload); err != nil {
				return reverse.Message{}, err
			}
		case ws.OpClose:
			return reverse.Message{}, errClosedByPeer
		}
	}
}

// write sends one frame in one TLS record.
func (f *frames) write(op ws.OpCode, payload []byte) error {
	b, err := ws.CompileFrame(ws.NewFrame(op, true, payload))
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

// send sends one message.
func (f *frames) send(kind, id string, body any) error {
	b, err := reverse.Encode(kind, id, body)
	if err != nil {
		return err
	}
	return f.write(ws.OpText, b)
}

// closeWith says goodbye as far as the peer still listens, and closes.
func (f *frames) closeWith(code ws.StatusCode, reason string) {
	// The peer may be gone: the close that follows is what counts.
	_ = f.write(ws.OpClose, ws.NewCloseFrameBody(code, reason[:min(len(reason), 120)]))
	_ = f.conn.Close()
}
