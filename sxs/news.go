package sxs

import (
	"crypto/rand"
	"slices"
	"sync"

	"github.com/deskyard/deskyard/reverse"
)

// News is what became of connections since the stack began, the newest events only: the
// agent asks often, and tells the service what it had not heard of.
type News struct {
	Stack  string   `json:"stack"`            // another one with each start of the stack
	Open   []string `json:"open,omitempty"`   // connections that stand now
	Events []Event  `json:"events,omitempty"` // oldest first
}

// Event is one thing that the stack saw, or, with What SeenClosed, the end of a
// connection of which there is nothing to tell.
type Event struct {
	Number uint64 `json:"number"` // counts up from 1
	reverse.Seen
}

// SeenClosed is the What of an Event that the service need not hear of.
const SeenClosed = "closed"

// mostEvents is well above what a machine's users do between two looks of the agent's.
const mostEvents = 256

// news gathers events.
type news struct {
	stack string

	mu     sync.Mutex // guards what follows
	open   map[string]bool
	last   uint64
	events []Event
}

func newNews() *news { return &news{stack: rand.Text(), open: map[string]bool{}} }

// opened notes that a connection stands; one without a name is nobody's news.
func (n *news) opened(connection string) {
	if connection == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open[connection] = true
}

func (n *news) add(s reverse.Seen) {
	if s.Connection == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.What == SeenClosed || s.What == reverse.SeenLost {
		delete(n.open, s.Connection)
	}
	n.last++
	n.events = append(n.events, Event{Number: n.last, Seen: s})
	if len(n.events) > mostEvents {
		n.events = slices.Delete(n.events, 0, len(n.events)-mostEvents)
	}
}

func (n *news) read() News {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := News{Stack: n.stack, Events: slices.Clone(n.events)}
	for c := range n.open {
		r.Open = append(r.Open, c)
	}
	slices.Sort(r.Open)
	return r
}
