package fake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/deskyard/deskyard/compute"
)

// Machine is a machine as its guest sees it. Its methods are for Options.Guest.
type Machine struct {
	d    *Driver
	spec compute.Spec

	// What follows is guarded by the driver's lock.
	state   compute.State
	reason  string
	since   time.Time
	memory  int
	console bytes.Buffer
	rules   map[int][]compute.Rule
	cancel  context.CancelFunc // ends the guest; nil when the machine is off
	button  chan struct{}      // closed when somebody presses the power button
	ended   chan struct{}      // closed when the machine is off
}

// Spec is what the machine was made with, its seed included.
func (m *Machine) Spec() compute.Spec { return m.spec }

// Button is closed when the machine is asked to shut down. A guest that listens
// calls PowerOff then.
func (m *Machine) Button() <-chan struct{} {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	return m.button
}

// Print writes to the machine's serial port.
func (m *Machine) Print(text string) {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	m.console.WriteString(text)
	if over := m.console.Len() - maxConsole; over > 0 {
		m.console.Next(over)
	}
}

// PowerOff is the guest's own shutdown.
func (m *Machine) PowerOff() {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	m.halt(compute.Off, "")
}

// Crash is the guest's own end: a kernel panic.
func (m *Machine) Crash(reason string) {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	m.halt(compute.Crashed, reason)
}

// Rules are the security rules of an interface.
func (m *Machine) Rules(nic int) []compute.Rule {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	return slices.Clone(m.rules[nic])
}

// maxConsole is what Console answers at most.
const maxConsole = 1 << 20

// diskGB is the size of its disk, as the image's or as asked for.
func (m *Machine) diskGB() int {
	if m.spec.Disk.SizeGB != 0 {
		return m.spec.Disk.SizeGB
	}
	return int((m.spec.Image.VirtualBytes + 1<<30 - 1) >> 30)
}

// imageExists looks for images with a path of this machine; a fake host may have
// images at names that are no paths.
func imageExists(path string) error {
	if !filepath.IsAbs(path) {
		return nil
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("look at the image: %w", err)
	}
	return nil
}

// halt ends the guest; the lock is held. A machine that is off keeps its state,
// unless it hibernates or crashed: then it is off now.
func (m *Machine) halt(s compute.State, reason string) {
	if m.cancel != nil {
		m.cancel()
		m.cancel = nil
		close(m.ended)
	}
	m.state, m.reason, m.since = s, reason, time.Time{}
	m.d.tell(m.spec.ID)
}

// boot starts the guest; the lock is held.
func (m *Machine) boot() {
	ctx, cancel := context.WithCancel(context.Background()) // a machine outlives the request that started it
	m.cancel, m.button, m.ended = cancel, make(chan struct{}), make(chan struct{})
	m.state, m.reason, m.since = compute.Running, "", m.d.o.Now()
	m.d.tell(m.spec.ID)
	guest := m.d.o.Guest
	if guest == nil {
		guest = obedient
	}
	m.d.guests.Go(func() { guest(ctx, m) })
}

// obedient is a guest that does nothing but follow the power button.
func obedient(ctx context.Context, m *Machine) {
	select {
	case <-m.Button():
		m.PowerOff()
	case <-ctx.Done():
	}
}

// Power changes a machine's state.
func (d *Driver) Power(ctx context.Context, id string, p compute.Power) error {
	m, err := d.begun(ctx, Verb(p), id)
	if err != nil {
		return err
	}
	var ended chan struct{}
	switch {
	case p == compute.Start:
		err = d.start(m)
	case p == compute.Shutdown && m.state == compute.Running:
		ended = m.press()
	case p == compute.Shutdown || p == compute.PowerOff:
		m.halt(compute.Off, "")
	case p == compute.Restart && m.cancel != nil:
		m.halt(compute.Off, "")
		m.boot()
	case p == compute.Hibernate && d.o.NoHibernate:
		err = compute.ErrUnsupported
	case p == compute.Hibernate && m.cancel != nil:
		m.halt(compute.Hibernated, "")
	case p == compute.Hibernate && m.state == compute.Hibernated:
	case p == compute.Restart || p == compute.Hibernate:
		err = compute.ErrNotRunning
	default:
		err = errors.New("no such power verb")
	}
	d.mu.Unlock()
	if ended != nil {
		err = d.follow(ctx, m, ended)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", p, id, err)
	}
	return nil
}

