package libvirt

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/deskyard/deskyard/compute/media"
)

// probeFor bounds the probe: it takes 0.1 s where it runs, and for ever where KVM
// opens but runs nothing.
const probeFor = 3 * time.Second

// accelerator is how guests run on a host, and why not faster.
type accelerator struct {
	name   string // kvm | tcg
	reason string
}

// accelerated probes once; a probe that was cut off is made again.
func (d *Driver) accelerated(ctx context.Context) (accelerator, error) {
	unlock, err := d.locks.lock(ctx, "accelerator")
	if err != nil {
		return accelerator{}, err
	}
	defer unlock()
	d.mu.Lock()
	known := d.accel
	d.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	a, err := d.probe(ctx)
	if err != nil {
		return accelerator{}, fmt.Errorf("probe KVM: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accel = &a
	d.o.Log.Info("accelerator probed", "accelerator", a.name, "reason", a.reason)
	return a, nil
}

// probe finds out whether KVM really runs a guest there: a domain that lives as long
// as the connection, whose firmware ends QEMU once it is through.
func (d *Driver) probe(ctx context.Context) (accelerator, error) {
	return ask(ctx, d, slow, func(l *golibvirt.Libvirt) (a accelerator, err error) {
		p, err := d.pool(l)
		if err != nil {
			return a, err
		}
		id := uuid.NewString()
		rom := media.ProbeROM()
		name := d.prefix + "probe-" + id[:8]
		path, err := fill(l, p, name, imageMode, int64(len(rom)), bytes.NewReader(rom))
		if err != nil {
			return a, err
		}
		a, err = runProbe(ctx, l, id, path, "kvm")
		v, found, lookErr := volume(l, p, name)
		if found {
			lookErr = ignoreMissing(l.StorageVolDelete(v, 0))
		}
		return a, errors.Join(err, lookErr)
	})
}

// probeDomain is the probe's machine.
func probeDomain(id, rom, kind string) (string, error) {
	type none struct {
		Type  string `xml:"type,attr,omitempty"`
		Model string `xml:"model,attr"`
	}
	b, err := xml.Marshal(struct {
		XMLName xml.Name    `xml:"domain"`
		Type    string      `xml:"type,attr"`
		Name    string      `xml:"name"`
		UUID    string      `xml:"uuid"`
		Memory  quantity    `xml:"memory"`
		OS      osBoot      `xml:"os"`
		OnCrash string      `xml:"on_crash"`
		USB     none        `xml:"devices>controller"`
		Balloon none        `xml:"devices>memballoon"`
		Command commandLine `xml:"http://libvirt.org/schemas/domain/qemu/1.0 commandline"`
	}{
		Type: kind, Name: "deskyard_probe_" + id[:8], UUID: id, Memory: quantity{"MiB", 16},
		OS: osBoot{Type: osType{"x86_64", "pc", "hvm"}, Loader: &loader{ReadOnly: "yes", Type: "rom", Path: rom}}, OnCrash: "destroy",
		USB: none{"usb", "none"}, Balloon: none{"", "none"},
		Command: commandLine{[]argument{{"-device"}, {"isa-debug-exit,iobase=0xf4,iosize=4"}}},
	})
	return string(b), err
}

// runProbe starts the probe's machine and waits for its end.
func runProbe(ctx context.Context, l *golibvirt.Libvirt, id, rom, kind string) (accelerator, error) {
	text, err := probeDomain(id, rom, kind)
	if err != nil {
		return accelerator{}, err
	}
	dom, err := l.DomainCreateXML(text, golibvirt.DomainStartPaused|golibvirt.DomainStartAutodestroy)
	var said golibvirt.Error
	if errors.As(err, &said) {
		return accelerator{"tcg", "emulation: KVM starts no guest (" + said.Message + ")"}, nil
	}
	if err != nil {
		return accelerator{}, err
	}
	if err := l.DomainResume(dom); err != nil && !is(err, golibvirt.ErrNoDomain, golibvirt.ErrOperationInvalid, golibvirt.ErrOperationFailed, golibvirt.ErrInternalError) {
		return accelerator{}, err // those come when QEMU ended at once
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(probeFor)
	defer over.Stop()
	for {
		state, _, err := l.DomainGetState(dom, 0)
		if is(err, golibvirt.ErrNoDomain) {
			return accelerator{name: "kvm"}, nil
		}
		if err != nil {
			return accelerator{}, err
		}
		paused := golibvirt.DomainState(state) == golibvirt.DomainPaused
		select {
		case <-ctx.Done():
			return accelerator{}, context.Cause(ctx)
		case <-over.C:
			why := "a guest of 200 bytes was not through after " + probeFor.String()
			if paused {
				why = "KVM stopped a guest of 200 bytes"
			}
			return accelerator{"tcg", "emulation: KVM opens but runs no guest (" + why + ")"}, ignoreMissing(l.DomainDestroyFlags(dom, 0))
		case <-tick.C:
		}
	}
}
