package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/deskyard/deskyard/compute"
)

// Power changes a machine's state and returns once it is reached.
func (d *Driver) Power(ctx context.Context, id string, p compute.Power) error {
	unlock, err := d.locks.lock(ctx, id)
	if err != nil {
		return fmt.Errorf("%s machine %s: %w", p, id, err)
	}
	defer unlock()
	begun := d.o.Now()
	if err := d.power(ctx, id, p); err != nil {
		return fmt.Errorf("%s machine %s: %w", p, id, err)
	}
	d.o.Log.Info("machine's power changed", "machine", id, "power", p, "after", d.o.Now().Sub(begun))
	return nil
}

func (d *Driver) power(ctx context.Context, id string, p compute.Power) error {
	m, err := d.find(ctx, id)
	if err != nil {
		return err
	}
	switch p {
	case compute.Start:
		return d.start(ctx, m)
	case compute.Shutdown:
		return d.shutdown(ctx, m)
	case compute.PowerOff:
		return d.off(ctx, m)
	case compute.Restart:
		return d.restart(ctx, m)
	case compute.Hibernate:
		return d.hibernate(ctx, m)
	}
	return fmt.Errorf("there is no such verb")
}

// note writes what there is to know of a machine's running into its metadata: of its
// definition, and of what runs.
func note(l *golibvirt.Libvirt, dom golibvirt.Domain, note life, impact golibvirt.DomainModificationImpact) error {
	b, err := xml.Marshal(note)
	if err != nil {
		return err
	}
	err = l.DomainSetMetadata(dom, int32(golibvirt.DomainMetadataElement), golibvirt.OptString{string(b)}, golibvirt.OptString{"deskyardlife"}, golibvirt.OptString{lifeNamespace}, impact)
	if err != nil {
		return fmt.Errorf("note it in the domain's metadata: %w", err)
	}
	return nil
}

func (d *Driver) start(ctx context.Context, m machine) error {
	switch golibvirt.DomainState(m.state) {
	case golibvirt.DomainRunning, golibvirt.DomainBlocked:
		return nil
	case golibvirt.DomainPaused:
		return d.do(ctx, slow, func(l *golibvirt.Libvirt) error { return unlessRunning(l, m, l.DomainResume(m.Domain)) })
	case golibvirt.DomainPmsuspended:
		return d.do(ctx, quick, func(l *golibvirt.Libvirt) error { return l.DomainPmWakeup(m.Domain, 0) })
	case golibvirt.DomainCrashed, golibvirt.DomainShutdown:
		if err := d.destroy(ctx, m); err != nil {
			return err
		}
	}
	if err := d.attach(ctx, m); err != nil {
		return err
	}
	begun := life{Started: d.o.Now().UTC().Format(time.RFC3339Nano)}
	return d.do(ctx, lengthy, func(l *golibvirt.Libvirt) error {
		if err := note(l, m.Domain, begun, golibvirt.DomainAffectConfig); err != nil {
			return err
		}
		asleep, err := l.DomainHasManagedSaveImage(m.Domain, 0)
		if err != nil {
			return err
		}
		if _, err := l.DomainCreateWithFlags(m.Domain, 0); err != nil {
			return unlessRunning(l, m, err)
		}
		if asleep == 0 {
			return nil
		}
		// What was saved carries the note of its former start.
		return note(l, m.Domain, begun, golibvirt.DomainAffectLive)
	})
}

// unlessRunning forgives what libvirt says of a machine that runs by now: a start
// that was cut off goes on in libvirtd.
func unlessRunning(l *golibvirt.Libvirt, m machine, err error) error {
	if !is(err, golibvirt.ErrOperationInvalid) {
		return err
	}
	now, _, lookErr := l.DomainGetState(m.Domain, 0)
	if lookErr == nil && golibvirt.DomainState(now) == golibvirt.DomainRunning {
		return nil
	}
	return errors.Join(err, lookErr)
}

