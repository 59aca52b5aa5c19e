package template

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/arm"
)

const testGroup = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg"

// testEnv is a deployment to testGroup at a fixed time, with GUIDs that count.
func testEnv() Env {
	guids := 0
	return Env{
		Scope:        arm.MustParseID(testGroup),
		Deployment:   DeploymentInfo{Name: "main"},
		Now:          time.Date(2019, 3, 5, 17, 53, 18, 123456700, time.UTC),
		NewGUID:      func() string { guids++; return fmt.Sprintf("00000000-0000-0000-0000-%012d", guids) },
		Group:        ObjectOf("id", String(testGroup), "name", String("rg"), "location", String("westeurope")),
		Subscription: ObjectOf("id", String("/subscriptions/11111111-1111-1111-1111-111111111111"), "subscriptionId", String("11111111-1111-1111-1111-111111111111")),
		Tenant:       ObjectOf("tenantId", String("22222222-2222-2222-2222-222222222222")),
		Environment:  ObjectOf("name", String("Deskyard")),
		Deployer:     ObjectOf("objectId", String("33333333-3333-3333-3333-333333333333")),
	}
}

func mustJSON(t testing.TB, s string) Value {
	t.Helper()
	v, err := ReadJSON([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// plan parses, binds and expands a template given as text.
func plan(t testing.TB, src, params string) (*Plan, error) {
	t.Helper()
	tm, err := ParseBytes([]byte(src))
	if err != nil {
		return nil, err
	}
	b, err := Bind(tm, mustJSON(t, params), testEnv())
	if err != nil {
		return nil, err
	}
	return b.Expand()
}

func mustPlan(t testing.TB, src, params string) *Plan {
	t.Helper()
	p, err := plan(t, src, params)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// world is a Runtime that knows the state of some resources by their id.
type world map[string]string

func (w world) Reference(_ context.Context, id arm.ResourceID, _ string, full bool) (Value, error) {
	s, ok := w[id.Key()]
	if !ok {
		return Value{}, arm.NotFound(id)
	}
	v, err := ReadJSON([]byte(s))
	if !full {
		v = v.Member("properties")
	}
	return v, err
}

func (w world) List(_ context.Context, id arm.ResourceID, function, apiVersion string, body Value) (Value, error) {
	return ObjectOf("keys", Array(String(function+" of "+id.Name()+" at "+apiVersion)), "body", body).AsSecure(), nil
}

// microsoft reads one of Microsoft's templates from the shared test data.
func microsoft(t testing.TB, name string) []byte {
	t.Helper()
	root := os.Getenv("DESKYARD_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "shared")
	}
	path := filepath.Join(root, "data", "rds-templates", name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("Microsoft's template is not at %s: set DESKYARD_SHARED", path)
	}
	return b
}

// bodyOf evaluates a node and decodes what its PUT would carry.
func bodyOf(t testing.TB, n *Node, rt Runtime) map[string]any {
	t.Helper()
	v, err := n.Evaluate(context.Background(), rt)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(v.Reveal(), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// at follows names through decoded JSON; nil where one is absent.
func at(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func nodeNamed(t testing.TB, p *Plan, typ, name string) *Node {
	t.Helper()
	for _, n := range p.Nodes {
		if strings.EqualFold(n.Type, typ) && n.Name == name {
			return n
		}
	}
	t.Fatalf("the plan has no %s/%s", typ, name)
	return nil
}

func dependencies(p *Plan, n *Node) string {
	var names []string
	for _, d := range n.DependsOn {
		names = append(names, p.Nodes[d].Name)
	}
	return strings.Join(names, " ")
}

// deaf is a Runtime that cannot answer.
type deaf struct{ err error }

func (d deaf) Reference(context.Context, arm.ResourceID, string, bool) (Value, error) {
	return Value{}, d.err
}

func (d deaf) List(context.Context, arm.ResourceID, string, string, Value) (Value, error) {
	return Value{}, d.err
}
