package relay

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455 is made of it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Opcodes of frames (RFC 6455, 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// maxControl is what a control frame carries at most.
const maxControl = 125

// WebSocket is the server's side of a WebSocket whose messages are one byte stream: where
// one ends means nothing. One goroutine may read it and one write.
type WebSocket struct {
	conn net.Conn
	in   *bufio.Reader

	left uint64 // bytes of the frame being read
	mask [4]byte
	at   int // in mask

	mu        sync.Mutex        // guards writes
	out       []byte            // nil: nothing is held
	taken     *[sendAtOnce]byte // of the pool, what out began with
	gathering bool
	closed    bool
}

// Upgrade accepts a WebSocket handshake. It checks neither Origin nor who asks.
func Upgrade(w http.ResponseWriter, r *http.Request) (*WebSocket, error) {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	if r.Method != http.MethodGet || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || err != nil || len(key) != 16 ||
		r.Header.Get("Sec-WebSocket-Version") != "13" {
		w.Header().Set("Sec-WebSocket-Version", "13")
		http.Error(w, "This address takes WebSocket connections only. A proxy on the way must pass on Upgrade and Sec-WebSocket-Key.", http.StatusUpgradeRequired)
		return nil, errors.New("upgrade: the request is no WebSocket handshake of version 13")
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "WebSocket connections need HTTP/1.1. A proxy on the way must not speak HTTP/2 to the gateway.", http.StatusHTTPVersionNotSupported)
		return nil, fmt.Errorf("take the connection over: %w", err)
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	err = conn.SetDeadline(time.Now().Add(10 * time.Second)) // also ends the server's own deadlines
	if err == nil {
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
			base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("answer the handshake: %w", err), conn.Close())
	}
	return NewWebSocket(conn, Released(conn, rw.Reader)), nil
}

// Released makes a reader of a hijacked connection that begins with what its server has
// read of it. The server's own reader would keep the request, its answer and buffers as
// long as the session, and take a lock for every read.
func Released(conn net.Conn, in *bufio.Reader) *bufio.Reader {
	early, _ := in.Peek(in.Buffered()) // cannot fail: it is there
	if len(early) == 0 {
		return bufio.NewReaderSize(conn, idleBuffer)
	}
	all := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn), max(idleBuffer, len(early)))
	_, _ = all.Peek(len(early)) // so that Buffered tells of it; it is there too
	return all
}

// NewWebSocket makes a stream of an upgraded connection; in holds what was read of it
// already.
func NewWebSocket(conn net.Conn, in *bufio.Reader) *WebSocket {
	return &WebSocket{conn: conn, in: in}
}

// NetConn is the connection below.
func (s *WebSocket) NetConn() net.Conn { return s.conn }

// SetDeadline bounds reads and writes.
func (s *WebSocket) SetDeadline(t time.Time) error { return s.conn.SetDeadline(t) }

// Read gives bytes of messages. It is io.EOF when the client closed.
func (s *WebSocket) Read(b []byte) (int, error) {
	for s.left == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n, err := s.in.Read(b[:min(uint64(len(b)), s.left)])
	unmask(b[:n], s.mask, s.at)
	s.at += n
	s.left -= uint64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // inside a frame
	}
	return n, err
}

// Drains is true: what has arrived of a head stays until the rest of it has.
func (s *WebSocket) Drains() bool { return true }

// Pending reports whether more can be read without waiting for the client.
func (s *WebSocket) Pending() bool {
	if s.left > 0 && s.in.Buffered() > 0 {
		return true
	}
	if s.in.Buffered() >= 14 { // the largest header of a frame
		return true
	}
	return s.in.Buffered() == 0 && pending(s.conn)
}

