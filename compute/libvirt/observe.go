package libvirt

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/netip"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/deskyard/deskyard/compute"
)

// Observe looks at a machine.
func (d *Driver) Observe(ctx context.Context, id string) (o compute.Observation, err error) {
	err = d.do(ctx, quick, func(l *golibvirt.Libvirt) error {
		m, err := find(l, id)
		if err != nil {
			return err
		}
		o = compute.Observation{ID: id, Name: m.Metadata.Machine.Name, CPUs: m.CPUs, MemoryMB: m.memoryMB()}
		if err := d.look(l, m, &o); err != nil {
			return err
		}
		return d.lookAtParts(l, m, &o)
	})
	if err != nil {
		return compute.Observation{}, fmt.Errorf("observe machine %s: %w", id, err)
	}
	return o, nil
}

// look fills in the state and what belongs to it.
func (d *Driver) look(l *golibvirt.Libvirt, m machine, o *compute.Observation) (err error) {
	switch golibvirt.DomainState(m.state) {
	case golibvirt.DomainShutoff:
		return lookAtRest(l, m, o)
	case golibvirt.DomainCrashed:
		o.State, o.Reason = compute.Crashed, "the guest's system panicked"
		return nil
	case golibvirt.DomainPaused:
		if o.State = compute.Paused; golibvirt.DomainPausedReason(m.reason) == golibvirt.DomainPausedStartingUp {
			o.State = compute.Running
		} else if o.Reason, err = d.whyPaused(l, m); err != nil {
			return err
		}
	case golibvirt.DomainPmsuspended:
		o.State, o.Reason = compute.Paused, "the guest went to sleep"
	default:
		o.State = compute.Running
	}
	if started := m.Metadata.Life.Started; started != "" {
		if o.Since, err = time.Parse(time.RFC3339Nano, started); err != nil {
			return fmt.Errorf("read when it was started: %w", err)
		}
	}
	_, _, kib, _, _, err := l.DomainGetInfo(m.Domain)
	if err != nil {
		return err
	}
	o.MemoryMB = int(kib >> 10)
	return nil
}

func lookAtRest(l *golibvirt.Libvirt, m machine, o *compute.Observation) error {
	asleep, err := l.DomainHasManagedSaveImage(m.Domain, 0)
	if err != nil {
		return err
	}
	crashed := golibvirt.DomainShutoffReason(m.reason) == golibvirt.DomainShutoffCrashed && !m.Metadata.Life.Settled
	switch {
	case asleep != 0:
		o.State = compute.Hibernated
	case crashed:
		o.State, o.Reason = compute.Crashed, "its QEMU process ended without anybody's asking"
	default:
		o.State = compute.Off
	}
	return nil
}

// almostNothing is free where a write just failed for want of room.
const almostNothing = 64 << 20

// whyPaused says it in a sentence. libvirt knows that a disk failed, not why.
func (d *Driver) whyPaused(l *golibvirt.Libvirt, m machine) (string, error) {
	switch golibvirt.DomainPausedReason(m.reason) {
	case golibvirt.DomainPausedIoerror:
		p, err := d.pool(l)
		if err != nil {
			return "", err
		}
		if err := d.refresh(l, p); err != nil {
			return "", err
		}
		_, _, _, free, err := l.StoragePoolGetInfo(p)
		if err != nil {
			return "", err
		}
		if free < almostNothing {
			return fmt.Sprintf("its disk could not be written: storage pool %s is full", d.o.Pool), nil
		}
		return fmt.Sprintf("its disk answered an error; %d MiB are free in storage pool %s", free>>20, d.o.Pool), nil
	case golibvirt.DomainPausedUser:
		return "somebody stopped it", nil
	case golibvirt.DomainPausedSave, golibvirt.DomainPausedDump, golibvirt.DomainPausedMigration, golibvirt.DomainPausedSnapshot:
		return "its memory is being saved", nil
	case golibvirt.DomainPausedCrashed:
		return "the guest's system panicked", nil
	}
	return fmt.Sprintf("libvirt paused it (reason %d)", m.reason), nil
}

// lookAtParts fills in disk and interfaces.
func (d *Driver) lookAtParts(l *golibvirt.Libvirt, m machine, o *compute.Observation) error {
	p, err := d.pool(l)
	if err != nil {
		return err
	}
	v, found, err := volume(l, p, m.diskName())
	if err != nil {
		return err
	}
	if found {
		_, capacity, _, err := l.StorageVolGetInfo(v)
		if err != nil {
			return err
		}
		o.DiskGB = int((capacity + 1<<30 - 1) >> 30)
	}
	for i, n := range m.Metadata.Machine.NICs {
		one := compute.NICObservation{MAC: n.MAC}
		if n.Address != "" {
			if one.Address, err = netip.ParseAddr(n.Address); err != nil {
				return fmt.Errorf("read its interface's address: %w", err)
			}
		}
		if i < len(m.Devices.Interfaces) {
			one.Device = m.Devices.Interfaces[i].Target.Device
		}
		o.NICs = append(o.NICs, one)
	}
	return nil
}

