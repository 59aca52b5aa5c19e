//go:build e2e

package desktops

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/e2e/desktop"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// TestDesktopsOfARealMachine opens the desktop of one machine in every way.
func TestDesktopsOfARealMachine(t *testing.T) {
	h := open(t)
	t.Run("in the browser", h.inTheBrowser)
	t.Run("by FreeRDP 2 through the RD Gateway door", h.byFreeRDP2)
	t.Run("by FreeRDP 3 through the door of AVD's own request", h.byFreeRDP3)
	t.Run("one application of it by FreeRDP 2", h.anApplication)
	t.Run("not straight at the machine's RDP port", h.notStraight)
	t.Run("of a machine that is deallocated, in the browser", h.startedByTheBrowser)
	t.Run("of a machine that is deallocated, by FreeRDP 3", h.startedByFreeRDP3)
}

// soon is how fast what an administrator does to a session is felt in it.
const soon = time.Second

func (h *house) inTheBrowser(t *testing.T) {
	ctx := yardtest.Deadline(t, madeFor)
	b := h.browse(t)
	must(t, b.Do(desktop.Order{"do": "signIn", "login": upn, "password": h.ann.Password}, nil))
	began := time.Now()
	must(t, b.Do(desktop.Order{"do": "open", "button": "^Open ", "within": openFor.Milliseconds()}, nil))
	t.Logf("the first desktop is on the canvas %.1f s after the click, with no second prompt", time.Since(began).Seconds())
	s := h.session(ctx, t, "Active")
	if p := s.Properties; !strings.EqualFold(p.UserPrincipalName, upn) || p.ApplicationType != "Desktop" {
		t.Errorf("the session is of %+v", p)
	}
	h.terminal(ctx, t, b)
	h.message(ctx, t, b, s.ID())
	h.disconnect(ctx, t, b, s.ID())
}

// terminal opens one from the panel, works in it and has the picture taken that the
// README shows.
func (h *house) terminal(ctx context.Context, t *testing.T, b *desktop.Browser) {
	var bare int64
	must(t, b.Do(desktop.Order{"do": "still", "quiet": 1500, "within": 60_000}, &bare))
	must(t, b.Do(desktop.Order{"do": "shot", "name": "desktop.png"}, nil))
	var opened error
	for range 4 { // the panel, which is not looked at for its clock, may come after the picture
		must(t, b.Do(desktop.Order{"do": "click", "x": 110, "y": -19}, nil)) // its icon
		if opened = b.Do(desktop.Order{"do": "changes", "from": bare, "within": 15_000}, nil); opened == nil {
			break
		}
	}
	must(t, opened)
	h.takesKeys(t, b)
	var prompt, typed int64
	must(t, b.Do(desktop.Order{"do": "click", "x": 500, "y": 300}, nil)) // off the icon, whose hint goes
	must(t, b.Do(desktop.Order{"do": "still", "quiet": 1500, "within": 60_000}, &prompt))
	word := "hello-" + uuid.NewString()[:8]
	must(t, b.Do(desktop.Order{"do": "type", "text": "clear; hostname; whoami; echo " + word + " | tee ~/typed\n"}, nil))
	must(t, b.Do(desktop.Order{"do": "still", "quiet": 1500, "within": 60_000}, &typed))
	if typed == prompt {
		t.Error("typing changed no pixel of the canvas")
	}
	if got := h.inside(ctx, t, "cat /home/*/typed"); !strings.Contains(got, word) {
		t.Errorf("the machine has %q of what was typed, want %s", got, word)
	}
	h.picture(t, b)
}

// takesKeys presses Enter until the terminal answers.
func (h *house) takesKeys(t *testing.T, b *desktop.Browser) {
	t.Helper()
	var err error
	for range 15 {
		var before int64
		must(t, b.Do(desktop.Order{"do": "still", "quiet": 1500, "within": 60_000}, &before))
		must(t, b.Do(desktop.Order{"do": "type", "text": "\n"}, nil))
		if err = b.Do(desktop.Order{"do": "changes", "from": before, "within": 3000}, nil); err == nil {
			return
		}
	}
	t.Fatalf("the terminal takes no keys: %v", err)
}

