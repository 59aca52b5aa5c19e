package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/durable"
)

// Alias lets a name that templates carry mean an image of the catalogue.
type Alias struct {
	// From is publisher:offer:sku:version with * for any part, or the id of an image
	// resource. The alias with the fewest stars wins.
	From string `json:"from"`
	// To is publisher:offer:sku:version of the catalogue; the version may be "latest".
	To string `json:"to"`
}

// maxAliases bounds aliases.json, which is read whole at each change.
const (
	maxAliases     = 10_000
	maxAliasesFile = 4 << 20
)

func parseAliases(text []byte) ([]Alias, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var file struct {
		Aliases []Alias `json:"aliases"`
	}
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("read %s: %w", aliasesName, err)
	}
	if len(file.Aliases) > maxAliases {
		return nil, fmt.Errorf("read %s: it has more than %d aliases", aliasesName, maxAliases)
	}
	for _, a := range file.Aliases {
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("read %s: %w", aliasesName, err)
		}
	}
	return file.Aliases, nil
}

func readAliases(path string) ([]Alias, error) {
	text, err := readSmall(path, maxAliasesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", aliasesName, err)
	}
	return parseAliases(text)
}

// check holds an alias to its form.
func (a Alias) check() error {
	if !strings.HasPrefix(a.From, "/") {
		from, err := ParseURN(a.From)
		if err != nil {
			return err
		}
		for _, part := range []string{from.Publisher, from.Offer, from.SKU, from.Version} {
			if part != "*" && part != "latest" && !nameForm.MatchString(part) {
				return fmt.Errorf("read alias %q: %q is neither a name nor *", a.From, part)
			}
		}
	}
	to, err := ParseURN(a.To)
	if err != nil {
		return err
	}
	for _, part := range []string{to.Publisher, to.Offer, to.SKU} {
		if !nameForm.MatchString(part) {
			return fmt.Errorf("read alias to %q: %q is not a name", a.To, part)
		}
	}
	if to.Version != "latest" && !versionForm.MatchString(to.Version) {
		return fmt.Errorf("read alias to %q: the version is neither numbers with dots between nor latest", a.To)
	}
	return nil
}

// normal is the alias with all its parts written out.
func (a Alias) normal() Alias {
	if !strings.HasPrefix(a.From, "/") && strings.Count(a.From, ":") == 2 {
		a.From += ":*"
	}
	if strings.Count(a.To, ":") == 2 {
		a.To += ":latest"
	}
	return a
}

// matches tells whether an alias is for ref, and how many of its parts are stars.
func (a Alias) matches(ref deskyard.ImageReference) (stars int, ok bool) {
	if strings.HasPrefix(a.From, "/") {
		return 0, ref.ID != "" && strings.EqualFold(a.From, strings.TrimRight(ref.ID, "/"))
	}
	version := ref.Version
	if version == "" {
		version = "latest"
	}
	parts := strings.Split(a.From, ":")
	if len(parts) != 4 {
		return 0, false
	}
	for i, have := range []string{ref.Publisher, ref.Offer, ref.SKU, version} {
		switch {
		case have == "":
			return 0, false
		case parts[i] == "*":
			stars++
		case !strings.EqualFold(parts[i], have):
			return 0, false
		}
	}
	return stars, true
}

// alias finds what ref stands for.
func (s *snapshot) alias(ref deskyard.ImageReference) (deskyard.ImageReference, bool) {
	best, found := 5, deskyard.ImageReference{}
	for _, a := range s.aliases {
		stars, ok := a.normal().matches(ref)
		if !ok || stars >= best {
			continue
		}
		target, err := ParseURN(a.To)
		if err != nil {
			continue // readAliases lets none through
		}
		target.Exact = ref.Exact
		best, found = stars, target
	}
	return found, best < 5
}

// Aliases returns the aliases, in the order in which they were set.
func (c *Catalogue) Aliases() ([]Alias, error) {
	s, err := c.read()
	return slices.Clone(s.aliases), err
}

// SetAlias adds an alias, or replaces the one of the same From. What it stands for
// need not be there yet.
func (c *Catalogue) SetAlias(a Alias) error {
	a = a.normal()
	if err := a.check(); err != nil {
		return err
	}
	return c.changeAliases(func(all []Alias) ([]Alias, error) {
		all = slices.DeleteFunc(all, func(b Alias) bool { return strings.EqualFold(a.From, b.From) })
		if len(all) == maxAliases {
			return nil, fmt.Errorf("set alias %s: there are %d already", a.From, maxAliases)
		}
		return append(all, a), nil
	})
}

// RemoveAlias takes an alias away; ErrNotFound when there is none.
func (c *Catalogue) RemoveAlias(from string) error {
	from = Alias{From: from}.normal().From
	return c.changeAliases(func(all []Alias) ([]Alias, error) {
		left := slices.DeleteFunc(slices.Clone(all), func(b Alias) bool { return strings.EqualFold(from, b.From) })
		if len(left) == len(all) {
			return nil, fmt.Errorf("remove alias %s: %w", from, ErrNotFound)
		}
		return left, nil
	})
}

func (c *Catalogue) changeAliases(change func([]Alias) ([]Alias, error)) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	path := filepath.Join(c.dir, aliasesName)
	all, err := readAliases(path)
	if err != nil {
		return err
	}
	if all, err = change(all); err != nil {
		return err
	}
	text, err := json.MarshalIndent(map[string]any{"aliases": all}, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", aliasesName, err)
	}
	return durable.Replace(path, append(text, '\n'), os.FileMode(0o644))
}
