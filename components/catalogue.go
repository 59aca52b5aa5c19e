package components

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard/bootloader"
)

// cacheFor is how stale a node's view of the catalogue may be.
const cacheFor = 5 * time.Second

// Options make a Catalogue. Store, Dir and Key are required.
type Options struct {
	Store Store
	Dir   string             // folder of the published files, {data}/components
	Key   ed25519.PrivateKey // signs manifests
	Log   *slog.Logger       // nil: slog.Default()
	Now   func() time.Time   // nil: time.Now
}

// Catalogue publishes packages and serves them. Its methods may be called from any
// goroutine.
type Catalogue struct {
	o Options

	mu     sync.Mutex // guards cached, readAt
	cached []Package
	readAt time.Time
}

// Open makes a Catalogue and its folder.
func Open(o Options) (*Catalogue, error) {
	if o.Store == nil || o.Dir == "" || len(o.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("open catalogue of components: Store, Dir and Key are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, "blobs"), 0o755); err != nil {
		return nil, fmt.Errorf("open catalogue of components: %w", err)
	}
	return &Catalogue{o: o}, nil
}

// PublicKey is what hosts verify manifests with.
func (c *Catalogue) PublicKey() ed25519.PublicKey { return c.o.Key.Public().(ed25519.PublicKey) }

// Publish takes a package file into a ring: a component archive, or an installer
// whose name says what it is. The same file again changes nothing but that a file
// once in validation may enter production; another file for the same version is
// refused, since hosts that have the version would never get it.
func (c *Catalogue) Publish(ctx context.Context, file string, ring Ring) (Package, error) {
	if ring != Validation && ring != Production {
		return Package{}, fmt.Errorf("publish %s: ring %q is neither %s nor %s", file, ring, Validation, Production)
	}
	p, err := c.take(file)
	if err != nil {
		return p, fmt.Errorf("publish %s: %w", file, err)
	}
	p.Ring, p.Published = ring, c.o.Now()
	err = c.change(ctx, func(x *index) error {
		i := slices.IndexFunc(x.Packages, p.same)
		switch {
		case i < 0:
			x.Packages = append(x.Packages, p)
			return nil
		case x.Packages[i].Blob != p.Blob:
			return fmt.Errorf("publish %s: %s %s for %s/%s is published already with other content; give the new one a version of its own",
				file, p.Component, p.Version, p.OS, p.Arch)
		}
		if old := &x.Packages[i]; ring == Production && old.Ring != Production {
			old.Ring, old.Promoted = Production, c.o.Now()
		}
		p = x.Packages[i]
		return nil
	})
	if err != nil {
		return p, err
	}
	c.o.Log.Info("component published", "component", p.Component, "version", p.Version, "os", p.OS, "arch", p.Arch, "format", p.Format, "ring", p.Ring)
	return p, nil
}

// PublishFolder publishes every package file in a folder, and in its folders named
// after a ring into that ring. Files of other kinds are passed over; one that cannot
// be published does not keep the others from it. A folder that does not exist is empty.
func (c *Catalogue) PublishFolder(ctx context.Context, dir string, ring Ring) ([]Package, error) {
	var out []Package
	var errs []error
	for sub, r := range map[string]Ring{"": ring, string(Validation): Validation, string(Production): Production} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("publish folder: %w", err))
		}
		for _, e := range entries {
			if _, known := formatOf(e.Name()); !known || !e.Type().IsRegular() {
				continue
			}
			p, err := c.Publish(ctx, filepath.Join(dir, sub, e.Name()), r)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			out = append(out, p)
		}
	}
	return out, errors.Join(errs...)
}

