package bootloader

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options says where a Supervisor works and with what patience. Zero durations and
// counts get their defaults.
type Options struct {
	Root     string // components; default /opt/deskyard
	StateDir string // default /var/lib/deskyard/bootloader
	RunDir   string // default /run/deskyard
	Socket   string // default RunDir/bootloader.sock

	Fetcher Fetcher                           // how packages come from the service
	Key     func() (ed25519.PublicKey, error) // key of signed manifests; asked for each

	Self        string // component that this program itself is; "" for none
	SelfVersion string

	OS, Arch string // of this machine; default GOOS and GOARCH
	Log      *slog.Logger
	Output   io.Writer // components' output; default os.Stdout
	Now      func() time.Time

	Keep        int           // versions kept of a component; default 3
	MaxAttempts int           // trials of one version without Force; default 4, as AVD's agent update
	ReadyWithin time.Duration // for a new version to announce itself; default 60 s
	StopWithin  time.Duration // between SIGTERM and SIGKILL; default 20 s
	RetryEvery  time.Duration // between trials of a version that failed; 0: only when it is desired with Force
	ProvenAfter time.Duration // up this long: restart delays begin anew, no rollback for crashing; default 10 min
	CrashLimit  int           // crashes in a row that roll a version back that is not proven; default 5
	MinBackoff  time.Duration // before the first restart of a crashed component; default 1 s, doubling
	MaxBackoff  time.Duration // default 1 min
	SelfSettle  time.Duration // a new boot loader has come up when it lived this long; default 30 s
}

