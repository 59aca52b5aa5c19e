package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deskyard/deskyard/e2e/service"
)

// Bounds and spans of the measurement of agents.
const (
	connectFor = 3 * time.Minute  // until half of the agents have a link
	settleFor  = 15 * time.Second // reports and epochs are stored, garbage is collected
	beatFor    = 30 * time.Second // six heartbeats of each agent
)

// fleet is the service and the bare loop with as many agents each.
type fleet struct {
	dir, seed, echoAddress, echoCA string
	count                          int
	service                        *service.Service
	echo                           *child
	agents, bare                   agentGroups
}

// measureAgents compares the agents' door with a bare crypto/tls loop: both run at
// the same time, with the same number of links.
func measureAgents(ctx context.Context, m *measureRole, s *sheet) (err error) {
	dir, err := os.MkdirTemp("", "deskyard-bench-*")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f := &fleet{dir: dir, count: m.Agents, echoCA: filepath.Join(dir, "echo.pem")}
	defer f.stop()
	if err := f.start(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *sheet) error{f.handshakes, f.connect, f.heartbeats, f.storm} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) start(ctx context.Context) error {
	seed := make([]byte, 24)
	rand.Read(seed)
	f.seed = hex.EncodeToString(seed)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if f.service, err = seeded(ctx, self, f.dir, seed, f.count); err != nil {
		return err
	}
	if err := f.warm(ctx); err != nil {
		return err
	}
	if f.echoAddress, err = freeAddress(); err != nil {
		return err
	}
	f.echo, err = startEcho(ctx, f.dir, f.echoAddress, f.echoCA)
	return err
}

// warm lists all hosts with several callers at once, so that the page caches of the
// store's connections, which the number of agents does not change, are full before
// memory is compared.
func (f *fleet) warm(ctx context.Context) error {
	c, err := service.NewClient(f.service.Bootstrap)
	if err != nil {
		return err
	}
	var all errgroup.Group
	for range 16 {
		all.Go(func() error {
			next := poolsPath(f.service.Bootstrap) + "/" + benchPool + "/sessionHosts" + apiVersion + "&pageSize=1000"
			for next != "" {
				var page struct{ NextLink string }
				if err := c.Do(ctx, http.MethodGet, next, nil, &page); err != nil {
					return err
				}
				next = strings.TrimPrefix(page.NextLink, f.service.Endpoint)
			}
			return nil
		})
	}
	return all.Wait()
}

func (f *fleet) stop() {
	for _, c := range append(append(f.agents, f.bare...), f.echo) {
		if c != nil {
			c.kill()
		}
	}
	if f.service != nil {
		if err := f.service.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: agents: stop the service:", err)
		}
	}
}

func (f *fleet) servicePID() int { return f.service.Process().Pid }

// usage is what two processes have used: ours and the baseline's.
type usage struct{ ours, baseline float64 }

func (f *fleet) both(of func(pid int) (float64, error)) (u usage, err error) {
	if u.ours, err = of(f.servicePID()); err != nil {
		return u, err
	}
	u.baseline, err = of(f.echo.pid())
	return u, err
}

func (f *fleet) cpu() (usage, error) {
	return f.both(func(pid int) (float64, error) {
		d, err := cpuOf(pid)
		return float64(d.Microseconds()), err
	})
}

// connect opens the links in two halves. What the second half adds is what agents
// cost: the first has filled what does not grow with their number, such as the page
// caches of the store's connections and the program's own pages.
func (f *fleet) connect(ctx context.Context, s *sheet) error {
	before, err := f.cpu()
	if err != nil {
		return err
	}
	half, err := f.connectHalf(ctx, 0)
	if err != nil {
		return err
	}
	for _, pid := range []int{f.servicePID(), f.echo.pid()} {
		if err := forgetPeak(pid); err != nil {
			return err
		}
	}
	whole, err := f.connectHalf(ctx, 1)
	if err != nil {
		return err
	}
	after, err := f.cpu()
	if err != nil {
		return err
	}
	added, n := float64(f.count/2), float64(f.count)
	const loop = "bare accept and echo"
	s.add("agents.rss_after_gc.kb_per_agent", (whole.held.ours-half.held.ours)/added, (whole.held.baseline-half.held.baseline)/added, loop, "A1 <= 16 KB")
	s.add("agents.rss_peak.kb_per_agent", (whole.peak.ours-half.held.ours)/added, (whole.peak.baseline-half.held.baseline)/added, loop, "A1 <= 22 KB")
	s.add("agents.rss_with_all.mb", whole.held.ours/1024, whole.held.baseline/1024, loop, "")
	s.add("agents.link_up.cpu_us", (after.ours-before.ours)/n, (after.baseline-before.baseline)/n, loop, "")
	return nil
}

// memory is what the servers hold in KB: at most, and once garbage is collected.
type memory struct{ peak, held usage }

