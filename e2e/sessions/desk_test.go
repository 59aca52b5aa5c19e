//go:build e2e

package sessions

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/desktop"
)

// desk is a person at Debian's FreeRDP, with a screen that the test sees and a keyboard
// that it types on.
type desk struct {
	name   string
	client *process
	screen *desktop.Screen
	keys   io.WriteCloser
	typed  int // on the host's side, when last looked
}

// Size of a person's screen, in pixels.
const (
	screenWidth  = 800
	screenHeight = 600
)

// sit opens a person's desktop through the RD Gateway door, with the connection file of
// the feed.
func (y *yard) sit(t *testing.T, name string) *desk {
	t.Helper()
	return y.sitWith(t, name, y.users[name].password)
}

// sitWith is sit with a password that need not be the person's at the host.
func (y *yard) sitWith(t *testing.T, name, password string) *desk {
	t.Helper()
	var file []byte
	y.as(t, name, http.MethodGet, serviceURL+"/connect/v1/resources/"+url.PathEscape(y.fileOf(t, name)), nil, &file)
	for line := range strings.Lines(string(file)) {
		if ticket, ok := strings.CutPrefix(strings.TrimSpace(line), "gatewayaccesstoken:s:"); ok {
			y.secrets[ticket] = "the ticket of a file of " + name
		}
	}
	dir := y.whole.TempDir()
	path := filepath.Join(dir, "desk.rdp")
	must(t, os.WriteFile(path, file, 0o600))
	screen, err := desktop.NewScreen(context.WithoutCancel(y.whole.Context()), dir, screenWidth, screenHeight)
	must(t, err)
	display := screen.Display
	y.whole.Cleanup(func() {
		if err := screen.Close(); err != nil {
			y.whole.Error(err)
		}
	})
	wm := exec.Command("nsenter", y.people.inside("openbox")[1:]...) // FreeRDP takes keys where it has the focus
	wm.Env = append(os.Environ(), "DISPLAY="+display, "HOME="+dir)
	start(y.whole, wm)
	d := &desk{name: name, screen: screen}
	d.client = &process{log: filepath.Join(y.dir, "freerdp-"+name+display+".log"), args: y.people.inside("env", "DISPLAY="+display, "HOME="+dir, "xfreerdp", path,
		"/u:"+name, "/p:"+password, "/cert:ignore", "/f", "/audio-mode:2", "/log-level:INFO")}
	d.client.start(t)
	y.whole.Cleanup(func() {
		d.client.end(y.whole, syscall.SIGTERM, 5*time.Second)
		if y.whole.Failed() {
			y.whole.Logf("--- FreeRDP of %s\n%s", name, tail(d.client.log, 12))
		}
	})
	d.keyboard(y.whole, display)
	return d
}

func (d *desk) keyboard(t *testing.T, display string) {
	t.Helper()
	c := exec.Command("xdotool", "-")
	c.Env = append(os.Environ(), "DISPLAY="+display)
	var err error
	d.keys, err = c.StdinPipe()
	must(t, err)
	start(t, c)
}

// ended reports whether the client has ended.
func (d *desk) ended() bool {
	select {
	case <-d.client.done:
		return true
	default:
		return false
	}
}

// bright is the colour of a place on the screen that is not under the pointer.
func (d *desk) bright() bool {
	c, err := d.screen.At(screenWidth/4, screenHeight/4)
	return err == nil && c.R > 0x80 && c.G > 0x80
}

// press types a key and gives the time until the screen shows that the program on the
// host got it: the whole way there and back.
func (d *desk) press(t *testing.T, within time.Duration) (time.Duration, error) {
	t.Helper()
	before, begin := d.bright(), time.Now()
	if _, err := io.WriteString(d.keys, "key a\n"); err != nil {
		return 0, err
	}
	for d.bright() == before {
		if time.Since(begin) > within {
			return 0, fmt.Errorf("the screen did not answer a key within %s", within)
		}
		if d.ended() {
			return 0, fmt.Errorf("the client ended: %s", tail(d.client.log, 5))
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin), nil
}

// type types so many keys and gives the times, sorted.
func (d *desk) echo(t *testing.T, keys int) []time.Duration {
	t.Helper()
	var all []time.Duration
	for range keys {
		took, err := d.press(t, 20*time.Second)
		if err != nil {
			t.Fatalf("%s types: %v", d.name, err)
		}
		all = append(all, took)
		time.Sleep(30 * time.Millisecond) // as a person's next key
	}
	slices.Sort(all)
	return all
}

// alive fails the test unless a key and its echo still cross.
func (d *desk) alive(t *testing.T, when string) {
	t.Helper()
	took, err := d.press(t, 20*time.Second)
	if err != nil {
		t.Fatalf("%s: the session of %s: %v", when, d.name, err)
	}
	t.Logf("%s: %s types, echo after %d ms", when, d.name, took.Milliseconds())
}

// ready waits until the desktop is there and answers a key.
func (y *yard) ready(t *testing.T, d *desk) {
	t.Helper()
	y.host.await(t, "the desktop of "+d.name, time.Minute, "test -s /home/"+d.name+"/keys && pgrep -u "+d.name+" xterm")
	err := until(t.Context(), 30*time.Second, func() bool {
		_, err := d.press(t, 2*time.Second)
		return err == nil
	})
	if err != nil {
		t.Fatalf("the desktop of %s does not answer keys", d.name)
	}
}

// fileOf is the name of the connection file of the one desktop.
func (y *yard) fileOf(t *testing.T, name string) string {
	t.Helper()
	var raw []byte
	y.as(t, name, http.MethodGet, serviceURL+"/connect/v1/feed", nil, &raw)
	const before = "/connect/v1/resources/"
	i := bytes.Index(raw, []byte(before))
	if i < 0 {
		t.Fatalf("the feed names no file: %s", raw)
	}
	file, _, _ := strings.Cut(string(raw[i+len(before):]), `"`)
	return file
}
