package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/seal"
	"github.com/deskyard/deskyard/sqlstore"
)

const (
	testSubscription = "22222222-2222-2222-2222-222222222222"
	testGroup        = "/subscriptions/" + testSubscription + "/resourceGroups/rg1"
	testDeployments  = testGroup + "/providers/Microsoft.Resources/deployments/"
	testThings       = testGroup + "/providers/Test.Things/things/"
)

var testCaller = deskyard.Principal{ObjectID: "oid-admin", TenantID: "11111111-1111-1111-1111-111111111111", Name: "admin", Kind: "User"}

// testAPI is a management API over a store, with a namespace of its own: Test.Things
// has things, which are there at once, and slow, which are Creating until finish says
// otherwise. It keeps bodies as they are sent.
type testAPI struct {
	store deskyard.Store
	now   func() time.Time

	mu      sync.Mutex
	writes  map[string]int             // PUTs by key
	order   []string                   // names in the order of their PUTs
	deleted []string                   // names in the order of their DELETEs
	open    bool                       // every type is known
	bodies  map[string]json.RawMessage // of the last PUT, by key
	refuse  func(c Call) error         // nil lets everything through
	after   func(c Call)               // between a PUT and its answer
	uses    map[string]string          // name of a thing → name of the one that it keeps from deletion
}

func (a *testAPI) Knows(typ string) ([]string, bool) {
	switch strings.ToLower(typ) {
	case "test.things/things", "test.things/slow":
		return []string{"2024-01-01", "2025-01-01", "2026-01-01-preview"}, true
	case "microsoft.resources/deployments", "microsoft.resources/resourcegroups":
		return []string{"2022-09-01"}, true
	}
	return []string{"2022-09-01"}, a.open
}

func (a *testAPI) Do(ctx context.Context, c Call) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	if a.refuse != nil {
		if err := a.refuse(c); err != nil {
			return Reply{}, err
		}
	}
	typ := strings.ToLower(c.ID.Type())
	if _, known := a.Knows(typ); !known && typ != "microsoft.resources/subscriptions" {
		return Reply{}, arm.Errorf(arm.Missing, "InvalidResourceType", "The resource type '%s' could not be found.", c.ID.Type())
	}
	switch c.Method {
	case "PUT":
		return a.put(ctx, c)
	case "DELETE":
		return a.delete(ctx, c)
	case "POST":
		return Reply{Status: 200, Body: json.RawMessage(`{"key":"listed-secret"}`)}, nil
	}
	row, err := a.store.Resource(ctx, c.ID)
	if err != nil {
		return Reply{}, err
	}
	return a.reply(200, row)
}

func (a *testAPI) reply(status int, row deskyard.Resource) (Reply, error) {
	body, err := json.Marshal(map[string]any{"id": row.ID.String(), "name": row.ID.Name(), "type": row.ID.Type(),
		"location": row.Envelope.Location, "tags": row.Envelope.Tags, "properties": row.Properties})
	return Reply{Status: status, Body: body}, err
}

