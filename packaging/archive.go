package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/deskyard/deskyard/bootloader"
)

// archive packs a component for the boot loader and gives the file of its manifest.
func (b build) archive(c component, goos, arch, program string) (manifest string, err error) {
	file := filepath.Join(b.out, fmt.Sprintf("%s_%s_%s_%s.tar.gz", c.name, b.version, goos, arch))
	f, err := os.CreateTemp(b.out, ".new-*")
	if err != nil {
		return "", fmt.Errorf("pack %s: %w", c.name, err)
	}
	defer os.Remove(f.Name()) // gone after the rename
	entry := filepath.Base(program)
	args := c.args
	if goos == "windows" && c.windows != nil {
		args = c.windows
	}
	m, err := bootloader.Pack(f, bootloader.Manifest{
		Component: c.name, Version: b.version, OS: goos, Arch: arch, Title: c.title, Entry: entry, Args: args,
	}, map[string]string{entry: program})
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return "", fmt.Errorf("pack %s: %w", c.name, err)
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return "", fmt.Errorf("pack %s: %w", c.name, err)
	}
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return "", fmt.Errorf("encode manifest of %s: %w", c.name, err)
	}
	manifest = program + "." + bootloader.ManifestName
	if err := os.WriteFile(manifest, text, 0o644); err != nil {
		return "", fmt.Errorf("write manifest of %s: %w", c.name, err)
	}
	return manifest, done(file)
}
