package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/durable"
)

// Power changes a machine's state and returns once it is reached.
func (d *Driver) Power(ctx context.Context, id string, p compute.Power) error {
	defer d.lock(id)()
	defer d.watchers.tell(id)
	if err := d.power(ctx, id, p); err != nil {
		return fmt.Errorf("%s machine %s: %w", p, id, err)
	}
	return nil
}

func (d *Driver) power(ctx context.Context, id string, p compute.Power) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m, err := d.open(id)
	if err != nil {
		return err
	}
	switch p {
	case compute.Start:
		return m.start(ctx)
	case compute.Shutdown:
		return m.shutdown(ctx)
	case compute.PowerOff:
		return m.off(ctx)
	case compute.Restart:
		return m.reset(ctx)
	case compute.Hibernate:
		return m.hibernate(ctx)
	}
	return errors.New("no such power verb")
}

// start brings a machine up from whatever it is in.
func (m *machine) start(ctx context.Context) error {
	begun := m.d.o.Now()
	asleep, err := exists(m.path(memoryFile))
	if err != nil {
		return err
	}
	mon, err := m.ask(ctx)
	switch {
	case errors.Is(err, compute.ErrNotRunning):
	case err != nil:
		return err
	default:
		up, err := m.wake(mon, asleep)
		mon.close()
		if up || err != nil {
			return err
		}
		if err := m.end(ctx); err != nil { // its guest has ended before
			return err
		}
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if err := m.live(life{Running: true, Since: begun, Boot: boot}); err != nil {
		return err
	}
	if err := m.spawn(ctx, asleep); err != nil {
		return errors.Join(err, m.live(life{}))
	}
	if asleep {
		if err := m.resume(ctx); err != nil {
			// The memory is still on disk: the machine hibernates on, and can be tried again.
			return errors.Join(err, m.end(context.WithoutCancel(ctx)), m.live(life{}))
		}
	}
	m.d.o.Log.Info("machine started", "machine", m.id, "name", m.record.Spec.Name, "resumed", asleep, "took", m.d.o.Now().Sub(begun))
	return nil
}

// wake lets a machine whose process is there go on, where it can.
func (m *machine) wake(mon *monitor, asleep bool) (up bool, err error) {
	state, err := status(mon)
	if err != nil {
		return false, err
	}
	switch state {
	case "running":
		return true, nil
	case "shutdown", "guest-panicked", "internal-error":
		return false, nil
	case "inmigrate":
		return false, nil // a start that was cut off while the memory was read
	}
	if asleep {
		// Its memory is on disk and in the process alike; once it runs, the former is a lie.
		if err := m.forget(); err != nil {
			return false, err
		}
	}
	return true, mon.do("cont", nil, nil)
}

// forget deletes a hibernated machine's memory.
func (m *machine) forget() error {
	if err := os.Remove(m.path(memoryFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the machine's memory: %w", err)
	}
	return durable.SyncFolder(m.folder)
}

// off takes the power away.
func (m *machine) off(ctx context.Context) error {
	if err := m.end(ctx); err != nil {
		return err
	}
	if err := m.endTPM(ctx); err != nil {
		return err
	}
	if err := m.forget(); err != nil {
		return err
	}
	if m.life.Running {
		m.d.o.Log.Info("machine off", "machine", m.id, "name", m.record.Spec.Name)
	}
	return m.live(life{})
}

// shutdown presses the power button, waits for the guest to follow and then takes the
// power away.
func (m *machine) shutdown(ctx context.Context) error {
	mon, err := m.connect(ctx, waitSocket)
	if err != nil {
		if errors.Is(err, compute.ErrNotRunning) {
			return m.off(ctx)
		}
		return err
	}
	state, err := status(mon)
	if err == nil && state == "running" {
		err = mon.do("system_powerdown", nil, nil)
	}
	mon.close()
	if err != nil {
		return err
	}
	if state == "running" {
		followed, err := m.follows(ctx)
		if err != nil {
			return err
		}
		if !followed {
			m.d.o.Log.Warn("guest did not shut down", "machine", m.id, "grace", m.d.o.Grace)
		}
	}
	return m.off(ctx)
}

// follows waits for the guest's own end, for the grace at most.
func (m *machine) follows(ctx context.Context) (bool, error) {
	graced, cancel := context.WithTimeout(ctx, m.d.o.Grace)
	defer cancel()
	mon, err := m.connect(graced, waitSocket)
	for err == nil {
		// Asked after connecting: what happens from here on comes as an event.
		var state string
		if state, err = status(mon); err != nil || state == "shutdown" {
			break
		}
		var e event
		if e, err = mon.next(); err == nil && e.Name == "SHUTDOWN" {
			break
		}
	}
	if mon != nil {
		mon.close()
	}
	switch {
	case err == nil || errors.Is(err, compute.ErrNotRunning):
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case graced.Err() != nil:
		return false, nil
	}
	return false, err
}

// reset is the reset button.
func (m *machine) reset(ctx context.Context) error {
	mon, err := m.ask(ctx)
	if err != nil {
		return err
	}
	defer mon.close()
	state, err := status(mon)
	if err != nil {
		return err
	}
	if asleep, err := exists(m.path(memoryFile)); err != nil || asleep || state == "shutdown" {
		return errors.Join(err, compute.ErrNotRunning)
	}
	if err := mon.do("system_reset", nil, nil); err != nil {
		return err
	}
	if state == "running" {
		return nil
	}
	return mon.do("cont", nil, nil)
}

// migrateFor bounds writing or reading a machine's memory: 64 GiB at 200 MB a second.
const migrateFor = 6 * time.Minute

// hibernate writes the machine's memory to disk and ends it.
func (m *machine) hibernate(ctx context.Context) error {
	asleep, err := exists(m.path(memoryFile))
	if err != nil {
		return err
	}
	mon, err := m.connect(ctx, waitSocket)
	if errors.Is(err, compute.ErrNotRunning) && asleep {
		return nil
	}
	if err != nil {
		return err
	}
	defer mon.close()
	state, err := status(mon)
	if err != nil {
		return err
	}
	if state == "shutdown" || state == "guest-panicked" {
		return compute.ErrNotRunning
	}
	if !asleep {
		if err := m.saveMemory(ctx, mon); err != nil {
			// Nothing was lost: it runs on.
			return errors.Join(err, m.goOn(context.WithoutCancel(ctx)))
		}
	}
	// With its memory on disk the process is a shell.
	mon.close()
	if err := m.end(ctx); err != nil {
		return err
	}
	if err := m.endTPM(ctx); err != nil {
		return err
	}
	m.d.o.Log.Info("machine hibernated", "machine", m.id, "name", m.record.Spec.Name)
	return m.live(life{})
}

// goOn lets the guest run after a hibernation that failed.
func (m *machine) goOn(ctx context.Context) error {
	mon, err := m.ask(ctx)
	if err != nil {
		return err
	}
	defer mon.close()
	return mon.do("cont", nil, nil)
}

func (m *machine) saveMemory(ctx context.Context, mon *monitor) (err error) {
	draft := m.path(memoryFile + ".new")
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the machine's memory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write the machine's memory: %w", err), removeFile(draft))
		}
	}()
	err = mon.do("stop", nil, nil)
	if err == nil {
		err = migrate(mon, f, "migrate")
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft, m.path(memoryFile)); err != nil {
		return err
	}
	return durable.SyncFolder(m.folder)
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// resume reads the machine's memory and lets it run.
func (m *machine) resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, migrateFor)
	defer cancel()
	mon, err := m.connect(ctx, waitSocket)
	if err != nil {
		return fmt.Errorf("read the machine's memory: %w", err)
	}
	defer mon.close()
	f, err := os.Open(m.path(memoryFile))
	if err != nil {
		return fmt.Errorf("read the machine's memory: %w", err)
	}
	err = migrate(mon, f, "migrate-incoming")
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read the machine's memory: %w", err)
	}
	// Before the first instruction: a machine that has run on no longer is what the
	// file says.
	if err := m.forget(); err != nil {
		return err
	}
	return mon.do("cont", nil, nil)
}