func (o Options) withDefaults() Options {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&o.Root, "/opt/deskyard")
	set(&o.StateDir, "/var/lib/deskyard/bootloader")
	set(&o.RunDir, "/run/deskyard")
	set(&o.Socket, filepath.Join(o.RunDir, filepath.Base(DefaultSocket)))
	set(&o.OS, runtime.GOOS)
	set(&o.Arch, runtime.GOARCH)
	for d, v := range map[*time.Duration]time.Duration{
		&o.ReadyWithin: time.Minute, &o.StopWithin: 20 * time.Second, &o.ProvenAfter: 10 * time.Minute,
		&o.MinBackoff: time.Second, &o.MaxBackoff: time.Minute, &o.SelfSettle: 30 * time.Second,
	} {
		if *d == 0 {
			*d = v
		}
	}
	for n, v := range map[*int]int{&o.Keep: 3, &o.MaxAttempts: 4, &o.CrashLimit: 5} {
		if *n == 0 {
			*n = v
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Output == nil {
		o.Output = os.Stdout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Supervisor runs the components of a machine.
type Supervisor struct {
	o        Options
	ledger   *ledger
	download download
	outMu    sync.Mutex // guards o.Output

	mu    sync.Mutex // guards units and, with it, who may start one
	units map[string]*unit
	runs  sync.WaitGroup
	live  context.Context // of Run; nil before it
	again chan *Reexec    // a unit asks Run to end in a re-exec
	// replacing is set while this program is about to be replaced: no trial begins,
	// for its component's announcement could come while nobody listens.
	replacing atomic.Bool

	tableMu sync.Mutex // guards table and children.json
	table   children   // who runs, as children.json has it
}

// Reexec is returned by Run when the boot loader is to be replaced by another
// version of itself. Components go on running; who calls Run passes Path to Exec.
type Reexec struct {
	Path    string // program to exec
	Version string
}

// Error implements error.
func (r *Reexec) Error() string { return "boot loader is to be replaced by version " + r.Version }

// New prepares a Supervisor: it makes the directories and reads what is on disk.
// Nothing is started before Run.
func New(o Options) (*Supervisor, error) {
	o = o.withDefaults()
	for dir, mode := range map[string]os.FileMode{o.Root: 0o755, o.StateDir: 0o700, o.RunDir: 0o700} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return nil, fmt.Errorf("make boot loader's directories: %w", err)
		}
	}
	l, err := openLedger(filepath.Join(o.StateDir, "state.json"), o.Log)
	if err != nil {
		return nil, err
	}
	s := &Supervisor{o: o, ledger: l, units: map[string]*unit{}, again: make(chan *Reexec, 1)}
	s.download = download{fetcher: o.Fetcher, key: o.Key, dir: filepath.Join(o.StateDir, "downloads"), os: o.OS, arch: o.Arch}
	names := l.names()
	entries, err := os.ReadDir(o.Root)
	if err != nil {
		return nil, fmt.Errorf("list components: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && checkName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	for _, n := range append(names, o.Self) {
		if checkName(n) == nil && s.units[n] == nil {
			s.units[n] = s.newUnit(n)
		}
	}
	return s, nil
}

func (s *Supervisor) newUnit(name string) *unit {
	return &unit{
		s: s, name: name, self: name == s.o.Self, disk: disk{filepath.Join(s.o.Root, name)},
		log:  s.o.Log.With("component", name),
		sink: &lineLog{out: s.o.Output, outMu: &s.outMu, prefix: name, now: s.o.Now},
		wake: make(chan struct{}, 1), ready: make(chan readyCall), staged: make(chan stageResult),
	}
}

// Run serves the control socket and runs the components until ctx ends, then stops
// them all, each with its grace. When the boot loader is to be replaced it returns
// a *Reexec and leaves the components running.
func (s *Supervisor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	listener, err := listenControl(s.o.Socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.control(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	s.takeOver()
	s.mu.Lock()
	s.live = ctx
	for _, u := range s.units {
		s.runs.Go(func() { u.run(ctx) })
	}
	s.mu.Unlock()
	s.o.Log.Info("boot loader started", "version", s.o.SelfVersion, "socket", s.o.Socket)

	var end error
	select {
	case <-ctx.Done():
	case err := <-served:
		end = fmt.Errorf("serve control socket %s: %w", s.o.Socket, err)
		served <- nil
	case r := <-s.again:
		end = r
	}
	if r := (*Reexec)(nil); errors.As(end, &r) {
		cancel(r)
	} else {
		cancel(nil)
	}
	s.mu.Lock()
	s.live = nil // no unit is started from here on
	s.mu.Unlock()
	s.runs.Wait()
	// Components may still say goodbye through the socket, so it closes after them.
	closing, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	err = server.Shutdown(closing)
	<-served
	if r := (*Reexec)(nil); errors.As(end, &r) {
		err = errors.Join(err, s.handOver())
	}
	if end == nil {
		s.o.Log.Info("boot loader stopped")
	}
	if err != nil {
		s.o.Log.Error("boot loader ended uncleanly", "error", err)
	}
	return end
}

// Replace makes Run end in a re-exec of the installed current version of the boot
// loader: a system package has put another one in place.
func (s *Supervisor) Replace() error {
	s.mu.Lock()
	u := s.units[s.o.Self]
	s.mu.Unlock()
	if u == nil {
		return errors.New("replace boot loader: it is not installed as a component")
	}
	r, err := u.replacement()
	if err != nil {
		return err
	}
	s.askReexec(r)
	return nil
}

func (s *Supervisor) askReexec(r *Reexec) {
	select {
	case s.again <- r:
	default: // one is under way
	}
}

// SetDesired keeps which versions should run, and sets to work on them.
func (s *Supervisor) SetDesired(all []Desired) error {
	seen := map[string]bool{}
	for _, d := range all {
		if err := d.Validate(); err != nil {
			return err
		}
		if seen[d.Component] {
			return fmt.Errorf("component %s is named twice", d.Component)
		}
		seen[d.Component] = true
	}
	for _, d := range all {
		if err := s.ledger.change(d.Component, func(r *record) {
			r.Desired = d
			r.Desired.Force = false // it is for this once
			if d.Force && r.Failed == d.Version {
				r.Attempts, r.FailedAt = min(r.Attempts, s.o.MaxAttempts-1), time.Time{}
			}
		}); err != nil {
			return err
		}
		s.unitFor(d.Component).nudge()
	}
	return nil
}

// settled reports whether no other component is being fetched or on trial. The
// caller has set replacing.
func (s *Supervisor) settled(except *unit) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.units {
		if u != except && u.isBusy() {
			return false
		}
	}
	return true
}

// unitFor finds or begins the unit of a component.
func (s *Supervisor) unitFor(name string) *unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.units[name]
	if u == nil {
		u = s.newUnit(name)
		s.units[name] = u
		if ctx := s.live; ctx != nil {
			s.runs.Go(func() { u.run(ctx) })
		}
	}
	return u
}

// Ready notes that a component's process has announced itself.
func (s *Supervisor) Ready(ctx context.Context, component, version string) error {
	s.mu.Lock()
	u, live := s.units[component], s.live
	s.mu.Unlock()
	if live == nil {
		return fmt.Errorf("%w: it is starting or stopping", errAway)
	}
	if u == nil {
		return fmt.Errorf("component %.40q is not run by this boot loader", component)
	}
	call := readyCall{version: version, answer: make(chan error, 1)}
	select {
	case u.ready <- call:
		return <-call.answer
	case <-ctx.Done():
		return ctx.Err()
	case <-live.Done():
		return fmt.Errorf("%w: it is stopping", errAway)
	}
}

// Status gives every component, by name.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{Components: []Component{}}
	for _, u := range s.units {
		if c := u.status(); c.Version != "" || c.Desired != "" {
			out.Components = append(out.Components, c)
		}
	}
	slices.SortFunc(out.Components, func(a, b Component) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// takeOver reads who an earlier boot loader left running: this same process before
// a re-exec, whose children are kept, or one that was killed, whose are ended.
func (s *Supervisor) takeOver() {
	b, err := os.ReadFile(s.childrenFile())
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			s.o.Log.Error("children of earlier boot loader unknown", "error", err)
		}
		return
	}
	var before children
	if err := json.Unmarshal(b, &before); err != nil {
		s.o.Log.Error("children of earlier boot loader unknown", "file", s.childrenFile(), "error", err)
		return
	}
	var orphans []child
	for _, c := range before.Children {
		u := s.units[c.Component]
		if p, ok := adopt(c, before.Handover && before.Parent == os.Getpid()); ok && u != nil {
			u.proc, u.announced, u.adopted = p, c.Ready, true
			p.watch(u.sink)
			s.note(p, c.Ready)
			s.o.Log.Info("component taken over", "component", c.Component, "version", c.Version, "pid", c.PID)
		} else if endOrphan(c) {
			s.o.Log.Warn("component left by an earlier boot loader is ended", "component", c.Component, "pid", c.PID)
			orphans = append(orphans, c)
		}
	}
	s.awaitOrphans(orphans)
}

// awaitOrphans waits for orphans to end, at most the grace of a stop. They are not
// our children, so there is nothing to wait on but their entry in the process table.
func (s *Supervisor) awaitOrphans(orphans []child) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for waited := time.Duration(0); len(orphans) > 0; waited += 50 * time.Millisecond {
		orphans = slices.DeleteFunc(orphans, func(c child) bool {
			_, ticks, ok := processTicks(c.PID)
			return !ok || ticks != c.Ticks
		})
		if waited >= s.o.StopWithin {
			for _, c := range orphans {
				(&process{pid: c.PID}).kill()
			}
		}
		if waited >= s.o.StopWithin+5*time.Second {
			s.o.Log.Error("components of an earlier boot loader cannot be ended", "count", len(orphans))
			return
		}
		<-tick.C
	}
}

