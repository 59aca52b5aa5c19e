package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/media"
)

// Observe looks at a machine. One whose guest has ended is off, and what is left of
// its process is cleared away.
func (d *Driver) Observe(ctx context.Context, id string) (compute.Observation, error) {
	o, over, err := d.observe(ctx, id)
	if err == nil && over {
		err = d.settle(ctx, id)
	}
	if err != nil {
		return compute.Observation{}, fmt.Errorf("observe machine %s: %w", id, err)
	}
	return o, nil
}

func (d *Driver) observe(ctx context.Context, id string) (o compute.Observation, over bool, err error) {
	if ctx.Err() != nil {
		return o, false, context.Cause(ctx)
	}
	m, err := d.open(id)
	if err != nil {
		return o, false, err
	}
	s := m.record.Spec
	o = compute.Observation{ID: id, Name: s.Name, CPUs: s.CPUs, MemoryMB: s.MemoryMB}
	for i, n := range s.NICs {
		nic := compute.NICObservation{MAC: n.MAC, Address: n.Address}
		if m.record.Network == compute.NetworkBridge {
			nic.Device = d.o.Bridges.Device(id, i)
		}
		o.NICs = append(o.NICs, nic)
	}
	if there, err := exists(m.path(diskFile)); err != nil {
		return o, false, err
	} else if there {
		size, err := media.Size(m.path(diskFile))
		if err != nil {
			return o, false, err
		}
		o.DiskGB = int((size + 1<<30 - 1) >> 30)
	}
	if err := m.trimConsole(); err != nil {
		return o, false, err
	}
	over, err = m.look(ctx, &o)
	return o, over, err
}

// look fills in what the machine does; over says that a process is left whose guest
// has ended itself.
func (m *machine) look(ctx context.Context, o *compute.Observation) (over bool, err error) {
	mon, err := m.ask(ctx)
	if errors.Is(err, compute.ErrNotRunning) {
		return false, m.lookAtRest(o)
	}
	if err != nil {
		return false, err
	}
	defer mon.close()
	state, err := status(mon)
	if err != nil {
		return false, err
	}
	if asleep, err := exists(m.path(memoryFile)); err != nil {
		return false, err
	} else if asleep {
		o.State = compute.Hibernated // between memory and disk: Start brings it up
		return false, nil
	}
	switch state {
	case "running", "finish-migrate", "save-vm", "restore-vm":
		o.State, o.Since = compute.Running, m.life.Since
	case "shutdown":
		o.State, over = compute.Off, true
	case "guest-panicked":
		o.State, o.Reason = compute.Crashed, "its operating system panicked"
	case "internal-error":
		o.State, o.Reason = compute.Crashed, "QEMU gave it up: "+m.lastWords()
	default:
		o.State, o.Since = compute.Paused, m.life.Since
		o.Reason, err = m.whyPaused(mon, state)
		if err != nil {
			return false, err
		}
	}
	if o.State != compute.Running {
		return over, nil
	}
	if m.record.Spec.TPM {
		if pid, err := m.tpmProcess(); err != nil {
			return over, err
		} else if pid == 0 {
			o.Reason = "it runs, but its TPM's process has ended: power it off and start it to have one again"
		}
	}
	if m.record.Spec.MinMemMB > 0 {
		return over, m.lookAtBalloon(mon, o)
	}
	return over, nil
}

// lookAtRest is the state of a machine without a process.
func (m *machine) lookAtRest(o *compute.Observation) error {
	asleep, err := exists(m.path(memoryFile))
	switch {
	case err != nil:
		return err
	case asleep:
		o.State = compute.Hibernated
	case !m.life.Running:
		o.State = compute.Off
	default:
		o.State = compute.Crashed
		boot, err := bootID()
		if err != nil {
			return err
		}
		o.Reason = "its process ended though nobody asked: " + m.lastWords()
		if boot != m.life.Boot {
			o.Reason = "the host was restarted while it ran"
		}
	}
	return nil
}

// whyPaused says why QEMU holds a machine.
func (m *machine) whyPaused(mon *monitor, state string) (string, error) {
	switch state {
	case "paused":
		return "somebody paused it", nil
	case "io-error":
	default:
		return "QEMU's state is " + state, nil
	}
	var blocks []struct {
		Device   string `json:"device"`
		IOStatus string `json:"io-status"`
	}
	if err := mon.do("query-block", nil, &blocks); err != nil {
		return "", err
	}
	for _, b := range blocks {
		switch b.IOStatus {
		case "nospace":
			return "the storage of its host is full", nil
		case "failed":
			return "its disk cannot be read or written", nil
		}
	}
	return "its disk had an error", nil
}

func (m *machine) lookAtBalloon(mon *monitor, o *compute.Observation) error {
	var balloon struct {
		Actual int64 `json:"actual"`
	}
	if err := mon.do("query-balloon", nil, &balloon); err != nil {
		return err
	}
	o.MemoryMB = int(balloon.Actual >> 20)
	return nil
}

