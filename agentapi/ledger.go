package agentapi

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
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

	mu   sync.Mutex // guards open
	open map[string][]change
}

func newLedger(store deskyard.Store, log *slog.Logger, c *counts) *ledger {
	return &ledger{store: store, log: log, counts: c, wake: make(chan struct{}, 1), open: map[string][]change{}}
}

// note gathers a change of the host with that object id.
func (g *ledger) note(host string, c change) {
	g.mu.Lock()
	g.open[host] = append(g.open[host], c)
	g.mu.Unlock()
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
	}
}

func (g *ledger) write(ctx context.Context, hosts map[string][]change) error {
	return g.store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		for id, changes := range hosts {
			h, err := tx.SessionHostByObjectID(ctx, id)
			if isMissing(err) {
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

// putBack returns changes that were not written, before those noted since.
func (g *ledger) putBack(hosts map[string][]change) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, c := range hosts {
		g.open[id] = append(c, g.open[id]...)
	}
}
