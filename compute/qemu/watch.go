package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// hearAgain is when a monitor that did not answer is asked again to tell its events:
// QEMU hangs, or another service process still listens to it.
const hearAgain = 5 * time.Second

// changes are QEMU's events after which a machine may be in another state. That its
// process ends is none of them: the kernel tells it.
var changes = map[string]bool{
	"SHUTDOWN": true, "STOP": true, "RESUME": true, "SUSPEND": true, "WAKEUP": true, "GUEST_PANICKED": true,
}

// watchers are the calls of Watch that go on.
type watchers struct {
	mu  sync.Mutex // guards all
	all map[*watcher]bool
}

// watcher is one call of Watch: what it follows, and what it has still to tell.
//
//	Watch ◀── told ──┬── follow, one a QEMU process ── its pidfd: the end
//	   │             │            └── hear ── event.sock: SHUTDOWN, STOP, …
//	   ▼             └── verbs of this driver
//	changed(id)
type watcher struct {
	d         *Driver
	followers sync.WaitGroup

	mu       sync.Mutex // guards what follows
	told     map[string]bool
	followed map[int]bool // processes, by id
	news     chan struct{}
	follow   func(m *machine)
}

// Watch calls changed with the id of each machine whose state may have changed, as
// QEMU tells it by events, the kernel by the end of a process, and this driver by what
// its own verbs do, until ctx ends; "" at the start means any machine. It follows the
// processes that are there and those that this driver starts. What a machine does now,
// Observe tells.
func (d *Driver) Watch(ctx context.Context, changed func(id string)) error {
	w := &watcher{d: d, told: map[string]bool{"": true}, followed: map[int]bool{}, news: make(chan struct{}, 1)}
	w.news <- struct{}{}
	defer w.followers.Wait()
	following, stop := context.WithCancel(ctx)
	defer stop()
	w.follow = func(m *machine) { w.followers.Go(func() { w.attend(following, m) }) }
	d.watchers.add(w)
	defer d.watchers.drop(w) // first of all: from here on none is followed any more
	ids, err := d.list()
	if err != nil {
		return fmt.Errorf("watch QEMU's machines: %w", err)
	}
	for _, id := range ids {
		w.follow(&machine{d: d, id: id, folder: filepath.Join(d.machines(), id)})
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.news:
		}
		w.mu.Lock()
		ids := slices.Sorted(maps.Keys(w.told))
		clear(w.told)
		w.mu.Unlock()
		for _, id := range ids {
			changed(id)
		}
	}
}

func (all *watchers) add(w *watcher) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.all == nil {
		all.all = map[*watcher]bool{}
	}
	all.all[w] = true
}

func (all *watchers) drop(w *watcher) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.all, w)
}

// started has a machine followed whose process this driver has just started.
func (all *watchers) started(m *machine) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for w := range all.all {
		w.follow(m)
	}
}

// tell says that a verb of this driver may have changed a machine.
func (all *watchers) tell(id string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for w := range all.all {
		w.tell(id)
	}
}

func (w *watcher) tell(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told[id] = true
	select {
	case w.news <- struct{}{}:
	default: // it is to look already
	}
}

// attend follows a machine's process, if it has one, until that or ctx ends.
func (w *watcher) attend(ctx context.Context, m *machine) {
	p, pid, err := m.handle()
	if err == nil && p != nil {
		defer p.Close()
		if !w.claim(pid) {
			return // it is followed already
		}
		defer w.release(pid)
		life, over := context.WithCancel(ctx)
		var hearing sync.WaitGroup
		hearing.Go(func() { w.hear(life, m) })
		err = awaitEnd(ctx, p)
		over()
		hearing.Wait()
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		w.d.o.Log.Warn("machine's process is not watched", "machine", m.id, "pid", pid, "error", err)
	}
	w.tell(m.id)
}

// claim takes a process to follow, unless another goroutine of this watcher has it.
func (w *watcher) claim(pid int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.followed[pid] {
		return false
	}
	w.followed[pid] = true
	return true
}

func (w *watcher) release(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.followed, pid)
}

// handle opens the machine's process, nil when none runs. What it names stays that
// process, whoever gets its number next.
func (m *machine) handle() (p *os.File, pid int, err error) {
	if pid, err = m.process(); err != nil || pid == 0 {
		return nil, 0, err
	}
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open process %d: %w", pid, err)
	}
	p = os.NewFile(uintptr(fd), "pidfd")
	if now, err := m.process(); err != nil || now != pid { // it ended before it was opened
		p.Close()
		return nil, 0, err
	}
	return p, pid, nil
}

// awaitEnd waits until a process has ended, which makes its descriptor readable, or ctx
// has. A child of ours is collected.
func awaitEnd(ctx context.Context, p *os.File) error {
	defer context.AfterFunc(ctx, func() { p.SetReadDeadline(time.Unix(1, 0)) })()
	raw, err := p.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for a process: %w", err)
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		var ready int
		ready, failed = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if errors.Is(failed, unix.EINTR) {
			ready, failed = 0, nil
		}
		if ready > 0 {
			// An error says that it is no child of ours, or was collected: both are fine.
			_ = unix.Waitid(unix.P_PIDFD, int(fd), nil, unix.WEXITED|unix.WNOHANG, nil)
		}
		return ready > 0 || failed != nil
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("wait for a process: %w", err)
	}
	return nil
}

// hear tells of a machine's events until ctx ends.
func (w *watcher) hear(ctx context.Context, m *machine) {
	for ctx.Err() == nil {
		err := w.listen(ctx, m)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, fs.ErrNotExist):
			// Another version's process, which has no such socket; its end is told all the same.
			w.d.o.Log.Info("machine tells no events until it is started anew", "machine", m.id)
			return
		}
		w.d.o.Log.Debug("events of a machine not heard", "machine", m.id, "error", err, "again", hearAgain)
		again := time.NewTimer(hearAgain)
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
	}
}

// listen tells events of one connection until that ends.
func (w *watcher) listen(ctx context.Context, m *machine) error {
	mon, err := dialMonitor(ctx, m.folder, eventSocket)
	if err != nil {
		return err
	}
	defer mon.close()
	w.tell(m.id) // what happened before
	for {
		e, err := mon.next()
		if err != nil {
			return err
		}
		if changes[e.Name] {
			w.tell(m.id)
		}
	}
}
