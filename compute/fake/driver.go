package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/deskyard/deskyard/compute"
)

// Verb names a method of the driver, for delays and failures.
type Verb string

// The verbs. Those of Power carry the compute.Power's own name.
const (
	Capabilities Verb = "capabilities"
	Ensure       Verb = "ensure"
	Start        Verb = Verb(compute.Start)
	Shutdown     Verb = Verb(compute.Shutdown)
	PowerOff     Verb = Verb(compute.PowerOff)
	Restart      Verb = Verb(compute.Restart)
	Hibernate    Verb = Verb(compute.Hibernate)
	Observe      Verb = "observe"
	Filter       Verb = "filter"
	Balloon      Verb = "balloon"
	Console      Verb = "console"
	Screenshot   Verb = "screenshot"
	Remove       Verb = "remove"
	Inventory    Verb = "inventory"
)

// Options of a host. The zero value is a host with room for 400 large machines.
type Options struct {
	Host     string // its name; "fake" if empty
	CPUs     int    // 1024 if 0
	MemoryMB int    // 4 TiB if 0; machines that run take of it
	DiskGB   int    // 400 TiB if 0; machines take of it at Ensure

	NoSecureBoot, NoTPM, NoHibernate bool
	Confidential                     string // "SEV-SNP", "TDX" or ""

	// Guest is what runs in a machine from each of its starts until ctx ends, which is
	// when the machine does: its power was taken, it hibernated or it ended itself.
	// nil: a guest that obeys Shutdown at once and does nothing else.
	Guest func(ctx context.Context, m *Machine)
	// Delay is how long a verb takes; nil: no time.
	Delay func(v Verb, id string) time.Duration
	// Grace is what Shutdown gives the guest; compute.ShutdownGrace if 0.
	Grace time.Duration
	Now   func() time.Time // time.Now if nil
}

// Driver is a host in memory and the driver of it. Close it when done.
type Driver struct {
	o      Options
	guests sync.WaitGroup // of the goroutines that run Options.Guest

	mu       sync.Mutex // guards what follows, and each Machine
	machines map[string]*Machine
	failures map[Verb][]failure
	calls    map[Verb]int
	cut      error // nil while the host answers
	watchers map[*watcher]bool
}

type failure struct {
	id  string // "" for any
	err error
}

var (
	_ compute.Driver  = (*Driver)(nil)
	_ compute.Watcher = (*Driver)(nil)
)

// New makes a host with no machines.
func New(o Options) *Driver {
	if o.Host == "" {
		o.Host = "fake"
	}
	if o.CPUs == 0 {
		o.CPUs = 1024
	}
	if o.MemoryMB == 0 {
		o.MemoryMB = 4 << 20
	}
	if o.DiskGB == 0 {
		o.DiskGB = 400 << 10
	}
	if o.Grace == 0 {
		o.Grace = compute.ShutdownGrace
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Driver{o: o, machines: map[string]*Machine{}, failures: map[Verb][]failure{}, calls: map[Verb]int{}, watchers: map[*watcher]bool{}}
}

// Close takes the power from every machine and waits for their guests to end.
func (d *Driver) Close() {
	d.mu.Lock()
	for _, m := range d.machines {
		m.halt(compute.Off, "")
	}
	d.mu.Unlock()
	d.guests.Wait()
}

// Fail makes the next call of v for id ("" for any machine) answer err. Called n
// times, it makes the next n calls fail.
func (d *Driver) Fail(v Verb, id string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failures[v] = append(d.failures[v], failure{id, err})
}

// Cut makes the host unreachable until mend is called; its machines run on.
func (d *Driver) Cut() (mend func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = fmt.Errorf("reach %s: %w", d.o.Host, compute.ErrUnreachable)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.cut = nil
	}
}

// Crash ends a running machine as a killed hypervisor process does.
func (d *Driver) Crash(id, reason string) error { return d.end(id, compute.Crashed, reason) }

// Pause stops a running machine as a full disk does; Start lets it go on.
func (d *Driver) Pause(id, reason string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.machines[id]
	if !ok || m.state != compute.Running {
		return fmt.Errorf("pause %s: %w", id, compute.ErrNotRunning)
	}
	m.state, m.reason = compute.Paused, reason
	d.tell(id)
	return nil
}

// Vanish makes a machine and all of it disappear as if somebody had deleted it
// beside the service.
func (d *Driver) Vanish(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m, ok := d.machines[id]; ok {
		m.halt(compute.Off, "")
		delete(d.machines, id)
		d.tell(id)
	}
}

// Spec is what a machine was made with.
func (d *Driver) Spec(id string) (compute.Spec, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.machines[id]
	if !ok {
		return compute.Spec{}, false
	}
	return m.spec, true
}

// Calls counts how often a verb was called.
func (d *Driver) Calls(v Verb) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[v]
}

func (d *Driver) end(id string, s compute.State, reason string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.machines[id]
	if !ok || m.cancel == nil {
		return fmt.Errorf("end %s: %w", id, compute.ErrNotRunning)
	}
	m.halt(s, reason)
	return nil
}

