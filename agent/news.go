package agent

import (
	"context"
	"sync"

	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/sxs"
)

// mostUntold bounds what is kept for a service that is away; what is older is forgotten.
const mostUntold = 512

// news is what the stack saw of connections, on its way to the service. What connections
// the stack has is remembered here too: one that is killed tells nothing any more.
type news struct {
	mu     sync.Mutex // guards what follows
	stack  string     // whose news these are
	heard  uint64     // the number of the last event
	open   map[string]bool
	untold []reverse.Seen
	first  uint64        // how many were dropped or told before untold[0]
	more   chan struct{} // closed when something is added
}

func newNews() *news { return &news{open: map[string]bool{}, more: make(chan struct{})} }

// opened notes that the stack took a connection.
func (n *news) opened(connection string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if connection != "" {
		n.open[connection] = true
	}
}

// hear takes what the stack says now.
func (n *news) hear(s sxs.News) {
	if s.Stack == "" {
		return // an older stack
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stack != s.Stack {
		if n.stack != "" {
			n.lost(s)
		}
		n.stack, n.heard = s.Stack, 0
		clear(n.open)
	}
	for _, c := range s.Open {
		n.open[c] = true
	}
	for _, e := range s.Events {
		if e.Number <= n.heard {
			continue
		}
		n.heard = e.Number
		if e.What == sxs.SeenClosed || e.What == reverse.SeenLost {
			delete(n.open, e.Connection)
		}
		if e.What != sxs.SeenClosed {
			n.add(e.Seen)
		}
	}
}

// lost tells of what a stack that is gone carried; by what the new one says some of it is
// the new one's already. The caller holds n.mu.
func (n *news) lost(s sxs.News) {
	for _, c := range s.Open {
		delete(n.open, c)
	}
	for _, e := range s.Events {
		delete(n.open, e.Connection)
	}
	for c := range n.open {
		n.add(reverse.Seen{Connection: c, What: reverse.SeenLost, Cause: reverse.CauseStack})
	}
}

// add keeps something for the service. The caller holds n.mu.
func (n *news) add(s reverse.Seen) {
	n.untold = append(n.untold, s)
	if len(n.untold) > mostUntold {
		n.untold = n.untold[1:]
		n.first++
	}
	close(n.more)
	n.more = make(chan struct{})
}

// next is the oldest that was not told, with its number, or what ends when there is one.
func (n *news) next() (s reverse.Seen, number uint64, some bool, more <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.untold) == 0 {
		return s, 0, false, n.more
	}
	return n.untold[0], n.first, true, nil
}

// told forgets what next gave.
func (n *news) told(number uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if number == n.first && len(n.untold) > 0 {
		n.untold = n.untold[1:]
		n.first++
	}
}

// tellSeen tells the service what the stack saw of connections, as it comes.
func (c *control) tellSeen(ctx context.Context) {
	for {
		s, number, some, more := c.a.news.next()
		if some {
			if err := c.Send(reverse.TypeSeen, "", s); err != nil {
				c.Cut() // read tells why; the next link tells it again
				return
			}
			c.a.news.told(number)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-more:
		}
	}
}