// settle clears away the process of a machine whose guest has ended itself.
func (d *Driver) settle(ctx context.Context, id string) error {
	defer d.lock(id)()
	m, err := d.open(id)
	if err != nil {
		return err
	}
	mon, err := m.ask(ctx)
	if errors.Is(err, compute.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	state, err := status(mon)
	mon.close()
	if err != nil || state != "shutdown" { // another verb was faster
		return err
	}
	d.o.Log.Info("guest shut down", "machine", id, "name", m.record.Spec.Name)
	return m.off(ctx)
}

// Balloon asks a machine with dynamic memory to hold to so many MiB.
func (d *Driver) Balloon(ctx context.Context, id string, mib int) error {
	if err := d.balloon(ctx, id, mib); err != nil {
		return fmt.Errorf("balloon machine %s to %d MiB: %w", id, mib, err)
	}
	return nil
}

func (d *Driver) balloon(ctx context.Context, id string, mib int) error {
	m, err := d.open(id)
	if err != nil {
		return err
	}
	s := m.record.Spec
	if s.MinMemMB == 0 {
		return fmt.Errorf("its memory is static: %w", compute.ErrUnsupported)
	}
	if mib < s.MinMemMB || mib > s.MemoryMB {
		return fmt.Errorf("it has %d to %d", s.MinMemMB, s.MemoryMB)
	}
	mon, err := m.ask(ctx)
	if err != nil {
		return err
	}
	defer mon.close()
	return mon.do("balloon", map[string]any{"value": int64(mib) << 20}, nil)
}

// Filter sets the security rules of an interface.
func (d *Driver) Filter(ctx context.Context, id string, nic int, rules []compute.Rule) error {
	defer d.lock(id)()
	if err := d.filter(ctx, id, nic, rules); err != nil {
		return fmt.Errorf("filter interface %d of machine %s: %w", nic, id, err)
	}
	return nil
}

func (d *Driver) filter(ctx context.Context, id string, nic int, rules []compute.Rule) error {
	m, err := d.open(id)
	if err != nil {
		return err
	}
	if nic < 0 || nic >= len(m.record.Spec.NICs) {
		return errors.New("there is no such interface")
	}
	if m.record.Network == compute.NetworkBridge {
		return d.o.Bridges.Filter(ctx, id, nic, rules)
	}
	return refuseDenials(rules)
}

// maxConsole is what Console answers at most, and when the log starts anew.
const maxConsole = 1 << 20

// Console is the last of what the machine wrote to its serial port.
func (d *Driver) Console(ctx context.Context, id string) ([]byte, error) {
	text, err := d.console(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the console of machine %s: %w", id, err)
	}
	return text, nil
}

func (d *Driver) console(ctx context.Context, id string) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m, err := d.open(id)
	if err != nil {
		return nil, err
	}
	now, err := tail(m.path(consoleFile), maxConsole)
	if err != nil {
		return nil, err
	}
	before, err := tail(m.path(consoleFile+".old"), maxConsole-len(now))
	if err != nil {
		return nil, err
	}
	return append(before, now...), m.trimConsole()
}

// trimConsole keeps the log bounded: past maxConsole its last part becomes the old
// log, and QEMU, which appends, goes on at the start. What the guest writes in the
// moment between the two is lost. It is called whenever somebody looks at the machine.
func (m *machine) trimConsole() error {
	path := m.path(consoleFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() <= maxConsole {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the console's log: %w", err)
	}
	last, err := tail(path, maxConsole)
	if err == nil {
		err = os.WriteFile(path+".old", last, 0o600)
	}
	if err == nil {
		err = os.Truncate(path, 0)
	}
	if err != nil {
		return fmt.Errorf("shorten the console's log: %w", err)
	}
	return nil
}

// tail reads the last n bytes of a file; nothing of one that is not there.
func tail(path string, n int) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, size-int64(n)), int64(n)))
}

// Screenshot is the machine's screen as a PNG.
func (d *Driver) Screenshot(ctx context.Context, id string) ([]byte, error) {
	defer d.lock(id)() // one picture at a time
	picture, err := d.screenshot(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("take a picture of machine %s: %w", id, err)
	}
	return picture, nil
}

// maxPicture bounds a screenshot: 4K in true colour, hardly compressed.
const maxPicture = 32 << 20

func (d *Driver) screenshot(ctx context.Context, id string) ([]byte, error) {
	m, err := d.open(id)
	if err != nil {
		return nil, err
	}
	mon, err := m.ask(ctx)
	if err != nil {
		return nil, err
	}
	defer mon.close()
	err = mon.do("screendump", map[string]any{"filename": pictureFile, "format": "png"}, nil)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(m.path(pictureFile))
	if err != nil {
		return nil, err
	}
	picture, err := io.ReadAll(io.LimitReader(f, maxPicture))
	if err := errors.Join(err, f.Close(), os.Remove(m.path(pictureFile))); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(picture, []byte("\x89PNG")) {
		return nil, errors.New("QEMU drew no picture: " + strings.TrimSpace(m.lastWords()))
	}
	return picture, nil
}
