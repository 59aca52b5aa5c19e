package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/compute"
)

const (
	manifestName = "manifest.json"
	aliasesName  = "aliases.json"
	stagePrefix  = ".import-" // an import under way, or what is left of one
	gonePrefix   = ".gone-"   // an image that is being deleted
)

// Catalogue is a folder of images. Its methods may be called at the same time, and
// by several processes.
type Catalogue struct {
	Now func() time.Time

	dir string
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	entries []Entry
	faults  []Fault
	aliases []Alias
	changed time.Time // the folder's modification time when they were read
	told    map[string]bool
}

// Entry is an image of a catalogue.
type Entry struct {
	Manifest
	Folder string // absolute
}

// Fault is a folder of a catalogue that holds no image that can be used.
type Fault struct {
	Folder string
	Err    error
}

// Open opens the catalogue in dir, which is made when it is missing.
func Open(dir string, log *slog.Logger) (*Catalogue, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open image catalogue: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open image catalogue: %w", err)
	}
	c := &Catalogue{Now: time.Now, dir: dir, log: log, told: map[string]bool{}}
	if _, err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// Dir is the catalogue's folder.
func (c *Catalogue) Dir() string { return c.dir }

// List returns the images, by name and the newest version first.
func (c *Catalogue) List() ([]Entry, error) {
	s, err := c.read()
	return s.entries, err
}

// Faults returns the folders that hold no usable image.
func (c *Catalogue) Faults() ([]Fault, error) {
	s, err := c.read()
	return s.faults, err
}

// snapshot is a catalogue as it was at a moment; its slices are not written to.
type snapshot struct {
	entries []Entry
	faults  []Fault
	aliases []Alias
}

// settled is how old a folder's modification time must be to tell that nothing came
// after it: file systems' clocks tick up to every 10 ms, network file systems' slower.
const settled = 2 * time.Second

// read returns what the folder holds, from memory while its modification time stands.
func (c *Catalogue) read() (snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st, err := os.Stat(c.dir)
	if err != nil {
		return snapshot{}, fmt.Errorf("read image catalogue: %w", err)
	}
	if !st.ModTime().Equal(c.changed) {
		if err := c.load(); err != nil {
			return snapshot{}, fmt.Errorf("read image catalogue: %w", err)
		}
		c.changed = time.Time{}
		if time.Since(st.ModTime()) > settled {
			c.changed = st.ModTime()
		}
	}
	return snapshot{c.entries, c.faults, c.aliases}, nil
}

func (c *Catalogue) load() error {
	folders, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var entries []Entry
	var faults []Fault
	for _, f := range folders {
		if !f.IsDir() || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		folder := filepath.Join(c.dir, f.Name())
		e, err := readEntry(folder)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !exists(folder): // removed at this moment
		case err != nil:
			faults = append(faults, Fault{folder, err})
			if !c.told[folder] {
				c.log.Warn("image cannot be used", "folder", folder, "err", err)
			}
			c.told[folder] = true
		default:
			entries = append(entries, e)
			delete(c.told, folder)
		}
	}
	aliases, err := readAliases(filepath.Join(c.dir, aliasesName))
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		if c := strings.Compare(strings.ToLower(a.Publisher+":"+a.Offer+":"+a.SKU), strings.ToLower(b.Publisher+":"+b.Offer+":"+b.SKU)); c != 0 {
			return c
		}
		return compareVersions(b.Version, a.Version)
	})
	c.entries, c.faults, c.aliases = entries, faults, aliases
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func readEntry(folder string) (Entry, error) {
	text, err := readSmall(filepath.Join(folder, manifestName), maxManifest)
	if err != nil {
		return Entry{}, err
	}
	m, err := ParseManifest(text)
	if err != nil {
		return Entry{}, err
	}
	if m.folder() != filepath.Base(folder) {
		return Entry{}, fmt.Errorf("its manifest is of %s, whose folder would be %s", m.URN(), m.folder())
	}
	for _, f := range m.Files() {
		st, err := os.Lstat(filepath.Join(folder, f.Name))
		if err != nil {
			return Entry{}, err
		}
		if !st.Mode().IsRegular() || st.Size() != f.Bytes {
			return Entry{}, fmt.Errorf("%s is not the file of %d bytes that the manifest describes", f.Name, f.Bytes)
		}
	}
	return Entry{Manifest: *m, Folder: folder}, nil
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return text, err
}

// Image is the entry as hypervisors take it.
func (e *Entry) Image() compute.Image {
	i := compute.Image{
		ID: e.URN(), Path: filepath.Join(e.Folder, e.Disk.Name), Format: e.Format, VirtualBytes: e.VirtualBytes,
		OS: e.OS, Firmware: e.Firmware, Provisioning: e.Provisioning, Bus: e.Bus, Arguments: e.Arguments,
	}
	if e.Kernel != nil {
		i.Kernel = filepath.Join(e.Folder, e.Kernel.Name)
	}
	if e.Initrd != nil {
		i.Initrd = filepath.Join(e.Folder, e.Initrd.Name)
	}
	return i
}

// ErrNotFound says that no image has a name.
var ErrNotFound = errors.New("there is no such image")