// attach looks whether the interfaces' devices are there: they do not outlive the
// host's boot, and package compute/network makes them when the service starts.
func (d *Driver) attach(ctx context.Context, m machine) error {
	if d.o.Bridges == nil || m.Metadata.Machine.Network != compute.NetworkBridge {
		return nil
	}
	known, err := d.o.Bridges.Items(ctx)
	if err != nil {
		return err
	}
	for i := range m.Metadata.Machine.NICs {
		device, there := d.o.Bridges.Device(m.Metadata.Machine.ID, i), false
		for _, k := range known {
			there = there || k.Where == device
		}
		if !there {
			return fmt.Errorf("its interface's device %s is gone: restart the service, which makes it", device)
		}
	}
	return nil
}

// destroy pulls the plug.
func (d *Driver) destroy(ctx context.Context, m machine) error {
	return d.do(ctx, slow, func(l *golibvirt.Libvirt) error {
		err := l.DomainDestroyFlags(m.Domain, 0)
		if is(err, golibvirt.ErrOperationInvalid) {
			return nil // it ended just now
		}
		return err
	})
}

// off pulls the plug, forgets what hibernates, and answers a crash.
func (d *Driver) off(ctx context.Context, m machine) error {
	if m.active() {
		if err := d.destroy(ctx, m); err != nil {
			return err
		}
	}
	return d.do(ctx, slow, func(l *golibvirt.Libvirt) error {
		asleep, err := l.DomainHasManagedSaveImage(m.Domain, 0)
		if err == nil && asleep != 0 {
			err = l.DomainManagedSaveRemove(m.Domain, 0)
		}
		if err != nil {
			return fmt.Errorf("forget its memory: %w", err)
		}
		return note(l, m.Domain, life{Settled: true}, golibvirt.DomainAffectConfig)
	})
}

// shutdown presses the power button, and pulls the plug when the guest does not
// follow.
func (d *Driver) shutdown(ctx context.Context, m machine) error {
	if state := golibvirt.DomainState(m.state); state != golibvirt.DomainRunning && state != golibvirt.DomainBlocked {
		return d.off(ctx, m)
	}
	press := func() error {
		return d.do(ctx, quick, func(l *golibvirt.Libvirt) error {
			err := l.DomainShutdownFlags(m.Domain, golibvirt.DomainShutdownAcpiPowerBtn)
			if is(err, golibvirt.ErrOperationInvalid) {
				return nil
			}
			return err
		})
	}
	id := m.Metadata.Machine.ID
	followed, err := d.settled(ctx, id, d.o.Grace, press, func() (bool, error) {
		now, err := d.find(ctx, id)
		return err == nil && !now.active(), err
	})
	if err != nil {
		return err
	}
	if !followed {
		d.o.Log.Warn("guest does not shut down; the plug is pulled", "machine", id, "grace", d.o.Grace)
		return d.off(ctx, m)
	}
	return nil
}

func (d *Driver) restart(ctx context.Context, m machine) error {
	switch golibvirt.DomainState(m.state) {
	case golibvirt.DomainShutoff, golibvirt.DomainShutdown:
		return compute.ErrNotRunning
	case golibvirt.DomainCrashed:
		return d.start(ctx, m)
	}
	return d.do(ctx, quick, func(l *golibvirt.Libvirt) error {
		if err := l.DomainReset(m.Domain, 0); err != nil {
			return err
		}
		if golibvirt.DomainState(m.state) != golibvirt.DomainPaused {
			return nil
		}
		return l.DomainResume(m.Domain)
	})
}

// hibernate has libvirt save the memory to a file of its own and end QEMU.
func (d *Driver) hibernate(ctx context.Context, m machine) error {
	switch golibvirt.DomainState(m.state) {
	case golibvirt.DomainRunning, golibvirt.DomainBlocked, golibvirt.DomainPaused:
	default:
		asleep, err := ask(ctx, d, quick, func(l *golibvirt.Libvirt) (int32, error) { return l.DomainHasManagedSaveImage(m.Domain, 0) })
		if err == nil && asleep == 0 {
			err = compute.ErrNotRunning
		}
		return err
	}
	err := d.do(ctx, lengthy, func(l *golibvirt.Libvirt) error {
		return l.DomainManagedSave(m.Domain, uint32(golibvirt.DomainSaveRunning))
	})
	if errors.Is(err, compute.ErrUnsupported) {
		return fmt.Errorf("save its memory: %w", err)
	}
	return err
}