func (a *testAPI) put(ctx context.Context, c Call) (Reply, error) {
	var sent struct {
		Location   string                     `json:"location"`
		Extended   *arm.ExtendedLocation      `json:"extendedLocation"`
		Tags       map[string]string          `json:"tags"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if c.Body != nil {
		if err := json.Unmarshal(c.Body, &sent); err != nil {
			return Reply{}, arm.Errorf(arm.Invalid, "InvalidRequestContent", "%v", err)
		}
	}
	if string(sent.Properties["bad"]) == "true" {
		return Reply{}, arm.Errorf(arm.Invalid, "InvalidParameter", "bad is not allowed")
	}
	if c.CheckOnly && c.Body == nil {
		return Reply{Status: 200}, nil
	}
	if c.CheckOnly {
		row := deskyard.Resource{ID: c.ID, Envelope: arm.Envelope{Tags: sent.Tags, ExtendedLocation: sent.Extended,
			Location: strings.ToLower(strings.ReplaceAll(sent.Location, " ", ""))}}
		var err error
		row.Properties, err = json.Marshal(sent.Properties)
		return Reply{Status: 200, Row: &row}, err
	}
	if string(sent.Properties["fails"]) == "true" {
		return Reply{}, arm.Errorf(arm.Conflicting, "OutOfThings", "No thing is left for '%s'.", c.ID.Name())
	}
	status := 201
	var row deskyard.Resource
	err := a.store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		row, err = tx.Resource(ctx, c.ID)
		if err == nil {
			status = 200
		}
		if err != nil && !arm.IsMissing(err) {
			return err
		}
		if row.Envelope.SystemData.CreatedAt.IsZero() {
			row.Envelope.SystemData.CreatedAt = a.now()
		}
		row.ID, row.Envelope.Location, row.Envelope.Tags = c.ID, sent.Location, sent.Tags
		if sent.Properties == nil {
			sent.Properties = map[string]json.RawMessage{}
		}
		if strings.EqualFold(c.ID.Type(), "Test.Things/slow") {
			var was map[string]json.RawMessage
			if row.Version > 0 {
				if err := json.Unmarshal(row.Properties, &was); err != nil {
					return err
				}
			}
			if sent.Properties["provisioningState"] = was["provisioningState"]; was == nil {
				sent.Properties["provisioningState"] = json.RawMessage(`"Creating"`)
			}
		}
		if row.Properties, err = json.Marshal(sent.Properties); err != nil {
			return err
		}
		row, err = tx.PutResource(ctx, row)
		return err
	})
	if err != nil {
		return Reply{}, err
	}
	a.mu.Lock()
	a.writes[c.ID.Key()]++
	name := c.ID.Name()
	if parent := c.ID.Parent(); len(parent.Segments) > 0 {
		name = parent.Name() + "/" + name
	}
	a.order = append(a.order, name)
	a.bodies[c.ID.Key()] = c.Body
	a.mu.Unlock()
	if a.after != nil {
		a.after(c)
	}
	return a.reply(status, row)
}

func (a *testAPI) delete(ctx context.Context, c Call) (Reply, error) {
	a.mu.Lock()
	for user, used := range a.uses {
		if used == c.ID.Name() {
			a.mu.Unlock()
			return Reply{}, arm.Errorf(arm.Conflicting, "InUse", "'%s' is used by '%s'.", used, user)
		}
	}
	a.mu.Unlock()
	err := a.store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteResource(ctx, c.ID) })
	if err != nil {
		return Reply{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.uses, c.ID.Name())
	a.deleted = append(a.deleted, c.ID.Name())
	return Reply{Status: 200}, nil
}

// finish ends a slow resource as whoever makes it would.
func (g *rig) finish(name, state, reason string) {
	g.t.Helper()
	id := arm.MustParseID(testGroup + "/providers/Test.Things/slow/" + name)
	err := g.store.Write(g.t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		row, err := tx.Resource(ctx, id)
		if err != nil {
			return err
		}
		row.Properties = fmt.Appendf(nil, `{"provisioningState":%q,"statusReason":%q}`, state, reason)
		_, err = tx.PutResource(ctx, row)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.s.resourceChanged(g.t.Context(), id)
}

// rig is a service on a real store.
type rig struct {
	t     testing.TB
	dir   string
	store *sqlstore.DB
	api   *testAPI
	seal  *seal.Sealer
	log   *syncBuffer
	s     *Service
	stop  func()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	g := &rig{t: t, dir: t.TempDir(), log: &syncBuffer{}}
	var err error
	g.store, err = sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(g.dir, "store.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if g.stop != nil {
			g.stop()
		}
		if err := g.store.Close(); err != nil {
			t.Error(err)
		}
	})
	if g.seal, err = seal.New(make([]byte, seal.KeySize)); err != nil {
		t.Fatal(err)
	}
	g.api = &testAPI{store: g.store, now: time.Now, writes: map[string]int{}, bodies: map[string]json.RawMessage{}, uses: map[string]string{}}
	g.group("rg1")
	g.start(g.store, change...)
	return g
}

func (g *rig) group(name string) {
	g.t.Helper()
	err := g.store.Write(g.t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutResource(ctx, deskyard.Resource{ID: arm.MustParseID("/subscriptions/" + testSubscription + "/resourceGroups/" + name),
			Envelope: arm.Envelope{Location: "local"}, Properties: json.RawMessage(`{}`)})
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// start runs a service on the store; one that runs must have been stopped.
func (g *rig) start(store deskyard.Store, change ...func(*Options)) {
	g.t.Helper()
	o := Options{Store: store, Seal: g.seal, Owner: "owner", Log: slog.New(slog.NewTextHandler(g.log, nil))}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		g.t.Fatal(err)
	}
	if o.Resources == nil {
		s.Use(g.api)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(g.t.Context()))
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	g.s = s
	g.stop = func() { cancel(); <-done; g.stop = nil }
}

func (g *rig) request(name, body string) DeploymentRequest {
	return DeploymentRequest{ID: arm.MustParseID(testDeployments + name), Caller: testCaller, Body: []byte(body)}
}

// deploy submits a deployment.
func (g *rig) deploy(name, body string) error {
	g.t.Helper()
	p, err := g.s.PrepareDeployment(g.t.Context(), g.request(name, body))
	if err != nil {
		return err
	}
	err = g.s.o.Store.Write(g.t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		_, err := g.s.StartDeployment(ctx, tx, p)
		return err
	})
	if err == nil {
		g.s.DeploymentStarted(p)
	}
	return err
}

func (g *rig) mustDeploy(name, body string) {
	g.t.Helper()
	if err := g.deploy(name, body); err != nil {
		g.t.Fatalf("deploy %s: %v", name, err)
	}
}

// settled waits until nothing goes on and answers a deployment's properties.
func (g *rig) settled(name string) map[string]any {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	if err := g.s.Settle(ctx); err != nil {
		g.t.Fatalf("%v\n%s", err, g.log)
	}
	return g.shown(testDeployments + name)
}

func (g *rig) shown(id string) map[string]any {
	g.t.Helper()
	row, err := g.store.Resource(g.t.Context(), arm.MustParseID(id))
	if err != nil {
		g.t.Fatal(err)
	}
	var p map[string]any
	if err := json.Unmarshal(row.Properties, &p); err != nil {
		g.t.Fatal(err)
	}
	return p
}

// ended fails the test unless the deployment has ended so.
func (g *rig) ended(name, state string) map[string]any {
	g.t.Helper()
	p := g.settled(name)
	if p["provisioningState"] != state {
		g.t.Fatalf("%s is %v, want %s: %v\n%s", name, p["provisioningState"], state, toJSON(p["error"]), g.log)
	}
	return p
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// has fails the test unless v's JSON holds every text.
func has(t testing.TB, v any, texts ...string) {
	t.Helper()
	whole := toJSON(v)
	for _, text := range texts {
		if !strings.Contains(whole, text) {
			t.Errorf("there is no %q in %s", text, whole)
		}
	}
}

// things counts the rows of the test's namespace.
func (g *rig) things() int {
	g.t.Helper()
	n := 0
	for _, typ := range []string{"Test.Things/things", "Test.Things/slow"} {
		rows, err := g.store.Resources(g.t.Context(), deskyard.ResourceQuery{Type: typ})
		if err != nil {
			g.t.Fatal(err)
		}
		n += len(rows.Items)
	}
	return n
}

func (g *rig) operations(name string) []DeploymentOperation {
	g.t.Helper()
	page, err := g.s.DeploymentOperations(g.t.Context(), arm.MustParseID(testDeployments+name), "", 0)
	if err != nil {
		g.t.Fatal(err)
	}
	return page.Items
}

// body is a deployment's body around resources, and whatever else.
func body(resources string, more ...string) string {
	sections := ""
	for _, m := range more {
		sections += m + ","
	}
	return `{"properties":{"mode":"Incremental","template":{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0",` +
		sections + `"resources":[` + resources + `]}}}`
}

// thing is a resource of the test's namespace.
func thing(typ, name, more string) string {
	return fmt.Sprintf(`{"type":"Test.Things/%s","apiVersion":"2025-01-01","name":"%s","location":"local"%s}`, typ, name, more)
}
