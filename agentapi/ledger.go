package agentapi

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Pace of the ledger: changes of one host within gather are one write, and a
// transaction holds at most batch hosts so that it stays short.
const (
	gather = 250 * time.Millisecond
	batch  = 200
	again  = 2 * time.Second // after a failed write
)

// change edits the stored record of a host. It may run more than once, each time
// on a fresh copy.
type change func(*deskyard.SessionHost)

// ledger writes what links learn of their hosts, later and together, so that a
// link never waits for the store and ten thousand links that end at once are some
// fifty transactions. What is not written when the process dies is learned again:
// agents report anew at link up.
type ledger struct {
	store  deskyard.Store
	log    *slog.Logger
	counts *counts
	wake   chan struct{}

	mu    sync.Mutex // guards open and words
	open  map[string][]change
	words map[string]deskyard.HostReport // last reports of ended links, until they are stored
}

func newLedger(store deskyard.Store, log *slog.Logger, c *counts) *ledger {
	return &ledger{store: store, log: log, counts: c, wake: make(chan struct{}, 1), open: map[string][]change{}, words: map[string]deskyard.HostReport{}}
}

// note gathers a change of the host with that object id.
func (g *ledger) note(host string, c change) {
	g.mu.Lock()
	g.open[host] = append(g.open[host], c)
	g.mu.Unlock()
	g.rouse()
}

// noteLast is note for a link that has ended. Its last report can be had from
// lastWords until it is stored: a host that said goodbye must not look as if it had
// vanished, not even for the moment that the ledger gathers.
func (g *ledger) noteLast(host string, r deskyard.HostReport, c change) {
	g.mu.Lock()
	g.open[host] = append(g.open[host], c)
	g.words[host] = r
	g.mu.Unlock()
	g.rouse()
}

func (g *ledger) lastWords(host string) (deskyard.HostReport, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, ok := g.words[host]
	return r, ok
}

func (g *ledger) rouse() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// run writes what is noted until ctx ends; flush then writes the rest.
func (g *ledger) run(ctx context.Context) {
	pause := gather
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = gather
		if err := g.flush(ctx); err != nil && ctx.Err() == nil {
			g.log.Error("host changes not stored; trying again", "err", err)
			pause = again
			select {
			case g.wake <- struct{}{}:
			default:
			}
		}
	}
}

// flush writes everything noted so far.
func (g *ledger) flush(ctx context.Context) error {
	for {
		hosts := g.take()
		if len(hosts) == 0 {
			return nil
		}
		if err := g.write(ctx, hosts); err != nil {
			g.putBack(hosts)
			return err
		}
		g.stored(hosts)
	}
}

func (g *ledger) write(ctx context.Context, hosts map[string][]change) error {
	return g.store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		for id, changes := range hosts {
			h, err := tx.SessionHostByObjectID(ctx, id)
			if arm.IsMissing(err) {
				continue // removed meanwhile
			}
			if err != nil {
				return err
			}
			for _, c := range changes {
				c(&h)
			}
			if _, err := tx.PutSessionHost(ctx, h); err != nil {
				return err
			}
		}
		g.counts.stored(len(hosts))
		return nil
	})
}

func (g *ledger) take() map[string][]change {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) <= batch {
		all := g.open
		g.open = map[string][]change{}
		return all
	}
	some := make(map[string][]change, batch)
	for id, c := range g.open {
		if len(some) == batch {
			break
		}
		some[id] = c
		delete(g.open, id)
	}
	return some
}

// stored forgets the last words that the store now has.
func (g *ledger) stored(hosts map[string][]change) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range hosts {
		if _, more := g.open[id]; !more {
			delete(g.words, id)
		}
	}
}

// putBack returns changes that were not written, before those noted since.
func (g *ledger) putBack(hosts map[string][]change) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, c := range hosts {
		g.open[id] = append(c, g.open[id]...)
	}
}
