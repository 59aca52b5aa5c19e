package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/deskyard/deskyard/image"
)

// imageCommands work on the data folder, in service or not: the service looks at its
// catalogue anew when it changes.
type imageCommands struct {
	Build  imageBuild    `cmd:"" help:"Build an image and add it to the catalogue."`
	Import imageImport   `cmd:"" help:"Add a disk image (qcow2, raw, vhdx, vhd) to the catalogue."`
	List   imageList     `cmd:"" help:"List the images."`
	Show   imageShow     `cmd:"" help:"Show an image."`
	Verify imageVerify   `cmd:"" help:"Compare images with their checksums."`
	Remove imageRemove   `cmd:"" help:"Remove an image that no machine runs on."`
	Alias  aliasCommands `cmd:"" help:"Other names of images, such as those in Microsoft's templates."`
}

// inCatalogue are the arguments of commands that work on the image catalogue.
type inCatalogue struct {
	Output choice `short:"o" choices:"json,jsonc,table,tsv,none" env:"DESKYARD_OUTPUT" placeholder:"FORMAT" help:"json, jsonc (coloured), table, tsv or none. Default: table on a terminal, else json." group:"Global"`
	Query  string `placeholder:"JMESPATH" help:"JMESPath query applied to the answer. See https://jmespath.org." group:"Global"`
	Data   string `help:"The service's data folder; images are in its folder images." default:"deskyard-data" env:"DESKYARD_DATA" type:"path" group:"Global"`
}

func (i *inCatalogue) printer(k *kong.Context) printer {
	o := options{Output: i.Output, Query: i.Query}
	return o.printer(k.Stdout)
}

// open opens the catalogue. Only a new image makes it.
func (i *inCatalogue) open(k *kong.Context, make bool) (*image.Catalogue, error) {
	dir := filepath.Join(i.Data, "images")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && !make {
		return nil, advise(fmt.Errorf("open image catalogue: there is no folder %s", dir), "Give the service's data folder with --data, or add an image: deskyard image build debian-12-desktop.")
	}
	if make {
		if err := os.MkdirAll(i.Data, 0o700); err != nil { // as serve makes it
			return nil, fmt.Errorf("open image catalogue: %w", err)
		}
	}
	return image.Open(dir, slog.New(slog.NewTextHandler(k.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
}

// imageView is an image as the commands show it.
type imageView struct {
	URN string `json:"urn"`
	image.Manifest
	Folder string `json:"folder"`
}

var imageColumns = cols("Image=urn", "OS=os", "Firmware=firmware", "Provisioning=provisioning", "GiB=gib", "Created=created")

func (i *inCatalogue) show(k *kong.Context, v any) error {
	plain, err := plainJSON(v)
	if err != nil {
		return err
	}
	p := i.printer(k)
	return p.print(withGiB(plain), imageColumns)
}

// plainJSON turns a value into what printers take: decoded JSON.
func plainJSON(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return plain, nil
}

// withGiB gives tables the disk's size in a unit that people read.
func withGiB(v any) any {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			withGiB(e)
		}
	case map[string]any:
		if n, ok := v["virtualBytes"].(float64); ok {
			v["gib"] = n / (1 << 30)
		}
	}
	return v
}

type imageList struct{ inCatalogue }

// Run lists images; folders that hold none are told on stderr.
func (c *imageList) Run(k *kong.Context) error {
	catalogue, err := c.open(k, false)
	if err != nil {
		return err
	}
	entries, err := catalogue.List()
	if err != nil {
		return err
	}
	views := []imageView{}
	for _, e := range entries {
		views = append(views, imageView{e.URN(), e.Manifest, e.Folder})
	}
	return c.show(k, views)
}

type imageShow struct {
	inCatalogue
	Image string `arg:"" placeholder:"URN" help:"publisher:offer:sku[:version], or an alias."`
}

// Run shows an image.
func (c *imageShow) Run(k *kong.Context) error {
	catalogue, err := c.open(k, false)
	if err != nil {
		return err
	}
	e, err := catalogue.Named(c.Image)
	if err != nil {
		return err
	}
	return c.show(k, imageView{e.URN(), e.Manifest, e.Folder})
}

type imageVerify struct {
	inCatalogue
	Image []string `arg:"" optional:"" placeholder:"URN" help:"Images to verify. Default: all."`
}

// Run reads the images' files; it goes on after one that has changed.
func (c *imageVerify) Run(ctx context.Context, k *kong.Context) error {
	catalogue, err := c.open(k, false)
	if err != nil {
		return err
	}
	var entries []image.Entry
	var errs []error
	if len(c.Image) == 0 {
		if entries, err = catalogue.List(); err != nil {
			return err
		}
		faults, err := catalogue.Faults()
		if err != nil {
			return err
		}
		for _, f := range faults {
			errs = append(errs, fmt.Errorf("%s holds no usable image: %w", f.Folder, f.Err))
		}
	}
	for _, name := range c.Image {
		e, err := catalogue.Named(name)
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	for _, e := range entries {
		b := newImageBar(k.Stderr)
		err := catalogue.Verify(ctx, e, b.step)
		b.end()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(k.Stderr, e.URN(), "is as it was imported")
	}
	return errors.Join(errs...)
}

type imageRemove struct {
	inCatalogue
	Image    string   `arg:"" placeholder:"URN" help:"publisher:offer:sku:version."`
	Machines []string `type:"existingdir" placeholder:"FOLDER" help:"Hypervisors' folders outside the data folder, whose machines must not run on it."`
	Yes      bool     `short:"y" help:"Do not ask."`
}

// Run removes an image.
func (c *imageRemove) Run(k *kong.Context) error {
	catalogue, err := c.open(k, false)
	if err != nil {
		return err
	}
	s := session{stderr: k.Stderr}
	if err := s.confirm(c.Yes, "Remove the image "+c.Image+"?"); err != nil {
		return err
	}
	folders := append([]string{filepath.Join(c.Data, "machines")}, c.Machines...)
	err = catalogue.Remove(c.Image, func(disk string) ([]string, error) { return clonesOf(disk, folders) })
	if errors.Is(err, image.ErrNotFound) {
		return advise(err, "deskyard image list shows those there are.")
	}
	return err
}

// clonesOf finds the disks below some folders that are clones of an image.
func clonesOf(disk string, folders []string) (found []string, err error) {
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // no machines there, or one that goes at this moment
			}
			if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(path, ".qcow2") {
				return err
			}
			from, err := image.ClonedFrom(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if from == disk {
				found = append(found, filepath.Dir(path))
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look for machines in %s: %w", folder, err)
		}
	}
	return found, nil
}
