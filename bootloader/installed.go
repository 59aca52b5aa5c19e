package bootloader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Installed reads from the disk which components are installed below root, without
// a running boot loader: Name, Title, Version (the current one) and Kept are set.
func Installed(root string) ([]Component, error) {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list components: %w", err)
	}
	var out []Component
	for _, e := range entries {
		if !e.IsDir() || checkName(e.Name()) != nil {
			continue
		}
		d := disk{filepath.Join(root, e.Name())}
		kept, err := d.versions()
		if err != nil {
			return nil, err
		}
		current, err := d.current()
		if err != nil {
			return nil, err
		}
		c := Component{Name: e.Name(), Version: current, Kept: kept}
		if m, err := d.manifest(current); err == nil {
			c.Title = m.Title
		}
		if len(kept) > 0 {
			out = append(out, c)
		}
	}
	return out, nil
}

// Linked is the version that a component's current link names, "" when there is
// none: unlike Installed, it does not fall back to the newest version on disk.
func Linked(root, component string) (string, error) {
	if err := checkName(component); err != nil {
		return "", err
	}
	v, err := readCurrent(filepath.Join(root, component))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return v, err
}

// Point makes an installed version the current one, for the next start of a boot
// loader; none may be running, for it would not notice.
func Point(root, component, version string) error {
	if err := (Desired{Component: component, Version: version}).Validate(); err != nil {
		return err
	}
	d := disk{filepath.Join(root, component)}
	kept, err := d.versions()
	if err != nil {
		return err
	}
	if !slices.Contains(kept, version) {
		return fmt.Errorf("version %s of %s is not installed below %s", version, component, root)
	}
	return pointCurrent(d.dir, version)
}
