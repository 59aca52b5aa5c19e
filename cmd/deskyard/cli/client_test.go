package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// service is a management API that answers what a test says, behind TLS and a token
// endpoint.
type service struct {
	*httptest.Server
	asked []string
}

func newService(t *testing.T, answers map[string]http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line := r.Method + " " + r.URL.Path
		s.asked = append(s.asked, line)
		if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
			if err := r.ParseForm(); err != nil || r.PostForm.Get("client_secret") != "s3cret" {
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(w, `{"error":"invalid_client","error_description":"The secret is wrong."}`)
				return
			}
			fmt.Fprint(w, `{"token_type":"Bearer","expires_in":3599,"access_token":"the-token"}`)
			return
		}
		answer := answers[line]
		if answer == nil || r.Header.Get("Authorization") != "Bearer the-token" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"code":"ResourceNotFound","message":"not there"}}`)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) client(t *testing.T) *client {
	t.Helper()
	p := &profile{Endpoint: s.URL, TenantID: "tenant", ClientID: "app", ClientSecret: "s3cret", Pin: pinOf(s.Certificate().RawSubjectPublicKeyInfo), now: time.Now}
	web, err := newHTTP(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(web.CloseIdleConnections)
	return &client{http: web, profile: p, issuer: &issuer{web, p}}
}

func pinOf(key []byte) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestListFollowsEveryPageAndStopsAtTheLimit(t *testing.T) {
	var s *service
	s = newService(t, map[string]http.HandlerFunc{
		"GET /pools": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("skip") == "" {
				fmt.Fprintf(w, `{"value":[1,2],"nextLink":"%s/pools?skip=2&api-version=v"}`, s.URL)
				return
			}
			fmt.Fprint(w, `{"value":[3],"nextLink":null}`)
		},
	})
	c := s.client(t)
	all, err := c.list(t.Context(), request{method: "GET", path: "/pools", version: "v"}, 0)
	if err != nil || fmt.Sprint(all) != "[1 2 3]" {
		t.Errorf("got %v, %v", all, err)
	}
	two, err := c.list(t.Context(), request{method: "GET", path: "/pools", version: "v"}, 2)
	if err != nil || fmt.Sprint(two) != "[1 2]" {
		t.Errorf("with a limit of 2, got %v, %v", two, err)
	}
}

func TestALinkThatLeadsElsewhereGetsNoToken(t *testing.T) {
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a token went elsewhere") }))
	defer elsewhere.Close()
	s := newService(t, map[string]http.HandlerFunc{"GET /pools": answer(200, `{"value":[],"nextLink":"`+elsewhere.URL+`/more"}`)})
	if _, err := s.client(t).list(t.Context(), request{method: "GET", path: "/pools"}, 0); err == nil || !strings.Contains(err.Error(), "is not at the service") {
		t.Errorf("got %v", err)
	}
}

func TestOperationsAreFollowedToTheirEnd(t *testing.T) {
	polls := 0
	var s *service
	s = newService(t, map[string]http.HandlerFunc{
		"DELETE /group": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", s.URL+"/result")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusAccepted)
		},
		"GET /result": func(w http.ResponseWriter, _ *http.Request) {
			if polls++; polls == 1 {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusAccepted)
			}
		},
		"PUT /slow": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Azure-AsyncOperation", s.URL+"/status")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusCreated)
		},
		"GET /status": answer(200, `{"status":"Failed","error":{"code":"DiskFull","message":"no room"}}`),
	})
	c := s.client(t)
	if resp, err := c.do(t.Context(), request{method: "DELETE", path: "/group"}); err != nil || resp.status != 200 || polls != 2 {
		t.Errorf("delete: %v %v after %d polls", resp.status, err, polls)
	}
	var failed *apiError
	if _, err := c.do(t.Context(), request{method: "PUT", path: "/slow", body: map[string]any{}}); !errors.As(err, &failed) || failed.Code != "DiskFull" {
		t.Errorf("a failed operation gave %v", err)
	}
	c.noWait = true
	if resp, err := c.do(t.Context(), request{method: "DELETE", path: "/group"}); err != nil || resp.status != 202 {
		t.Errorf("without waiting: %v %v", resp.status, err)
	}
}

func TestATokenIsAskedForOnce(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /x": answer(200, `{}`)})
	c := s.client(t)
	for range 3 {
		if _, err := c.send(t.Context(), request{method: "GET", path: "/x"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(strings.Join(s.asked, "\n"), "/token"); got != 1 {
		t.Errorf("the token was asked for %d times", got)
	}
	c.profile.now = func() time.Time { return time.Now().Add(time.Hour) }
	if _, err := c.send(t.Context(), request{method: "GET", path: "/x"}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(strings.Join(s.asked, "\n"), "/token"); got != 2 {
		t.Errorf("an expired token was not renewed")
	}
}

func TestAPinIsEnoughTrustAndAWrongOneIsNone(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /x": answer(200, `{}`)})
	c := s.client(t)
	if _, err := c.send(t.Context(), request{method: "GET", path: "/x"}); err != nil {
		t.Errorf("with the right pin: %v", err)
	}
	c.profile.Pin = pinOf([]byte("another key"))
	web, err := newHTTP(c.profile)
	if err != nil {
		t.Fatal(err)
	}
	c.http, c.issuer = web, &issuer{web, c.profile}
	c.profile.Tokens = nil
	if _, err := c.send(t.Context(), request{method: "GET", path: "/x"}); err == nil || !strings.Contains(err.Error(), "pin") {
		t.Errorf("with a wrong pin: %v", err)
	}
}

func TestDebugShowsRequestsAndNoSecrets(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{
		"POST /x": answer(200, `{"token":"ey-registration","secretText":"hush","value":[{"password":"pw","name":"shown"}]}`),
	})
	c := s.client(t)
	var shown bytes.Buffer
	c.trace = &tracer{out: &shown, debug: true}
	body := map[string]any{"passwordProfile": map[string]any{"password": "typed"}, "visible": "yes"}
	if _, err := c.send(t.Context(), request{method: "POST", path: "/x", body: body}); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"the-token", "ey-registration", "hush", `"pw"`, "typed", "s3cret"} {
		if strings.Contains(shown.String(), secret) {
			t.Errorf("%s is shown:\n%s", secret, &shown)
		}
	}
	for _, wanted := range []string{"POST " + s.URL + "/x -> 200", `"name":"shown"`, `"visible":"yes"`} {
		if !strings.Contains(shown.String(), wanted) {
			t.Errorf("%s is not shown:\n%s", wanted, &shown)
		}
	}
}

func TestDeviceLoginWaitsUntilThePersonIsDone(t *testing.T) {
	tries := 0
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/organizations/oauth2/v2.0/devicecode"):
			fmt.Fprint(w, `{"device_code":"dc","user_code":"ABCD-EFGH","verification_uri":"https://desk/devicelogin","interval":1,"expires_in":900}`)
		case tries == 0:
			tries++
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"authorization_pending"}`)
		default:
			fmt.Fprint(w, `{"access_token":"a","refresh_token":"r","expires_in":3600}`)
		}
	}))
	defer web.Close()
	p := &profile{Endpoint: web.URL, ClientID: cliAppID, now: time.Now}
	var told bytes.Buffer
	i := &issuer{web.Client(), p}
	if err := i.deviceLogin(t.Context(), &told); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(told.String(), "ABCD-EFGH") || p.RefreshToken != "r" {
		t.Errorf("told %q, kept %q", &told, p.RefreshToken)
	}
	if token, err := i.token(context.Background(), p.managementScope()); err != nil || token != "a" {
		t.Errorf("the token is %q, %v", token, err)
	}
}

