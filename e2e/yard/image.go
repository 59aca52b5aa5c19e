package yard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Image is an image version as templates name it.
type Image struct{ Publisher, Offer, SKU, Version string }

// URN is the image's name on one line, as the CLI and az have it.
func (i Image) URN() string { return i.Publisher + ":" + i.Offer + ":" + i.SKU + ":" + i.Version }

// built is what `deskyard image build` answers.
type built struct {
	Image
	Folder string
}

// BuildImage has the CLI build the desktop image and puts it into the catalogue of an
// installation in dir, before Open. packages is the folder with the boot loader's
// Debian package. The image is built once for each state of recipe and package: it
// stays in the user's cache, whose files the catalogue then shares. told gets the
// CLI's progress; nil drops it.
func BuildImage(ctx context.Context, binary, packages, dir string, told io.Writer) (Image, error) {
	cache, err := cacheFolder()
	if err != nil {
		return Image{}, err
	}
	unlock, err := alone(cache)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	b, err := buildInto(ctx, binary, packages, cache, told)
	if err != nil {
		return Image{}, err
	}
	images := filepath.Join(dir, "data", "images")
	if err := os.MkdirAll(images, 0o700); err != nil {
		return Image{}, fmt.Errorf("make the catalogue's folder: %w", err)
	}
	if err := share(ctx, b.Folder, images); err != nil {
		return Image{}, err
	}
	return b.Image, forgetOthers(b.Folder)
}

func cacheFolder() (string, error) {
	if folder := os.Getenv("DESKYARD_CACHE"); folder != "" {
		return filepath.Join(folder, "e2e"), nil
	}
	folder, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	return filepath.Join(folder, "deskyard", "e2e"), nil
}

// alone waits until no other test builds into the cache.
func alone(cache string) (unlock func(), err error) {
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, fmt.Errorf("make the cache: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the cache: %w", err), f.Close())
	}
	return func() { f.Close() }, nil
}

func buildInto(ctx context.Context, binary, packages, data string, told io.Writer) (b built, err error) {
	debs, err := filepath.Glob(filepath.Join(packages, "deskyard-bootloader_*_amd64.deb"))
	if err != nil || len(debs) != 1 {
		return b, errors.Join(fmt.Errorf("build the image: want one deskyard-bootloader_*_amd64.deb in %s, found %d: make packages", packages, len(debs)), err)
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, "image", "build", "debian-12-desktop", "--data", data, "--bootloader-deb", debs[0], "-o", "json")
	cmd.Stdout, cmd.Stderr = &out, &said
	if told != nil {
		cmd.Stderr = io.MultiWriter(&said, told)
	}
	if err := cmd.Run(); err != nil {
		return b, fmt.Errorf("build the image: %w: %s", err, tail(said.Bytes(), 2000))
	}
	if err := json.Unmarshal(out.Bytes(), &b); err != nil {
		return b, fmt.Errorf("read what image build answered: %w: %s", err, tail(out.Bytes(), 300))
	}
	if b.Version == "" || b.Folder == "" {
		return b, fmt.Errorf("image build answered no version and folder: %s", tail(out.Bytes(), 300))
	}
	return b, nil
}

// share gives a folder's files a second name below into, or copies them where that is
// another file system. Images never change.
func share(ctx context.Context, folder, into string) error {
	to := filepath.Join(into, filepath.Base(folder))
	if exec.CommandContext(ctx, "cp", "-al", folder, to).Run() == nil {
		return nil
	}
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("share the image: %w", err)
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", folder, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the image: %w: %s", err, out)
	}
	return nil
}

// forgetOthers removes older images from the cache. Whoever shares one keeps it.
func forgetOthers(folder string) error {
	entries, err := filepath.Glob(filepath.Join(filepath.Dir(folder), "deskyard+*"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e != folder {
			if err := os.RemoveAll(e); err != nil {
				return fmt.Errorf("remove an old image: %w", err)
			}
		}
	}
	return nil
}

// tail is the end of what a command wrote.
func tail(text []byte, n int) []byte { return text[max(0, len(text)-n):] }