// Filter sets the security rules of a machine's network interface from now on.
func (d *Driver) Filter(ctx context.Context, id string, nic int, rules []compute.Rule) error {
	unlock, err := d.locks.lock(ctx, id)
	if err != nil {
		return fmt.Errorf("filter machine %s: %w", id, err)
	}
	defer unlock()
	m, err := d.find(ctx, id)
	if err != nil {
		return fmt.Errorf("filter machine %s: %w", id, err)
	}
	n, err := m.nic(nic)
	switch {
	case err != nil:
	case m.Metadata.Machine.Network == compute.NetworkUser:
		err = refuseDenials(rules)
	case d.o.Bridges != nil:
		err = d.o.Bridges.Filter(ctx, id, nic, rules)
	default:
		n.Rules = rules
		err = d.defineFilter(ctx, filterName(m.Metadata.Machine.Owner, id, nic), n)
	}
	if err != nil {
		return fmt.Errorf("filter machine %s: %w", id, err)
	}
	return nil
}

// Balloon asks a machine with dynamic memory to hold to so many MiB.
func (d *Driver) Balloon(ctx context.Context, id string, mib int) error {
	err := d.do(ctx, quick, func(l *golibvirt.Libvirt) error {
		m, err := find(l, id)
		if err != nil {
			return err
		}
		least, most := m.Metadata.Machine.MinMem, m.memoryMB()
		switch {
		case least == 0:
			return fmt.Errorf("its memory is static: %w", compute.ErrUnsupported)
		case !m.active():
			return compute.ErrNotRunning
		case mib < least || mib > most:
			return fmt.Errorf("%d MiB are not between its %d and %d", mib, least, most)
		}
		return l.DomainSetMemoryFlags(m.Domain, uint64(mib)<<10, uint32(golibvirt.DomainMemLive))
	})
	if err != nil {
		return fmt.Errorf("set the memory of machine %s: %w", id, err)
	}
	return nil
}

// consoleMost is what Console returns at most.
const consoleMost = 1 << 20

// Console is what the machine has written to its serial port, at most the last MiB.
// libvirt starts a new file every 2 MiB; text before that is not returned.
func (d *Driver) Console(ctx context.Context, id string) ([]byte, error) {
	var text bytes.Buffer
	err := d.do(ctx, slow, func(l *golibvirt.Libvirt) error {
		m, err := find(l, id)
		if err != nil {
			return err
		}
		p, err := d.pool(l)
		if err != nil {
			return err
		}
		v, found, err := volume(l, p, machinePrefix(m.Metadata.Machine.Owner, id)+"console.log")
		if err != nil || !found {
			return err
		}
		_, size, _, err := l.StorageVolGetInfo(v)
		if err != nil || size == 0 {
			return err
		}
		offset := size - min(size, consoleMost)
		return l.StorageVolDownload(v, &bounded{&text, consoleMost}, offset, size-offset, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("read the console of machine %s: %w", id, err)
	}
	return text.Bytes(), nil
}

// bounded takes so many bytes and no more.
type bounded struct {
	w    io.Writer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return 0, errors.New("libvirt sends more than was asked for")
	}
	b.left -= len(p)
	return b.w.Write(p)
}

// pictureMost is 4096 x 4096 pixels and a little.
const pictureMost = 64 << 20

// Screenshot is the machine's screen as a PNG.
func (d *Driver) Screenshot(ctx context.Context, id string) ([]byte, error) {
	var picture bytes.Buffer
	err := d.do(ctx, quick, func(l *golibvirt.Libvirt) error {
		m, err := find(l, id)
		if err != nil {
			return err
		}
		if !m.active() {
			return compute.ErrNotRunning
		}
		_, err = l.DomainScreenshot(m.Domain, &bounded{&picture, pictureMost}, 0, 0)
		var said golibvirt.Error
		if err != nil && !errors.As(err, &said) && !errors.Is(err, golibvirt.ErrInterrupted) && picture.Len() > 0 {
			return nil // the picture came whole; go-libvirt looks for the answer after the stream, where there is none
		}
		return err
	})
	if err == nil {
		var b []byte
		if b, err = toPNG(picture.Bytes()); err == nil {
			return b, nil
		}
	}
	return nil, fmt.Errorf("take a picture of machine %s: %w", id, err)
}

var pngMagic = []byte("\x89PNG\r\n\x1a\n")

// toPNG takes what QEMU paints: a PNG, or before QEMU 7.1 a binary PPM.
func toPNG(b []byte) ([]byte, error) {
	if bytes.HasPrefix(b, pngMagic) {
		if _, err := png.DecodeConfig(bytes.NewReader(b)); err != nil {
			return nil, fmt.Errorf("read the picture: %w", err)
		}
		return b, nil
	}
	picture, err := parsePPM(b)
	if err != nil {
		return nil, fmt.Errorf("read the picture: %w", err)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		return nil, fmt.Errorf("write the picture: %w", err)
	}
	return out.Bytes(), nil
}

// parsePPM reads a binary PPM with 8 bits a colour.
func parsePPM(b []byte) (image.Image, error) {
	r := bufio.NewReader(bytes.NewReader(b))
	var width, height, most int
	if _, err := fmt.Fscanf(r, "P6\n%d %d\n%d\n", &width, &height, &most); err != nil {
		return nil, fmt.Errorf("it is neither PNG nor PPM: %w", err)
	}
	if width < 1 || height < 1 || most != 255 || width > pictureMost/3 || height > pictureMost/3/width {
		return nil, fmt.Errorf("it has %d by %d pixels of up to %d", width, height, most)
	}
	if len(b) < 3*width*height {
		return nil, errors.New("it ends too early")
	}
	row := make([]byte, 3*width)
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		if _, err := io.ReadFull(r, row); err != nil {
			return nil, fmt.Errorf("it ends too early: %w", err)
		}
		for x := range width {
			picture.SetRGBA(x, y, color.RGBA{row[3*x], row[3*x+1], row[3*x+2], 255})
		}
	}
	return picture, nil
}
