package media

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"

	"github.com/kdomanski/iso9660"
)

// seedLabel is the volume name that cloud-init's and cloudbase-init's NoCloud sources
// look for.
const seedLabel = "cidata"

// maxSeed bounds a seed's content: user-data of Azure's customData is 64 KiB at most,
// and ours carries a boot loader's invitation beside it.
const maxSeed = 4 << 20

// seedName is what a seed's files may be called: names that ISO 9660 without
// extensions keeps, so that the guest sees them as they were given.
var seedName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,28}$`)

// WriteSeed makes a NoCloud seed disk, readable by its owner alone. Its content is
// secret: between being staged in a folder of the owner's and being on the disk it is
// in no place that others can read.
func WriteSeed(path string, files map[string][]byte) (err error) {
	writer, err := iso9660.NewWriter()
	if err != nil {
		return fmt.Errorf("write seed disk %s: %w", path, err)
	}
	defer func() {
		if cleaned := writer.Cleanup(); cleaned != nil {
			err = errors.Join(err, fmt.Errorf("write seed disk %s: %w", path, cleaned))
		}
	}()
	total := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !seedName.MatchString(name) {
			return fmt.Errorf("write seed disk %s: its file %q cannot be named so", path, name)
		}
		if total += len(files[name]); total > maxSeed {
			return fmt.Errorf("write seed disk %s: its content is larger than %d bytes", path, maxSeed)
		}
		if err := writer.AddFile(bytes.NewReader(files[name]), name); err != nil {
			return fmt.Errorf("write seed disk %s: add %s: %w", path, name, err)
		}
	}
	draft := path + ".new"
	out, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write seed disk: %w", err)
	}
	if err := errors.Join(writer.WriteTo(out, seedLabel), out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("write seed disk %s: %w", path, errors.Join(err, removeFile(draft)))
	}
	if err := os.Rename(draft, path); err != nil {
		return fmt.Errorf("write seed disk: %w", err)
	}
	return nil
}

// ReadSeed reads a seed disk back.
func ReadSeed(r io.ReaderAt) (map[string][]byte, error) {
	image, err := iso9660.OpenImage(r)
	if err != nil {
		return nil, fmt.Errorf("read seed disk: %w", err)
	}
	label, err := image.Label()
	if err != nil {
		return nil, fmt.Errorf("read seed disk: %w", err)
	}
	if label != seedLabel {
		return nil, fmt.Errorf("read seed disk: its label is %q", label)
	}
	root, err := image.RootDir()
	if err != nil {
		return nil, fmt.Errorf("read seed disk: %w", err)
	}
	children, err := root.GetChildren()
	if err != nil {
		return nil, fmt.Errorf("read seed disk: %w", err)
	}
	files := map[string][]byte{}
	for _, c := range children {
		content, err := io.ReadAll(io.LimitReader(c.Reader(), maxSeed))
		if err != nil {
			return nil, fmt.Errorf("read seed disk: %s: %w", c.Name(), err)
		}
		files[c.Name()] = content
	}
	return files, nil
}
