package media

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/deskyard/deskyard/compute"
)

// toolFor bounds one call of qemu-img; a clone takes 20 ms, and 150 ms on a busy host.
const toolFor = 30 * time.Second

// Info is what qemu-img knows of a disk file.
type Info struct {
	Format       string // qcow2, raw, …
	VirtualBytes int64  // the size that a guest sees
	ActualBytes  int64  // what it takes on the host
	Backing      string // the file that it is a clone of; "" for none
	External     bool   // its data lie in another file, which only the header names
}

// ErrDangerous says that an image file names other files: whoever made it could have
// its machines read any file of the host.
var ErrDangerous = errors.New("the image refers to other files of the host")

// Inspect reads a disk file's header. A running machine's disk may be inspected.
func Inspect(ctx context.Context, path, format string) (Info, error) {
	args := []string{"info", "--force-share", "--output=json"}
	if format != "" {
		args = append(args, "-f", format)
	}
	out, err := imgTool(ctx, append(args, "--", path)...)
	if err != nil {
		return Info{}, fmt.Errorf("inspect disk %s: %w", path, err)
	}
	info, err := parseInfo(out)
	if err != nil {
		return Info{}, fmt.Errorf("inspect disk %s: %w", path, err)
	}
	return info, nil
}

// Size reads how large a guest sees a qcow2 disk, from the file alone: a machine may
// run from it, and no program is started.
func Size(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read the size of a disk: %w", err)
	}
	defer f.Close()
	header := make([]byte, 32)
	if _, err := io.ReadFull(f, header); err != nil {
		return 0, fmt.Errorf("read the size of disk %s: %w", path, err)
	}
	size, err := parseSize(header)
	if err != nil {
		return 0, fmt.Errorf("read the size of disk %s: %w", path, err)
	}
	return size, nil
}

// parseSize decodes the start of a qcow2 header: magic, version, backing file,
// cluster bits, size.
func parseSize(header []byte) (int64, error) {
	if len(header) < 32 || string(header[:4]) != "QFI\xfb" {
		return 0, errors.New("it is no qcow2 file")
	}
	if version := binary.BigEndian.Uint32(header[4:]); version < 2 || version > 3 {
		return 0, fmt.Errorf("qcow2 has no version %d", version)
	}
	size := binary.BigEndian.Uint64(header[24:])
	if size > math.MaxInt64 {
		return 0, fmt.Errorf("%d bytes are no size", size)
	}
	return int64(size), nil
}

// parseInfo decodes what qemu-img writes of a file, whose header may be anybody's.
func parseInfo(text []byte) (Info, error) {
	var raw struct {
		Format   string `json:"format"`
		Virtual  *int64 `json:"virtual-size"`
		Actual   int64  `json:"actual-size"`
		Backing  string `json:"backing-filename"`
		Specific struct {
			Data struct {
				DataFile string `json:"data-file"`
			} `json:"data"`
		} `json:"format-specific"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return Info{}, fmt.Errorf("read qemu-img's answer: %w", err)
	}
	if raw.Format == "" || raw.Virtual == nil || *raw.Virtual < 0 || raw.Actual < 0 {
		return Info{}, errors.New("read qemu-img's answer: it names no format or no size")
	}
	return Info{
		Format: raw.Format, VirtualBytes: *raw.Virtual, ActualBytes: raw.Actual,
		Backing: raw.Backing, External: raw.Specific.Data.DataFile != "",
	}, nil
}

// Check looks whether an image can be cloned: it is there, is of the format it is
// said to be, and refers to no other file. Info.VirtualBytes is the smallest disk.
func Check(ctx context.Context, image compute.Image) (Info, error) {
	format := image.Format
	if format == "" {
		format = "qcow2"
	}
	if format != "qcow2" && format != "raw" {
		return Info{}, fmt.Errorf("check image %s: its format %q is neither qcow2 nor raw", image.Path, format)
	}
	if !filepath.IsAbs(image.Path) {
		return Info{}, fmt.Errorf("check image %q: its path is not absolute", image.Path)
	}
	info, err := Inspect(ctx, image.Path, format) // with a format that is given, nothing is guessed from the content
	if err != nil {
		return Info{}, err
	}
	if info.Backing != "" || info.External {
		return Info{}, fmt.Errorf("check image %s: %w", image.Path, ErrDangerous)
	}
	for _, p := range []string{image.Kernel, image.Initrd} {
		if p == "" {
			continue
		}
		if _, err := os.Stat(p); err != nil {
			return Info{}, fmt.Errorf("check image %s: look at its kernel: %w", image.Path, err)
		}
	}
	return info, nil
}

// Clone makes disk a linked clone of an image that Check accepted: what the machine
// writes goes to disk, the image is only read. sizeGB 0 keeps the image's size. A
// disk that is there already is left as it is.
func Clone(ctx context.Context, image compute.Image, disk string, sizeGB int) error {
	if _, err := os.Lstat(disk); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clone %s: %w", image.Path, err)
	}
	format := image.Format
	if format == "" {
		format = "qcow2"
	}
	draft := disk + ".new"
	args := []string{"create", "-q", "-f", "qcow2", "-F", format, "-b", image.Path, "--", draft}
	if sizeGB > 0 {
		args = append(args, strconv.Itoa(sizeGB)+"G")
	}
	if _, err := imgTool(ctx, args...); err != nil {
		return fmt.Errorf("clone %s: %w", image.Path, errors.Join(err, removeFile(draft)))
	}
	if err := os.Chmod(draft, 0o600); err != nil {
		return fmt.Errorf("clone %s: %w", image.Path, err)
	}
	if err := os.Rename(draft, disk); err != nil {
		return fmt.Errorf("clone %s: %w", image.Path, err)
	}
	return nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// imgTool runs qemu-img and returns what it writes.
func imgTool(ctx context.Context, args ...string) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, toolFor)
	defer cancel()
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(limited, "qemu-img", args...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch said := strings.TrimSpace(problems.String()); {
	case err == nil:
		return out.Bytes(), nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("run qemu-img (apt-get install qemu-utils): %w", err)
	case strings.Contains(said, "No space left"):
		return nil, fmt.Errorf("qemu-img %s: %w", args[0], compute.ErrNoSpace)
	default:
		return nil, fmt.Errorf("qemu-img %s: %w: %s", args[0], err, said)
	}
}
