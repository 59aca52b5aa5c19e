package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Stream is one side of a session.
type Stream interface {
	io.ReadWriteCloser
}

// Buffers of a copy: idle sessions hold the small one, what has arrived together fills
// the large one.
const (
	idleBuffer  = 4 << 10
	batchBuffer = 64 << 10
)

var batchPool = sync.Pool{New: func() any { return new([batchBuffer]byte) }}

// Reasons why a session ended; a fault's begins with "error: ".
const (
	ClientClosed = "client closed"
	HostClosed   = "host closed"
	Idle         = "idle"
	Stopping     = "gateway stopping"
)

// End is how a session ended.
type End struct {
	Reason     string
	FromClient uint64 // bytes
	FromHost   uint64
	RTT        time.Duration // of the client's connection, last measured; 0: unknown
}

// Sessions are the sessions being relayed. The zero value is ready.
type Sessions struct {
	mu       sync.Mutex // guards live and stopping
	live     map[string]*session
	stopping bool
	wg       sync.WaitGroup
}

type session struct {
	client, host Stream
	fromClient   atomic.Uint64
	fromHost     atomic.Uint64
	active       atomic.Int64 // when the last byte came, Unix nanoseconds

	once   sync.Once
	reason string
	rtt    rtt
	last   time.Duration // round trip at the end
	done   chan struct{} // closed when the session has ended and both sides are closed
}

// Len is how many sessions are relayed.
func (s *Sessions) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

// Run relays until either side ends, the session is idle for so long (0: for ever), or
// it is ended by Stop. It closes both sides.
func (s *Sessions) Run(id string, client, host Stream, idle time.Duration) End {
	x := &session{client: client, host: host, rtt: newRTT(client), done: make(chan struct{})}
	x.active.Store(time.Now().UnixNano())
	if !s.add(id, x) {
		x.end(Stopping)
		<-x.done
		return End{Reason: x.reason}
	}
	defer s.remove(id)
	watchPeer(client)
	watchPeer(host)
	var wg sync.WaitGroup
	wg.Go(func() { x.end(x.pump(host, client, &x.fromClient, ClientClosed)) })
	if idle > 0 {
		quiet := x.watch(idle)
		defer quiet.Stop()
	}
	x.end(x.pump(client, host, &x.fromHost, HostClosed))
	wg.Wait()
	<-x.done
	return End{Reason: x.reason, FromClient: x.fromClient.Load(), FromHost: x.fromHost.Load(), RTT: x.last}
}

func (s *Sessions) add(id string, x *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	if s.live == nil {
		s.live = map[string]*session{}
	}
	s.live[id] = x
	s.wg.Add(1)
	return true
}

func (s *Sessions) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, id)
	s.wg.Done()
}

// Stop ends one session; false where there is none of that id.
func (s *Sessions) Stop(id, reason string) bool {
	s.mu.Lock()
	x := s.live[id]
	s.mu.Unlock()
	if x != nil {
		x.end(reason)
	}
	return x != nil
}