// take reads a package file, finds out what it is, and puts it among the blobs.
func (c *Catalogue) take(file string) (Package, error) {
	format, ok := formatOf(file)
	if !ok {
		return Package{}, errors.New("it is neither a component archive (.tar.gz) nor an installer (.deb, .rpm, .msi)")
	}
	tmp, err := c.copyIn(file)
	if err != nil {
		return Package{}, err
	}
	defer os.Remove(tmp.Name()) // gone after the rename
	defer tmp.Close()
	p, err := describe(filepath.Base(file), format, tmp)
	if err != nil {
		return p, err
	}
	if err := os.Rename(tmp.Name(), c.blobPath(p.Blob.SHA256)); err != nil {
		return p, err
	}
	d, err := os.Open(filepath.Join(c.o.Dir, "blobs"))
	if err != nil {
		return p, err
	}
	return p, errors.Join(d.Sync(), d.Close())
}

func (c *Catalogue) blobPath(digest string) string {
	return filepath.Join(c.o.Dir, "blobs", digest)
}

// copyIn copies a file beside the blobs, flushed.
func (c *Catalogue) copyIn(file string) (*os.File, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	tmp, err := os.CreateTemp(filepath.Join(c.o.Dir, "blobs"), ".new-*")
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(tmp, io.LimitReader(in, bootloader.MaxArchive+1))
	if err == nil && n > bootloader.MaxArchive {
		err = fmt.Errorf("it is larger than %d bytes", int64(bootloader.MaxArchive))
	}
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Sync()); err != nil {
		return nil, errors.Join(err, tmp.Close(), os.Remove(tmp.Name()))
	}
	return tmp, nil
}

// describe finds out what a package is: an archive by its manifest, every file of
// it checked; an installer by its name and the first bytes of its format.
func describe(name string, format Format, f *os.File) (Package, error) {
	p := Package{Format: format, FileName: name}
	h := sha256.New()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return p, err
	}
	n, err := io.Copy(h, f)
	if err != nil {
		return p, err
	}
	p.Blob = bootloader.Blob{SHA256: hex.EncodeToString(h.Sum(nil)), Size: n}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return p, err
	}
	if format == Archive {
		m, err := bootloader.Inspect(f)
		p.Component, p.Version, p.OS, p.Arch, p.Manifest = m.Component, m.Version, m.OS, m.Arch, m
		return p, err
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(f, head); err != nil || !strings.HasPrefix(string(head), magic[format]) {
		return p, fmt.Errorf("its content is not that of a .%s file", format)
	}
	return p, p.readName()
}

// magic is how the files of a format begin.
var magic = map[Format]string{Deb: "!<arch>\n", RPM: "\xed\xab\xee\xdb", MSI: "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"}

// The names that installers have. A name holds no "=" and no quote: a download's
// Content-Disposition is split at its one "=".
var installerNames = map[Format]*regexp.Regexp{
	Deb: regexp.MustCompile(`^deskyard-(agent|bootloader)_([0-9][0-9A-Za-z.+~-]{0,63})_(amd64|arm64)\.deb$`),
	RPM: regexp.MustCompile(`^deskyard-(agent|bootloader)-([0-9][0-9A-Za-z.+~]{0,63})-1\.(x86_64|aarch64)\.rpm$`),
	MSI: regexp.MustCompile(`^deskyard-(agent|bootloader)-([0-9][0-9A-Za-z.+~-]{0,63})-(x64|arm64)\.msi$`),
}

var goArch = map[string]string{"amd64": "amd64", "arm64": "arm64", "x86_64": "amd64", "aarch64": "arm64", "x64": "amd64"}

func (p *Package) readName() error {
	m := installerNames[p.Format].FindStringSubmatch(p.FileName)
	if m == nil {
		return fmt.Errorf("name %q does not say what the installer is; it looks like deskyard-agent_1.2.3_amd64.deb", p.FileName)
	}
	p.Component, p.Version, p.Arch, p.OS = m[1], m[2], goArch[m[3]], "linux"
	if p.Format == MSI {
		p.OS = "windows"
	}
	return nil
}

func formatOf(name string) (Format, bool) {
	for _, f := range []Format{Archive, Deb, RPM, MSI} {
		if strings.HasSuffix(name, "."+string(f)) {
			return f, true
		}
	}
	return "", false
}
