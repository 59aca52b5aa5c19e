package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bulk: so many lanes, from the host to the client, as fast as it goes.
const (
	bulkLanes = 4
	bulkWarm  = 250 * time.Millisecond
	bulkFor   = 1000 * time.Millisecond
	bulkBurst = 32 << 10 // what a host writes at once: there is always more to relay
)

// bulk is a relay's processor seconds for a GB in messages of a size.
func bulk(ctx context.Context, r *rival, size int) (perGB float64, err error) {
	var lanes []*lane
	var came atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { // first
		for _, l := range lanes {
			l.close()
		}
	}()
	for range bulkLanes {
		l, err := r.open(ctx)
		if err != nil {
			return 0, fmt.Errorf("open a lane through %s: %w", r.name, err)
		}
		lanes = append(lanes, l)
		wg.Go(func() { pour(l, size) })
		wg.Go(func() { drink(l, &came) })
	}
	if err := pause(ctx, bulkWarm); err != nil {
		return 0, err
	}
	used, bytes, err := r.during(ctx, bulkFor, &came)
	if err != nil {
		return 0, err
	}
	if bytes == 0 {
		return 0, fmt.Errorf("%s relayed nothing in messages of %d bytes", r.name, size)
	}
	return used.Seconds() / (float64(bytes) / 1e9), nil
}

// during is what a relay used of the processor in a span, and what came meanwhile.
func (r *rival) during(ctx context.Context, span time.Duration, came *atomic.Int64) (time.Duration, int64, error) {
	before, err := clockOf(r.pid)
	if err != nil {
		return 0, 0, err
	}
	begun := came.Load()
	if err := pause(ctx, span); err != nil {
		return 0, 0, err
	}
	after, err := clockOf(r.pid)
	return after - before, came.Load() - begun, err
}

// pour writes messages until the lane ends.
func pour(l *lane, size int) {
	message := make([]byte, size)
	for {
		if l.gather != nil {
			l.gather.Cork()
		}
		for range max(1, bulkBurst/size) {
			if _, err := l.host.Write(message); err != nil {
				return
			}
		}
		if l.gather != nil && l.gather.Uncork() != nil {
			return
		}
	}
}

// drink reads until the lane ends.
func drink(l *lane, came *atomic.Int64) {
	b := make([]byte, 2*readSize)
	for {
		n, err := l.client.Read(b)
		came.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// session is a lane whose host echoes, and whose client counts what comes. A message
// begins with its length.
type session struct {
	*lane
	came *atomic.Int64
	back chan struct{} // an echo has come; holds one
}

// sessions are those of one relay.
type sessions struct {
	*rival
	all  []*session
	came atomic.Int64
	wg   sync.WaitGroup
}

const lengthSize = 4

// openSessions opens so many lanes through a relay. Close it.
func openSessions(ctx context.Context, r *rival, count int) (*sessions, error) {
	s := &sessions{rival: r}
	for range count {
		l, err := r.open(ctx)
		if err != nil {
			s.end()
			return nil, fmt.Errorf("open lane %d through %s: %w", len(s.all)+1, r.name, err)
		}
		x := &session{lane: l, came: &s.came, back: make(chan struct{}, 1)}
		s.all = append(s.all, x)
		s.wg.Go(x.echo)
		s.wg.Go(x.listen)
	}
	return s, nil
}

func (s *sessions) end() {
	for _, x := range s.all {
		x.close()
	}
	s.wg.Wait()
}

// message reads one into b.
func message(from io.Reader, b []byte) ([]byte, error) {
	if _, err := io.ReadFull(from, b[:lengthSize]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(b))
	if size < lengthSize || size > len(b) {
		return nil, fmt.Errorf("a message of %d bytes came: the relay changes what it carries", size)
	}
	_, err := io.ReadFull(from, b[lengthSize:size])
	return b[:size], err
}

const largest = 16_000

// echo is the host's side of a session, until its end.
func (x *session) echo() {
	b := make([]byte, largest)
	for {
		m, err := message(x.host, b)
		if err != nil {
			return
		}
		if _, err := x.host.Write(m); err != nil {
			return
		}
	}
}

// listen is the client's side.
func (x *session) listen() {
	b := make([]byte, largest)
	for {
		if _, err := message(x.client, b); err != nil {
			return
		}
		x.came.Add(1)
		select {
		case x.back <- struct{}{}:
		default: // nobody has asked
		}
	}
}

func sized(n int) []byte {
	b := make([]byte, n)
	binary.BigEndian.PutUint32(b, uint32(n))
	return b
}

// Paced: updates of a desktop, as often as RDP sends them.
const (
	pacedSize = 4 << 10
	pacedWarm = 400 * time.Millisecond
)

// paced has the hosts of the first count sessions send so often a second, and gives the
// relay's processor microseconds a message.
func (s *sessions) paced(ctx context.Context, count int, every, span time.Duration) (float64, error) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for i, x := range s.all[:count] {
		wg.Go(func() {
			m := sized(pacedSize)
			inTime(ctx, every*time.Duration(i)/time.Duration(count), every, func() error {
				_, err := x.host.Write(m)
				return err
			})
		})
	}
	if err := pause(ctx, pacedWarm); err != nil {
		return 0, err
	}
	used, messages, err := s.during(ctx, span, &s.came)
	if err != nil {
		return 0, err
	}
	if due := int64(count) * int64(span/every); messages < due*4/5 {
		return 0, fmt.Errorf("%s relayed %d of %d messages in %s; the machine is too busy to measure", s.name, messages, due, span)
	}
	return float64(used.Nanoseconds()) / 1e3 / float64(messages), nil
}

// inTime does something at once after a delay, and again each time; it ends with ctx or
// an error.
func inTime(ctx context.Context, delay, every time.Duration, do func() error) {
	if pause(ctx, delay) != nil {
		return
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for do() == nil {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Echoes: so many a second in all.
const (
	echoRate = 500
	echoWarm = 150 * time.Millisecond
	echoFor  = 400 * time.Millisecond
)

// roundTrip is the median time of an echo, in microseconds, over the first count sessions.
func (s *sessions) roundTrip(ctx context.Context, count, size int) (float64, error) {
	ctx, stop := context.WithTimeout(ctx, echoWarm+echoFor)
	defer stop()
	var mu sync.Mutex // guards times
	var times []time.Duration
	var wg sync.WaitGroup
	every, begun := time.Second*time.Duration(count)/echoRate, time.Now()
	for i, x := range s.all[:count] {
		wg.Go(func() {
			m := sized(size)
			select {
			case <-x.back: // of another measurement
			default:
			}
			inTime(ctx, every*time.Duration(i)/time.Duration(count), every, func() error {
				sent := time.Now()
				if _, err := x.client.Write(m); err != nil {
					return err
				}
				select {
				case <-x.back:
				case <-time.After(5 * time.Second):
					return errors.New("no echo came")
				}
				if took := time.Since(sent); time.Since(begun) > echoWarm {
					mu.Lock()
					times = append(times, took)
					mu.Unlock()
				}
				return nil
			})
		})
	}
	wg.Wait()
	if len(times) < (count+1)/2 {
		return 0, fmt.Errorf("only %d echoes of %d bytes came back through %s over %d sessions", len(times), size, s.name, count)
	}
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds()) / 1e3, nil
}