// Drain takes no new session, waits for those that run until ctx ends, and then ends
// the rest.
func (s *Sessions) Drain(ctx context.Context) {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	gone := make(chan struct{})
	go func() { // ends with the last session
		s.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	for _, x := range s.live {
		x.end(Stopping)
	}
	s.mu.Unlock()
	<-gone
}

// end closes both sides, beside its caller: a side may take a second to say goodbye.
func (x *session) end(reason string) {
	x.once.Do(func() {
		x.reason = reason
		go func() { // Run waits for it
			x.last = x.rtt.measure() // before the sockets are gone
			x.close()
			close(x.done)
		}()
	})
}

// close closes both sides; what their ends say tells nobody anything.
func (x *session) close() {
	_ = x.client.Close()
	_ = x.host.Close()
}

// watch ends the session when no byte came for so long. It is a timer, so that it costs
// no goroutine.
func (x *session) watch(idle time.Duration) *time.Timer {
	var again *time.Timer
	set := make(chan struct{}) // closed once again is
	again = time.AfterFunc(idle, func() {
		<-set
		quiet := time.Since(time.Unix(0, x.active.Load()))
		if quiet >= idle {
			x.end(Idle)
			return
		}
		again.Reset(idle - quiet)
	})
	close(set)
	return again
}

// pump copies one way and gives the reason of its end; closed is the one of a src that
// ended as it should.
func (x *session) pump(dst io.Writer, src io.Reader, count *atomic.Uint64, closed string) string {
	var small [idleBuffer]byte
	for {
		n, err := src.Read(small[:])
		if n > 0 {
			written, failed := x.forward(dst, src, small[:n])
			count.Add(uint64(written))
			x.active.Store(time.Now().UnixNano())
			if failed != nil {
				return reasonOf(failed, other(closed))
			}
		}
		if err != nil {
			return reasonOf(err, closed)
		}
	}
}

func other(side string) string {
	if side == ClientClosed {
		return HostClosed
	}
	return ClientClosed
}

// headRoom is more than what stands before data in a buffer: the heads of a frame and of a
// packet in it.
const headRoom = 64

// forward sends first, and with it whatever else has arrived already. Where first filled
// its buffer crypto/tls may have the rest of a record, of which it tells nobody.
func (x *session) forward(dst io.Writer, src io.Reader, first []byte) (int, error) {
	records := recordsOf(src)
	rest := records != nil && len(first) >= idleBuffer-headRoom && drains(src)
	if !rest && !pending(src) {
		return write(dst, first)
	}
	batch := batchPool.Get().(*[batchBuffer]byte)
	defer batchPool.Put(batch)
	if records != nil {
		records.Drain(true)
		defer records.Drain(false)
	}
	if m, ok := dst.(messages); ok {
		return x.gather(m, src, first, batch[:])
	}
	n := copy(batch[:], first)
	for n < batchBuffer && further(src, records) {
		more, err := src.Read(batch[n:])
		n += more
		if errors.Is(err, errDrained) {
			break
		}
		if err != nil {
			_, failed := write(dst, batch[:n])
			return n, errors.Join(failed, err)
		}
	}
	return write(dst, batch[:n])
}

// drains reports whether a stream can be read while draining. TLS alone can; one that finds
// its bytes among others must be able to take up a head of which only a part has arrived,
// and says so.
func drains(src io.Reader) bool {
	if d, ok := src.(interface{ Drains() bool }); ok {
		return d.Drains()
	}
	_, parses := src.(interface{ Pending() bool })
	return !parses
}

// further reports whether to read on while draining: what drains can be read until it says
// that nothing more has arrived.
func further(src io.Reader, records *Records) bool {
	return records != nil && drains(src) || pending(src)
}

// messages is a stream whose writes are messages, and which can send several at once.
type messages interface {
	io.Writer
	Gather(on bool) error
}

// gather sends what has arrived at once, but each read as a message of its own: IronRDP
// 0.7.0 loses its way in a message that holds the end of one packet and the start of the
// next, and a host's TLS records begin where its packets do.
func (x *session) gather(dst messages, src io.Reader, first, buffer []byte) (n int, err error) {
	if err := dst.Gather(true); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, dst.Gather(false)) }()
	if n, err = dst.Write(first); err != nil {
		return n, err
	}
	records := recordsOf(src)
	for n < batchBuffer && further(src, records) {
		more, failed := src.Read(buffer)
		if more > 0 {
			if _, err := dst.Write(buffer[:more]); err != nil {
				return n, err
			}
			n += more
		}
		if errors.Is(failed, errDrained) {
			break
		}
		if failed != nil {
			return n, failed
		}
	}
	return n, nil
}

// write has what one write makes sent at once.
func write(dst io.Writer, b []byte) (int, error) {
	cork(dst)
	n, err := dst.Write(b)
	return n, errors.Join(err, uncork(dst))
}

// reasonOf tells an end from a fault.
func reasonOf(err error, closed string) string {
	var closing tls.AlertError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.As(err, &closing):
		return closed
	}
	side, _, _ := strings.Cut(closed, " ")
	switch {
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "error: the network to the " + side + " is cut"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrUnexpectedEOF):
		return "error: the " + side + "'s connection was reset"
	}
	return fmt.Sprintf("error: the %s's connection failed: %v", side, err)
}

// below is a stream that stands on another.
type below interface{ NetConn() net.Conn }

// pending reports whether a read would give bytes at once.
func pending(s any) bool {
	for {
		if p, ok := s.(interface{ Pending() bool }); ok {
			return p.Pending()
		}
		b, ok := s.(below)
		if !ok {
			return false
		}
		s = b.NetConn()
	}
}

// cork has every layer of TLS gather what it writes.
func cork(s any) {
	for r := recordsOf(s); r != nil; r = recordsOf(r.Conn) {
		r.Cork()
	}
}

// uncork sends what the layers have gathered, from the uppermost down.
func uncork(s any) error {
	var errs error
	for r := recordsOf(s); r != nil; r = recordsOf(r.Conn) {
		errs = errors.Join(errs, r.Uncork())
	}
	return errs
}

func recordsOf(s any) *Records {
	for {
		if r, ok := s.(*Records); ok {
			return r
		}
		b, ok := s.(below)
		if !ok {
			return nil
		}
		s = b.NetConn()
	}
}