func (s *Supervisor) childrenFile() string { return filepath.Join(s.o.RunDir, "children.json") }

// note keeps children.json up to date: p runs, announced or not.
func (s *Supervisor) note(p *process, ready bool) {
	_, ticks, _ := processTicks(p.pid)
	s.editTable(func(list []child) []child {
		list = slices.DeleteFunc(list, func(c child) bool { return c.Component == p.component })
		return append(list, child{Component: p.component, Version: p.version, PID: p.pid, Ticks: ticks, Started: p.started, Ready: ready})
	})
}

// forget notes that a component has no process.
func (s *Supervisor) forget(component string) {
	s.editTable(func(list []child) []child {
		return slices.DeleteFunc(list, func(c child) bool { return c.Component == component })
	})
}

func (s *Supervisor) editTable(edit func([]child) []child) {
	s.tableMu.Lock()
	defer s.tableMu.Unlock()
	s.table.Parent = os.Getpid()
	s.table.Children = edit(s.table.Children)
	if err := writeJSON(s.childrenFile(), s.table); err != nil {
		// Without it a crash of this process would leave orphans; the components themselves are well.
		s.o.Log.Error("table of children not kept", "error", err)
	}
}

// handOver prepares children.json for the same process after exec.
func (s *Supervisor) handOver() error {
	var errs []error
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tableMu.Lock()
	defer s.tableMu.Unlock()
	table := s.table
	table.Handover, table.Children = true, slices.Clone(table.Children)
	for i, c := range table.Children {
		if u := s.units[c.Component]; u != nil && u.proc != nil {
			fd, err := u.proc.keepOutput()
			errs = append(errs, err)
			table.Children[i].LogFD = fd
		}
	}
	return errors.Join(append(errs, writeJSON(s.childrenFile(), table))...)
}
