package bootloader

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Bounds on what a component may write to the log through its output, so that one
// gone wild neither fills the journal nor starves the others.
const (
	maxLine       = 8 << 10 // bytes of a line; the rest of it is cut off
	linesPerBurst = 1000
	burstEvery    = 10 * time.Second
)

// lineLog writes the output of one component, line by line with a prefix.
type lineLog struct {
	out    io.Writer
	outMu  *sync.Mutex // guards out, which all components share
	prefix string
	now    func() time.Time

	mu      sync.Mutex // guards the rest: an old and a new process may overlap
	since   time.Time
	lines   int
	dropped int
}

// copy reads until the end of r.
func (l *lineLog) copy(r io.Reader) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			l.line(line)
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line too long
			_, err = in.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

func (l *lineLog) line(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Sub(l.since) >= burstEvery {
		if l.dropped > 0 {
			l.write(fmt.Appendf(nil, "%d lines dropped: more than %d in %s", l.dropped, linesPerBurst, burstEvery))
		}
		l.since, l.lines, l.dropped = now, 0, 0
	}
	if l.lines >= linesPerBurst {
		l.dropped++
		return
	}
	l.lines++
	l.write(b)
}

func (l *lineLog) write(b []byte) {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	l.outMu.Lock()
	defer l.outMu.Unlock()
	// There is nowhere to tell that the log itself cannot be written.
	_, _ = fmt.Fprintf(l.out, "%s: %s\n", l.prefix, b)
}
