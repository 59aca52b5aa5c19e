//go:build e2e

package sessions

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire joins a place to the yard's bridge frame by frame, and so can lose, delay and cut:
// what tc netem does, on kernels that lack it. The zero quality is a good wire.
type wire struct {
	mu sync.Mutex // guards q
	q  quality
}

// quality is what happens to frames, on each way.
type quality struct {
	delay time.Duration
	loss  float64 // of frames, 0 to 1
	cut   bool
}

func (w *wire) set(q quality) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.q = q
}

func (w *wire) now() quality {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.q
}

// frame is one under way.
type frame struct {
	b   []byte
	due time.Time
}

// queue bounds what is under way, as a router's does: beyond it, frames are lost.
const queue = 4096

// carry moves frames one way until from is closed.
func (w *wire) carry(from, to *os.File) {
	way := make(chan frame, queue)
	defer close(way)
	go func() { // ends with the way
		for f := range way {
			time.Sleep(time.Until(f.due))
			_, _ = to.Write(f.b) // a link that is down loses it
		}
	}()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		q := w.now()
		if q.cut || q.loss > 0 && rand.Float64() < q.loss {
			continue
		}
		select {
		case way <- frame{append([]byte(nil), buffer[:n]...), time.Now().Add(q.delay)}:
		default:
		}
	}
}

// tap opens an interface of that name in the network of a process; "" is this one's.
func tap(name, pid string) (*os.File, error) {
	if pid != "" {
		runtime.LockOSThread() // for good: the thread ends with its goroutine
		ns, err := os.Open("/proc/" + pid + "/ns/net")
		if err != nil {
			return nil, err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return nil, fmt.Errorf("make the interface %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// joinYard gives the network of a process an interface with an address, on a wire.
func joinYard(t *testing.T, name, pid, ip string) *place {
	t.Helper()
	p := &place{name: name, pid: pid, port: "y-" + name}
	here, err := tap(p.port, "")
	must(t, err)
	type opened struct {
		f   *os.File
		err error
	}
	theirs := make(chan opened)
	go func() {
		f, err := tap("eth0", pid)
		theirs <- opened{f, err}
	}()
	there := <-theirs
	must(t, there.err)
	t.Cleanup(func() { _, _ = here.Close(), there.f.Close() }) // which ends both ways
	go p.wire.carry(here, there.f)
	go p.wire.carry(there.f, here)
	run(t, "ip", "link", "set", p.port, "master", "yard", "up")
	run(t, p.inside("ip", "address", "add", ip+"/24", "dev", "eth0")...)
	run(t, p.inside("ip", "link", "set", "eth0", "up")...)
	run(t, p.inside("ip", "link", "set", "lo", "up")...)
	return p
}
