//go:build e2e

package connect

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/e2e/browser"
	"github.com/deskyard/deskyard/web"
)

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

// tell tells a story of a service with one host.
func tell(t *testing.T, h *host, name string) {
	t.Helper()
	if _, err := fs.Stat(web.Files(), "index.html.gz"); err != nil {
		t.Skip("the web client is not built in: run make web")
	}
	y := open(t, h)
	about := map[string]any{"url": y.url, "keys": y.key, "shots": browser.Shots(t), "home": h.home,
		"person": map[string]string{"user": y.creds.AdminUPN, "password": y.creds.AdminPassword}}
	browser.Tell(t, name, about, func(_ context.Context, want string, _ json.RawMessage) (any, error) { return y.do(t, want) })
}

// do is what the story may want.
func (y *yard) do(t *testing.T, want string) (any, error) {
	switch want {
	case "cut the network":
		return y.desk.cut(), nil
	case "hosts start first":
		y.desk.mu.Lock()
		defer y.desk.mu.Unlock()
		y.desk.starting = 1
		return true, nil
	case "why it ended":
		y.desk.mu.Lock()
		defer y.desk.mu.Unlock()
		return y.desk.ended, nil
	case "nothing is assigned":
		return y.desk.fail(&deskyard.ConnectionFailure{Symbol: connect.NotAuthorized, Message: "This desktop is not assigned to you any more."}), nil
	case "the database is away":
		return y.desk.fail(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}), nil
	case "all is well again":
		return y.desk.fail(nil), nil
	case "programs of the session":
		return y.desk.host.programs(t), nil
	case "sessions of programs":
		return y.desk.host.applications(t), nil
	case "the program ends":
		return y.desk.host.endPrograms(t), nil
	case "sessions on the host":
		found, err := filepath.Glob("/tmp/.X11-unix/X7[0-9]")
		return len(found), err
	}
	return nil, errors.New("nobody knows what that is")
}
