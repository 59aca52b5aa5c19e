//go:build e2e

package desktops

import (
	"image"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/desktop"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// anApplication opens a RemoteApp from its file: the machine's session starts that
// program and no desktop, and ends with it.
func (h *house) anApplication(t *testing.T) {
	const bob = "bob@deskyard.local"
	ctx := yardtest.Deadline(t, madeFor)
	user, err := h.Application(ctx, bob, "Terminal", "/usr/bin/xterm")
	must(t, err)
	all, err := user.Resources(ctx)
	must(t, err)
	if len(all) != 1 || all[0].Type != "RemoteApp" {
		t.Fatalf("%s is offered %+v", bob, all)
	}
	file, err := user.File(ctx, all[0].RDP)
	must(t, err)
	s := h.sit(ctx, t, desktop.FileOptions{Arguments: []string{"/u:" + bob, "/p:" + user.Password}}, file, "terminal.rdp")
	deadline := time.Now().Add(openFor)
	for {
		said := h.inside(ctx, t, "ps -u "+bob+" -o comm= | tr '\n' ' '")
		if strings.Contains(said, "xterm") {
			if strings.Contains(said, "openbox") || strings.Contains(said, "tint2") {
				t.Errorf("the session has a desktop besides: %s", said)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the program does not run: %s", said)
		}
	}
	err = s.screen.AwaitPicture(ctx, func(m image.Image) string {
		if r, g, b, _ := m.At(60, 60).RGBA(); min(r, g, b) < 0xc000 {
			return "the terminal is not on the screen"
		}
		return ""
	})
	s.keep(t, "application")
	must(t, err)
	h.inside(ctx, t, "pkill -u "+bob+" xterm")
	must(t, s.AwaitEnd(ctx, openFor))
}
