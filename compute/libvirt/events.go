package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/deskyard/deskyard/compute"
)

// Watch calls changed with the id of each machine whose state may have changed, as
// libvirt tells it, until ctx ends; "" means any machine, because events may have
// been missed: at the start, and after the host did not answer for a while. Domains
// of others are among them. What a machine does now, Observe tells.
func (d *Driver) Watch(ctx context.Context, changed func(id string)) error {
	wait := firstBackoff
	for {
		heard, err := d.listen(ctx, changed)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if heard {
			wait = firstBackoff
		}
		d.o.Log.Debug("events of the hypervisor broke off", "error", err, "again", wait)
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			again.Stop()
			return context.Cause(ctx)
		case <-again.C:
		}
		wait = min(2*wait, lastBackoff)
	}
}

// listen tells events of one connection until that ends; heard says that it stood.
func (d *Driver) listen(ctx context.Context, changed func(id string)) (heard bool, err error) {
	events, end, err := d.subscribe(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	changed("")
	for {
		select {
		case <-ctx.Done():
			return true, context.Cause(ctx)
		case e, open := <-events:
			if !open {
				return true, fmt.Errorf("hear libvirt's events: %w", compute.ErrUnreachable)
			}
			changed(uuid.UUID(e.Dom.UUID).String())
		}
	}
}

// subscribe has libvirt tell what happens to domains, over a connection of its own.
func (d *Driver) subscribe(ctx context.Context) (events <-chan golibvirt.DomainEventLifecycleMsg, end func(), err error) {
	bound, cancel := context.WithTimeoutCause(ctx, quick, fmt.Errorf("no answer within %s: %w", quick, compute.ErrUnreachable))
	defer cancel()
	c, err := d.hosts.take(bound)
	if err != nil {
		return nil, nil, explain(ctx, err)
	}
	err = c.bounded(bound, func() (err error) {
		events, err = c.LifecycleEvents(context.WithoutCancel(ctx)) // it ends with the connection
		return err
	})
	if err != nil {
		c.close()
		return nil, nil, explain(ctx, err)
	}
	return events, func() {
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			c.close()
		}()
		for range events { // go-libvirt's goroutine waits for whoever reads
		}
		<-closed
	}, nil
}

// settled waits until done says so, looking again whenever libvirt tells something of
// the machine; false when the time is over.
func (d *Driver) settled(ctx context.Context, id string, limit time.Duration, act func() error, done func() (bool, error)) (bool, error) {
	events, end, err := d.subscribe(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	if err := act(); err != nil {
		return false, err
	}
	over := time.NewTimer(limit)
	defer over.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return ok, err
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-over.C:
			return done()
		case _, open := <-events:
			if !open {
				return false, fmt.Errorf("wait for machine %s: %w", id, errors.Join(compute.ErrUnreachable, context.Cause(ctx)))
			}
			// Any event is a reason to look: for other machines it costs one question.
		}
	}
}