// Resolve finds the image that ref names and that location may use; an empty location
// asks for any. The version "latest", or none, is the highest by its numbers; with
// ref.Exact, the one that "latest" was before, while it is there. Names that are no
// image's are looked up among the aliases. Errors wrap ErrNotFound and tell what there
// is. The image boots by its kernel or by its firmware where it has both; clear its
// Kernel, Initrd and Arguments for a machine with Secure Boot.
func (c *Catalogue) Resolve(_ context.Context, location string, ref deskyard.ImageReference) (compute.Image, error) {
	e, err := c.Find(location, ref)
	if err != nil {
		return compute.Image{}, err
	}
	return e.Image(), nil
}

// Find is Resolve, with the image's manifest.
func (c *Catalogue) Find(location string, ref deskyard.ImageReference) (Entry, error) {
	s, err := c.read()
	if err != nil {
		return Entry{}, err
	}
	if ref.ID != "" && ref.Publisher == "" {
		if platform, ok := parsePlatformID(ref.ID); ok {
			platform.Exact = ref.Exact
			ref = platform
		}
	}
	if e, ok := s.find(location, ref); ok {
		return e, nil
	}
	if target, ok := s.alias(ref); ok {
		if e, ok := s.find(location, target); ok {
			return e, nil
		}
		return Entry{}, fmt.Errorf("find image %s: it stands for %s: %w%s", nameOf(ref), nameOf(target), ErrNotFound, s.offer(location))
	}
	return Entry{}, fmt.Errorf("find image %s: %w%s", nameOf(ref), ErrNotFound, s.offer(location))
}

// find looks for an image by its own name; entries stand with the newest first.
func (s *snapshot) find(location string, ref deskyard.ImageReference) (Entry, bool) {
	var newest *Entry
	latest := ref.Version == "" || strings.EqualFold(ref.Version, "latest")
	for i := range s.entries {
		e := &s.entries[i]
		if !strings.EqualFold(e.Publisher, ref.Publisher) || !strings.EqualFold(e.Offer, ref.Offer) || !strings.EqualFold(e.SKU, ref.SKU) || !e.servedAt(location) {
			continue
		}
		wanted := ref.Version
		if latest {
			wanted = ref.Exact
			if newest == nil {
				newest = e
			}
		}
		if e.Version == wanted {
			return *e, true
		}
	}
	if newest == nil {
		return Entry{}, false
	}
	return *newest, true
}

// offer is the end of an error: what there is.
func (s *snapshot) offer(location string) string {
	var names []string
	for i := range s.entries {
		if e := &s.entries[i]; e.servedAt(location) {
			names = append(names, e.URN())
		}
	}
	where := ""
	if location != "" {
		where = " at " + location
	}
	const most = 8 // more do not help in an error
	switch {
	case len(names) == 0:
		return "; the catalogue has no image" + where + ": deskyard image build debian-12-desktop, or deskyard image import"
	case len(names) > most:
		return fmt.Sprintf("; there are%s %s and %d more; deskyard image alias gives one another name", where, strings.Join(names[:most], ", "), len(names)-most)
	}
	return "; there are" + where + " " + strings.Join(names, ", ") + "; deskyard image alias gives one another name"
}

// nameOf is a reference on one line.
func nameOf(ref deskyard.ImageReference) string {
	if ref.Publisher == "" && ref.ID != "" {
		return ref.ID
	}
	version := ref.Version
	if version == "" {
		version = "latest"
	}
	return ref.Publisher + ":" + ref.Offer + ":" + ref.SKU + ":" + version
}

// ParseURN reads publisher:offer:sku[:version].
func ParseURN(text string) (deskyard.ImageReference, error) {
	parts := strings.Split(text, ":")
	if len(parts) == 3 {
		parts = append(parts, "latest")
	}
	if len(parts) != 4 || slices.Contains(parts, "") {
		return deskyard.ImageReference{}, fmt.Errorf("read image name %q: it is not of the form publisher:offer:sku[:version]", text)
	}
	return deskyard.ImageReference{Publisher: parts[0], Offer: parts[1], SKU: parts[2], Version: parts[3]}, nil
}

// parsePlatformID reads the id by which Azure's compute API shows a platform image:
// …/publishers/P/artifacttypes/vmimage/offers/O/skus/S/versions/V.
func parsePlatformID(id string) (deskyard.ImageReference, bool) {
	_, rest, ok := cutFold(id, "/publishers/")
	if !ok {
		return deskyard.ImageReference{}, false
	}
	p := strings.Split(rest, "/")
	if len(p) != 9 || !strings.EqualFold(p[1], "artifacttypes") || !strings.EqualFold(p[3], "offers") || !strings.EqualFold(p[5], "skus") || !strings.EqualFold(p[7], "versions") {
		return deskyard.ImageReference{}, false
	}
	return deskyard.ImageReference{Publisher: p[0], Offer: p[4], SKU: p[6], Version: p[8]}, true
}

func cutFold(s, sep string) (before, after string, found bool) {
	if i := strings.Index(strings.ToLower(s), sep); i >= 0 && len(strings.ToLower(s)) == len(s) {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
