package armapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/sqlstore"
)

const (
	homeTenant       = "11111111-1111-1111-1111-111111111111"
	homeSubscription = "22222222-2222-2222-2222-222222222222"
	homeSub          = "/subscriptions/" + homeSubscription
	homeGroup        = homeSub + "/resourceGroups/rg1"
)

// testAuth takes the bearer token for the caller's name.
type testAuth struct{}

func (testAuth) Authenticate(r *http.Request) (deskyard.Principal, error) {
	name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || name == "" {
		return deskyard.Principal{}, arm.Errorf(arm.Unauthenticated, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
	}
	return deskyard.Principal{ObjectID: "oid-" + name, TenantID: homeTenant, Name: name, Kind: "User"}, nil
}

// testAccess lets everyone do everything, but for what rules say of a caller.
type testAccess struct {
	mu    sync.Mutex
	rules map[string]func(action string, scope arm.ResourceID) bool
}

func (a *testAccess) Allow(_ context.Context, p deskyard.Principal, action string, scope arm.ResourceID) error {
	a.mu.Lock()
	rule := a.rules[p.Name]
	a.mu.Unlock()
	if rule == nil || rule(action, scope) {
		return nil
	}
	return arm.Errorf(arm.Forbidden, "AuthorizationFailed",
		"The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' or the scope is invalid. If access was recently granted, please refresh your credentials.",
		p.Name, p.ObjectID, action, scope)
}

func (a *testAccess) let(caller string, rule func(action string, scope arm.ResourceID) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rules[caller] = rule
}

// service is a server of its own on a real store.
type service struct {
	t      testing.TB
	server *Server
	store  *sqlstore.DB
	access *testAccess
	log    *bytes.Buffer
	now    time.Time
}

// newService starts one, with a type of the tests' own beside the real ones.
func newService(t testing.TB, change ...func(*Options)) *service {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "store.db"), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &service{t: t, store: store, log: &bytes.Buffer{}, now: time.Date(2026, 3, 1, 12, 0, 0, 123456700, time.UTC),
		access: &testAccess{rules: map[string]func(string, arm.ResourceID) bool{}}}
	o := Options{
		Store: store, Auth: testAuth{}, Access: f.access,
		Tenant:        Tenant{ID: homeTenant, Name: "Test", DefaultDomain: "test.example"},
		Subscriptions: []Subscription{{ID: homeSubscription, Name: "Test subscription"}},
		Now:           func() time.Time { return f.now },
		Log:           slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	for _, c := range change {
		c(&o)
	}
	if f.server, err = New(o); err != nil {
		t.Fatal(err)
	}
	r, err := newRoutes(append(f.server.types(), widgetTypes()...), f.server.doors())
	if err != nil {
		t.Fatal(err)
	}
	f.server.routes = r
	return f
}

// answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	text   string
}

// do sends a request; header are pairs.
func (f *service) do(method, target string, body any, header ...string) answer {
	f.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case io.Reader:
		r = b
	default:
		data, err := json.Marshal(b)
		if err != nil {
			f.t.Fatal(err)
		}
		r = bytes.NewReader(data)
	}
	req := httptest.NewRequest(method, "https://desk.example:8443/", r)
	path, query, _ := strings.Cut(target, "?")
	req.URL.Path, req.URL.RawQuery = path, query
	req.Header.Set("Authorization", "Bearer admin")
	if r != nil {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	f.server.Handler().ServeHTTP(w, req)
	return answer{t: f.t, status: w.Code, header: w.Header(), text: w.Body.String()}
}

// want fails the test unless the answer has the status; code, when given, is that
// of ARM's error body.
func (a answer) want(status int, code ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.text)
	}
	for _, c := range code {
		if got := a.get("error.code"); got != c {
			a.t.Fatalf("error code %v, want %s: %s", got, c, a.text)
		}
		if a.header.Get("x-ms-error-code") != c {
			a.t.Errorf("x-ms-error-code is %q, want %q", a.header.Get("x-ms-error-code"), c)
		}
	}
	return a
}

