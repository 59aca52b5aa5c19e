package gateway

import (
	"fmt"
	"io"
	"sync"
)

// Bounds of clients that have no session yet.
const (
	maxWaiting  = 2000 // in all
	maxGreeting = 100  // of one address that have shown no ticket: an office's people arrive in seconds, and leave the lobby in less
)

// lobby is where clients are until their session runs. Nobody fills it from one address
// without tickets, however slowly they speak. The zero value is ready.
type lobby struct {
	mu       sync.Mutex // guards all below, and the guests
	guests   map[*guest]bool
	greeting map[string]int // guests without a ticket, by address
	closed   bool
	wg       sync.WaitGroup
}

// guest is one of them. Its leave must be called.
type guest struct {
	l       *lobby
	address string
	stream  io.Closer // nil: none yet
	shown   bool      // its ticket
}

// crowded is why a client is not let in.
type crowded string

func (c crowded) Error() string { return string(c) }

// enter lets a client in that comes from an address.
func (l *lobby) enter(address string) (*guest, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, crowded("The gateway is stopping. Connect again in a moment.")
	case l.greeting[address] >= maxGreeting:
		return nil, crowded(fmt.Sprintf("%d connections from your address have begun and shown no ticket. Close what keeps connecting, and try again in a moment.", maxGreeting))
	case len(l.guests) >= maxWaiting:
		return nil, crowded("Too many clients are connecting. Try again in a moment.")
	}
	if l.guests == nil {
		l.guests, l.greeting = map[*guest]bool{}, map[string]int{}
	}
	g := &guest{l: l, address: address}
	l.guests[g] = true
	l.greeting[address]++
	l.wg.Add(1)
	return g, nil
}

// close turns everybody out, lets nobody in, and waits until the last has left.
func (l *lobby) close() {
	l.mu.Lock()
	l.closed = true
	for g := range l.guests {
		if g.stream != nil {
			_ = g.stream.Close() // whoever serves it sees that
		}
	}
	l.mu.Unlock()
	l.wg.Wait()
}

// holds has a stream closed when the gateway stops while the guest is here.
func (g *guest) holds(c io.Closer) {
	g.l.mu.Lock()
	defer g.l.mu.Unlock()
	g.stream = c
	if g.l.closed {
		_ = c.Close() // whoever serves it sees that
	}
}

// shows notes that the guest has shown a ticket, so that its address does not count.
func (g *guest) shows() {
	g.l.mu.Lock()
	defer g.l.mu.Unlock()
	g.show()
}

func (g *guest) show() {
	if g.shown {
		return
	}
	g.shown = true
	if g.l.greeting[g.address]--; g.l.greeting[g.address] == 0 {
		delete(g.l.greeting, g.address)
	}
}

// leave ends the guest's stay; a second one does nothing.
func (g *guest) leave() {
	g.l.mu.Lock()
	defer g.l.mu.Unlock()
	if !g.l.guests[g] {
		return
	}
	g.show()
	delete(g.l.guests, g)
	g.l.wg.Done()
}
