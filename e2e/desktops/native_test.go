//go:build e2e

package desktops

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/desktop"
	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

const width, height = 1000, 640

// seat is a person at a native client.
type seat struct {
	*desktop.Client
	screen *desktop.Screen
	shots  string
}

// sit opens a connection file with a client.
func (h *house) sit(ctx context.Context, t *testing.T, o desktop.FileOptions, file []byte, name string) *seat {
	t.Helper()
	dir := t.TempDir()
	screen, err := desktop.NewScreen(context.WithoutCancel(ctx), dir, width, height)
	must(t, err)
	t.Cleanup(func() {
		if err := screen.Close(); err != nil {
			t.Error(err)
		}
	})
	o.File, o.Screen, o.Home = filepath.Join(dir, name), screen, dir
	must(t, os.WriteFile(o.File, file, 0o600))
	o.Arguments = append(o.Arguments, "/cert:ignore", fmt.Sprintf("/size:%dx%d", width, height), "/audio-mode:2", "/log-level:INFO")
	c, err := desktop.OpenFile(ctx, o)
	must(t, err)
	s := &seat{Client: c, screen: screen, shots: h.shots}
	t.Cleanup(func() {
		c.End()
		if t.Failed() {
			t.Logf("the client said: %s", c.Said())
		}
	})
	return s
}

// desktop waits until the client shows the wallpaper of the image, and keeps a picture.
func (s *seat) desktop(ctx context.Context, t *testing.T, h *house, name string) {
	t.Helper()
	f, err := os.Open(filepath.Join(h.repo, "images", "debian-desktop", "overlay", "usr", "share", "backgrounds", "desk.jpg"))
	must(t, err)
	defer f.Close() // only read
	wallpaper, err := jpeg.Decode(f)
	must(t, err)
	ctx, cancel := context.WithTimeout(ctx, 2*openFor)
	defer cancel()
	watched, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-s.Done():
			stop(fmt.Errorf("the client ended"))
		case <-watched.Done():
		}
	}()
	err = s.screen.AwaitPicture(watched, func(m image.Image) string { return unlike(m, wallpaper) })
	s.keep(t, name)
	must(t, err)
}

// keep keeps a picture of the client's screen.
func (s *seat) keep(t *testing.T, name string) {
	t.Helper()
	m, err := s.screen.Picture()
	must(t, err)
	var b bytes.Buffer
	must(t, png.Encode(&b, m))
	must(t, os.WriteFile(filepath.Join(s.shots, name+".png"), b.Bytes(), 0o644))
}

// unlike says how far a screen's margins, where no window is, are from the wallpaper,
// which covers the screen; nothing when they are the same but for compression.
func unlike(screen, wallpaper image.Image) string {
	size, from := screen.Bounds(), wallpaper.Bounds()
	scale := max(float64(size.Dx())/float64(from.Dx()), float64(size.Dy())/float64(from.Dy()))
	left, top := (float64(from.Dx())*scale-float64(size.Dx()))/2, (float64(from.Dy())*scale-float64(size.Dy()))/2
	sum, n := 0, 0
	for y := 8; y < size.Dy()-60; y += 8 { // above the panel
		for _, x := range []int{8, 24, 40, size.Dx() - 40, size.Dx() - 24, size.Dx() - 8} {
			r, g, b, _ := screen.At(x, y).RGBA()
			wr, wg, wb, _ := wallpaper.At(int((float64(x)+left)/scale), int((float64(y)+top)/scale)).RGBA()
			for _, d := range []int{int(r) - int(wr), int(g) - int(wg), int(b) - int(wb)} {
				sum, n = sum+max(d, -d)>>8, n+1
			}
		}
	}
	if mean := sum / n; mean > 8 {
		return fmt.Sprintf("the screen differs from the wallpaper by %d of 255", mean)
	}
	return ""
}

// file downloads the desktop's connection file.
func (h *house) file(ctx context.Context, t *testing.T, kind string) []byte {
	t.Helper()
	all, err := h.ann.Resources(ctx)
	must(t, err)
	if len(all) != 1 || all[0].Type != "Desktop" {
		t.Fatalf("%s is offered %+v", upn, all)
	}
	file, err := h.ann.File(ctx, strings.TrimSuffix(all[0].RDP, ".rdp")+kind)
	must(t, err)
	return file
}

func (h *house) byFreeRDP2(t *testing.T) {
	ctx := yardtest.Deadline(t, madeFor)
	began := time.Now()
	s := h.sit(ctx, t, desktop.FileOptions{Arguments: []string{"/u:" + upn, "/p:" + h.ann.Password}}, h.file(ctx, t, ".rdp"), "desk.rdp")
	s.desktop(ctx, t, h, "freerdp2")
	t.Logf("the desktop is on FreeRDP 2's screen %.1f s after the file was asked for", time.Since(began).Seconds())
	h.active(ctx, t)
	s.End()
	h.session(ctx, t, "Disconnected")
}

// active looks that Ann has the one session.
func (h *house) active(ctx context.Context, t *testing.T) service.Session {
	t.Helper()
	s := h.session(ctx, t, "Active")
	if !strings.EqualFold(s.Properties.UserPrincipalName, upn) {
		t.Errorf("the session is of %+v", s.Properties)
	}
	return s
}

// redirects are settings of connection files that share devices of the client's machine,
// which a headless one has not.
var redirects = regexp.MustCompile(`(?mi)^(drivestoredirect|redirectprinters|redirectsmartcards|redirectcomports|usbdevicestoredirect|devicestoredirect|camerastoredirect):.*\r?\n`)

// freeRDP3 is the FreeRDP 3 that FREERDP3 names; Debian 12 has none.
func freeRDP3(t *testing.T) string {
	t.Helper()
	program := os.Getenv("FREERDP3")
	if program == "" {
		t.Skip("FREERDP3 names no FreeRDP 3, and Debian 12 has none")
	}
	return program
}

// freeRDP3 opens the desktop with FreeRDP 3.
func (h *house) freeRDP3(ctx context.Context, t *testing.T) *seat {
	t.Helper()
	program := freeRDP3(t)
	token, err := h.ann.Token(ctx)
	must(t, err)
	at, err := url.Parse(h.Service.Endpoint)
	must(t, err)
	return h.sit(ctx, t, desktop.FileOptions{
		Program: program, Env: []string{"SSL_CERT_FILE=" + h.Service.CAFile},
		Arguments: []string{"/gateway:type:arm,bearer:" + token, "/azure:ad:" + at.Host, "/u:" + upn, "/p:unused"},
	}, redirects.ReplaceAll(h.file(ctx, t, ".rdpw"), nil), "desk.rdpw")
}

func (h *house) byFreeRDP3(t *testing.T) {
	ctx := yardtest.Deadline(t, madeFor)
	began := time.Now()
	s := h.freeRDP3(ctx, t)
	s.desktop(ctx, t, h, "freerdp3")
	t.Logf("the desktop is on FreeRDP 3's screen %.1f s after the file was asked for", time.Since(began).Seconds())
	h.active(ctx, t)
}
