package fake

import (
	"context"
	"maps"
	"slices"
)

// watcher gathers what one call of Watch has still to tell; Driver.mu guards told.
type watcher struct {
	told map[string]bool
	news chan struct{}
}

// Watch tells of each machine that starts, ends, pauses or vanishes, until ctx ends.
func (d *Driver) Watch(ctx context.Context, changed func(id string)) error {
	w := &watcher{told: map[string]bool{}, news: make(chan struct{}, 1)}
	d.mu.Lock()
	d.watchers[w] = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watchers, w)
	}()
	changed("")
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.news:
		}
		d.mu.Lock()
		ids := slices.Sorted(maps.Keys(w.told))
		clear(w.told)
		d.mu.Unlock()
		for _, id := range ids {
			changed(id)
		}
	}
}

// tell has the watchers told of a machine; the lock is held.
func (d *Driver) tell(id string) {
	for w := range d.watchers {
		w.told[id] = true
		select {
		case w.news <- struct{}{}:
		default: // it is to look already
		}
	}
}
