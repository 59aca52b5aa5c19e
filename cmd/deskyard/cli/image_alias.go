package cli

import (
	"errors"

	"github.com/alecthomas/kong"

	"github.com/deskyard/deskyard/image"
)

// aliasCommands let names in templates mean images of the catalogue.
type aliasCommands struct {
	Set    aliasSet    `cmd:"" help:"Let a name mean an image."`
	List   aliasList   `cmd:"" help:"List the aliases."`
	Remove aliasRemove `cmd:"" help:"Remove an alias."`
}

type aliasSet struct {
	inCatalogue
	Name  string `arg:"" placeholder:"NAME" help:"publisher:offer:sku[:version] as the template has it, * for any part, or an image resource's id."`
	Image string `arg:"" placeholder:"URN" help:"publisher:offer:sku[:version] of the catalogue. Default version: latest."`
}

// Run sets an alias.
func (c *aliasSet) Run(k *kong.Context) error {
	catalogue, err := c.open(k, true)
	if err != nil {
		return err
	}
	return catalogue.SetAlias(image.Alias{From: c.Name, To: c.Image})
}

type aliasList struct{ inCatalogue }

// Run lists the aliases.
func (c *aliasList) Run(k *kong.Context) error {
	catalogue, err := c.open(k, false)
	if err != nil {
		return err
	}
	all, err := catalogue.Aliases()
	if err != nil {
		return err
	}
	plain, err := plainJSON(append([]image.Alias{}, all...))
	if err != nil {
		return err
	}
	p := c.printer(k)
	return p.print(plain, cols("Name=from", "Image=to"))
}

type aliasRemove struct {
	inCatalogue
	Name string `arg:"" placeholder:"NAME" help:"The alias."`
}

// Run removes an alias.
func (c *aliasRemove) Run(k *kong.Context) error {
	catalogue, err := c.open(k, false)
	if err != nil {
		return err
	}
	err = catalogue.RemoveAlias(c.Name)
	if errors.Is(err, image.ErrNotFound) {
		return advise(err, "deskyard image alias list shows those there are.")
	}
	return err
}
