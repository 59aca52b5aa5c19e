package bootloader

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"time"

	"github.com/deskyard/deskyard/durable"
)

// Pack writes the archive of a component to w: the manifest, then the files, read
// from files (path in the archive -> path on disk). It fills in m.Files and returns
// the manifest. The same input gives the same bytes: no times, owners or order of
// the packer's machine are in it.
func Pack(w io.Writer, m Manifest, files map[string]string) (Manifest, error) {
	m.Files = nil
	for name, source := range files {
		f, err := describe(name, source)
		if err != nil {
			return m, err
		}
		m.Files = append(m.Files, f)
	}
	sort.Slice(m.Files, func(i, j int) bool { return m.Files[i].Path < m.Files[j].Path })
	if err := m.Validate(); err != nil {
		return m, err
	}
	manifest, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return m, fmt.Errorf("encode manifest of %s: %w", m.Component, err)
	}
	zw, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return m, fmt.Errorf("compress %s: %w", m.Component, err)
	}
	tw := tar.NewWriter(zw)
	if err := tw.WriteHeader(&tar.Header{Name: ManifestName, Mode: 0o644, Size: int64(len(manifest)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}); err != nil {
		return m, fmt.Errorf("pack manifest of %s: %w", m.Component, err)
	}
	if _, err := tw.Write(manifest); err != nil {
		return m, fmt.Errorf("pack manifest of %s: %w", m.Component, err)
	}
	for _, f := range m.Files {
		if err := packFile(tw, f, files[f.Path]); err != nil {
			return m, fmt.Errorf("pack %s of %s: %w", f.Path, m.Component, err)
		}
	}
	return m, errors.Join(tw.Close(), zw.Close())
}

func describe(name, source string) (File, error) {
	f, err := os.Open(source)
	if err != nil {
		return File{}, fmt.Errorf("describe %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return File{}, fmt.Errorf("describe %s: %w", name, err)
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return File{}, fmt.Errorf("describe %s: %w", name, err)
	}
	return File{Path: name, Size: n, SHA256: hex.EncodeToString(h.Sum(nil)), Executable: info.Mode()&0o100 != 0}, nil
}

func packFile(tw *tar.Writer, f File, source string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := tw.WriteHeader(&tar.Header{Name: f.Path, Mode: int64(f.mode()), Size: f.Size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.Copy(tw, in)
	return err
}

func (f File) mode() os.FileMode {
	if f.Executable {
		return 0o755
	}
	return 0o644
}

// Inspect reads a whole archive, checks each file against the manifest in it, and
// returns that manifest. It writes nothing.
func Inspect(r io.Reader) (Manifest, error) {
	return readArchive(r, nil, func(_ File, body io.Reader) error {
		_, err := io.Copy(io.Discard, body)
		return err
	})
}

// Unpack writes the files of an archive below dir, which must exist and be empty,
// and flushes them. The archive must hold exactly the files of m, each with its
// size and digest; the manifest in it is not trusted, m is.
func Unpack(r io.Reader, m Manifest, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack %s %s: %w", m.Component, m.Version, err)
	}
	defer root.Close()
	_, err = readArchive(r, &m, func(f File, body io.Reader) error { return writeFile(root, f, body) })
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return fmt.Errorf("encode manifest of %s %s: %w", m.Component, m.Version, err)
	}
	if err := durable.Replace(filepath.Join(dir, ManifestName), b, 0o644); err != nil {
		return fmt.Errorf("unpack %s %s: %w", m.Component, m.Version, err)
	}
	return syncTree(dir)
}

func writeFile(root *os.Root, f File, body io.Reader) error {
	if d := path.Dir(f.Path); d != "." {
		if err := root.MkdirAll(filepath.FromSlash(d), 0o755); err != nil {
			return err
		}
	}
	out, err := root.OpenFile(filepath.FromSlash(f.Path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, body)
	return errors.Join(err, out.Chmod(f.mode()), out.Sync(), out.Close())
}

// readArchive walks an archive whose files must be exactly those of want, or, when
// want is nil, of the manifest that it opens with.
func readArchive(r io.Reader, want *Manifest, sink func(File, io.Reader) error) (Manifest, error) {
	zr, err := gzip.NewReader(bufio.NewReader(r))
	if err != nil {
		return Manifest{}, fmt.Errorf("open archive: %w", err)
	}
	defer zr.Close()
	// Whatever the manifest says, a bomb ends here: content, and headers and padding for the most files.
	tr := tar.NewReader(&boundedReader{zr, MaxUnpacked + maxManifest + (MaxFiles+2)*4096})
	m, err := readManifest(tr, want)
	if err != nil {
		return m, err
	}
	missing := make(map[string]File, len(m.Files))
	for _, f := range m.Files {
		missing[f.Path] = f
	}
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return m, fmt.Errorf("read archive of %s %s: %w", m.Component, m.Version, err)
		}
		f, known := missing[h.Name]
		switch {
		case !known:
			return m, fmt.Errorf("archive of %s %s holds %.80q, which its manifest does not list (or lists once)", m.Component, m.Version, h.Name)
		case h.Typeflag != tar.TypeReg:
			return m, fmt.Errorf("archive of %s %s: %s is not a regular file", m.Component, m.Version, f.Path)
		case h.Size != f.Size:
			return m, fmt.Errorf("archive of %s %s: %s has %d bytes, the manifest says %d", m.Component, m.Version, f.Path, h.Size, f.Size)
		}
		delete(missing, h.Name)
		digest := sha256.New()
		if err := sink(f, io.TeeReader(tr, digest)); err != nil {
			return m, fmt.Errorf("unpack %s of %s %s: %w", f.Path, m.Component, m.Version, err)
		}
		if got := hex.EncodeToString(digest.Sum(nil)); got != f.SHA256 {
			return m, fmt.Errorf("archive of %s %s: %s has SHA-256 %s, the manifest says %s", m.Component, m.Version, f.Path, got, f.SHA256)
		}
	}
	for name := range missing {
		return m, fmt.Errorf("archive of %s %s lacks %s", m.Component, m.Version, name)
	}
	return m, nil
}

func readManifest(tr *tar.Reader, want *Manifest) (Manifest, error) {
	h, err := tr.Next()
	if err != nil {
		return Manifest{}, fmt.Errorf("read archive: %w", err)
	}
	if h.Name != ManifestName || h.Typeflag != tar.TypeReg || h.Size > maxManifest {
		return Manifest{}, fmt.Errorf("archive does not open with %s of at most %d bytes", ManifestName, maxManifest)
	}
	b, err := io.ReadAll(tr)
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest in archive: %w", err)
	}
	if want != nil {
		return *want, nil
	}
	return ParseManifest(b)
}

// boundedReader fails, where io.LimitReader would end, so that a bomb is an error.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("archive unpacks to more than is allowed")
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