// begin lets a verb take its time and fail as it was told to; on success the lock is
// held.
func (d *Driver) begin(ctx context.Context, v Verb, id string) error {
	if d.o.Delay != nil {
		if err := pass(ctx, d.o.Delay(v, id)); err != nil {
			return fmt.Errorf("%s %s: %w", v, id, err)
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", v, id, context.Cause(ctx))
	}
	d.mu.Lock()
	d.calls[v]++
	err := d.cut
	if i := slices.IndexFunc(d.failures[v], func(f failure) bool { return f.id == "" || f.id == id }); err == nil && i >= 0 {
		err = fmt.Errorf("%s %s: %w", v, id, d.failures[v][i].err)
		d.failures[v] = slices.Delete(d.failures[v], i, i+1)
	}
	if err != nil {
		d.mu.Unlock()
	}
	return err
}

// pass waits for a time to pass, or for ctx to end.
func pass(ctx context.Context, t time.Duration) error {
	if t <= 0 {
		return nil
	}
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// begun is begin for a machine that must exist.
func (d *Driver) begun(ctx context.Context, v Verb, id string) (*Machine, error) {
	if err := d.begin(ctx, v, id); err != nil {
		return nil, err
	}
	m, ok := d.machines[id]
	if !ok {
		d.mu.Unlock()
		return nil, fmt.Errorf("%s %s: %w", v, id, compute.ErrNotFound)
	}
	return m, nil
}

// Capabilities describes the host.
func (d *Driver) Capabilities(ctx context.Context) (compute.Capabilities, error) {
	if err := d.begin(ctx, Capabilities, ""); err != nil {
		return compute.Capabilities{}, err
	}
	defer d.mu.Unlock()
	disk, memory := d.used()
	return compute.Capabilities{
		Host: d.o.Host, Version: "in memory", Accelerator: "tcg", Reason: "machines in memory run nothing", Architecture: "amd64",
		SecureBoot: !d.o.NoSecureBoot, TPM: !d.o.NoTPM, Hibernate: !d.o.NoHibernate, Confidential: d.o.Confidential,
		CPUs: d.o.CPUs, MemoryMB: d.o.MemoryMB, DiskGB: d.o.DiskGB,
		FreeMemMB: d.o.MemoryMB - memory, FreeDiskGB: d.o.DiskGB - disk, Machines: len(d.machines),
	}, nil
}

func (d *Driver) used() (diskGB, memoryMB int) {
	for _, m := range d.machines {
		diskGB += m.diskGB()
		if m.cancel != nil {
			memoryMB += m.memory
		}
	}
	return diskGB, memoryMB
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Ensure makes a machine, off, or finds it.
func (d *Driver) Ensure(ctx context.Context, s compute.Spec) error {
	if err := d.begin(ctx, Ensure, s.ID); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if err := d.ensure(s); err != nil {
		return fmt.Errorf("ensure machine %s: %w", s.ID, err)
	}
	return nil
}

func (d *Driver) ensure(s compute.Spec) error {
	if m, ok := d.machines[s.ID]; ok {
		if m.spec.Owner != s.Owner {
			return errors.New("it belongs to another installation")
		}
		return nil
	}
	disk, _ := d.used()
	fresh := &Machine{d: d, spec: clone(s), state: compute.Off, memory: s.MemoryMB, rules: map[int][]compute.Rule{}}
	switch {
	case !guid.MatchString(s.ID):
		return fmt.Errorf("its id %q is no lower-case GUID", s.ID)
	case s.Owner == "" || s.CPUs < 1 || s.MemoryMB < 1 || s.Image.Path == "":
		return errors.New("owner, processors, memory or image is missing")
	case s.Confidential && d.o.Confidential == "":
		return fmt.Errorf("memory encryption: %w", compute.ErrUnsupported)
	case s.SecureBoot && d.o.NoSecureBoot:
		return fmt.Errorf("secure boot: %w", compute.ErrUnsupported)
	case s.TPM && d.o.NoTPM:
		return fmt.Errorf("virtual TPM: %w", compute.ErrUnsupported)
	case s.Disk.SizeGB != 0 && int64(s.Disk.SizeGB)<<30 < s.Image.VirtualBytes:
		return fmt.Errorf("a disk of %d GiB is smaller than the image", s.Disk.SizeGB)
	case disk+fresh.diskGB() > d.o.DiskGB:
		return fmt.Errorf("%d GiB of disk: %w", fresh.diskGB(), compute.ErrNoSpace)
	case s.MemoryMB > d.o.MemoryMB:
		return fmt.Errorf("%d MiB of memory: %w", s.MemoryMB, compute.ErrNoSpace)
	}
	if err := imageExists(s.Image.Path); err != nil {
		return err
	}
	d.machines[s.ID] = fresh
	return nil
}

// clone keeps what the caller may change after the call out of our memory.
func clone(s compute.Spec) compute.Spec {
	s.Tags = maps.Clone(s.Tags)
	s.NICs = slices.Clone(s.NICs)
	s.Seed.NoCloud = maps.Clone(s.Seed.NoCloud)
	s.Seed.Credentials = maps.Clone(s.Seed.Credentials)
	return s
}

// Remove ends and deletes a machine.
func (d *Driver) Remove(ctx context.Context, id string) error {
	if err := d.begin(ctx, Remove, id); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if m, ok := d.machines[id]; ok {
		m.halt(compute.Off, "")
		delete(d.machines, id)
	}
	return nil
}

// Inventory lists the owner's machines and their pieces.
func (d *Driver) Inventory(ctx context.Context, owner string) ([]compute.Item, error) {
	if err := d.begin(ctx, Inventory, ""); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	var items []compute.Item
	for _, id := range slices.Sorted(maps.Keys(d.machines)) {
		m := d.machines[id]
		if m.spec.Owner != owner {
			continue
		}
		kinds := []string{"machine", "disk"}
		if len(m.spec.Seed.NoCloud) > 0 {
			kinds = append(kinds, "seed")
		}
		if m.spec.TPM || m.spec.SecureBoot {
			kinds = append(kinds, "firmware")
		}
		for _, kind := range kinds {
			items = append(items, compute.Item{MachineID: id, Name: m.spec.Name, Kind: kind, Where: d.o.Host + ":" + id + "/" + kind})
		}
	}
	return items, nil
}
