package desktop

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Screen is an X display that nobody sees but its maker. Close ends it.
type Screen struct {
	Display string // ":N"
	cmd     *exec.Cmd
	dump    *os.File // Xvfb keeps what it shows in this file
}

// NewScreen starts a display. Its files go to dir.
func NewScreen(ctx context.Context, dir string, width, height int) (*Screen, error) {
	said, told, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start a display: %w", err)
	}
	defer said.Close() // read only
	s := &Screen{cmd: exec.CommandContext(ctx, "Xvfb", "-displayfd", "3", "-fbdir", dir, "-screen", "0", fmt.Sprintf("%dx%dx24", width, height), "-nolisten", "tcp", "-noreset")}
	s.cmd.ExtraFiles = []*os.File{told}
	err = s.cmd.Start()
	err = errors.Join(err, told.Close())
	if err != nil {
		return nil, fmt.Errorf("start a display: %w", err)
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a display: Xvfb ended: %w", err), s.cmd.Wait())
	}
	s.Display = ":" + line[:len(line)-1]
	if s.dump, err = os.Open(filepath.Join(dir, "Xvfb_screen0")); err != nil {
		return nil, errors.Join(fmt.Errorf("start a display: %w", err), s.end())
	}
	return s, nil
}

// Close ends the display and waits until it is gone.
func (s *Screen) Close() error { return errors.Join(s.dump.Close(), s.end()) }

func (s *Screen) end() error {
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait() // ended by the signal
	return err
}

// dumped is where the pixels of a dump are, in bytes.
type dumped struct{ from, line, width, height int64 }

// head reads a dump's head: an X window dump's (XWDFileHeader, X11/XWDFile.h), its fields
// big-endian.
func (s *Screen) head() (dumped, error) {
	var head [25]uint32
	if err := binary.Read(io.NewSectionReader(s.dump, 0, 100), binary.BigEndian, &head); err != nil {
		return dumped{}, fmt.Errorf("read the display: %w", err)
	}
	size, width, height, depth, line, colours := head[0], head[4], head[5], head[11], head[12], head[19]
	if depth != 32 || width > 8192 || height > 8192 || line < 4*width || line > 1<<16 {
		return dumped{}, fmt.Errorf("read the display: %dx%d at %d bits is not a dump of it", width, height, depth)
	}
	return dumped{int64(size) + 12*int64(colours), int64(line), int64(width), int64(height)}, nil
}

func (s *Screen) pixels(at int64, into []byte) error {
	if _, err := s.dump.ReadAt(into, at); err != nil {
		return fmt.Errorf("read the display: %w", err)
	}
	return nil
}

func colourOf(p []byte) color.RGBA { return color.RGBA{p[2], p[1], p[0], 255} }

// Picture is what the display shows.
func (s *Screen) Picture() (image.Image, error) {
	d, err := s.head()
	if err != nil {
		return nil, err
	}
	pixels := make([]byte, d.line*d.height)
	if err := s.pixels(d.from, pixels); err != nil {
		return nil, err
	}
	m := image.NewRGBA(image.Rect(0, 0, int(d.width), int(d.height)))
	for y := range d.height {
		for x := range d.width {
			m.SetRGBA(int(x), int(y), colourOf(pixels[y*d.line+4*x:]))
		}
	}
	return m, nil
}

// At is the colour of one place, for those who look often.
func (s *Screen) At(x, y int64) (color.RGBA, error) {
	d, err := s.head()
	if err != nil {
		return color.RGBA{}, err
	}
	if x < 0 || y < 0 || x >= d.width || y >= d.height {
		return color.RGBA{}, fmt.Errorf("read the display: it has no place %d,%d", x, y)
	}
	var p [4]byte
	err = s.pixels(d.from+y*d.line+4*x, p[:])
	return colourOf(p[:]), err
}

// lookEvery is how often AwaitPicture looks.
const lookEvery = 200 * time.Millisecond

// AwaitPicture waits until the display shows what is wanted. not says what is amiss with
// a picture, or nothing.
func (s *Screen) AwaitPicture(ctx context.Context, not func(image.Image) string) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		m, err := s.Picture()
		if err != nil {
			return err
		}
		amiss := not(m)
		if amiss == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for a picture: %w: %s", context.Cause(ctx), amiss)
		case <-tick.C:
		}
	}
}
