//go:build e2e

package terraform

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/service"
)

// pools is where the host pools of testdata/pool.tf stand.
const pools = "/resourceGroups/desks/providers/Microsoft.DesktopVirtualization/hostPools/"

// TestTerraformMakesChangesAndTakesAwayPools applies a text as administrators write it: pools with
// what is published of them, to whom, and when their hosts run.
func TestTerraformMakesChangesAndTakesAwayPools(t *testing.T) {
	tools := Find(t)
	text, err := os.ReadFile("testdata/pool.tf")
	must(t, err)
	s, client := start(t)
	f := Open(t, tools, s.Bootstrap, string(text), map[string]string{"expires": time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339), "user": person(t, client)})
	office := "/subscriptions/" + s.SubscriptionID + pools + "office"

	must(t, f.Apply(t.Context()))
	still(t, f)
	var pool struct {
		Properties struct {
			MaxSessionLimit               int
			ApplicationGroupReferences    []string
			CustomRdpProperty             string
			PersonalDesktopAssignmentType string
		}
	}
	must(t, client.Do(t.Context(), http.MethodGet, office, nil, &pool))
	if p := pool.Properties; p.MaxSessionLimit != 5 || len(p.ApplicationGroupReferences) != 2 || p.CustomRdpProperty != "redirectclipboard:i:1;audiomode:i:0;" {
		t.Errorf("the pool is %+v", p)
	}

	t.Run("a change by Terraform", func(t *testing.T) {
		must(t, f.Apply(t.Context(), "limit=7"))
		must(t, client.Do(t.Context(), http.MethodGet, office, nil, &pool))
		if pool.Properties.MaxSessionLimit != 7 {
			t.Errorf("the limit is %d", pool.Properties.MaxSessionLimit)
		}
		still(t, f, "limit=7")
	})

	t.Run("a change beside it is seen", func(t *testing.T) {
		must(t, client.Do(t.Context(), http.MethodPatch, office, map[string]any{"properties": map[string]any{"friendlyName": "Somebody else's"}}, nil))
		plan, err := f.Changes(t.Context(), "limit=7")
		must(t, err)
		if !strings.Contains(plan, `"Somebody else's" -> "Office"`) || !strings.Contains(plan, "0 to add, 1 to change, 0 to destroy") {
			t.Errorf("the plan says:\n%s", plan)
		}
	})

	t.Run("all of it goes", func(t *testing.T) {
		must(t, f.Destroy(t.Context()))
		if err := client.Do(t.Context(), http.MethodGet, office, nil, nil); !service.IsStatus(err, http.StatusNotFound) {
			t.Errorf("the pool is asked for: %v", err)
		}
	})
}

// still fails where a plan of what has just been applied would change anything.
func still(t *testing.T, f *Folder, set ...string) {
	t.Helper()
	plan, err := f.Changes(t.Context(), set...)
	must(t, err)
	if plan != "" {
		t.Errorf("what was just applied would change again:\n%s", plan)
	}
}

func start(t *testing.T) (*service.Service, *service.Client) {
	t.Helper()
	binary, err := filepath.Abs(filepath.Join("..", "..", "bin", "deskyard"))
	must(t, err)
	s, err := service.Start(t.Context(), service.Options{Binary: binary, Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the service's log ends:\n%s", s.Log(20))
		}
	})
	client, err := service.NewClient(s.Bootstrap)
	must(t, err)
	return s, client
}

// person makes a user of the directory, and is its id.
func person(t *testing.T, client *service.Client) string {
	t.Helper()
	var u struct{ ID string }
	must(t, client.Do(t.Context(), http.MethodPost, "/graph/v1.0/users", map[string]any{"userPrincipalName": "ann@yard.example", "displayName": "Ann", "accountEnabled": true,
		"passwordProfile": map[string]any{"password": "Correct-Horse-9-Staple", "forceChangePasswordNextSignIn": false}}, &u))
	return u.ID
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
