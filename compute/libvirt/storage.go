package libvirt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/media"
)

// The parts of libvirt's storage formats that we write.
type (
	poolXML struct {
		XMLName xml.Name `xml:"pool"`
		Type    string   `xml:"type,attr"`
		Name    string   `xml:"name"`
		Path    string   `xml:"target>path"`
		Mode    string   `xml:"target>permissions>mode"`
	}
	volumeXML struct {
		XMLName    xml.Name     `xml:"volume"`
		Name       string       `xml:"name"`
		Capacity   bytesXML     `xml:"capacity"`
		Allocation bytesXML     `xml:"allocation"`
		Format     formatXML    `xml:"target>format"`
		Mode       string       `xml:"target>permissions>mode"`
		Backing    *backingFile `xml:"backingStore"`
	}
	bytesXML struct {
		Unit  string `xml:"unit,attr"`
		Value int64  `xml:",chardata"`
	}
	formatXML struct {
		Type string `xml:"type,attr"`
	}
	backingFile struct {
		Path   string    `xml:"path"`
		Format formatXML `xml:"format"`
	}
)

// Modes of what is in the pool. Its folder can be crossed but not listed; images and
// kernels are no secret and are read by whatever user QEMU runs as.
const (
	folderMode = "0711"
	imageMode  = "0644"
	secretMode = "0600"
)

func newVolume(name, format, mode string, size int64) volumeXML {
	return volumeXML{Name: name, Capacity: bytesXML{"bytes", size}, Allocation: bytesXML{"bytes", 0}, Format: formatXML{format}, Mode: mode}
}

// pool finds the storage pool, or makes it, and sees that it is active.
func (d *Driver) pool(l *golibvirt.Libvirt) (golibvirt.StoragePool, error) {
	p, err := l.StoragePoolLookupByName(d.o.Pool)
	if is(err, golibvirt.ErrNoStoragePool) {
		if p, err = d.makePool(l); err != nil {
			if made, again := l.StoragePoolLookupByName(d.o.Pool); again == nil {
				p, err = made, nil // by another call at the same time
			}
		}
	}
	if err != nil {
		return p, fmt.Errorf("find storage pool %s: %w", d.o.Pool, err)
	}
	active, err := l.StoragePoolIsActive(p)
	if err != nil {
		return p, fmt.Errorf("look at storage pool %s: %w", d.o.Pool, err)
	}
	if active != 0 {
		return p, nil
	}
	err = l.StoragePoolCreate(p, golibvirt.StoragePoolCreateWithBuild)
	if err != nil && !is(err, golibvirt.ErrOperationInvalid) { // another call was faster
		return p, fmt.Errorf("start storage pool %s: %w", d.o.Pool, err)
	}
	return p, nil
}

func (d *Driver) makePool(l *golibvirt.Libvirt) (golibvirt.StoragePool, error) {
	text, err := xml.Marshal(poolXML{Type: "dir", Name: d.o.Pool, Path: d.o.Folder, Mode: folderMode})
	if err != nil {
		return golibvirt.StoragePool{}, err
	}
	p, err := l.StoragePoolDefineXML(string(text), 0)
	if err != nil {
		return p, fmt.Errorf("define it in %s: %w", d.o.Folder, err)
	}
	if err := l.StoragePoolSetAutostart(p, 1); err != nil {
		return p, fmt.Errorf("have it started with libvirtd: %w", err)
	}
	d.o.Log.Info("storage pool made", "pool", d.o.Pool, "folder", d.o.Folder)
	return p, nil
}

// space is what the pool has in all and free, in bytes.
type space struct{ total, free int64 }

func (d *Driver) space(ctx context.Context) (space, error) {
	return ask(ctx, d, quick, func(l *golibvirt.Libvirt) (space, error) {
		p, err := d.pool(l)
		if err != nil {
			return space{}, err
		}
		if err := d.refresh(l, p); err != nil {
			return space{}, err
		}
		_, total, _, free, err := l.StoragePoolGetInfo(p)
		return space{int64(total), int64(free)}, err
	})
}

// refresh has libvirt look into the pool's folder again; while a volume is being
// written it does not, and what it knows then is recent enough.
func (d *Driver) refresh(l *golibvirt.Libvirt, p golibvirt.StoragePool) error {
	err := l.StoragePoolRefresh(p, 0)
	var said golibvirt.Error
	if errors.As(err, &said) && strings.Contains(said.Message, "asynchronous jobs running") {
		return nil
	}
	return err
}

// volume finds a volume; found is false when there is none.
func volume(l *golibvirt.Libvirt, p golibvirt.StoragePool, name string) (v golibvirt.StorageVol, found bool, err error) {
	v, err = l.StorageVolLookupByName(p, name)
	if is(err, golibvirt.ErrNoStorageVol) {
		return v, false, nil
	}
	return v, err == nil, err
}

