//go:build e2e

package hostile

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

const readerRole = "acdd72a7-3385-48ef-bd42-f606fba81ae7" // Azure's id of Reader

// reader is a service principal that has the role Reader on the subscription.
func (h *house) reader(t *testing.T) (token string) {
	t.Helper()
	var app struct{ ID, AppID string }
	h.graph(t, "/v1.0/servicePrincipals", `{"displayName":"reader"}`).into(t, &app)
	var secret struct{ SecretText string }
	h.graph(t, "/v1.0/servicePrincipals/"+app.ID+"/addPassword", `{"passwordCredential":{"displayName":"test"}}`).into(t, &secret)
	scope := "/subscriptions/" + h.SubscriptionID
	h.must(t, http.StatusCreated, "PUT", scope+"/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString(), "2022-04-01",
		`{"properties":{"principalId":"`+app.ID+`","roleDefinitionId":"`+scope+`/providers/Microsoft.Authorization/roleDefinitions/`+readerRole+`"}}`)
	return h.token(t, app.AppID, secret.SecretText)
}

func (h *house) graph(t *testing.T, path, body string) reply {
	t.Helper()
	r := h.call(t, "POST", path, strings.NewReader(body))
	if r.status >= 300 {
		t.Fatalf("POST %s answers %d: %.500s", path, r.status, r.body)
	}
	return r
}

func TestAReaderWhoAsksForTheKeyIsRefusedInAzuresWordsAndAudited(t *testing.T) {
	h := open(t)
	h.makePool(t, "pool")
	h.makeKey(t, "pool", "")
	token := h.reader(t)
	as := func(method, target, body string) reply {
		req, err := http.NewRequestWithContext(t.Context(), method, h.Endpoint+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		return h.send(t, req)
	}
	if r := as("GET", h.pool("pool")+"?api-version="+desktops, ""); r.status != http.StatusOK {
		t.Fatalf("a Reader cannot read: %d %s", r.status, r.body)
	} else if strings.Contains(string(r.body), "eyJ") {
		t.Errorf("a Reader sees a token: %s", r.body)
	}
	for action, call := range map[string][3]string{
		"Microsoft.DesktopVirtualization/hostpools/retrieveRegistrationToken/action": {"POST", h.pool("pool") + "/retrieveRegistrationToken", ""},
		"Microsoft.DesktopVirtualization/hostpools/listRegistrationTokens/action":    {"POST", h.pool("pool") + "/listRegistrationTokens", ""},
		"Microsoft.DesktopVirtualization/hostpools/write":                            {"PATCH", h.pool("pool"), `{"properties":{"registrationInfo":{"registrationTokenOperation":"Delete"}}}`},
	} {
		r := as(call[0], call[1]+"?api-version="+desktops, call[2])
		wantARMError(t, r, http.StatusForbidden, "AuthorizationFailed")
		low := strings.ToLower(r.text)
		if !strings.Contains(low, strings.ToLower(action)) || !strings.Contains(low, strings.ToLower(h.pool("pool"))) {
			t.Errorf("the refusal names not both %s and its scope: %s", action, r.text)
		}
		if strings.Contains(string(r.body), "eyJ") {
			t.Errorf("the refusal holds a token: %s", r.body)
		}
	}
	log := h.must(t, http.StatusOK, "GET", "/subscriptions/"+h.SubscriptionID+"/providers/Microsoft.Insights/eventtypes/management/values", "2015-04-01", "")
	if text := strings.ToLower(string(log.body)); !strings.Contains(text, "retrieveregistrationtoken/action") || !strings.Contains(text, "authorizationfailed") && !strings.Contains(text, "forbidden") {
		t.Errorf("the audit log does not tell of the refusal: %.1500s", log.body)
	}
	// The pool's older api-version shows the token in a GET, to those who may retrieve it.
	if r := as("GET", h.pool("pool")+"?api-version=2019-12-10-preview", ""); strings.Contains(string(r.body), "eyJ") {
		t.Errorf("a Reader sees the token under an old api-version: %s", r.body)
	}
}
