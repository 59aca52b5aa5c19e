//go:build e2e

package portal

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestEveryPageIsSoundInEachLook(t *testing.T) {
	h := open(t)
	h.fill(t)
	h.tell(t, "pages.mjs")
}

func TestALostConnectionAnEndedSignInAndAConflictLoseNothingTyped(t *testing.T) {
	h := open(t)
	h.fill(t)
	h.tell(t, "lost.mjs")
}

func TestTheKeyboardAloneReachesAndLeavesEverything(t *testing.T) {
	h := open(t)
	h.fill(t)
	h.tell(t, "keyboard.mjs")
}

func TestAReaderSeesNoButtonThatWouldFail(t *testing.T) {
	h := open(t)
	h.fill(t)
	h.tell(t, "reader.mjs")
}

func TestTheArticleWorksAsItIsWritten(t *testing.T) {
	h := open(t)
	h.fill(t)
	h.tell(t, "walk.mjs")
}

// shots is where screenshots go: DESKYARD_SHOTS, or a folder of the test's.
func shots(t *testing.T) string {
	if dir := os.Getenv("DESKYARD_SHOTS"); dir != "" {
		return dir
	}
	return t.TempDir()
}

// tell runs a story, which says line by line what it wants of the world outside the
// browser: {"want": …}.
func (h *house) tell(t *testing.T, name string) {
	t.Helper()
	about, err := json.Marshal(map[string]any{"url": h.Endpoint, "keys": h.keys, "subscription": h.SubscriptionID, "group": group, "places": h.places, "people": h.people, "shots": shots(t)})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	story := exec.CommandContext(ctx, "node", name)
	story.Env = append(os.Environ(), "ABOUT="+string(about))
	story.Stderr = os.Stderr
	in, err := story.StdinPipe()
	must(t, err)
	out, err := story.StdoutPipe()
	must(t, err)
	began := time.Now()
	must(t, story.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var line struct {
			Want, Say string
			Of        json.RawMessage
		}
		switch err := json.Unmarshal(lines.Bytes(), &line); {
		case err != nil:
			t.Logf("story: %s", lines.Text())
		case line.Say != "":
			t.Logf("%5.1f s  %s", time.Since(began).Seconds(), line.Say)
		default:
			answer, err := h.do(t.Context(), line.Want, line.Of)
			if err != nil {
				t.Errorf("the story wants %q: %v", line.Want, err)
			}
			if err := json.NewEncoder(in).Encode(answer); err != nil {
				t.Errorf("answer the story: %v", err)
			}
		}
	}
	if err := story.Wait(); err != nil {
		t.Errorf("the story ended badly: %v", err)
	}
}

// do is what a story may want.
func (h *house) do(ctx context.Context, want string, of json.RawMessage) (any, error) {
	switch want {
	case "the service stops":
		return true, h.Stop()
	case "the service starts":
		return true, h.Restart(ctx) // of what has stopped
	case "a request": // by the service principal, beside the browser
		var r struct {
			Method, Path string
			Body         any
		}
		if err := json.Unmarshal(of, &r); err != nil {
			return nil, err
		}
		var answer any
		err := h.client.Do(ctx, r.Method, r.Path, r.Body, &answer)
		return answer, err
	case "sign-ins end":
		var upn string
		if err := json.Unmarshal(of, &upn); err != nil {
			return nil, err
		}
		return true, h.client.Do(ctx, http.MethodPost, "/graph/v1.0/users/"+upn+"/revokeSignInSessions", nil, nil)
	case "messages":
		var name string
		if err := json.Unmarshal(of, &name); err != nil {
			return nil, err
		}
		if h.hosts[name] == nil {
			return nil, fmt.Errorf("there is no host %s", name)
		}
		return h.hosts[name].messages(), nil
	}
	return nil, fmt.Errorf("nobody knows what that is")
}
