package bootloader

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deskyard/deskyard/durable"
)

const (
	currentName = "current"
	stagePrefix = ".stage-"
)

// disk is the installed versions of one component.
type disk struct{ dir string }

func (d disk) path(version string) string { return filepath.Join(d.dir, version) }

// versions lists what is installed, newest first. A directory without a manifest
// is not a version: it never got its name by install.
func (d disk) versions() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() || checkVersion(e.Name()) != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(d.path(e.Name()), ManifestName)); err == nil {
			out = append(out, e.Name())
		}
	}
	slices.SortFunc(out, func(a, b string) int { return CompareVersions(b, a) })
	return out, nil
}

// current is the version to run: the one that the link names, or, where the link is
// lost or names nothing, the newest installed. "" when nothing is installed.
func (d disk) current() (string, error) {
	all, err := d.versions()
	if err != nil {
		return "", err
	}
	v, err := readCurrent(d.dir)
	if err == nil && slices.Contains(all, v) {
		return v, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read current version: %w", err)
	}
	if len(all) == 0 {
		return "", nil
	}
	return all[0], nil
}

// manifest reads the manifest of an installed version.
func (d disk) manifest(version string) (Manifest, error) {
	f, err := os.Open(filepath.Join(d.path(version), ManifestName))
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest %s: %w", f.Name(), err)
	}
	m, err := ParseManifest(b)
	if err != nil {
		return m, fmt.Errorf("read manifest %s: %w", f.Name(), err)
	}
	if m.Version != version {
		return m, fmt.Errorf("manifest %s is of version %s", f.Name(), m.Version)
	}
	return m, nil
}

// intact checks every file of an installed version against its manifest.
func (d disk) intact(version string) error {
	m, err := d.manifest(version)
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := checkFile(filepath.Join(d.path(version), filepath.FromSlash(f.Path)), f); err != nil {
			return err
		}
	}
	return nil
}

func checkFile(path string, f File) error {
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("check installed file: %w", err)
	}
	defer in.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(in, f.Size+1))
	if err != nil {
		return fmt.Errorf("check installed file: %w", err)
	}
	if n != f.Size || hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("installed file %s is not what its manifest says", path)
	}
	return nil
}

// install makes version exist from its archive, or changes nothing.
func (d disk) install(archive io.Reader, m Manifest) error {
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return fmt.Errorf("install %s %s: %w", m.Component, m.Version, err)
	}
	stage, err := os.MkdirTemp(d.dir, stagePrefix+m.Version+"-")
	if err != nil {
		return fmt.Errorf("install %s %s: %w", m.Component, m.Version, err)
	}
	defer os.RemoveAll(stage) // gone after the rename
	if err := os.Chmod(stage, 0o755); err != nil {
		return fmt.Errorf("install %s %s: %w", m.Component, m.Version, err)
	}
	if err := Unpack(archive, m, stage); err != nil {
		return err
	}
	// What has the name already was found damaged, or it would not be installed again.
	if err := d.remove(m.Version); err != nil {
		return err
	}
	if err := os.Rename(stage, d.path(m.Version)); err != nil {
		return fmt.Errorf("install %s %s: %w", m.Component, m.Version, err)
	}
	return errors.Join(durable.SyncFolder(d.dir), durable.SyncFolder(filepath.Dir(d.dir)))
}

// remove deletes a version: first its name, so that half of it is never a version.
func (d disk) remove(version string) error {
	gone := filepath.Join(d.dir, stagePrefix+"gone-"+version)
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove version %s: %w", version, err)
	}
	if err := os.Rename(d.path(version), gone); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove version %s: %w", version, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove version %s: %w", version, err)
	}
	return nil
}

// sweep removes what an interrupted install or removal left.
func (d disk) sweep() error {
	entries, err := os.ReadDir(d.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sweep %s: %w", d.dir, err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), stagePrefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.dir, e.Name())); err != nil {
			return fmt.Errorf("sweep %s: %w", d.dir, err)
		}
	}
	return nil
}

// prune removes versions beyond keep. The ones named in stay are never removed;
// then good ones are kept before untried or failed ones, newer before older.
func (d disk) prune(keep int, stay []string, good func(version string) bool) error {
	all, err := d.versions()
	if err != nil {
		return err
	}
	rank := func(v string) int {
		switch {
		case slices.Contains(stay, v):
			return 0
		case good(v):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(all, func(a, b string) int { return rank(a) - rank(b) })
	for i, v := range all {
		if i < keep || rank(v) == 0 {
			continue
		}
		if err := d.remove(v); err != nil {
			return err
		}
	}
	return nil
}
