package image

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/durable"
)

// Progress is told how far a step is; total is 0 while nobody knows.
type Progress func(step string, done, total int64)

func (p Progress) tell(step string, done, total int64) {
	if p != nil {
		p(step, done, total)
	}
}

// Import is an image to be taken in.
type Import struct {
	// Manifest names and describes the image; its Format, VirtualBytes, Disk, Kernel,
	// Initrd and Created are filled in.
	Manifest Manifest
	Disk     string // file: qcow2, raw, vhdx or vpc (vhd)
	Format   string // of Disk; "": found out from its content
	Kernel   string // file; "": the disk boots by itself
	Initrd   string // file; "": none
	Progress Progress
}

// ErrExists says that the catalogue has an image of that name: versions never change.
var ErrExists = errors.New("the catalogue has that image")

// ErrBusy says that another process changes the catalogue.
var ErrBusy = errors.New("another process is changing the image catalogue; try again when it has ended")

// Import takes an image in: whole and on disk when it returns nil, else nothing of it
// stays. The disk becomes a new qcow2 of its content alone, so that no snapshot and no
// oddity of the file comes along.
func (c *Catalogue) Import(ctx context.Context, in Import) (Entry, error) {
	m := in.Manifest
	if err := errors.Join(m.checkName(), m.checkKind()); err != nil {
		return Entry{}, fmt.Errorf("import image: %w", err)
	}
	fail := func(err error) (Entry, error) { return Entry{}, fmt.Errorf("import image %s: %w", m.URN(), err) }
	unlock, err := c.lock()
	if err != nil {
		return fail(err)
	}
	defer unlock()
	folder := filepath.Join(c.dir, m.folder())
	if exists(folder) {
		return fail(ErrExists)
	}
	if err := c.sweep(); err != nil {
		return fail(err)
	}
	stage, err := os.MkdirTemp(c.dir, stagePrefix)
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(stage) // gone after the rename; after a failure it must not stay
	if err := c.fill(ctx, stage, &m, in); err != nil {
		return fail(err)
	}
	// Anybody may read images, nobody writes them: not even the service.
	err = errors.Join(os.Chmod(stage, 0o755), durable.SyncFolder(stage))
	if err == nil {
		err = os.Rename(stage, folder)
	}
	if err == nil {
		err = durable.SyncFolder(c.dir)
	}
	if err != nil {
		return fail(err)
	}
	c.log.Info("image imported", "image", m.URN(), "folder", folder, "bytes", m.Disk.Bytes)
	return Entry{m, folder}, nil
}

// fill makes the files of an image in its staging folder.
func (c *Catalogue) fill(ctx context.Context, stage string, m *Manifest, in Import) error {
	source, err := regular(in.Disk)
	if err != nil {
		return err
	}
	in.Progress.tell("inspect", 0, 0)
	info, err := inspect(ctx, source, in.Format)
	if err != nil {
		return err
	}
	m.Format, m.VirtualBytes, m.Created = "qcow2", info.virtualBytes, c.Now().UTC().Truncate(time.Second)
	disk := filepath.Join(stage, "disk.qcow2")
	if err := convert(ctx, source, info.format, disk, in.Progress); err != nil {
		return err
	}
	if m.Disk, err = seal(ctx, disk, "checksum", in.Progress); err != nil {
		return err
	}
	for _, f := range []struct {
		name, from string
		to         **File
	}{{"kernel", in.Kernel, &m.Kernel}, {"initrd", in.Initrd, &m.Initrd}} {
		if *f.to = nil; f.from == "" {
			continue
		}
		if err := copyFile(f.from, filepath.Join(stage, f.name)); err != nil {
			return err
		}
		sum, err := seal(ctx, filepath.Join(stage, f.name), "checksum", nil)
		if err != nil {
			return err
		}
		*f.to = &sum
	}
	if err := m.check(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return durable.Replace(filepath.Join(stage, manifestName), append(text, '\n'), 0o444)
}

// regular returns the absolute path of a plain file: a device or a pipe would be read
// without an end, and QEMU takes other names for protocols.
func regular(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a plain file", path)
	}
	return path, nil
}

// convertFor bounds a conversion: 4 TiB at 300 MB a second.
const convertFor = 4 * time.Hour

// convert writes the content of a disk file into a new qcow2. Its format and that it
// has no backing file are said to QEMU rather than found out again, so that a file
// which is changed after its inspection gains nothing.
func convert(ctx context.Context, source, format, target string, progress Progress) error {
	from := map[string]any{"driver": format, "read-only": true, "file": map[string]any{"driver": "file", "filename": source}}
	if format == "qcow2" {
		from["backing"] = nil
	}
	spec, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("convert %s: %w", source, err)
	}
	ctx, cancel := context.WithTimeout(ctx, convertFor)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-img", "convert", "-p", "-O", "qcow2", "-o", "compat=1.1,lazy_refcounts=off", "json:"+string(spec), target)
	cmd.WaitDelay = 5 * time.Second
	problems := bounded{limit: 4 << 10}
	cmd.Stderr = &problems
	cmd.Stdout = &percentages{progress: progress}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("convert %s: %w", source, toolError(ctx, err, problems.String()))
	}
	return nil
}

// percentages reads qemu-img's "    (12.34/100%)\r".
type percentages struct {
	progress Progress
	line     []byte
}

