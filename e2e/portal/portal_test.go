//go:build e2e

package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/deskyard/deskyard/e2e/browser"
)

func TestEveryPageIsSoundInEachLook(t *testing.T) { tell(t, "pages.mjs") }

func TestALostConnectionAnEndedSignInAndAConflictLoseNothingTyped(t *testing.T) { tell(t, "lost.mjs") }

func TestTheKeyboardAloneReachesAndLeavesEverything(t *testing.T) { tell(t, "keyboard.mjs") }

func TestAReaderSeesNoButtonThatWouldFail(t *testing.T) { tell(t, "reader.mjs") }

func TestTheArticleWorksAsItIsWritten(t *testing.T) { tell(t, "walk.mjs") }

func TestHostPoolsAreMadeChangedAndDeleted(t *testing.T) { tell(t, "pools.mjs") }

func TestWhatIsDoneToSessionHostsSaysWhoLosesWhat(t *testing.T) {
	h := open(t)
	h.fill(t)
	h.fillPersonal(t)
	h.tell(t, "hosts.mjs")
}

// tell tells a story of a house with one thing of each kind.
func tell(t *testing.T, name string) {
	t.Helper()
	h := open(t)
	h.fill(t)
	h.tell(t, name)
}

// tell tells a story of the house.
func (h *house) tell(t *testing.T, name string) {
	t.Helper()
	browser.Tell(t, name, h.about(t), h.do)
}

// about is what the stories find in their environment.
func (h *house) about(t *testing.T) map[string]any {
	t.Helper()
	return map[string]any{"url": h.Endpoint, "keys": h.keys, "subscription": h.SubscriptionID, "group": h.group, "places": h.places, "people": h.people, "walk": h.walk, "shots": browser.Shots(t)}
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