func TestRefusalsNameTheNextStep(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{&apiError{Status: 403, Code: "AuthorizationFailed", Action: "PUT /x", Message: "The client 'a' with object id 'oid-1' does not have authorization to perform action 'Microsoft.DesktopVirtualization/hostpools/sessionhosts/write' over scope '/subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/hostPools/p/sessionHosts/h' or the scope is invalid."},
			1, `deskyard role assignment create --assignee oid-1 --role "Desktop Virtualization Session Host Operator" --scope /subscriptions/s/resourceGroups/g`},
		{&apiError{Status: 404, Code: "ResourceGroupNotFound", Message: "Resource group 'rg9' could not be found."}, 3, "deskyard group create -n rg9"},
		{&apiError{Status: 404, Code: "ResourceNotFound", Action: "GET /subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/workspaces/w"}, 3, "deskyard workspace list"},
		{&apiError{Status: 400, Code: "InvalidRequest", Message: "two faults", Details: []apiDetail{{"InvalidParameter", "too long", "properties.friendlyName"}}}, 1, "- (InvalidParameter) too long [properties.friendlyName]"},
		{usagef("give --name"), 2, "give --name"},
		{errNotLoggedIn, 1, "not logged in"},
	} {
		var out bytes.Buffer
		if got := Report(&out, c.err); got != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: exit code %d, want %d, and the text\n%s\nshould hold %q", c.err, got, c.code, &out, c.want)
		}
	}
	if Report(io.Discard, nil) != 0 {
		t.Error("success has an exit code")
	}
}

func FuzzRefusalsNeverPanic(f *testing.F) {
	f.Add([]byte(`{"error":{"code":"AuthorizationFailed","message":"perform action 'a/read' over scope '/' with object id 'x'"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequest("GET", "https://desk.test/subscriptions/s", nil)
		err := refusal(req, &http.Response{StatusCode: 400}, body)
		if code := Report(io.Discard, err); code != exitFailed {
			t.Errorf("exit code %d", code)
		}
		if !json.Valid(body) && strings.Contains(err.Error(), "(") {
			t.Errorf("a code was read from no JSON: %v", err)
		}
	})
}
