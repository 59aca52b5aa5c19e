package template

import (
	"context"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// notBody are the members of a resource that steer its deployment and are no part
// of what is sent to its provider.
var notBody = map[string]bool{
	"name": true, "type": true, "apiversion": true, "condition": true, "copy": true, "dependson": true, "scope": true,
	"resources": true, "existing": true, "comments": true, "metadata": true, "import": true, "@options": true,
}

// Evaluate is the body to PUT: location, tags, properties and the rest of the
// resource, secrets marked. A member whose expression is null is left out. The
// template of a nested deployment stays as it is written (see Deployment).
func (n *Node) Evaluate(ctx context.Context, rt Runtime) (Value, error) {
	if !n.runtime && !n.body.IsNull() {
		return n.body, nil
	}
	f := n.frame(ctx)
	f.rt = rt
	return n.evaluate(f)
}

// Preview is Evaluate before anything runs, for what-if: expressions that ask for
// the state of resources stay as their text.
func (n *Node) Preview() (Value, error) {
	if !n.runtime && !n.body.IsNull() {
		return n.body, nil
	}
	f := n.frame(context.Background())
	f.preview = true
	return n.evaluate(f)
}

func (n *Node) frame(ctx context.Context) *frame {
	f := n.plan.bound.frame(ctx, "template resource '"+n.Name+"'")
	f.loop, f.resources = n.loop, n.plan.resources
	return f
}

func (n *Node) evaluate(f *frame) (Value, error) {
	o := NewObject()
	for _, m := range n.value.object.Members() {
		lower := strings.ToLower(m.Name)
		if notBody[lower] || n.IsDeployment() && (lower == "resourcegroup" || lower == "subscriptionid") {
			continue
		}
		var v Value
		var err error
		if n.IsDeployment() && lower == "properties" && m.Value.kind == KindObject {
			v, err = f.deploymentProperties(m.Value, join(n.Path, m.Name))
		} else {
			v, err = f.tree(m.Value, join(n.Path, m.Name))
		}
		if err != nil {
			return Value{}, err
		}
		if !v.IsNull() {
			o.Set(m.Name, v)
		}
	}
	v := Of(o).At(n.Pos)
	if v.size > f.meter.limits.ValueBytes {
		return Value{}, f.fault(n.Pos, n.Path, f.meter.room(v.size))
	}
	return v, nil
}

// deploymentProperties evaluates all but the template of a nested deployment.
func (f *frame) deploymentProperties(v Value, path string) (Value, error) {
	rest, nested := NewObject(), Null()
	for _, m := range v.object.Members() {
		if strings.EqualFold(m.Name, "template") && m.Value.kind == KindObject {
			nested = m.Value
			continue
		}
		rest.add(m)
	}
	out, err := f.tree(Of(rest), path)
	if err != nil || nested.IsNull() {
		return out, err
	}
	o := out.object.clone()
	o.Set("template", nested)
	return Of(o).At(v.pos), nil
}

func (n *Node) needsRuntime() bool {
	needs := false
	n.expressionsOfBody(func(e *expr) { needs = needs || e.needsRuntime() })
	return needs
}

// expressionsOfBody is expressions without a nested template.
func (n *Node) expressionsOfBody(do func(*expr)) {
	if !n.IsDeployment() {
		n.expressions(do)
		return
	}
	rest := NewObject()
	for _, m := range n.value.object.Members() {
		if strings.EqualFold(m.Name, "properties") && m.Value.kind == KindObject {
			props := NewObject()
			for _, p := range m.Value.object.Members() {
				if !strings.EqualFold(p.Name, "template") {
					props.add(p)
				}
			}
			m.Value = Of(props)
		}
		rest.add(m)
	}
	without := *n
	without.value = Of(rest)
	without.expressions(do)
}

// isOuter reports whether a nested deployment's template, if inline, is evaluated
// with the parameters and variables of the template around: ARM's default.
func isOuter(properties Value) bool {
	return !strings.EqualFold(properties.Member("expressionEvaluationOptions").Str("scope"), "inner")
}

// Nested is the deployment that a node of type Microsoft.Resources/deployments asks for.
type Nested struct {
	ID             arm.ResourceID // of the nested deployment
	Scope          arm.ResourceID // where its resources go
	Name           string
	Location       string
	Mode           string // "Incremental" or as the template says
	Template       Value  // as it is written; null where it is linked
	TemplateLink   Value  // {uri, id, relativePath, contentVersion, queryString}, evaluated; null for none
	ParametersLink Value
	Parameters     Value // {"name": {"value": ...}}, evaluated, secrets marked
	Outer          bool  // the template's expressions see the outer parameters and variables
	Body           Value // the whole evaluated resource

	node *Node
}

// Deployment evaluates a node that is a deployment.
func (n *Node) Deployment(ctx context.Context, rt Runtime) (*Nested, error) {
	if !n.IsDeployment() {
		return nil, fmt.Errorf("evaluate %s as a deployment: it is of another type", n)
	}
	body, err := n.Evaluate(ctx, rt)
	if err != nil {
		return nil, err
	}
	props := body.Member("properties")
	d := &Nested{
		ID: n.ID, Scope: n.ID.Parent(), Name: n.ID.Name(), Location: body.Str("location"), Mode: props.Str("mode"),
		Template: props.Member("template"), TemplateLink: props.Member("templateLink"),
		ParametersLink: props.Member("parametersLink"), Parameters: props.Member("parameters"), Body: body, node: n,
	}
	d.Outer = d.Template.kind == KindObject && isOuter(props)
	if d.Template.IsNull() == d.TemplateLink.IsNull() {
		return nil, &Error{Code: CodeInvalidTemplate, Path: n.Path + ".properties", Pos: n.Pos, Message: fmt.Sprintf(
			"The nested deployment '%s' at line '%d' and column '%d' must have either a template or a templateLink.", n.Name, n.Pos.Line, n.Pos.Column)}
	}
	return d, nil
}

// Bind is Bind for the nested deployment's template, inline or linked. In the outer
// scope the template's expressions see the parameters, variables, functions and
// copy loops around the node; params then has no meaning and is not read.
func (d *Nested) Bind(t *Template, params Value, env Env) (*Bound, error) {
	if !d.Outer {
		return Bind(t, params, env)
	}
	outer := d.node.plan.bound
	return &Bound{
		template: t, env: env, scope: outer.scope, params: NewObject(),
		loop: d.node.loop, resources: d.node.plan.resources,
	}, nil
}
