package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Sessions and rounds of the measurement of relays. Each round asks every relay in turn.
const (
	relaySessions = 1000
	pacedSessions = 200
	bulkRounds    = 3
	pacedRounds   = 3
	sparseRounds  = 2
	echoRounds    = 3
)

// Names of the relays.
const (
	native    = "native door"
	web       = "web door"
	haproxy   = "HAProxy TLS to TLS"
	nginx     = "nginx TLS to TLS"
	bare      = "bare TCP relay, io.Copy"
	unspliced = "bare TCP relay without splice"
	direct    = "no relay"
)

// contest is the relays under test and what was measured of them, round by round.
type contest struct {
	dir    string
	rivals map[string]*rival
	order  []string
	seen   map[string][]float64 // by measurement and relay
	yards  []*yard
	ends   []func()
}

// measureRelay compares the gateway, started as the product starts it, with HAProxy,
// nginx and a bare relay. Everything crosses the loopback; both ends are this process.
func measureRelay(ctx context.Context, _ *measureRole, s *sheet) (err error) {
	dir, err := os.MkdirTemp("", "deskyard-bench-*")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := &contest{dir: dir, rivals: map[string]*rival{}, seen: map[string][]float64{}}
	defer c.stop()
	if err := c.start(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *sheet) error{c.steady, c.saturated} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (c *contest) stop() {
	for _, end := range slices.Backward(c.ends) {
		end()
	}
}

func (c *contest) add(r *rival) {
	c.rivals[r.name] = r
	c.order = append(c.order, r.name)
	c.ends = append(c.ends, r.close)
}

// start starts every relay; what is not installed is left out, and said.
func (c *contest) start(ctx context.Context) error {
	for _, door := range []string{native, web} { // each a process of its own
		y, err := openYard(c.dir)
		if err != nil {
			return err
		}
		c.yards = append(c.yards, y)
		c.ends = append(c.ends, y.close)
		gateway, err := startGateway(ctx, c.dir, y)
		if err != nil {
			return err
		}
		r := &rival{name: door, pid: gateway.pid(), stop: gateway.kill, way: way(nativeWay{y})}
		if door == web {
			r.way = webWay{y}
		}
		c.add(r)
	}
	certificate, err := c.certificate(c.yards[0])
	if err != nil {
		return err
	}
	for program, name := range map[string]string{"haproxy": haproxy, "nginx": nginx} {
		r, err := startProxy(ctx, c.dir, program, c.yards[0], certificate)
		if errors.Is(err, errMissing) {
			fmt.Fprintf(os.Stderr, "bench: relay: left out: %v\n", err)
			continue
		}
		if err != nil {
			return err
		}
		r.name = name
		c.add(r)
	}
	for _, name := range []string{bare, unspliced} {
		r, err := startCopy(ctx, c.dir, name, name == bare)
		if err != nil {
			return err
		}
		c.add(r)
	}
	return c.addDirect()
}

// addDirect adds the ends alone, under the pid of this process.
func (c *contest) addDirect() error {
	r, _, err := newRival(direct)
	if err != nil {
		return err
	}
	y := c.yards[0]
	r.pid, r.stop = os.Getpid(), func() {}
	r.way = &straight{address: r.backend.Addr().String(), backend: r.backend, cert: y.cert, tls: y.client}
	c.add(r)
	return nil
}

// certificate writes a yard's for the proxies.
func (c *contest) certificate(y *yard) (string, error) {
	key, err := x509.MarshalPKCS8PrivateKey(y.cert.PrivateKey)
	if err != nil {
		return "", fmt.Errorf("encode a key: %w", err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: y.cert.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	file := filepath.Join(c.dir, "proxy.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", fmt.Errorf("write the proxies' certificate: %w", err)
	}
	return file, nil
}

func (c *contest) note(measurement, relay string, v float64) {
	c.seen[measurement+relay] = append(c.seen[measurement+relay], v)
}

// compare adds the figure of the round with the median ratio. What was not measured is
// left out.
func (c *contest) compare(s *sheet, name, measurement, ours, baseline, target string) {
	a, b := c.seen[measurement+ours], c.seen[measurement+baseline]
	if len(a) == 0 || len(a) != len(b) {
		return
	}
	rounds := make([]int, len(a))
	for i := range rounds {
		rounds[i] = i
	}
	slices.SortFunc(rounds, func(x, y int) int {
		switch d := a[x]/b[x] - a[y]/b[y]; {
		case d < 0:
			return -1
		case d > 0:
			return 1
		}
		return 0
	})
	m := rounds[len(rounds)/2]
	s.add(name, a[m], b[m], baseline, target)
}

// saturated measures the processor's time for a GB.
func (c *contest) saturated(ctx context.Context, s *sheet) error {
	sizes := []struct {
		bytes                int
		name, haproxy, nginx string
	}{{16_000, "16 KB", "<= 0.9", ""}, {1024, "1 KB", "<= 0.5", "<= 0.85"}, {64, "64 B", "<= 0.35", "<= 0.85"}}
	for range bulkRounds {
		for _, size := range sizes {
			for _, name := range c.order {
				plain := name == bare || name == unspliced
				if name == direct || plain && size.bytes != largest {
					continue
				}
				v, err := bulk(ctx, c.rivals[name], size.bytes)
				if err != nil {
					return err
				}
				c.note("bulk "+size.name, name, v)
			}
		}
		sealing, err := gcmPerGB()
		if err != nil {
			return err
		}
		copies := c.seen["bulk 16 KB"+unspliced]
		c.note("bulk 16 KB", "floor", sealing+copies[len(copies)-1])
	}
	for _, size := range sizes {
		c.compare(s, "relay "+size.name+", CPU s/GB", "bulk "+size.name, native, haproxy, size.haproxy)
		c.compare(s, "relay "+size.name+", CPU s/GB", "bulk "+size.name, native, nginx, size.nginx)
		c.compare(s, "web relay "+size.name+", CPU s/GB", "bulk "+size.name, web, haproxy, size.haproxy)
		c.compare(s, "web relay "+size.name+", CPU s/GB", "bulk "+size.name, web, nginx, size.nginx)
	}
	c.compare(s, "relay 16 KB, CPU s/GB", "bulk 16 KB", native, bare, "")
	c.compare(s, "relay 16 KB, CPU s/GB", "bulk 16 KB", native, "floor", "<= 1.4")
	return nil
}

// gcmPerGB is the processor's time to open and seal a GB in records of 16 KB.
func gcmPerGB() (float64, error) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		return 0, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return 0, err
	}
	nonce, sealed := make([]byte, gcm.NonceSize()), make([]byte, 0, largest+gcm.Overhead())
	clear := make([]byte, largest)
	runtime.LockOSThread() // whose clock it is
	defer runtime.UnlockOSThread()
	var before, after unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &before); err != nil {
		return 0, fmt.Errorf("read a thread's clock: %w", err)
	}
	const records = 10_000
	for range records {
		sealed = gcm.Seal(sealed[:0], nonce, clear, nil)
		if _, err := gcm.Open(clear[:0], nonce, sealed, nil); err != nil {
			return 0, err
		}
	}
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &after); err != nil {
		return 0, fmt.Errorf("read a thread's clock: %w", err)
	}
	return time.Duration(after.Nano()-before.Nano()).Seconds() / (records * largest / 1e9), nil
}