// next reads headers up to a frame with data. What has not arrived whole stays where it
// is: a read that may not wait is tried again.
func (s *WebSocket) next() error {
	h, err := s.peek(2)
	if err != nil {
		return err
	}
	op, short := h[0]&0xf, h[1]&0x7f
	if h[0]&0x70 != 0 || h[1]&0x80 == 0 {
		return errors.New("read frame: it is compressed, or not masked")
	}
	size := 2 + len(s.mask)
	switch short {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if h, err = s.peek(size); err != nil {
		return err
	}
	length := uint64(short)
	switch short {
	case 126:
		length = uint64(binary.BigEndian.Uint16(h[2:]))
	case 127:
		if length = binary.BigEndian.Uint64(h[2:]); length > math.MaxInt64 {
			return errors.New("read frame: its length is negative")
		}
	}
	copy(s.mask[:], h[size-len(s.mask):])
	s.at = 0
	switch op {
	case opContinuation, opText, opBinary:
		s.left = length
		return s.skip(size)
	case opClose, opPing, opPong:
		return s.control(op, size, length)
	}
	return fmt.Errorf("read frame: opcode %d is none", op)
}

// peek waits for n bytes and leaves them where they are.
func (s *WebSocket) peek(n int) ([]byte, error) {
	b, err := s.in.Peek(n)
	if err != nil && len(b) > 0 {
		err = noEOF(err)
	}
	return b, err
}

// skip passes over bytes that were peeked at.
func (s *WebSocket) skip(n int) error {
	_, err := s.in.Discard(n)
	return err
}

// control reads a control frame behind a header of that size and answers it.
func (s *WebSocket) control(op byte, header int, length uint64) error {
	if length > maxControl {
		return fmt.Errorf("read frame: a control frame of %d bytes", length)
	}
	whole, err := s.peek(header + int(length))
	if err != nil {
		return err
	}
	var b [maxControl]byte
	payload := b[:copy(b[:], whole[header:])]
	if err := s.skip(len(whole)); err != nil {
		return err
	}
	unmask(payload, s.mask, 0)
	switch op {
	case opPing:
		return s.frame(opPong, payload)
	case opClose:
		if err := s.close(payload[:min(len(payload), 2)]); err != nil {
			return err
		}
		return io.EOF
	}
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Write sends bytes as one message, with one write to the connection.
func (s *WebSocket) Write(b []byte) (int, error) {
	if err := s.frame(opBinary, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// WriteBehind sends a head and what comes behind it as one message.
func (s *WebSocket) WriteBehind(head, b []byte) error { return s.frame(opBinary, head, b) }

func (s *WebSocket) frame(op byte, payload ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	return s.send(op, payload...)
}

func (s *WebSocket) send(op byte, payload ...[]byte) error {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	if len(s.out)+maxHead+n > sendAtOnce {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if s.out == nil {
		s.taken = sendPool.Get().(*[sendAtOnce]byte)
		s.out = s.taken[:0]
	}
	b := append(s.out, 0x80|op)
	switch {
	case n < 126:
		b = append(b, byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	for _, p := range payload {
		b = append(b, p...) // grows out of the pool's where a caller sends more at once
	}
	s.out = b
	if s.gathering {
		return nil
	}
	return s.flush()
}

// maxHead is the size of a server's largest header.
const maxHead = 10

// flush sends the frames that were made, and holds no memory then.
func (s *WebSocket) flush() error {
	if s.out == nil {
		return nil
	}
	_, err := write(s.conn, s.out)
	sendPool.Put(s.taken)
	s.out, s.taken = nil, nil
	return err
}

// Gather has frames kept until it is turned off, which sends them all with one write.
func (s *WebSocket) Gather(on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gathering = on; on {
		return nil
	}
	return s.flush()
}

// close answers or sends a close frame, once.
func (s *WebSocket) close(code []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.send(opClose, code)
}

// Close says goodbye (1000: a normal end) and closes the connection. A client that does
// not read is not waited for.
func (s *WebSocket) Close() error {
	err := s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	if err == nil {
		err = s.close([]byte{0x03, 0xe8})
	}
	if errors.Is(err, net.ErrClosed) || err != nil {
		err = nil // the client is gone already
	}
	return errors.Join(err, s.conn.Close())
}

// unmask undoes a client's masking, eight bytes at a time.
func unmask(b []byte, mask [4]byte, at int) {
	for len(b) > 0 && at%4 != 0 {
		b[0] ^= mask[at%4]
		b, at = b[1:], at+1
	}
	m := binary.LittleEndian.Uint32(mask[:])
	wide := uint64(m)<<32 | uint64(m)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[i%4]
	}
}
