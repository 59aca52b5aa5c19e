package gateway

import (
	"context"
	"math"
	"sync"
	"time"
)

// Orders reach gateways elsewhere: each asks for them, and the service answers when
// there is one, or after waitOrders. The zero value is ready for use.
type Orders struct {
	mu      sync.Mutex // guards what follows
	list    []order    // the newest, in the order of their numbers
	last    uint64     // number of the newest
	more    chan struct{}
	waiting int // gateways that would hear of one now
	closed  bool
}

// order is to end the relay of a connection, wherever it is.
type order struct {
	Number     uint64 `json:"number"`
	Connection string `json:"connection"`
	Reason     string `json:"reason"`
}

type (
	orderQuery struct {
		After uint64 `json:"after"` // number of the last one that was carried out
	}
	orderAnswer struct {
		Orders []order `json:"orders,omitempty"`
		Last   uint64  `json:"last"`
		Later  bool    `json:"later,omitempty"` // the service stops: ask again in a while
	}
)

const (
	waitOrders = 30 * time.Second // below every time limit on a request
	keepOrders = 256              // for gateways that are between two questions
)

// Disconnect has whichever gateway relays a connection end it; false where none listens.
func (o *Orders) Disconnect(connection, reason string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	o.list = append(o.list, order{Number: o.last, Connection: connection, Reason: reason})
	if len(o.list) > keepOrders {
		o.list = append([]order(nil), o.list[len(o.list)-keepOrders:]...)
	}
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.waiting > 0
}

// Close answers all who wait: there will be no orders any more.
func (o *Orders) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
}

// wait gives the orders after a number, as soon as there is one. A gateway that begins,
// or that heard another start of the service, has a number from elsewhere: it is told the
// newest.
func (o *Orders) wait(ctx context.Context, after uint64) (orderAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, waitOrders)
	defer cancel()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.last == after && !o.closed {
		if o.more == nil {
			o.more = make(chan struct{})
		}
		more := o.more
		o.waiting++
		o.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
		}
		o.mu.Lock()
		o.waiting--
		if ctx.Err() != nil {
			break
		}
	}
	a := orderAnswer{Last: o.last, Later: o.closed}
	for _, one := range o.list {
		if one.Number > after && after <= o.last {
			a.Orders = append(a.Orders, one)
		}
	}
	return a, nil
}

// Obey carries out the service's orders until ctx ends.
func (g *Gateway) Obey(ctx context.Context, r *Remote) {
	after := uint64(math.MaxUint64)
	for pause := tellFirst; ctx.Err() == nil; {
		a, err := r.orders(ctx, after)
		if err == nil {
			pause, after = tellFirst, a.Last
			for _, one := range a.Orders {
				if g.Disconnect(one.Connection, one.Reason) {
					g.log.Info("session ended by the service", "connection", one.Connection, "reason", one.Reason)
				}
			}
			if !a.Later {
				continue
			}
		} else {
			g.log.Debug("service not asked for orders; trying again", "err", err)
		}
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
		pause = min(2*pause, tellMost)
	}
}
