package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrDangerous says that an image file refers to other files: whoever made it could
// have its machines read any file of the host.
var ErrDangerous = errors.New("the file refers to other files of this host")

// Formats that are imported. A VMDK may name any file as its extent; none is taken.
var formats = []string{"qcow2", "raw", "vhdx", "vpc"}

// fileInfo is what qemu-img knows of a file.
type fileInfo struct {
	format       string
	virtualBytes int64
}

// Bounds of qemu-img while it reads a stranger's header: OpenStack's numbers, which
// their operators have lived with for years (image_utils: 1 GiB, 30 s).
const (
	inspectMemory  = "1073741824"
	inspectSeconds = "30"
	maxAnswer      = 1 << 20
)

// inspect reads a file's header with qemu-img, bounded in memory and time, and refuses
// what must not be imported. An empty format is found out from the content.
func inspect(ctx context.Context, path, format string) (fileInfo, error) {
	if !filepath.IsAbs(path) { // "json:…" and "nbd:…" are file names to QEMU
		return fileInfo{}, fmt.Errorf("inspect %q: the path is not absolute", path)
	}
	args := []string{"--as=" + inspectMemory, "--cpu=" + inspectSeconds, "--core=0", "qemu-img", "info", "--output=json"}
	if format != "" {
		args = append(args, "-f", format)
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(limited, "prlimit", append(args, "--", path)...)
	cmd.WaitDelay = 5 * time.Second
	out, problems := bounded{limit: maxAnswer}, bounded{limit: 4 << 10}
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return fileInfo{}, fmt.Errorf("inspect %s: %w", path, toolError(limited, err, problems.String()))
	}
	info, err := parseInfo(out.Bytes())
	if err != nil {
		return fileInfo{}, fmt.Errorf("inspect %s: %w", path, err)
	}
	return info, nil
}

// toolError is an error of a program with the end of what it said.
func toolError(ctx context.Context, err error, said string) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: apt-get install qemu-utils util-linux", err)
	}
	if said = strings.TrimSpace(said); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// parseInfo reads qemu-img's answer, whose strings are the stranger's.
func parseInfo(text []byte) (fileInfo, error) {
	var answer struct {
		Format    string `json:"format"`
		Virtual   int64  `json:"virtual-size"`
		Backing   string `json:"backing-filename"`
		Full      string `json:"full-backing-filename"`
		Encrypted bool   `json:"encrypted"`
		Specific  struct {
			Data struct {
				DataFile    string          `json:"data-file"`
				DataFileRaw bool            `json:"data-file-raw"`
				Corrupt     bool            `json:"corrupt"`
				Encrypt     json.RawMessage `json:"encrypt"`
			} `json:"data"`
		} `json:"format-specific"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fileInfo{}, fmt.Errorf("read qemu-img's answer: %w", err)
	}
	data := answer.Specific.Data
	switch {
	case answer.Backing != "" || answer.Full != "":
		return fileInfo{}, fmt.Errorf("%w: it is a clone of another disk (its backing file); flatten it where it was made: qemu-img convert -O qcow2", ErrDangerous)
	case data.DataFile != "" || data.DataFileRaw:
		return fileInfo{}, fmt.Errorf("%w: its data lie in an external data file", ErrDangerous)
	case !slices.Contains(formats, answer.Format):
		return fileInfo{}, fmt.Errorf("its format is %q; images are imported from %s", clip(answer.Format, 40), strings.Join(formats, ", "))
	case answer.Encrypted || len(data.Encrypt) > 0:
		return fileInfo{}, errors.New("it is encrypted")
	case data.Corrupt:
		return fileInfo{}, errors.New("it is marked as corrupt: qemu-img check tells more")
	case answer.Virtual <= 0 || answer.Virtual > MaxVirtualBytes:
		return fileInfo{}, fmt.Errorf("its disk of %d bytes is not between 1 byte and %d GiB", answer.Virtual, MaxVirtualBytes>>30)
	}
	return fileInfo{answer.Format, answer.Virtual}, nil
}

func clip(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// bounded keeps the first limit bytes of what is written to it.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); room < len(p) {
		b.Buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