// makeVolume makes a volume, or finds it.
func makeVolume(l *golibvirt.Libvirt, p golibvirt.StoragePool, want volumeXML) (v golibvirt.StorageVol, made bool, err error) {
	v, found, err := volume(l, p, want.Name)
	if found || err != nil {
		return v, false, err
	}
	text, err := xml.Marshal(want)
	if err != nil {
		return v, false, err
	}
	v, err = l.StorageVolCreateXML(p, string(text), 0)
	if is(err, golibvirt.ErrStorageVolExist) {
		v, err = l.StorageVolLookupByName(p, want.Name)
		return v, false, err
	}
	if err != nil {
		return v, false, fmt.Errorf("make volume %s: %w", want.Name, err)
	}
	return v, true, nil
}

// fill makes a volume with content, whole or not at all.
func fill(l *golibvirt.Libvirt, p golibvirt.StoragePool, name, mode string, size int64, content io.Reader) (string, error) {
	v, made, err := makeVolume(l, p, newVolume(name, "raw", mode, size))
	if err != nil {
		return "", err
	}
	if made {
		if err := l.StorageVolUpload(v, content, 0, uint64(size), 0); err != nil {
			return "", fmt.Errorf("write volume %s: %w", name, errors.Join(err, ignoreMissing(l.StorageVolDelete(v, 0))))
		}
	}
	return l.StorageVolGetPath(v)
}

// deleteVolume deletes a volume. One that a call which was cut off is still making is
// deleted once libvirtd has ended that, which takes as long as qemu-img does.
func deleteVolume(ctx context.Context, l *golibvirt.Libvirt, v golibvirt.StorageVol) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ignoreMissing(l.StorageVolDelete(v, 0))
		if !is(err, golibvirt.ErrOperationInvalid) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func ignoreMissing(err error) error {
	if is(err, golibvirt.ErrNoStorageVol, golibvirt.ErrNoDomain, golibvirt.ErrNoNwfilter) {
		return nil
	}
	return err
}

// knownImage is what was found out about an image's file, good as long as the file
// has that size and time.
type knownImage struct {
	size    int64
	changed time.Time
	info    media.Info
	sum     string
}

// learn checks an image and its checksum, once per file.
func (d *Driver) learn(ctx context.Context, path string, look func() (media.Info, error)) (knownImage, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return knownImage{}, fmt.Errorf("look at image: %w", err)
	}
	d.mu.Lock()
	k, ok := d.images[path]
	d.mu.Unlock()
	if ok && k.size == stat.Size() && k.changed.Equal(stat.ModTime()) {
		return k, nil
	}
	k = knownImage{size: stat.Size(), changed: stat.ModTime()}
	if look != nil {
		if k.info, err = look(); err != nil {
			return knownImage{}, err
		}
	}
	if k.sum, err = checksum(ctx, path); err != nil {
		return knownImage{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.images[path] = k
	return k, nil
}

func checksum(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read image: %w", err)
	}
	hash := sha256.New()
	_, err = io.Copy(hash, &untilDone{ctx, f})
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("read image %s: %w", path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// untilDone reads until ctx ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(b []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(b)
}

// wholeSuffix names the empty volume that says that an image is in the pool whole: an
// upload that was cut off leaves the image without it.
const wholeSuffix = ".whole"

// upload brings an image's file into the pool, once for each content, and returns its
// path there.
func (d *Driver) upload(ctx context.Context, file string, k knownImage, extension string) (string, error) {
	name := d.prefix + "image-" + k.sum + extension
	unlock, err := d.locks.lock(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	return ask(ctx, d, lengthy, func(l *golibvirt.Libvirt) (string, error) {
		p, err := d.pool(l)
		if err != nil {
			return "", err
		}
		_, whole, err := volume(l, p, name+wholeSuffix)
		if err != nil {
			return "", err
		}
		old, there, err := volume(l, p, name)
		if err != nil {
			return "", err
		}
		if whole && there {
			return l.StorageVolGetPath(old)
		}
		if there {
			if err := deleteVolume(ctx, l, old); err != nil {
				return "", fmt.Errorf("delete the half of image %s: %w", name, err)
			}
		}
		return d.send(ctx, l, p, name, file, k)
	})
}

// send uploads a file and checks that what was read is what the name says.
func (d *Driver) send(ctx context.Context, l *golibvirt.Libvirt, p golibvirt.StoragePool, name, file string, k knownImage) (string, error) {
	start := d.o.Now()
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read image: %w", err)
	}
	hash := sha256.New()
	path, err := fill(l, p, name, imageMode, k.size, io.TeeReader(io.LimitReader(&untilDone{ctx, f}, k.size), hash))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("bring image %s to the host: %w", file, err)
	}
	if hex.EncodeToString(hash.Sum(nil)) != k.sum {
		return "", fmt.Errorf("bring image %s to the host: it changed meanwhile", file)
	}
	if _, _, err := makeVolume(l, p, newVolume(name+wholeSuffix, "raw", imageMode, 0)); err != nil {
		return "", fmt.Errorf("bring image %s to the host: %w", file, err)
	}
	d.o.Log.Info("image brought to the host", "image", file, "volume", name, "bytes", k.size, "after", d.o.Now().Sub(start))
	return path, nil
}