// get is a member of the body by its path; nil when there is none.
func (a answer) get(path string) any {
	a.t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.text), &v); err != nil {
		a.t.Fatalf("the body is not JSON: %v: %q", err, a.text)
	}
	for _, p := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[p]
		case []any:
			var i int
			if _, err := fmt.Sscan(p, &i); err != nil || i >= len(at) {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}

// is fails the test unless the member is as wanted.
func (a answer) is(path string, want any) answer {
	a.t.Helper()
	if got := a.get(path); fmt.Sprint(got) != fmt.Sprint(want) {
		a.t.Fatalf("%s is %v, want %v: %s", path, got, want, a.text)
	}
	return a
}

func (f *service) group(name string) {
	f.t.Helper()
	f.do("PUT", homeSub+"/resourcegroups/"+name+v21, `{"location":"eastus"}`).want(201)
}

const (
	v21 = "?api-version=2021-04-01"
	vw  = "?api-version=2024-04-03"
)

// widget is the properties of the tests' own type.
type widget struct {
	Color    *string           `json:"color"`
	Size     int               `json:"size"`
	Labels   map[string]string `json:"labels"`
	ObjectID string            `json:"objectId"`
}

func (w *widget) Default(old deskyard.Model) {
	w.ObjectID = "made"
	if o, ok := old.(*widget); ok {
		w.ObjectID = o.ObjectID
	}
	if w.Size == 0 {
		w.Size = 7
	}
}

func (w *widget) Validate(old deskyard.Model, v *arm.Violations) {
	if w.Size < 0 {
		v.Add("properties.size", "size must not be negative.")
	}
	if w.Color != nil && *w.Color == "plaid" {
		v.Add("properties.color", "color must not be plaid.")
	}
}

func (w *widget) Refs() []deskyard.Ref { return nil }

// widgetTypes are a tracked type, a child and an action for tests of the engine.
func widgetTypes() []ResourceType {
	verbs := Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true, ListBySubscription: true, Paged: true, DeletedBody: true}
	versions := []string{"2019-12-10-preview", "2024-04-03"}
	name := NameRule{Min: 3, Max: 64, Pattern: regexp.MustCompile(`^[A-Za-z0-9@._ -]*$`)}
	return []ResourceType{{
		Namespace: "Test.Widgets", Path: "widgetMakers", Wire: "widgetmakers", Versions: versions, Tracked: true, Name: name,
		Verbs: verbs, New: func() Model { return new(widget) },
		Actions: []Action{
			{Path: "revealSecret", Permission: "Test.Widgets/widgetmakers/revealSecret/action", Audit: true,
				Handle: func(context.Context, *Request) (Response, error) {
					return Response{Body: map[string]string{"secret": "s"}}, nil
				}},
			{Path: "explode", Permission: "Test.Widgets/widgetmakers/explode/action",
				Handle: func(context.Context, *Request) (Response, error) { panic("boom with a secret inside") }},
		},
	}, {
		Namespace: "Test.Widgets", Path: "widgetMakers/parts", Wire: "widgetmakers/parts", Versions: versions, Composite: true,
		Name: name, Verbs: verbs, PutNew: 200, New: func() Model { return new(widget) },
	}}
}

// makers is the collection of the tests' own type.
const makers = homeGroup + "/providers/Test.Widgets/widgetMakers"

func (f *service) maker(name string) answer {
	f.t.Helper()
	return f.do("PUT", makers+"/"+name+vw, `{"location":"eastus","properties":{"color":"red"}}`).want(201)
}

// events reads the audit log, oldest first.
func (f *service) events() []deskyard.AuditEvent {
	f.t.Helper()
	p, err := f.store.AuditEvents(f.t.Context(), deskyard.AuditQuery{})
	if err != nil {
		f.t.Fatal(err)
	}
	for i, j := 0, len(p.Items)-1; i < j; i, j = i+1, j-1 {
		p.Items[i], p.Items[j] = p.Items[j], p.Items[i]
	}
	return p.Items
}

type armID = arm.ResourceID
