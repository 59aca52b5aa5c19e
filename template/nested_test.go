package template

import (
	"strings"
	"testing"
)

// nested runs the first node of a plan, a deployment, as far as its own plan.
func nested(t *testing.T, p *Plan, i int) (*Nested, *Plan, error) {
	t.Helper()
	d, err := p.Nodes[i].Deployment(t.Context(), world{})
	if err != nil {
		return nil, nil, err
	}
	inner, err := Parse(d.Template)
	if err != nil {
		return d, nil, err
	}
	env := testEnv()
	env.Scope = d.Scope
	b, err := d.Bind(inner, d.Parameters, env)
	if err != nil {
		return d, nil, err
	}
	ip, err := b.Expand()
	return d, ip, err
}

const nestedTemplate = `{"type": "Microsoft.Resources/deployments", "apiVersion": "1", "name": "[concat('d', copyIndex())]", "resourceGroup": "other",
	"copy": {"name": "ds", "count": 2}, "properties": {"mode": "Incremental", OPTIONS
	"template": {"parameters": {"who": {"type": "string"}}, "variables": {"v": "inner"},
		"resources": [{"type": "Microsoft.Compute/virtualMachines", "apiVersion": "1", "name": "[concat(parameters('who'), SUFFIX)]", "tags": {"v": "[variables('v')]", "g": "[resourceGroup().name]"}}],
		"outputs": {"o": {"type": "string", "value": "[variables('v')]"}}}}}`

func TestANestedTemplateSeesItsScope(t *testing.T) {
	for name, c := range map[string]struct{ options, suffix, vm, tags, output string }{
		"outer": {`"x": 1,`, "copyIndex('ds')", "outer1", `{"v":"outer-v","g":"rg"}`, "outer-v"},
		"inner": {`"expressionEvaluationOptions": {"scope": "Inner"}, "parameters": {"who": {"value": "[concat('given', copyIndex())]"}},`, "'!'", "given1!", `{"v":"inner","g":"rg"}`, "inner"},
	} {
		src := strings.NewReplacer("OPTIONS", c.options, "SUFFIX", c.suffix).Replace(nestedTemplate)
		p := mustPlan(t, `{"parameters": {"who": {"type": "string", "defaultValue": "outer"}}, "variables": {"v": "outer-v"}, "resources": [`+src+`]}`, `{}`)
		d, ip, err := nested(t, p, 1)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d.Outer != (name == "outer") || d.Scope.ResourceGroup != "other" || d.Name != "d1" {
			t.Errorf("%s: outer %v, scope %s", name, d.Outer, d.Scope)
		}
		n := ip.Nodes[0]
		v, err := n.Evaluate(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n.Name != c.vm || n.ID.ResourceGroup != "other" || v.Member("tags").String() != c.tags {
			t.Errorf("%s: %s with %s", name, n.ID, v)
		}
		outs, err := ip.Outputs(t.Context(), nil)
		if err != nil || outs[0].Value.String() != `"`+c.output+`"` {
			t.Errorf("%s: outputs %v, %v", name, outs, err)
		}
	}
}

func TestANestedTemplateInTheOuterScopeWaitsForWhatItRefersTo(t *testing.T) {
	p := mustPlan(t, resources(
		vm("first", ""),
		`{"type": "Microsoft.Resources/deployments", "apiVersion": "1", "name": "d", "properties": {"template": {"resources": [`+vm("second", `"tags": {"x": "[reference('first').size]"}`)+`]}}}`), `{}`)
	if got := dependencies(p, p.Nodes[1]); got != "first" || p.Nodes[1].Runtime() {
		t.Fatalf("the deployment waits for %q", got)
	}
	_, ip, err := nested(t, p, 1)
	if err != nil {
		t.Fatal(err)
	}
	w := world{strings.ToLower(testGroup) + "/providers/microsoft.compute/virtualmachines/first": `{"properties": {"size": "S"}}`}
	if got := at(bodyOf(t, ip.Nodes[0], w), "tags", "x"); got != "S" {
		t.Errorf("tag %v", got)
	}
}

func TestADeploymentHasATemplateOrALink(t *testing.T) {
	for _, props := range []string{`{}`, `{"template": {"resources": []}, "templateLink": {"uri": "u"}}`} {
		p := mustPlan(t, resources(`{"type": "Microsoft.Resources/deployments", "apiVersion": "1", "name": "d", "properties": `+props+`}`), `{}`)
		if _, _, err := nested(t, p, 0); err == nil || !strings.Contains(err.Error(), "must have either a template or a templateLink") {
			t.Errorf("%s: %v", props, err)
		}
	}
	p := mustPlan(t, resources(vm("a", "")), `{}`)
	if _, err := p.Nodes[0].Deployment(t.Context(), nil); err == nil {
		t.Error("a machine passed as a deployment")
	}
}
