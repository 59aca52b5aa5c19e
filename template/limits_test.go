package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// hostile templates and what must stop them.
var hostile = map[string]string{
	"doubling strings":  doubling("concat(variables('v%d'), variables('v%d'))", "'xxxxxxxxxxxxxxxx'"),
	"doubling arrays":   doubling("createArray(variables('v%d'), variables('v%d'))", "createArray(1)"),
	"doubling objects":  doubling("createObject('a', variables('v%d'), 'b', variables('v%d'))", "createObject('x', 1)"),
	"doubling unions":   doubling("concat(variables('v%d'), map(variables('v%d'), lambda('x', add(1, lambdaVariables('x')))))", "range(0, 100)"),
	"reduce":            `{"resources": [], "outputs": {"o": {"value": "[reduce(range(0, 10000), 'x', lambda('a', 'b', concat(lambdaVariables('a'), lambdaVariables('a'))))]"}}}`,
	"nested maps":       `{"resources": [], "outputs": {"o": {"value": "[map(range(0, 10000), lambda('a', map(range(0, 10000), lambda('b', map(range(0, 10000), lambda('c', 1))))))]"}}}`,
	"replace":           `{"resources": [], "variables": {"a": "[padLeft('', 1000000, 'a')]"}, "outputs": {"o": {"value": "[replace(variables('a'), 'a', variables('a'))]"}}}`,
	"padLeft":           `{"resources": [], "outputs": {"o": {"value": "[padLeft('', 2000000000)]"}}}`,
	"split":             `{"resources": [], "variables": {"a": "[padLeft('', 8000000, 'a')]"}, "outputs": {"o": {"value": "[split(variables('a'), 'a')]"}}}`,
	"format":            `{"resources": [], "variables": {"a": "[padLeft('', 4000000, 'a')]"}, "outputs": {"o": {"value": "[format('{0}{0}{0}{0}{0}{0}', variables('a'))]"}}}`,
	"join":              `{"resources": [], "variables": {"a": "[padLeft('', 4000000, 'a')]"}, "outputs": {"o": {"value": "[join(range(0, 10000), variables('a'))]"}}}`,
	"loops in loops":    `{"resources": [], "variables": {"copy": [{"name": "a", "count": 800, "input": {"copy": [{"name": "b", "count": 800, "input": {"copy": [{"name": "c", "count": 800, "input": "[range(0, 100)]"}]}}]}}]}, "outputs": {"o": {"value": "[variables('a')]"}}}`,
	"intersections":     `{"resources": [], "outputs": {"o": {"value": "[intersection(range(0, 10000), range(0, 10000))]"}}}`,
	"recursion":         `{"functions": [{"namespace": "n", "members": {"f": {"parameters": [], "output": {"value": "[concat(n.f(), n.f())]"}}}}], "resources": [], "outputs": {"o": {"value": "[n.f()]"}}}`,
	"comparing":         doubling("if(equals(variables('v%d'), variables('v%d')), createArray(variables('v0'), variables('v0')), 'x')", "range(0, 10000)"),
	"resources in loop": resources(`{"type": "A/b", "apiVersion": "1", "name": "[string(copyIndex())]", "copy": {"name": "l", "count": 800}, "resources": [{"type": "c", "apiVersion": "1", "name": "[string(copyIndex('m'))]", "copy": {"name": "m", "count": 800}}]}`),
}

func doubling(step, first string) string {
	vars := map[string]string{"v0": "[" + first + "]"}
	for i := 1; i < 200; i++ {
		vars[fmt.Sprintf("v%d", i)] = "[" + fmt.Sprintf(step, i-1, i-1) + "]"
	}
	b, err := json.Marshal(map[string]any{"variables": vars, "resources": []any{}, "outputs": map[string]any{"o": map[string]any{"value": "[string(variables('v199'))]"}}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestAHostileTemplateEndsInAnErrorSoon(t *testing.T) {
	for name, src := range hostile {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		p, err := plan(t, src, `{}`)
		if err == nil {
			_, err = p.Outputs(t.Context(), nil)
		}
		runtime.ReadMemStats(&after)
		if err == nil && name != "comparing" {
			t.Errorf("%s: no error", name)
		}
		if took := time.Since(began); took > 20*time.Second { // wide: the machine may be busy; without limits each would take hours
			t.Errorf("%s: took %v", name, took)
		}
		if made := after.TotalAlloc - before.TotalAlloc; made > 4<<30 {
			t.Errorf("%s: allocated %d MB", name, made>>20)
		}
		if err != nil && len(err.Error()) > 4096 {
			t.Errorf("%s: a message of %d bytes", name, len(err.Error()))
		}
	}
}

func TestALimitHasItsOwnCode(t *testing.T) {
	_, err := plan(t, hostile["doubling strings"], `{}`)
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeTooMuch || !strings.Contains(e.Message, "more than 8388608 bytes would arise") {
		t.Fatalf("%v", err)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, c := range readCorpus(f) {
		src, params := c.template(f)
		f.Add([]byte(src), []byte(params))
	}
	for _, src := range hostile {
		f.Add([]byte(src), []byte(`{}`))
	}
	f.Add([]byte(resources(nic, vm("v", `"dependsOn": ["nics"], "resources": [{"type": "e", "name": "x", "apiVersion": "1"}]`))), []byte(`{}`))
	f.Add([]byte(`{"parameters": {"who": {"type": "securestring"}}, "resources": [`+nestedTemplate+`]}`), []byte(`{"who": {"value": "x"}}`))
	f.Fuzz(func(t *testing.T, src, params []byte) {
		tm, err := ParseBytes(src)
		if err != nil {
			return
		}
		given, err := ReadJSON(params)
		if err != nil {
			return
		}
		env := testEnv()
		env.Limits = Limits{CopyCount: 20, Resources: 100, Steps: 20_000, ValueBytes: 1 << 18, TotalBytes: 4 << 20}
		b, err := Bind(tm, given, env)
		if err != nil {
			return
		}
		p, err := b.Expand()
		if err != nil {
			return
		}
		for i, n := range p.Nodes {
			if n.Index != i || n.ID.Name() == "" {
				t.Fatalf("node %d is %+v", i, n)
			}
			for _, d := range n.DependsOn {
				if d == i || d < 0 || d >= len(p.Nodes) || !p.Nodes[d].Condition {
					t.Fatalf("node %d depends on %d", i, d)
				}
			}
			if !n.Condition || n.Existing {
				continue
			}
			v, err := n.Evaluate(t.Context(), world{})
			if err == nil && !json.Valid(v.Reveal()) {
				t.Fatalf("body %s", v.Reveal())
			}
		}
		if _, err := p.Outputs(t.Context(), world{}); err != nil && err.Error() == "" {
			t.Fatal("an error without a message")
		}
	})
}
