package agent

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/deskyard/deskyard/reverse"
)

// writeTime bounds the writing of one frame.
const writeTime = 10 * time.Second

// frames reads and writes the WebSocket frames of the link on the agent's side.
// One goroutine reads; any may write.
type frames struct {
	conn net.Conn
	r    *bufio.Reader
	mu   sync.Mutex // guards writing
}

func newFrames(conn net.Conn) *frames {
	return &frames{conn: conn, r: bufio.NewReaderSize(conn, 512)}
}

// errClosed says that the service closed the link without a bye.
var errClosed = errors.New("the service closed the link")

// read waits until wait has passed for one frame.
func (f *frames) read(wait time.Duration) (ws.OpCode, []byte, error) {
	if err := f.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return 0, nil, err
	}
	h, err := ws.ReadHeader(f.r)
	if err != nil {
		return 0, nil, err
	}
	switch {
	case h.Masked, !h.Fin, h.OpCode == ws.OpContinuation, h.Rsv != 0:
		return 0, nil, errors.New("the service sent a frame that the protocol does not have")
	case h.OpCode.IsControl() && h.Length > ws.MaxControlFramePayloadSize, h.Length > reverse.MaxFromService:
		return 0, nil, fmt.Errorf("the service sent a frame of %d bytes", h.Length)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(f.r, payload); err != nil {
		return 0, nil, err
	}
	return h.OpCode, payload, nil
}

// readMessage reads until a message comes; pongs are told to pong.
func (f *frames) readMessage(wait time.Duration, pong func()) (reverse.Message, error) {
	for {
		op, payload, err := f.read(wait)
		if err != nil {
			return reverse.Message{}, err
		}
		switch op {
		case ws.OpText:
			return reverse.Decode(payload, reverse.MaxFromService)
		case ws.OpPing:
			if err := f.write(ws.OpPong, payload); err != nil {
				return reverse.Message{}, err
			}
		case ws.OpPong:
			pong()
		case ws.OpClose:
			return reverse.Message{}, errClosed
		}
	}
}

// write sends one frame, masked as RFC 6455 wants it of clients, in one TLS record.
func (f *frames) write(op ws.OpCode, payload []byte) error {
	var mask [4]byte
	rand.Read(mask[:])
	masked := make([]byte, len(payload))
	copy(masked, payload)
	frame := ws.MaskFrameInPlaceWith(ws.NewFrame(op, true, masked), mask)
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

// send sends one message.
func (f *frames) send(kind, id string, body any) error {
	b, err := reverse.Encode(kind, id, body)
	if err != nil {
		return err
	}
	return f.write(ws.OpText, b)
}

// close says goodbye as far as the service still listens.
func (f *frames) close(code ws.StatusCode) {
	var body [2]byte
	binary.BigEndian.PutUint16(body[:], uint16(code))
	_ = f.write(ws.OpClose, body[:]) // the close of the connection is what counts
	_ = f.conn.Close()
}