// steady measures what sessions cost that are open: memory, paced updates, round trips.
func (c *contest) steady(ctx context.Context, s *sheet) error {
	open := map[string]*sessions{}
	defer func() {
		for _, o := range open {
			o.end()
		}
	}()
	for _, name := range c.order {
		count := relaySessions
		if name == bare || name == direct {
			count = pacedSessions
		}
		if name == unspliced {
			continue
		}
		o, err := openSessions(ctx, c.rivals[name], count)
		if err != nil {
			return err
		}
		open[name] = o
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	for _, step := range []func(context.Context, map[string]*sessions) error{c.memory("idle"), c.sparse, c.memory("used"), c.desktops, c.echoes} {
		if err := step(ctx, open); err != nil {
			return err
		}
	}
	c.report(s)
	return nil
}

// memory notes what a session holds, KB, the process included.
func (c *contest) memory(when string) func(context.Context, map[string]*sessions) error {
	return func(_ context.Context, open map[string]*sessions) error {
		for name, o := range open {
			kb, err := residentOf(o.pid)
			if err != nil {
				return err
			}
			c.note(when, name, kb/float64(len(o.all)))
		}
		return nil
	}
}

func (c *contest) sparse(ctx context.Context, open map[string]*sessions) error {
	return c.pacing(ctx, open, "sparse", sparseRounds, relaySessions, time.Second/2, 3*time.Second)
}

func (c *contest) desktops(ctx context.Context, open map[string]*sessions) error {
	return c.pacing(ctx, open, "paced", pacedRounds, pacedSessions, time.Second/30, 1500*time.Millisecond)
}

func (c *contest) pacing(ctx context.Context, open map[string]*sessions, measurement string, rounds, count int, every, span time.Duration) error {
	for range rounds {
		for _, name := range c.order {
			o := open[name]
			if o == nil || name == bare || name == direct {
				continue
			}
			v, err := o.paced(ctx, count, every, span)
			if err != nil {
				return err
			}
			c.note(measurement, name, v)
		}
	}
	return nil
}

// cells are the sessions and sizes of the round trips.
var cells = []struct {
	sessions, bytes int
	name            string
}{{1, 64, "1 x 64 B"}, {50, 64, "50 x 64 B"}, {200, 64, "200 x 64 B"}, {1, 16_000, "1 x 16 KB"}, {50, 16_000, "50 x 16 KB"}, {200, 16_000, "200 x 16 KB"}}

func (c *contest) echoes(ctx context.Context, open map[string]*sessions) error {
	for range echoRounds {
		for _, cell := range cells {
			took := map[string]float64{}
			for _, name := range c.order {
				if open[name] == nil {
					continue
				}
				var err error
				if took[name], err = open[name].roundTrip(ctx, cell.sessions, cell.bytes); err != nil {
					return err
				}
			}
			for name, v := range took {
				if name != direct {
					c.note("echo "+cell.name, name, v-took[direct])
				}
			}
		}
	}
	return nil
}

// report adds the figures of open sessions.
func (c *contest) report(s *sheet) {
	for _, door := range []struct{ name, prefix string }{{native, "relay "}, {web, "web relay "}} {
		c.compare(s, door.prefix+"200x30/s 4 KB, us/message", "paced", door.name, haproxy, "<= 1.2")
		c.compare(s, door.prefix+"200x30/s 4 KB, us/message", "paced", door.name, nginx, "")
		c.compare(s, door.prefix+"1000x2/s 4 KB, us/message", "sparse", door.name, haproxy, "<= 1.4")
		c.compare(s, door.prefix+"1000x2/s 4 KB, us/message", "sparse", door.name, nginx, "")
		c.compare(s, door.prefix+"fresh session, KB", "idle", door.name, haproxy, "<= 1.2, <= 80 KB")
		c.compare(s, door.prefix+"used session, KB", "used", door.name, haproxy, "<= 1.2, <= 80 KB")
		c.compare(s, door.prefix+"used session, KB", "used", door.name, nginx, "")
	}
	for _, cell := range cells {
		c.compare(s, "relay echo "+cell.name+", p50 us added", "echo "+cell.name, native, haproxy, "")
	}
	for _, base := range []string{haproxy, nginx, bare} {
		c.medianEcho(s, "relay ", native, base)
	}
	c.medianEcho(s, "web relay ", web, haproxy)
}

// medianEcho adds the figure of the cell with the median ratio.
func (c *contest) medianEcho(s *sheet, prefix, ours, base string) {
	for _, cell := range cells { // as rounds of one measurement
		for _, name := range []string{ours, base} {
			rounds := slices.Sorted(slices.Values(c.seen["echo "+cell.name+name]))
			if len(rounds) > 0 {
				c.note("echoes "+ours+base, name, (rounds[(len(rounds)-1)/2]+rounds[len(rounds)/2])/2)
			}
		}
	}
	target := ""
	if base == haproxy {
		target = "<= 1.1"
	}
	c.compare(s, prefix+"echo median, p50 us added", "echoes "+ours+base, ours, base, target)
}
