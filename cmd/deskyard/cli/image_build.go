package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/deskyard/deskyard/image"
)

type imageBuild struct {
	inCatalogue
	Recipe     string `arg:"" placeholder:"RECIPE" help:"What to build: debian-12-desktop."`
	BootLoader string `name:"bootloader-deb" type:"existingfile" placeholder:"FILE" help:"The boot loader's Debian package; components of its version beside it go into the image too. Default: the newest one in components beside the program, in dist/packages, or beside the program."`
	Size       string `placeholder:"SIZE" help:"Size of the image's disk, such as 8G; machines may have larger ones. Default: 6G."`
	Mirror     string `placeholder:"URL" help:"Debian mirror. Default: this machine's own package sources."`
	Force      bool   `help:"Build even what has been built already."`
	Verbose    bool   `help:"Show all that the recipe says."`
}

// Run builds an image.
func (c *imageBuild) Run(ctx context.Context, k *kong.Context) error {
	deb := c.BootLoader
	if deb == "" {
		var err error
		if deb, err = findBootLoader(); err != nil {
			return err
		}
	}
	components, err := findComponents(deb)
	if err != nil {
		return err
	}
	catalogue, err := c.open(k, true)
	if err != nil {
		return err
	}
	b := newImageBar(k.Stderr)
	build := image.Build{Recipe: c.Recipe, BootLoader: deb, Components: components, Size: c.Size, Mirror: c.Mirror, Force: c.Force, Progress: b.step}
	if c.Verbose {
		build.Log = k.Stderr
	}
	e, existed, err := catalogue.Build(ctx, build)
	b.end()
	if err != nil {
		return err
	}
	if existed {
		fmt.Fprintln(k.Stderr, "Nothing has changed since", e.URN(), "was built; --force builds it anew.")
	}
	return c.show(k, imageView{e.URN(), e.Manifest, e.Folder})
}

// findBootLoader finds the boot loader's package where the program's own are.
func findBootLoader() (string, error) {
	folders := []string{"dist/packages"}
	if program, err := os.Executable(); err == nil {
		beside := filepath.Dir(program)
		folders = []string{filepath.Join(beside, "components"), folders[0], beside, "/usr/share/deskyard/components"}
	}
	for _, f := range folders {
		found, err := filepath.Glob(filepath.Join(f, "deskyard-bootloader_*_amd64.deb"))
		if err != nil {
			return "", fmt.Errorf("look for the boot loader's package: %w", err)
		}
		if len(found) > 0 {
			return slices.MaxFunc(found, func(a, b string) int { return modified(a).Compare(modified(b)) }), nil
		}
	}
	return "", advise(fmt.Errorf("build image: the boot loader's package deskyard-bootloader_*_amd64.deb is in none of %s", strings.Join(folders, ", ")),
		"make packages builds it; --bootloader-deb names it.")
}

// findComponents finds the archives beside the boot loader's package that are of the
// same version: what a session host runs. Where there are none its machines fetch them.
func findComponents(deb string) ([]string, error) {
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(deb), "deskyard-bootloader_"), "_amd64.deb")
	var all []string
	for _, name := range []string{"agent", "monitoring-agent", "sxs-stack"} {
		// Debian writes ~ where a version has -: "0.1.7~dirty" comes before "0.1.7".
		archive := filepath.Join(filepath.Dir(deb), name+"_"+strings.ReplaceAll(version, "~", "-")+"_linux_amd64.tar.gz")
		_, err := os.Stat(archive)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for the components of the image: %w", err)
		}
		all = append(all, archive)
	}
	return all, nil
}

type imageImport struct {
	inCatalogue
	File         string   `arg:"" type:"existingfile" help:"The disk: qcow2, raw, vhdx or vhd."`
	Publisher    string   `required:"" help:"Publisher, as templates name it."`
	Offer        string   `required:"" help:"Offer."`
	SKU          string   `name:"sku" required:"" help:"SKU."`
	Version      string   `required:"" help:"Version: one to four numbers with dots between."`
	OS           string   `name:"os" enum:"linux,windows" required:"" help:"linux or windows."`
	Firmware     string   `enum:"uefi,bios" default:"uefi" help:"How it boots: uefi or bios."`
	Provisioning string   `enum:"deskyard,cloud-init,cloudbase-init," default:"" help:"Who sets machines up at first boot: deskyard (our boot loader is in it), cloud-init or cloudbase-init. Default: cloud-init, on Windows cloudbase-init."`
	Format       string   `enum:"qcow2,raw,vhdx,vpc," default:"" help:"Format of the file, where its content is not to tell: qcow2, raw, vhdx or vpc (vhd)."`
	Kernel       string   `type:"existingfile" help:"Kernel that boots the disk directly."`
	Initrd       string   `type:"existingfile" help:"Initial RAM disk of the kernel."`
	Arguments    string   `help:"Arguments of the kernel."`
	Location     []string `help:"Locations that may use it. Default: all."`
	Description  string   `help:"Words for people."`
}

// Run imports an image.
func (c *imageImport) Run(ctx context.Context, k *kong.Context) error {
	provisioning := c.Provisioning
	if provisioning == "" {
		provisioning = map[string]string{"linux": "cloud-init", "windows": "cloudbase-init"}[c.OS]
	}
	catalogue, err := c.open(k, true)
	if err != nil {
		return err
	}
	b := newImageBar(k.Stderr)
	e, err := catalogue.Import(ctx, image.Import{
		Manifest: image.Manifest{
			Publisher: c.Publisher, Offer: c.Offer, SKU: c.SKU, Version: c.Version,
			OS: c.OS, Firmware: c.Firmware, Provisioning: provisioning, Arguments: c.Arguments,
			Locations: c.Location, Source: filepath.Base(c.File), Description: c.Description,
		},
		Disk: c.File, Format: c.Format, Kernel: c.Kernel, Initrd: c.Initrd, Progress: b.step,
	})
	b.end()
	if errors.Is(err, image.ErrExists) {
		return advise(err, "A version never changes: give the next one with --version, or remove it first.")
	}
	if err != nil {
		return err
	}
	return c.show(k, imageView{e.URN(), e.Manifest, e.Folder})
}

// modified is when a file was written; the zero time for one that is gone.
func modified(path string) time.Time {
	st, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}
