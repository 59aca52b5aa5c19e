//go:build e2e

package connect

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/web"
)

// shots is where screenshots go: DESKYARD_SHOTS, or a folder of the test's.
func shots(t *testing.T) string {
	if dir := os.Getenv("DESKYARD_SHOTS"); dir != "" {
		return dir
	}
	return t.TempDir()
}

// TestAPersonWorksInADesktopInTheBrowser, and whatever else people do there: each story
// is told to a service and a host of its own.
func TestAPersonWorksInADesktopInTheBrowser(t *testing.T) { tell(t, startHost(t), "story.mjs") }

func TestPagesBreakNoRuleOfAccessibility(t *testing.T) { tell(t, startHost(t), "looks.mjs") }

func TestASecondFactorIsAddedAndAskedForInTheBrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("needs chromium: run e2e/install-deps chromium")
	}
	tell(t, &host{}, "factors.mjs")
}

func TestADatabaseThatIsAwayIsSaidToBeInTheBrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("needs chromium: run e2e/install-deps chromium")
	}
	tell(t, &host{}, "away.mjs")
}

func TestKeysAndCharactersReachTheDesktopAndAreSeen(t *testing.T) { tell(t, startHost(t), "keys.mjs") }

func TestAnApplicationOpensInTheBrowser(t *testing.T) { tell(t, startHost(t), "application.mjs") }

// tell runs a story, which says line by line what it wants of the world outside the
// browser: {"want": …}.
func tell(t *testing.T, h *host, name string) {
	t.Helper()
	if _, err := fs.Stat(web.Files(), "index.html.gz"); err != nil {
		t.Skip("the web client is not built in: run make web")
	}
	y := open(t, h)
	story := exec.CommandContext(t.Context(), "node", name)
	story.Env = append(os.Environ(), "URL="+y.url, "KEY="+y.key, "LOGIN="+y.creds.AdminUPN, "PASSWORD="+y.creds.AdminPassword, "HOST_HOME="+h.home, "SHOTS="+shots(t))
	story.Stderr = os.Stderr
	in, err := story.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := story.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := story.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var line struct{ Want, Say string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Logf("story: %s", lines.Text())
			continue
		}
		if line.Say != "" {
			t.Logf("%5.1f s  %s", time.Since(began).Seconds(), line.Say)
			continue
		}
		if err := json.NewEncoder(in).Encode(y.do(t, line.Want)); err != nil {
			t.Errorf("answer the story: %v", err)
		}
	}
	if err := story.Wait(); err != nil {
		t.Errorf("the story ended badly: %v", err)
	}
}

// do is what the story may want.
func (y *yard) do(t *testing.T, want string) any {
	switch want {
	case "cut the network":
		return y.desk.cut()
	case "hosts start first":
		y.desk.mu.Lock()
		defer y.desk.mu.Unlock()
		y.desk.starting = 1
		return true
	case "why it ended":
		y.desk.mu.Lock()
		defer y.desk.mu.Unlock()
		return y.desk.ended
	case "nothing is assigned":
		return y.desk.fail(&deskyard.ConnectionFailure{Symbol: connect.NotAuthorized, Message: "This desktop is not assigned to you any more."})
	case "the database is away":
		return y.desk.fail(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})
	case "all is well again":
		return y.desk.fail(nil)
	case "programs of the session":
		return y.desk.host.programs(t)
	case "sessions of programs":
		return y.desk.host.applications(t)
	case "the program ends":
		return y.desk.host.endPrograms(t)
	case "sessions on the host":
		found, err := filepath.Glob("/tmp/.X11-unix/X7[0-9]")
		if err != nil {
			t.Error(err)
		}
		return len(found)
	}
	t.Errorf("the story wants %q, which nobody knows", want)
	return nil
}
