package relay

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Rendezvous is where those who await a connection by its id meet those who bring it.
// The zero value is ready.
type Rendezvous struct {
	mu    sync.Mutex // guards seats
	seats map[string]*Seat
}

// Arrival is a connection that was brought, with what its bringer shows for itself.
type Arrival struct {
	Conn  net.Conn
	Host  string // whose connection it says it is
	Proof []byte
}

// Seat awaits one connection.
type Seat struct {
	r       *Rendezvous
	id      string
	arrived chan Arrival // holds one
}

// ErrNobodyWaits is answered to a connection that is not awaited, or not any more.
var ErrNobodyWaits = errors.New("no client waits for this connection")

// Expect makes the seat of an id that was never used before. Leave it when done.
func (r *Rendezvous) Expect(id string) *Seat {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seats == nil {
		r.seats = map[string]*Seat{}
	}
	s := &Seat{r: r, id: id, arrived: make(chan Arrival, 1)}
	r.seats[id] = s
	return s
}

// Awaits reports whether a connection of that id may be brought.
func (r *Rendezvous) Awaits(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seats[id] != nil
}

// Bring hands a connection over, once for each id; it is then the seat's to close.
func (r *Rendezvous) Bring(id string, a Arrival) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.seats[id]
	if s == nil {
		return ErrNobodyWaits
	}
	delete(r.seats, id)
	s.arrived <- a // has room for one, and gets one
	return nil
}

// Wait gives the connection when it comes.
func (s *Seat) Wait(ctx context.Context) (Arrival, error) {
	select {
	case a := <-s.arrived:
		return a, nil
	case <-ctx.Done():
		return Arrival{}, ctx.Err()
	}
}

// Leave ends the wait; a connection that was brought and not taken is closed.
func (s *Seat) Leave() {
	s.r.mu.Lock()
	if s.r.seats[s.id] == s {
		delete(s.r.seats, s.id)
	}
	s.r.mu.Unlock()
	select {
	case a := <-s.arrived:
		_ = a.Conn.Close() // nobody wants it
	default:
	}
}
