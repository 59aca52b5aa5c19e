package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/relay"
)

// held are the connections that are relayed, or whose end the service has not heard of.
type held struct {
	mu  sync.Mutex // guards ids
	ids map[string]bool
}

func (h *held) hold(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ids == nil {
		h.ids = map[string]bool{}
	}
	h.ids[id] = true
}

func (h *held) let(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.ids, id)
}

func (h *held) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]string, 0, len(h.ids))
	for id := range h.ids {
		all = append(all, id)
	}
	return all
}

// reportEvery is how often the service is told of all that is relayed, so that what it
// believes beside is ended.
const reportEvery = time.Minute

// Begin tells the service that whatever this gateway relayed before is over. Call it
// before the doors open; where the service does not hear it, Report mends that.
func (g *Gateway) Begin(ctx context.Context) error {
	return g.o.Brokerage.Relaying(ctx, deskyard.RelayReport{Gateway: g.o.Name, Connections: g.held.list(), Fresh: true})
}

// Report tells the service each minute what is relayed, until ctx ends.
func (g *Gateway) Report(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		report, cancel := context.WithTimeout(ctx, greetWithin)
		err := g.o.Brokerage.Relaying(report, deskyard.RelayReport{Gateway: g.o.Name, Connections: g.held.list()})
		cancel()
		if err != nil && ctx.Err() == nil {
			g.log.Warn("service not told what is relayed; trying again in a minute", "err", err)
		}
	}
}

// begin runs a session beside its caller, which lets go of the request then: its buffers,
// and a stack that handshakes have made large. It is called before the guest leaves, so
// that Close waits for it.
func (g *Gateway) begin(o *opened, client, host relay.Stream) {
	g.wg.Go(func() { g.run(o, client, host) })
}

// run relays until the session ends. client and host are closed by it.
func (g *Gateway) run(o *opened, client, host relay.Stream) {
	o.stage(deskyard.StageReady, o.begun)
	stages := slices.Clone(o.stages)
	g.held.hold(o.Connection)
	over, cancel := context.WithCancel(g.ctx)
	stands := make(chan struct{})
	g.wg.Go(func() { // beside the session, which must not wait for a service that is slow or away
		defer close(stands)
		g.insist(over, "service not told of a session; trying again", o.Connection, func(ctx context.Context) error {
			return g.o.Brokerage.Connected(ctx, o.Connection, stages)
		})
	})
	g.log.Info("session relayed", "connection", o.Connection, "door", o.door, "host", o.HostName, "user", o.User, "after", time.Since(o.begun))
	end := g.sessions.Run(o.Connection, client, host, o.Idle)
	if l, ok := host.(*listened); ok {
		end.Reason = l.reason(end.Reason)
	}
	cancel()
	g.count.ended(o.door, end)
	g.log.Info("session ended", "connection", o.Connection, "reason", end.Reason, "fromClient", end.FromClient, "fromHost", end.FromHost)
	g.tell(stands, deskyard.ConnectionEnd{
		Connection: o.Connection, Reason: end.Reason, At: time.Now(), Stages: stages,
		Traffic: deskyard.Traffic{FromClient: end.FromClient, FromHost: end.FromHost, RTT: end.RTT},
	})
}

// giveUp ends what was admitted and came to nothing, so that its place is free again.
func (g *Gateway) giveUp(o *opened, reason string) {
	if o.leg != nil {
		_ = o.leg.Close() // nothing was sent on it that matters
	}
	g.held.hold(o.Connection)
	g.tell(nil, deskyard.ConnectionEnd{Connection: o.Connection, Reason: reason, At: time.Now(), Stages: o.stages})
}

// Pauses between attempts to tell the service.
const (
	tellFirst = 500 * time.Millisecond
	tellMost  = 10 * time.Second
)

// tell tells the service of an end until it is heard, once after is closed (nil: at once).
func (g *Gateway) tell(after <-chan struct{}, e deskyard.ConnectionEnd) {
	g.wg.Go(func() {
		defer g.held.let(e.Connection)
		if after != nil {
			<-after
		}
		g.insist(g.ctx, "service not told of a session's end; trying again", e.Connection, func(ctx context.Context) error {
			return g.o.Brokerage.Ended(ctx, e)
		})
	})
}

// insist says something to the service until it is heard, or ctx ends.
func (g *Gateway) insist(ctx context.Context, failed, connection string, say func(context.Context) error) {
	for pause := tellFirst; ; pause = min(2*pause, tellMost) {
		once, cancel := context.WithTimeout(ctx, greetWithin)
		err := say(once)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		g.log.Warn(failed, "connection", connection, "err", err)
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
	}
}