func (d *Driver) start(m *Machine) error {
	switch m.state {
	case compute.Running:
		return nil
	case compute.Paused:
		m.state, m.reason = compute.Running, ""
		return nil
	}
	if _, memory := d.used(); memory+m.memory > d.o.MemoryMB {
		return fmt.Errorf("%d MiB of memory: %w", m.memory, compute.ErrNoSpace)
	}
	m.boot()
	return nil
}

// press presses the power button, once.
func (m *Machine) press() (ended chan struct{}) {
	select {
	case <-m.button:
	default:
		close(m.button)
	}
	return m.ended
}

// follow waits for the guest to shut down and pulls the plug after the grace.
func (d *Driver) follow(ctx context.Context, m *Machine, ended chan struct{}) error {
	grace := time.NewTimer(d.o.Grace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-grace.C:
		d.mu.Lock()
		defer d.mu.Unlock()
		if m.ended == ended {
			m.halt(compute.Off, "")
		}
	}
	return nil
}

// Observe looks at a machine.
func (d *Driver) Observe(ctx context.Context, id string) (compute.Observation, error) {
	m, err := d.begun(ctx, Observe, id)
	if err != nil {
		return compute.Observation{}, err
	}
	defer d.mu.Unlock()
	o := compute.Observation{
		ID: id, Name: m.spec.Name, State: m.state, Reason: m.reason, Since: m.since,
		CPUs: m.spec.CPUs, MemoryMB: m.memory, DiskGB: m.diskGB(),
	}
	for _, n := range m.spec.NICs {
		o.NICs = append(o.NICs, compute.NICObservation{MAC: n.MAC, Address: n.Address})
	}
	return o, nil
}

// Filter sets the security rules of an interface.
func (d *Driver) Filter(ctx context.Context, id string, nic int, rules []compute.Rule) error {
	m, err := d.begun(ctx, Filter, id)
	if err != nil {
		return err
	}
	defer d.mu.Unlock()
	if nic < 0 || nic >= len(m.spec.NICs) {
		return fmt.Errorf("filter %s: it has no interface %d", id, nic)
	}
	m.rules[nic] = slices.Clone(rules)
	return nil
}

// Balloon sets a machine's memory at once.
func (d *Driver) Balloon(ctx context.Context, id string, mib int) error {
	m, err := d.begun(ctx, Balloon, id)
	if err != nil {
		return err
	}
	defer d.mu.Unlock()
	switch {
	case m.spec.MinMemMB == 0:
		return fmt.Errorf("balloon %s: its memory is static: %w", id, compute.ErrUnsupported)
	case mib < m.spec.MinMemMB || mib > m.spec.MemoryMB:
		return fmt.Errorf("balloon %s to %d MiB: it has %d to %d", id, mib, m.spec.MinMemMB, m.spec.MemoryMB)
	case m.cancel == nil:
		return fmt.Errorf("balloon %s: %w", id, compute.ErrNotRunning)
	}
	m.memory = mib
	return nil
}

// Console is what the guest printed.
func (d *Driver) Console(ctx context.Context, id string) ([]byte, error) {
	m, err := d.begun(ctx, Console, id)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return bytes.Clone(m.console.Bytes()), nil
}

// Screenshot is a black picture: nothing is drawn in memory.
func (d *Driver) Screenshot(ctx context.Context, id string) ([]byte, error) {
	m, err := d.begun(ctx, Screenshot, id)
	if err != nil {
		return nil, err
	}
	running := m.cancel != nil
	d.mu.Unlock()
	if !running {
		return nil, fmt.Errorf("take a picture of %s: %w", id, compute.ErrNotRunning)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 720, 400))); err != nil {
		return nil, fmt.Errorf("draw the screen of %s: %w", id, err)
	}
	return b.Bytes(), nil
}