func (p *percentages) Write(b []byte) (int, error) {
	for _, c := range b {
		if c != '\r' && c != '\n' {
			if p.line = append(p.line, c); len(p.line) > 80 {
				p.line = p.line[:0]
			}
			continue
		}
		number, _, ok := strings.Cut(strings.TrimLeft(string(p.line), " ("), "/100%")
		p.line = p.line[:0]
		if percent, err := strconv.ParseFloat(number, 64); ok && err == nil && percent >= 0 && percent <= 100 {
			p.progress.tell("convert", int64(percent*100), 100*100)
		}
	}
	return len(b), nil
}

// seal makes a file final: readable by all, on disk, and summed.
func seal(ctx context.Context, path, step string, progress Progress) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	if err := errors.Join(f.Chmod(0o444), f.Sync()); err != nil {
		return File{}, fmt.Errorf("flush %s: %w", path, err)
	}
	return sum(ctx, f, step, progress)
}

// sum hashes an open file.
func sum(ctx context.Context, f *os.File, step string, progress Progress) (File, error) {
	st, err := f.Stat()
	if err != nil {
		return File{}, err
	}
	hash, buffer, done := sha256.New(), make([]byte, 1<<20), int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return File{}, err
		}
		n, err := f.Read(buffer)
		hash.Write(buffer[:n])
		done += int64(n)
		progress.tell(step, done, max(st.Size(), done))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return File{}, err
		}
	}
	return File{Name: filepath.Base(f.Name()), SHA256: hex.EncodeToString(hash.Sum(nil)), Bytes: done}, nil
}

// maxBootFile bounds a kernel and an initial RAM disk.
const maxBootFile = 1 << 30

func copyFile(from, to string) error {
	path, err := regular(from)
	if err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(bufio.NewReader(in), maxBootFile+1))
	if err = errors.Join(err, out.Close()); err == nil && n > maxBootFile {
		err = fmt.Errorf("%s is larger than %d MiB", from, maxBootFile>>20)
	}
	return err
}

// Remove deletes an image. inUse tells which machines use it, by the path of its disk;
// with any, nothing is removed. The version must be given.
func (c *Catalogue) Remove(name string, inUse func(disk string) ([]string, error)) error {
	fail := func(err error) error { return fmt.Errorf("remove image %s: %w", name, err) }
	ref, err := ParseURN(name)
	if err != nil {
		return fail(err)
	}
	if strings.Count(name, ":") != 3 || strings.EqualFold(ref.Version, "latest") {
		return fail(errors.New("the version must be given: what is the latest may change at any moment"))
	}
	unlock, err := c.lock()
	if err != nil {
		return fail(err)
	}
	defer unlock()
	s, err := c.read()
	if err != nil {
		return fail(err)
	}
	e, ok := s.find("", ref)
	if !ok {
		return fail(fmt.Errorf("%w%s", ErrNotFound, s.offer("")))
	}
	users, err := inUse(e.Image().Path)
	if err != nil {
		return fail(err)
	}
	if len(users) > 0 {
		slices.Sort(users)
		return fail(fmt.Errorf("%d machines run on it: %s", len(users), clip(strings.Join(users, ", "), 300)))
	}
	gone := filepath.Join(c.dir, gonePrefix+filepath.Base(e.Folder))
	if err := os.Rename(e.Folder, gone); err != nil {
		return fail(err)
	}
	if err := durable.SyncFolder(c.dir); err != nil {
		return fail(err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fail(err)
	}
	c.log.Info("image removed", "image", e.URN())
	return nil
}

// Verify reads an image's files and compares them with their checksums.
func (c *Catalogue) Verify(ctx context.Context, e Entry, progress Progress) error {
	for _, want := range e.Files() {
		path := filepath.Join(e.Folder, want.Name)
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("verify image %s: %w", e.URN(), err)
		}
		have, err := sum(ctx, f, want.Name, progress)
		f.Close()
		if err != nil {
			return fmt.Errorf("verify image %s: %w", e.URN(), err)
		}
		if have.SHA256 != want.SHA256 {
			return fmt.Errorf("verify image %s: %s has changed: its SHA-256 is %s, and was %s when it was imported. Remove the image and import it again", e.URN(), path, have.SHA256, want.SHA256)
		}
	}
	return nil
}

// lock keeps other writers out until unlock.
func (c *Catalogue) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(c.dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// sweep removes what imports and removals left that were killed. The lock is held: no
// other is under way.
func (c *Catalogue) sweep() error {
	all, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.IsDir() && (strings.HasPrefix(f.Name(), stagePrefix) || strings.HasPrefix(f.Name(), gonePrefix)) {
			if err := os.RemoveAll(filepath.Join(c.dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			c.log.Info("remains of an import removed", "folder", f.Name())
		}
	}
	return nil
}

// ClonedFrom reads which file a qcow2 is a clone of; "" when of none, or when it is no
// qcow2. It opens no other file.
func ClonedFrom(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 64<<10) // the name stands in the first cluster
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", err
	}
	return backingName(head[:n]), nil
}

// backingName reads the backing file's name from a qcow2's first bytes: magic,
// version, then the name's offset (8 bytes) and length (4 bytes), big-endian.
func backingName(head []byte) string {
	if len(head) < 20 || !bytes.Equal(head[:4], []byte("QFI\xfb")) {
		return ""
	}
	var offset, length uint64
	for _, b := range head[8:16] {
		offset = offset<<8 | uint64(b)
	}
	for _, b := range head[16:20] {
		length = length<<8 | uint64(b)
	}
	if offset == 0 || length == 0 || offset > uint64(len(head)) || length > uint64(len(head))-offset {
		return ""
	}
	return string(head[offset : offset+length])
}
