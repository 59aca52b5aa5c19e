package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// recorder is a management API that answers everything with an object, and writes
// down what it was asked.
func recorder(t *testing.T) (asked func() []string) {
	t.Helper()
	var lines []string
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
			fmt.Fprint(w, `{"access_token":"t","expires_in":3600}`)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		line := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization")
		if q := r.URL.Query(); q.Get("force") != "" {
			line += " force=" + q.Get("force")
		}
		if len(body) > 0 {
			line += " " + string(body)
		}
		lines = append(lines, line)
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprint(w, `{"name":"x","location":"eastus","properties":{"friendlyName":"was"},"tags":{"keep":"1"}}`)
	}))
	t.Cleanup(web.Close)
	for name, value := range map[string]string{
		"DESKYARD_BOOTSTRAP": "", "DESKYARD_ENDPOINT": web.URL, "DESKYARD_PIN": pinOf(web.Certificate().RawSubjectPublicKeyInfo),
		"DESKYARD_TENANT_ID": "t", "DESKYARD_SUBSCRIPTION_ID": "s", "DESKYARD_CLIENT_ID": "c", "DESKYARD_CLIENT_SECRET": "x",
	} {
		t.Setenv(name, value)
	}
	return func() []string {
		was := lines
		lines = nil
		return was
	}
}

func TestCommandsSendTheRequestsOfTheAPI(t *testing.T) {
	asked := recorder(t)
	for line, want := range map[string][]string{
		"sessionhost update -g g --host-pool-name hp -n h1 --allow-new-session false": {
			`PATCH /hostPools/hp/sessionHosts/h1 {"properties":{"allowNewSession":false}}`},
		"sessionhost update -g g --host-pool-name hp -n hp/h1 --assigned-user a@b --force": {
			`PATCH /hostPools/hp/sessionHosts/h1 force=true {"properties":{"assignedUser":"a@b"}}`},
		"sessionhost delete -g g --host-pool-name hp -n h1 --force -y": {"DELETE /hostPools/hp/sessionHosts/h1 force=true"},
		"sessionhost show --ids /subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/hostPools/hp/sessionHosts/h1 /subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/hostPools/hp/sessionHosts/h2": {
			"GET /hostPools/hp/sessionHosts/h1", "GET /hostPools/hp/sessionHosts/h2"},
		"usersession list -g g --host-pool-name hp":                                   {"GET /hostPools/hp/userSessions"},
		"usersession list -g g --host-pool-name hp --session-host-name h1":            {"GET /hostPools/hp/sessionHosts/h1/userSessions"},
		"usersession disconnect -g g --host-pool-name hp --session-host-name h1 -n 3": {"POST /hostPools/hp/sessionHosts/h1/userSessions/3/disconnect"},
		"usersession delete -g g --host-pool-name hp --session-host-name h1 -n 3 -y":  {"DELETE /hostPools/hp/sessionHosts/h1/userSessions/3"},
		"usersession send-message -g g --host-pool-name hp --session-host-name h1 -n 3 --title T --body B": {
			`POST /hostPools/hp/sessionHosts/h1/userSessions/3/sendMessage {"messageBody":"B","messageTitle":"T"}`},
		"hostpool revoke-registration-key -g g -n hp --key-id k1 --revoke-hosts -y": {
			`POST /hostPools/hp/revokeRegistrationKey {"keyId":"k1","revokeHosts":true}`},
		"hostpool delete -g g -n hp --force -y":                {"DELETE /hostPools/hp force=true"},
		"hostpool update -g g -n hp --description null --tags": {`PATCH /hostPools/hp {"properties":{"description":null},"tags":{}}`},
		"hostpool update -g g -n hp --set friendlyName=now tags.new=2 --ring 1": {
			"GET /hostPools/hp", `PATCH /hostPools/hp {"properties":{"friendlyName":"now","ring":1},"tags":{"keep":"1","new":"2"}}`},
		"overview":                   {"GET /subscriptions/s/providers/Microsoft.DesktopVirtualization/overview"},
		"workspace create -g g -n w": {"GET /subscriptions/s/resourceGroups/g", `PUT /workspaces/w {"location":"eastus"}`},
	} {
		err := runCommand(t.Context(), io.Discard, io.Discard, append(strings.Fields(line), "-o", "none")...)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		got := asked()
		if len(got) != len(want) {
			t.Errorf("%s asked %q, want %q", line, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s asked\n%s\nwant\n%s", line, got[i], want[i])
			}
		}
	}
}

func TestWrongLinesAreUsageErrorsAndAskNothing(t *testing.T) {
	asked := recorder(t)
	for _, line := range []string{
		"hostpool", "hostpool explode", "hostpool show", "hostpool show -n a -g b --nonsense", "hostpool create -n a -g g --host-pool-type Round --load-balancer-type BreadthFirst -t Desktop",
		"hostpool update -n a -g g", "hostpool show --ids nonsense", "hostpool delete -n a -g g", "sessionhost show -n h", "hostpool update -n a -g g --start-vm-on-connect perhaps",
		"usersession show -n 1", "role assignment create --role Reader", "role assignment list --scope nonsense", "audit list --offset soon", "rest", "completion tcsh",
	} {
		var told bytes.Buffer
		err := runCommand(t.Context(), io.Discard, io.Discard, strings.Fields(line)...)
		if code := Report(&told, err); code != exitUsage {
			t.Errorf("%s: exit code %d, want %d: %v", line, code, exitUsage, err)
		}
		if !strings.Contains(told.String(), "Next: ") && !strings.Contains(told.String(), "--yes") {
			t.Errorf("%s: no next step in\n%s", line, &told)
		}
	}
	if got := asked(); len(got) != 0 {
		t.Errorf("the service was asked %q", got)
	}
}

func TestAccountShowPrintsNoSecret(t *testing.T) {
	recorder(t)
	var out bytes.Buffer
	if err := runCommand(t.Context(), &out, io.Discard, "account", "show"); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(out.Bytes()) || strings.Contains(out.String(), `"x"`) {
		t.Errorf("account show printed %s", &out)
	}
}
