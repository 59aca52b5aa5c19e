//go:build e2e

package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/deskyard/deskyard/e2e/browser"
	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/e2e/terraform"
)

// TestTerraformMakesWhatTheWizardSays applies the text that the wizard offers, with the real
// Terraform and provider.
func TestTerraformMakesWhatTheWizardSays(t *testing.T) {
	tools := terraform.Find(t)
	h := open(t)
	h.fill(t)
	var text string
	browser.Tell(t, "terraform.mjs", h.about(t), func(ctx context.Context, want string, of json.RawMessage) (any, error) {
		if want == "the text" {
			return true, json.Unmarshal(of, &text)
		}
		return h.do(ctx, want, of)
	})
	pool := h.client.Pool(group, "hp1")
	key, err := pool.Key(t.Context())
	must(t, err)
	f := terraform.Open(t, tools, h.Bootstrap, text, map[string]string{"admin_password": "Correct-Horse-9-Staple", "registration_token": key})
	must(t, f.Apply(t.Context()))
	machine := h.path("Microsoft.Compute/virtualMachines/tf-1") + "?api-version=2024-07-01"
	for _, name := range []string{"tf-0", "tf-1"} {
		h.await(t, pool, name, "Available")
	}
	var made struct{ Tags map[string]string }
	must(t, h.client.Do(t.Context(), http.MethodGet, machine, nil, &made))
	if made.Tags["team"] != `${red} "and" %{blue}` {
		t.Errorf("the machine has the tags %v", made.Tags)
	}
	if plan, err := f.Changes(t.Context()); err != nil || plan != "" {
		t.Errorf("what was just applied would change again: %v\n%s", err, plan)
	}
	must(t, f.Destroy(t.Context()))
	if err := h.client.Do(t.Context(), http.MethodGet, machine, nil, nil); !service.IsStatus(err, http.StatusNotFound) {
		t.Errorf("the machine is asked for: %v", err)
	}
}