// connectHalf links every second agent, the bare ones first.
func (f *fleet) connectHalf(ctx context.Context, first int) (m memory, err error) {
	count := (f.count + 1 - first) / 2
	linked := count
	if first == 1 {
		linked = f.count
	}
	c, err := startAgents(ctx, f.dir, f.echoAddress, f.echoCA, f.seed, first, count, true)
	if err != nil {
		return m, err
	}
	f.bare = append(f.bare, c)
	if _, err := f.bare.awaitAll(ctx, connectFor, linked); err != nil {
		return m, fmt.Errorf("link to the bare loop: %w", err)
	}
	if c, err = startAgents(ctx, f.dir, addressOf(f.service.Endpoint), f.service.CAFile, f.seed, first, count, false); err != nil {
		return m, err
	}
	f.agents = append(f.agents, c)
	if _, err := f.agents.awaitAll(ctx, connectFor, linked); err != nil {
		return m, fmt.Errorf("link to the service: %w", err)
	}
	if err := pause(ctx, settleFor); err != nil { // reports and epochs are still being stored
		return m, err
	}
	if m.peak, err = f.both(peakOf); err != nil {
		return m, err
	}
	if err := collect(ctx, f.servicePID(), f.echo.pid()); err != nil {
		return m, err
	}
	m.held, err = f.both(rssOf)
	return m, err
}

// heartbeats counts CPU while nothing but heartbeats happens.
func (f *fleet) heartbeats(ctx context.Context, s *sheet) error {
	disk, err := diskOf(f.servicePID())
	if err != nil {
		return err
	}
	before, err := f.cpu()
	if err != nil {
		return err
	}
	oursBefore, err1 := f.agents.ask()
	bareBefore, err2 := f.bare.ask()
	if err := errors.Join(err1, err2, pause(ctx, beatFor)); err != nil {
		return err
	}
	oursAfter, err1 := f.agents.ask()
	bareAfter, err2 := f.bare.ask()
	after, err3 := f.cpu()
	diskAfter, err4 := diskOf(f.servicePID())
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	beats, bare := float64(oursAfter.Beats-oursBefore.Beats), float64(bareAfter.Beats-bareBefore.Beats)
	if beats == 0 || bare == 0 {
		return fmt.Errorf("count heartbeats: %v and %v were answered", beats, bare)
	}
	s.add("agents.heartbeat.cpu_us", (after.ours-before.ours)/beats, (after.baseline-before.baseline)/bare, "bare accept and echo", "A2 <= 60 us")
	s.add("agents.heartbeats.per_s", beats/beatFor.Seconds(), bare/beatFor.Seconds(), "bare accept and echo", "")
	s.add("agents.heartbeat.disk_bytes", (diskAfter-disk)/beats, 0, "nothing is to be written", "A2 0 writes")
	return nil
}

// storm ends each server without a word and measures until all its agents are back:
// the bare loop's first, then the service's. They come back at once, without the
// pause that the real agent makes.
func (f *fleet) storm(ctx context.Context, s *sheet) error {
	bare, bareCPU, err := f.comeBack(ctx, f.bare, func() (int, error) {
		f.echo.kill()
		var err error
		f.echo, err = startEcho(ctx, f.dir, f.echoAddress, f.echoCA)
		return f.echo.pid(), err
	})
	if err != nil {
		return fmt.Errorf("storm on the bare loop: %w", err)
	}
	ours, cpu, err := f.comeBack(ctx, f.agents, func() (int, error) {
		if err := f.service.Kill(); err != nil {
			return 0, err
		}
		err := f.service.Restart(ctx) // there is nothing left to stop
		return f.servicePID(), err
	})
	if err != nil {
		return fmt.Errorf("storm on the service: %w", err)
	}
	s.add("agents.storm_all_back.s", ours.Seconds(), bare.Seconds(), "bare accept loop", "A4 <= 20 s")
	s.add("agents.storm.cpu_us_per_agent", cpu/float64(f.count), bareCPU/float64(f.count), "bare accept loop", "")
	return nil
}

// comeBack restarts a server and waits for its agents: how long from its end until
// the last of them was back, and the microseconds of CPU that the new process took.
func (f *fleet) comeBack(ctx context.Context, agents agentGroups, restart func() (pid int, err error)) (time.Duration, float64, error) {
	began := time.Now()
	pid, err := restart()
	if err != nil {
		return 0, 0, err
	}
	back, err := agents.awaitReturn(ctx, connectFor, f.count, began)
	if err != nil {
		return 0, 0, err
	}
	if err := pause(ctx, settleFor); err != nil {
		return 0, 0, err
	}
	cpu, err := cpuOf(pid)
	return time.Unix(0, back.LastUp).Sub(began), float64(cpu.Microseconds()), err
}
