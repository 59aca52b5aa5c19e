package bootloader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/deskyard/deskyard/durable"
)

// spareName is the folder in Root of the versions that an image brought, unpacked, as
// COMPONENT/VERSION; no component has that name. None of them runs until the service
// wants it, and then only if its files are those of the signed manifest: it is a download
// that has been made already.
const spareName = ".spare"

// takeSpare makes a spare version an installed one. It is false, and nothing has
// changed, where there is no such version or it is not what was signed.
func (u *unit) takeSpare(m Manifest) bool {
	spare := disk{filepath.Join(u.s.o.Root, spareName, u.name)}
	err := spare.move(m, u.disk)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		u.log.Warn("spare version not taken, fetched instead", "version", m.Version, "error", err)
	}
	return err == nil
}

// move takes version m out of d and installs it in to.
func (d disk) move(m Manifest, to disk) error {
	have, err := d.manifest(m.Version)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(have, m) {
		return fmt.Errorf("manifest of spare %s %s is not the signed one", m.Component, m.Version)
	}
	if err := d.holdsOnly(m); err != nil {
		return err
	}
	if err := d.intact(m.Version); err != nil {
		return err
	}
	if err := os.MkdirAll(to.dir, 0o755); err != nil {
		return fmt.Errorf("install %s %s: %w", m.Component, m.Version, err)
	}
	if err := to.remove(m.Version); err != nil { // found damaged, or it would not be wanted again
		return err
	}
	if err := os.Rename(d.path(m.Version), to.path(m.Version)); err != nil {
		return fmt.Errorf("install %s %s: %w", m.Component, m.Version, err)
	}
	return errors.Join(durable.SyncFolder(d.dir), durable.SyncFolder(to.dir), durable.SyncFolder(filepath.Dir(to.dir)))
}

// holdsOnly refuses a version with files that its manifest does not name.
func (d disk) holdsOnly(m Manifest) error {
	root := d.path(m.Version)
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if name != ManifestName && !slices.ContainsFunc(m.Files, func(f File) bool { return f.Path == name }) || !e.Type().IsRegular() {
			return fmt.Errorf("spare %s %s holds %s, which was not signed", m.Component, m.Version, name)
		}
		return nil
	})
}
