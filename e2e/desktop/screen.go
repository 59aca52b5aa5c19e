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

// Picture is what the display shows: an X window dump (XWDFileHeader, X11/XWDFile.h),
// its fields big-endian.
func (s *Screen) Picture() (image.Image, error) {
	var head [25]uint32
	if err := binary.Read(io.NewSectionReader(s.dump, 0, 100), binary.BigEndian, &head); err != nil {
		return nil, fmt.Errorf("read the display: %w", err)
	}
	size, width, height, depth, line, colours := head[0], head[4], head[5], head[11], head[12], head[19]
	if depth != 32 || width > 8192 || height > 8192 || line < 4*width || line > 1<<16 {
		return nil, fmt.Errorf("read the display: %dx%d at %d bits is not a dump of it", width, height, depth)
	}
	pixels := make([]byte, line*height)
	if _, err := s.dump.ReadAt(pixels, int64(size)+12*int64(colours)); err != nil {
		return nil, fmt.Errorf("read the display: %w", err)
	}
	m := image.NewRGBA(image.Rect(0, 0, int(width), int(height)))
	for y := range int(height) {
		for x := range int(width) {
			p := pixels[y*int(line)+4*x:]
			m.SetRGBA(x, y, color.RGBA{p[2], p[1], p[0], 255})
		}
	}
	return m, nil
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
