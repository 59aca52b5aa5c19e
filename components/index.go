package components

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/bootloader"
)

// Ring is a stage of a version's rollout.
type Ring string

// The rings: new versions go to validation pools first, then to all.
const (
	Validation Ring = "validation"
	Production Ring = "production"
)

// Format is what a package file is.
type Format string

// Formats of package files.
const (
	Archive Format = "tar.gz" // a component archive, for the boot loader
	Deb     Format = "deb"
	RPM     Format = "rpm"
	MSI     Format = "msi"
)

// Package is one published file.
type Package struct {
	Component string              `json:"component"`
	Version   string              `json:"version"`
	OS        string              `json:"os"`
	Arch      string              `json:"arch"`
	Format    Format              `json:"format"`
	Ring      Ring                `json:"ring"`
	FileName  string              `json:"fileName"`
	Blob      bootloader.Blob     `json:"blob"`
	Published time.Time           `json:"published"`
	Promoted  time.Time           `json:"promoted,omitzero"`
	Withdrawn time.Time           `json:"withdrawn,omitzero"` // given to nobody any more
	Manifest  bootloader.Manifest `json:"manifest,omitzero"`  // of an Archive
}

// same reports whether two packages are for the same place in the catalogue.
func (p Package) same(o Package) bool {
	return p.Component == o.Component && p.Version == o.Version && p.OS == o.OS && p.Arch == o.Arch && p.Format == o.Format
}

// in reports whether a host of a ring gets the package.
func (p Package) in(r Ring) bool {
	return p.Withdrawn.IsZero() && (p.Ring == Production || r == Validation)
}

// settingName is the index's name in the store.
const settingName = "components"

// maxPackages bounds the index: it is one document, read and written whole.
const maxPackages = 2000

// index is the catalogue's document.
type index struct {
	Packages []Package `json:"packages"`
}

// Store keeps the index; deskyard.Store is one.
type Store interface {
	Setting(ctx context.Context, name string) (json.RawMessage, error)
	Write(ctx context.Context, f func(ctx context.Context, tx deskyard.Tx) error) error
}

type settings interface {
	Setting(ctx context.Context, name string) (json.RawMessage, error)
}

func loadIndex(ctx context.Context, s settings) (index, error) {
	var x index
	doc, err := s.Setting(ctx, settingName)
	if arm.IsMissing(err) {
		return x, nil
	}
	if err != nil {
		return x, fmt.Errorf("read catalogue of components: %w", err)
	}
	if err := json.Unmarshal(doc, &x); err != nil {
		return x, fmt.Errorf("decode catalogue of components: %w", err)
	}
	return x, nil
}

// change edits the index in one transaction. edit may run more than once.
func (c *Catalogue) change(ctx context.Context, edit func(*index) error) error {
	err := c.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		x, err := loadIndex(ctx, tx)
		if err != nil {
			return err
		}
		if err := edit(&x); err != nil {
			return err
		}
		if len(x.Packages) > maxPackages {
			return fmt.Errorf("catalogue would hold more than %d packages; withdraw and remove old versions first", maxPackages)
		}
		doc, err := json.Marshal(x)
		if err != nil {
			return fmt.Errorf("encode catalogue of components: %w", err)
		}
		return tx.PutSetting(ctx, settingName, doc)
	})
	c.mu.Lock()
	c.readAt = time.Time{}
	c.mu.Unlock()
	return err
}

// packages gives the index, at most cacheFor old: another node may have changed it.
func (c *Catalogue) packages(ctx context.Context) ([]Package, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.o.Now(); c.readAt.IsZero() || now.Sub(c.readAt) >= cacheFor || now.Before(c.readAt) {
		x, err := loadIndex(ctx, c.o.Store)
		if err != nil {
			return nil, err
		}
		c.cached, c.readAt = x.Packages, now
	}
	return c.cached, nil
}

// newest finds the newest package of a component that a ring gets.
func newest(all []Package, component, os, arch string, format Format, ring Ring) (Package, bool) {
	var best Package
	found := false
	for _, p := range all {
		if p.Component != component || p.OS != os || p.Arch != arch || p.Format != format || !p.in(ring) {
			continue
		}
		if !found || bootloader.CompareVersions(p.Version, best.Version) > 0 {
			best, found = p, true
		}
	}
	return best, found
}

// List gives every package, by component, newest version first.
func (c *Catalogue) List(ctx context.Context) ([]Package, error) {
	all, err := c.packages(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Package) int {
		if d := strings.Compare(a.Component, b.Component); d != 0 {
			return d
		}
		if d := bootloader.CompareVersions(b.Version, a.Version); d != 0 {
			return d
		}
		return strings.Compare(a.OS+a.Arch+string(a.Format), b.OS+b.Arch+string(b.Format))
	})
	return all, nil
}

// Promote gives a version to production: of one component, or with component "" of
// all that have it. It is an error when there is none.
func (c *Catalogue) Promote(ctx context.Context, component, version string) error {
	return c.mark(ctx, component, version, "promote", func(p *Package) {
		p.Withdrawn = time.Time{}
		if p.Ring != Production {
			p.Ring, p.Promoted = Production, c.o.Now()
		}
	})
}

// Withdraw gives a version to nobody any more. Hosts that run it go to the newest
// version left, older ones included.
func (c *Catalogue) Withdraw(ctx context.Context, component, version string) error {
	return c.mark(ctx, component, version, "withdraw", func(p *Package) { p.Withdrawn = c.o.Now() })
}

func (c *Catalogue) mark(ctx context.Context, component, version, verb string, edit func(*Package)) error {
	return c.change(ctx, func(x *index) error {
		n := 0
		for i, p := range x.Packages {
			if p.Version == version && (component == "" || p.Component == component) {
				edit(&x.Packages[i])
				n++
			}
		}
		if n == 0 {
			return arm.Errorf(arm.Missing, "ComponentVersionNotFound", "There is no version %s of %s to %s. List the components to see which there are.", version, orAny(component), verb)
		}
		return nil
	})
}

func orAny(component string) string {
	if component == "" {
		return "any component"
	}
	return component
}

// Desired is what a host should run: the newest version of each component for its
// system in its ring. A component that the catalogue lacks is left out, and the
// host keeps what it has.
func (c *Catalogue) Desired(ctx context.Context, os, arch string, validation bool) ([]bootloader.Desired, error) {
	all, err := c.packages(ctx)
	if err != nil {
		return nil, err
	}
	ring := Production
	if validation {
		ring = Validation
	}
	names := map[string]bool{}
	for _, p := range all {
		names[p.Component] = true
	}
	var out []bootloader.Desired
	for name := range names {
		if p, ok := newest(all, name, os, arch, Archive, ring); ok {
			out = append(out, bootloader.Desired{Component: p.Component, Version: p.Version, Manifest: p.manifestPath()})
		}
	}
	slices.SortFunc(out, func(a, b bootloader.Desired) int { return strings.Compare(a.Component, b.Component) })
	return out, nil
}

func (p Package) manifestPath() string {
	return strings.Join([]string{"/agent/v1/components", p.Component, p.Version, p.OS, p.Arch, "manifest"}, "/")
}
