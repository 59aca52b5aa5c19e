package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/deskyard/deskyard/images"
)

// Recipe is an image that this program can build.
type Recipe struct {
	Name        string // what people call it
	Folder      string // in package images
	Description string
	Image       Manifest // its name and kind; the version is the day's
}

// Recipes are the images that can be built.
var Recipes = []Recipe{{
	Name: "debian-12-desktop", Folder: "debian-desktop",
	Description: "Debian 12 with xrdp, a light desktop and the boot loader",
	Image: Manifest{
		Publisher: "Deskyard", Offer: "debian-12", SKU: "desktop",
		OS: "linux", Firmware: "uefi", Provisioning: "deskyard",
		Description: "Debian 12 with xrdp, a light desktop and the boot loader",
	},
}}

// Build is an image to be built.
type Build struct {
	Recipe     string
	BootLoader string   // Debian package of the boot loader
	Components []string // archives of what the boot loader runs, which machines then need not fetch
	Size       string   // of the disk, such as "6G"; "": the recipe's own
	Mirror     string   // of Debian; "": this machine's apt sources
	Force      bool     // build and import even what is there already
	Log        io.Writer
	Progress   Progress
}

// buildFor bounds a build, which takes 2 to 7 minutes.
const buildFor = time.Hour

// Build runs a recipe and takes the image in. When the catalogue has one of the same
// recipe and the same boot loader, that is the answer, and existed is true.
func (c *Catalogue) Build(ctx context.Context, b Build) (e Entry, existed bool, err error) {
	i := slices.IndexFunc(Recipes, func(r Recipe) bool { return r.Name == b.Recipe })
	if i < 0 {
		var names []string
		for _, r := range Recipes {
			names = append(names, r.Name)
		}
		return Entry{}, false, fmt.Errorf("build image %q: there is no such recipe; there is %s", b.Recipe, strings.Join(names, ", "))
	}
	recipe := Recipes[i]
	folder, err := recipe.run(ctx, b)
	if err != nil {
		return Entry{}, false, fmt.Errorf("build image %s: %w", recipe.Name, err)
	}
	m := recipe.Image
	m.Source = filepath.Base(folder) // ends in the hash of all that went in
	have, err := c.List()
	if err != nil {
		return Entry{}, false, err
	}
	for _, e := range have {
		if e.Source == m.Source && e.folderName() == recipe.Image.folderName() && !b.Force {
			return e, true, nil
		}
	}
	m.Version = nextVersion(have, m, c.Now())
	arguments, err := readSmall(filepath.Join(folder, "arguments"), 4<<10)
	if err != nil {
		return Entry{}, false, fmt.Errorf("build image %s: %w", recipe.Name, err)
	}
	m.Arguments = strings.TrimSpace(string(arguments))
	e, err = c.Import(ctx, Import{
		Manifest: m, Disk: filepath.Join(folder, "disk.qcow2"), Format: "qcow2",
		Kernel: filepath.Join(folder, "kernel"), Initrd: filepath.Join(folder, "initrd"), Progress: b.Progress,
	})
	return e, false, err
}

// folderName is the part of an image's folder that its versions share.
func (m *Manifest) folderName() string {
	return strings.ToLower(m.Publisher + "+" + m.Offer + "+" + m.SKU)
}

// nextVersion is the day, and a number from the day's second image on.
func nextVersion(have []Entry, m Manifest, now time.Time) string {
	day := now.UTC().Format("2006.1.2")
	taken := func(version string) bool {
		return slices.ContainsFunc(have, func(e Entry) bool {
			return e.folderName() == m.folderName() && compareVersions(e.Version, version) == 0
		})
	}
	version := day
	for n := 1; taken(version); n++ {
		version = day + "." + strconv.Itoa(n)
	}
	return version
}

// run carries the recipe out and returns the folder of its results.
func (r *Recipe) run(ctx context.Context, b Build) (string, error) {
	if b.BootLoader == "" {
		return "", errors.New("the boot loader's package is missing")
	}
	deb, err := regular(b.BootLoader)
	if err != nil {
		return "", fmt.Errorf("find the boot loader's package: %w", err)
	}
	place, err := os.MkdirTemp("", "deskyard-recipe-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(place)
	if err := extract(images.Recipes, place); err != nil {
		return "", err
	}
	args := []string{"--bootloader-deb", deb}
	for _, name := range b.Components {
		archive, err := regular(name)
		if err != nil {
			return "", fmt.Errorf("find a component's archive: %w", err)
		}
		args = append(args, "--component", archive)
	}
	if b.Size != "" {
		args = append(args, "--size", b.Size)
	}
	if b.Mirror != "" {
		args = append(args, "--mirror", b.Mirror)
	}
	if b.Force {
		args = append(args, "--force")
	}
	ctx, cancel := context.WithTimeout(ctx, buildFor)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", append([]string{filepath.Join(place, r.Folder, "build")}, args...)...)
	cmd.Env = append(os.Environ(), "DESKYARD_PROGRESS=1")
	// The recipe ends with all that it started, and cleans up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	out := bounded{limit: 4 << 10}
	cmd.Stdout = &out
	said := &recipeLog{progress: b.Progress, log: b.Log}
	cmd.Stderr = said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fmt.Errorf("run the recipe: %w%s", err, said.end())
	}
	folder := strings.TrimSpace(out.String())
	if !filepath.IsAbs(folder) {
		return "", fmt.Errorf("run the recipe: it names no folder but %q", clip(folder, 200))
	}
	return folder, nil
}

// extract writes the recipes' files; scripts become executable.
func extract(from fs.FS, to string) error {
	return fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, filepath.FromSlash(path))
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		text, err := fs.ReadFile(from, path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if bytes.HasPrefix(text, []byte("#!")) {
			mode = 0o755
		}
		if err := os.WriteFile(target, text, mode); err != nil {
			return fmt.Errorf("unpack the recipe: %w", err)
		}
		return os.Chmod(target, mode) // the umask may have taken bits
	})
}

// recipeLog reads what a recipe says: lines "progress: DONE TOTAL TEXT", and words for
// people, the last of which belong to its error.
type recipeLog struct {
	progress Progress
	log      io.Writer
	rest     []byte
	last     []string
}

// lastLines is how much of a recipe's words its error has.
const lastLines = 12

func (l *recipeLog) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			if len(l.rest) > 64<<10 { // no line is that long
				l.rest = l.rest[:0]
			}
			return len(p), nil
		}
		l.rest = rest
		if err := l.line(string(line)); err != nil {
			return 0, err
		}
	}
}

func (l *recipeLog) line(line string) error {
	if said, ok := strings.CutPrefix(line, "progress: "); ok {
		f := strings.SplitN(said, " ", 3)
		if len(f) != 3 {
			return nil
		}
		done, err1 := strconv.ParseInt(f[0], 10, 64)
		total, err2 := strconv.ParseInt(f[1], 10, 64)
		if err1 == nil && err2 == nil {
			l.progress.tell(f[2], done, total)
		}
		return nil
	}
	if l.last = append(l.last, line); len(l.last) > lastLines {
		l.last = l.last[1:]
	}
	if l.log == nil {
		return nil
	}
	_, err := fmt.Fprintln(l.log, line)
	return err
}

func (l *recipeLog) end() string {
	if len(l.last) == 0 {
		return ""
	}
	return ":\n" + strings.Join(l.last, "\n")
}

// Named is the entry of a name publisher:offer:sku[:version]; aliases count too.
func (c *Catalogue) Named(name string) (Entry, error) {
	ref, err := ParseURN(name)
	if err != nil {
		return Entry{}, err
	}
	return c.Find("", ref)
}