// machinePrefix begins the names of a machine's volumes.
func machinePrefix(owner, id string) string { return ownerPrefix(owner) + id + "-" }

// parts makes a machine's volumes, those that are missing.
func (d *Driver) parts(ctx context.Context, s compute.Spec) (p paths, err error) {
	known, err := d.learn(ctx, s.Image.Path, func() (media.Info, error) { return media.Check(ctx, s.Image) })
	if err != nil {
		return p, err
	}
	if err := d.room(ctx, s, known.info.VirtualBytes); err != nil {
		return p, err
	}
	format := known.info.Format
	base, err := d.upload(ctx, s.Image.Path, known, "."+format)
	if err != nil {
		return p, err
	}
	for path, into := range map[string]*string{s.Image.Kernel: &p.kernel, s.Image.Initrd: &p.initrd} {
		if path == "" {
			continue
		}
		k, err := d.learn(ctx, path, nil)
		if err != nil {
			return p, err
		}
		if *into, err = d.upload(ctx, path, k, ".boot"); err != nil {
			return p, err
		}
	}
	seed, err := seedDisk(s.Seed)
	if err != nil {
		return p, err
	}
	prefix := machinePrefix(s.Owner, s.ID)
	err = d.do(ctx, slow, func(l *golibvirt.Libvirt) error {
		pool, err := d.pool(l)
		if err != nil {
			return err
		}
		clone := newVolume(prefix+"disk.qcow2", "qcow2", secretMode, max(int64(s.Disk.SizeGB)<<30, known.info.VirtualBytes))
		clone.Backing = &backingFile{base, formatXML{format}}
		v, _, err := makeVolume(l, pool, clone)
		if err != nil {
			return err
		}
		if p.disk, err = l.StorageVolGetPath(v); err != nil {
			return err
		}
		if p.console, err = fill(l, pool, prefix+"console.log", secretMode, 0, bytes.NewReader(nil)); err != nil {
			return err
		}
		return p.secrets(l, pool, prefix, seed, s.Seed.Credentials)
	})
	return p, err
}

// secrets writes what only the machine may read.
func (p *paths) secrets(l *golibvirt.Libvirt, pool golibvirt.StoragePool, prefix string, seed []byte, credentials map[string][]byte) (err error) {
	if seed != nil {
		if p.seed, err = fill(l, pool, prefix+"seed.iso", secretMode, int64(len(seed)), bytes.NewReader(seed)); err != nil {
			return err
		}
	}
	p.credentials = map[string]string{}
	for name, content := range credentials {
		if p.credentials[name], err = fill(l, pool, prefix+"credential-"+name, secretMode, int64(len(content)), bytes.NewReader(content)); err != nil {
			return err
		}
	}
	return nil
}

// seedDisk makes the seed in a folder that nobody else can read; nil for none.
func seedDisk(s compute.Seed) (disk []byte, err error) {
	if len(s.NoCloud) == 0 {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "deskyard-seed")
	if err != nil {
		return nil, fmt.Errorf("make the seed disk: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "seed.iso")
	if err := media.WriteSeed(path, s.NoCloud); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// room refuses what does not fit into the pool.
func (d *Driver) room(ctx context.Context, s compute.Spec, image int64) error {
	room, err := d.space(ctx)
	if err != nil {
		return err
	}
	least, asked := max(image, s.Image.VirtualBytes), int64(s.Disk.SizeGB)<<30
	switch size := max(asked, image); {
	case asked != 0 && asked < least:
		return fmt.Errorf("a disk of %d GiB is smaller than its image of %.1f GiB", s.Disk.SizeGB, float64(least)/(1<<30))
	case size > room.total:
		return fmt.Errorf("a disk of %d GiB on storage of %d GiB: %w", size>>30, room.total>>30, compute.ErrNoSpace)
	case room.free < int64(d.o.ReserveGB)<<30:
		return fmt.Errorf("%d MiB are free in pool %s, and %d GiB are kept: %w", room.free>>20, d.o.Pool, d.o.ReserveGB, compute.ErrNoSpace)
	}
	return nil
}
