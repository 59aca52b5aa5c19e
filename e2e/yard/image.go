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
)

// Image is an image version as templates name it.
type Image struct{ Publisher, Offer, SKU, Version string }

// URN is the image's name on one line, as the CLI and az have it.
func (i Image) URN() string { return i.Publisher + ":" + i.Offer + ":" + i.SKU + ":" + i.Version }

// BuildImage has the CLI build the desktop image into the catalogue of an
// installation in dir, before or after Open. packages is the folder with the boot
// loader's Debian package. The recipe's own cache makes all but the first build a
// matter of seconds. told gets the CLI's progress; nil drops it.
func BuildImage(ctx context.Context, binary, packages, dir string, told io.Writer) (Image, error) {
	debs, err := filepath.Glob(filepath.Join(packages, "deskyard-bootloader_*_amd64.deb"))
	if err != nil || len(debs) != 1 {
		return Image{}, errors.Join(fmt.Errorf("build the image: want one deskyard-bootloader_*_amd64.deb in %s, found %d: make packages", packages, len(debs)), err)
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return Image{}, fmt.Errorf("make the data folder: %w", err)
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, "image", "build", "debian-12-desktop", "--data", data, "--bootloader-deb", debs[0], "-o", "json")
	cmd.Stdout, cmd.Stderr = &out, &said
	if told != nil {
		cmd.Stderr = io.MultiWriter(&said, told)
	}
	if err := cmd.Run(); err != nil {
		return Image{}, fmt.Errorf("build the image: %w: %s", err, tail(said.Bytes(), 2000))
	}
	var built Image
	if err := json.Unmarshal(out.Bytes(), &built); err != nil {
		return Image{}, fmt.Errorf("read what image build answered: %w: %s", err, tail(out.Bytes(), 300))
	}
	if built.Version == "" {
		return Image{}, fmt.Errorf("image build answered no version: %s", tail(out.Bytes(), 300))
	}
	return built, nil
}

// tail is the end of what a command wrote.
func tail(text []byte, n int) []byte { return text[max(0, len(text)-n):] }