// migrate writes a stopped machine's memory to a file, or reads it, and waits for the
// end.
func migrate(mon *monitor, f *os.File, command string) error {
	capability := []map[string]any{{"capability": "events", "state": true}}
	if err := mon.do("migrate-set-capabilities", map[string]any{"capabilities": capability}, nil); err != nil {
		return err
	}
	if command == "migrate" {
		// QEMU's default is meant for a network, 128 MiB a second.
		if err := mon.do("migrate-set-parameters", map[string]any{"max-bandwidth": int64(16) << 30}, nil); err != nil {
			return err
		}
	}
	if err := mon.doWithFile("getfd", map[string]any{"fdname": "memory"}, f); err != nil {
		return err
	}
	if err := mon.do(command, map[string]any{"uri": "fd:memory"}, nil); err != nil {
		var refused *qmpError
		if errors.As(err, &refused) && strings.Contains(refused.Desc, "migrat") {
			return fmt.Errorf("%w: %w", compute.ErrUnsupported, err)
		}
		return err
	}
	for {
		var e event
		e, err := mon.next()
		if err != nil {
			return err
		}
		if e.Name != "MIGRATION" {
			continue
		}
		var data struct {
			Status string `json:"status"`
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return fmt.Errorf("read QEMU's event: %w", err)
		}
		switch data.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			var info struct {
				Desc string `json:"error-desc"`
			}
			err := mon.do("query-migrate", nil, &info)
			return errors.Join(fmt.Errorf("%s: %s", data.Status, info.Desc), err)
		}
	}
}

// bootID names the host's present boot.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the host's boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
