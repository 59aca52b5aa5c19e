package relay

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// recordHead is the size of a TLS record's header; its last two bytes are the length.
const recordHead = 5

// readAhead is how much is read of a connection at once: four full TLS records.
const readAhead = 64 << 10

var aheadPool = sync.Pool{New: func() any { return new([readAhead]byte) }}

// Records is a connection below TLS that hands out one record at a time, and so knows
// whether another whole one has arrived: crypto/tls cannot tell. While it waits between
// records it holds no memory. Reads come from one goroutine, writes from one.
type Records struct {
	net.Conn
	raw syscall.RawConn // nil: the connection is no socket

	ahead      *[readAhead]byte // nil: nothing is read ahead
	start, end int
	record     int              // bytes of the current record not handed out yet
	draining   bool             // reads do not wait
	peek       [recordHead]byte // what a wait on another layer of TLS reads into

	mu     sync.Mutex // guards what follows
	corked bool
	out    *[sendAtOnce]byte // nil: nothing is held
	held   int
}

// NewRecords wraps a connection before TLS is spoken on it.
func NewRecords(conn net.Conn) *Records {
	return &Records{Conn: conn, raw: socketOf(conn)}
}

// NetConn is the connection below.
func (r *Records) NetConn() net.Conn { return r.Conn }

// Read gives bytes of one record at most.
func (r *Records) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if r.draining && r.record == 0 {
		if err := r.gain(); err != nil {
			return 0, err
		}
	}
	least := 1
	if r.record == 0 {
		least = recordHead
	}
	for r.end-r.start < least {
		err := r.fill()
		if err == nil {
			continue
		}
		if r.start == r.end || !errors.Is(err, io.EOF) {
			return 0, err
		}
		break // cut inside a header: crypto/tls shall see it
	}
	if have := r.ahead[r.start:r.end]; r.record == 0 && len(have) >= recordHead {
		r.record = recordHead + int(binary.BigEndian.Uint16(have[3:]))
	}
	n := copy(b, r.ahead[r.start:min(r.end, r.start+max(r.record, 1))])
	r.start, r.record = r.start+n, max(r.record-n, 0)
	if r.start == r.end {
		r.release()
	}
	return n, nil
}

// Pending reports whether another whole record has arrived, or one of a layer below, in
// which there may be the rest of one of this layer's.
func (r *Records) Pending() bool { return r.record == 0 && (r.whole() || pending(r.Conn)) }

// whole reports whether another whole record is read ahead.
func (r *Records) whole() bool {
	if r.ahead == nil {
		return false
	}
	have := r.ahead[r.start:r.end]
	return len(have) >= recordHead && len(have) >= recordHead+int(binary.BigEndian.Uint16(have[3:]))
}

// Drain has reads give only what has arrived, on every layer, or wait again. A record need
// not carry data: one that renews a key would leave a copy waiting that still holds bytes.
func (r *Records) Drain(on bool) {
	for ; r != nil; r = recordsOf(r.Conn) {
		r.draining = on
	}
}

// gain reads from the layers below what has arrived there, until a whole record is here.
func (r *Records) gain() error {
	for !r.whole() {
		if recordsOf(r.Conn) == nil {
			return errDrained // a socket would wait
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
	return nil
}

// drained is the error of a read that would wait while draining. It is temporary, so
// that crypto/tls does not take the connection for broken.
type drained struct{}

var errDrained net.Error = drained{}

func (drained) Error() string   { return "nothing more has arrived" }
func (drained) Timeout() bool   { return true }
func (drained) Temporary() bool { return true }

// fill waits for bytes and reads what is there, behind what there was.
func (r *Records) fill() error {
	if r.raw == nil {
		if r.ahead == nil { // it waits, without a buffer
			n, err := r.Conn.Read(r.peek[:])
			if n == 0 {
				return err
			}
			r.take()
			if r.end = copy(r.ahead[:], r.peek[:n]); n < len(r.peek) {
				return nil
			}
		} // its body follows its head
		r.take()
		n, err := r.Conn.Read(r.ahead[r.end:])
		r.end += n
		if n > 0 {
			return nil
		}
		r.releaseEmpty()
		return err
	}
	var n int
	var failed error
	err := r.raw.Read(func(fd uintptr) bool {
		r.take()
		var again bool
		if n, again, failed = readNow(fd, r.ahead[r.end:]); again {
			r.releaseEmpty() // the poller waits, without a buffer
			return false
		}
		return true
	})
	if err == nil && failed == nil && n > 0 {
		r.end += n
		return nil
	}
	r.releaseEmpty()
	switch {
	case err != nil: // a deadline, or closed
		return err
	case failed != nil:
		return &net.OpError{Op: "read", Net: "tcp", Addr: r.RemoteAddr(), Err: failed}
	}
	return io.EOF
}

// take makes room behind what is read ahead.
func (r *Records) take() {
	if r.ahead == nil {
		r.ahead = aheadPool.Get().(*[readAhead]byte)
		r.start, r.end = 0, 0
	}
	if r.start > 0 {
		copy(r.ahead[:], r.ahead[r.start:r.end])
		r.start, r.end = 0, r.end-r.start
	}
}

func (r *Records) release() {
	if r.ahead != nil {
		aheadPool.Put(r.ahead)
		r.ahead = nil
	}
	r.start, r.end = 0, 0
}

func (r *Records) releaseEmpty() {
	if r.start == r.end {
		r.release()
	}
}

// Write sends bytes, or keeps them while the connection is corked: as many as the kernel
// takes well at once.
func (r *Records) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.corked {
		return r.Conn.Write(b)
	}
	if r.held+len(b) > sendAtOnce {
		if err := r.flush(); err != nil {
			return 0, err
		}
	}
	if len(b) > sendAtOnce {
		return r.Conn.Write(b)
	}
	if r.out == nil {
		r.out = sendPool.Get().(*[sendAtOnce]byte)
	}
	r.held += copy(r.out[r.held:], b)
	return len(b), nil
}

// Cork has writes gathered until Uncork sends them.
func (r *Records) Cork() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.corked = true
}

// Uncork sends what was gathered.
func (r *Records) Uncork() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.corked = false
	return r.flush()
}

// flush sends what is held, and holds no memory then.
func (r *Records) flush() error {
	if r.out == nil {
		return nil
	}
	_, err := r.Conn.Write(r.out[:r.held])
	sendPool.Put(r.out)
	r.out, r.held = nil, 0
	return err
}

// sendAtOnce bounds what is gathered: four full records, or many small ones.
const sendAtOnce = 66 << 10

var sendPool = sync.Pool{New: func() any { return new([sendAtOnce]byte) }}