// maxPicture bounds the README's picture, in bytes.
const maxPicture = 60 << 10

// picture takes the one of the README. DESKYARD_PICTURE=1 puts it there.
func (h *house) picture(t *testing.T, b *desktop.Browser) {
	must(t, b.Do(desktop.Order{"do": "shot", "name": "desktop.jpg"}, nil))
	drawn, err := os.ReadFile(filepath.Join(h.shots, "desktop.jpg"))
	must(t, err)
	if len(drawn) > maxPicture {
		t.Errorf("the picture for the README has %d bytes, more than %d", len(drawn), maxPicture)
	}
	if os.Getenv("DESKYARD_PICTURE") != "" {
		must(t, os.WriteFile(filepath.Join(h.repo, "docs", "desktop.jpg"), drawn, 0o644))
	}
}

// message has the API show one in the session.
func (h *house) message(ctx context.Context, t *testing.T, b *desktop.Browser, session string) {
	var before int64
	must(t, b.Do(desktop.Order{"do": "still", "quiet": 1000, "within": 30_000}, &before))
	send := func() error { return h.Pool.Message(ctx, host, session, "Maintenance", "Please save your work.") }
	// It is in the session when the API answers. What shows it has to start first, under
	// emulation, and to be read from the disk the first time.
	h.felt(t, b, "the first message", desktop.Order{"do": "changes", "from": before, "within": 20_000}, 3*soon, send)
	must(t, b.Do(desktop.Order{"do": "type", "text": "\n"}, nil)) // okay
	must(t, b.Do(desktop.Order{"do": "still", "quiet": 1000, "within": 30_000}, &before))
	h.felt(t, b, "a message", desktop.Order{"do": "changes", "from": before, "within": 20_000}, 2*soon, send)
	must(t, b.Do(desktop.Order{"do": "still", "quiet": 1000, "within": 30_000}, nil))
	must(t, b.Do(desktop.Order{"do": "shot", "name": "message.png"}, nil))
}

// disconnect has the API take the desktop away, returns to it and signs it out.
func (h *house) disconnect(ctx context.Context, t *testing.T, b *desktop.Browser, session string) {
	ended := desktop.Order{"do": "read", "text": "The session ended", "within": 20_000}
	h.felt(t, b, "a disconnect", ended, soon, func() error { return h.Pool.Disconnect(ctx, host, session) })
	h.session(ctx, t, "Disconnected")
	began := time.Now()
	must(t, b.Do(desktop.Order{"do": "open", "button": "^Connect again", "within": openFor.Milliseconds()}, nil))
	t.Logf("back in the desktop %.1f s after the click", time.Since(began).Seconds())
	if again := h.session(ctx, t, "Active"); again.ID() != session {
		t.Errorf("another session came back: %s, not %s", again.ID(), session)
	}
	h.felt(t, b, "a logoff", ended, soon, func() error { return h.Pool.LogOff(ctx, host, session) })
	began = time.Now()
	h.session(ctx, t, "")
	t.Logf("no session is listed %.1f s later", time.Since(began).Seconds())
}

// felt does something to the session by the API, and fails unless the browser sees it
// in time.
func (h *house) felt(t *testing.T, b *desktop.Browser, what string, seen desktop.Order, within time.Duration, do func() error) {
	t.Helper()
	wait, err := b.Begin(seen)
	must(t, err)
	began := time.Now()
	doErr := do()
	answered := time.Since(began)
	var at time.Time
	must(t, wait(&at))
	must(t, doErr)
	took := at.Sub(began)
	t.Logf("%s of the API is seen in the browser after %d ms (the API answered after %d ms)", what, took.Milliseconds(), answered.Milliseconds())
	if answered > soon {
		t.Errorf("the API took %s for %s, more than %s", answered, what, soon)
	}
	if took > within {
		t.Errorf("%s of the API took %s to be seen, more than %s", what, took, within)
	}
}
