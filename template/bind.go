package template

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// Env is what expressions see of the world around a deployment. Everything in it
// is fixed when the deployment begins.
type Env struct {
	Scope      arm.ResourceID // where resources go: a resource group, subscription, management group or the root
	Deployment DeploymentInfo
	Now        time.Time     // utcNow()
	NewGUID    func() string // newGuid(): asked in the order of the parameters, and only for their defaults

	// What the functions of these names answer; null where there is none.
	Group, Subscription, Tenant, ManagementGroup, Environment, Deployer Value

	// Providers is the record of a resource type, or of a whole provider for an
	// empty type; nil where none is known.
	Providers func(namespace, typ string) (Value, bool)
	Limits    Limits
}

// DeploymentInfo is what deployment() answers.
type DeploymentInfo struct {
	Name       string
	Location   string // of deployments above resource groups
	Properties Value  // null for the least that ARM gives
}

// scope is what names in an expression mean: parameters, variables, functions and
// the deployment around. It is frozen once Bind returns.
type scope struct {
	template  *Template
	env       *Env
	params    *Object
	variables map[string]*variable // by lower-case name

	lookup    func(f *frame, name string) (v Value, found bool, err error) // while defaults are evaluated
	inDefault bool
}

// Bound is a template with the values of its parameters: ready to Expand. It does
// not change and may be used by several goroutines.
type Bound struct {
	template  *Template
	env       Env
	scope     *scope // of the template's expressions: its own or, nested, the outer one
	params    *Object
	loop      *loop // the loops around a nested template evaluated in the outer scope
	resources *resourceIndex
}

// Bind gives a template its parameters: params is {"name": {"value": ...}, ...},
// as in a parameter file. Every fault of every parameter is reported at once.
func Bind(t *Template, params Value, env Env) (*Bound, error) {
	b := &Bound{template: t, env: env}
	b.scope = &scope{template: t, env: &b.env}
	if err := b.bindParameters(params); err != nil {
		return nil, err
	}
	b.scope.params = b.params
	return b, b.bindVariables()
}

func (b *Bound) frame(ctx context.Context, subject string) *frame {
	return &frame{scope: b.scope, loop: b.loop, resources: b.resources, ctx: ctx, meter: newMeter(b.env.Limits), subject: subject}
}

// binding is the state of bindParameters: defaults may refer to other parameters.
type binding struct {
	b     *Bound
	given Value
	state map[string]bindState
	out   map[string]Value
	bad   *faults
	meter *meter
}

type bindState uint8

const (
	bindUnseen bindState = iota
	bindRunning
	bindDone
	bindFailed
)

func (b *Bound) bindParameters(given Value) error {
	var bad faults
	if given.kind != KindObject && !given.IsNull() {
		return &Error{Code: CodeInvalidTemplate, Pos: given.pos, Message: "The parameters of a deployment must be an object."}
	}
	bd := &binding{b: b, given: given, state: map[string]bindState{}, out: map[string]Value{}, bad: &bad, meter: newMeter(b.env.Limits)}
	bd.refuseUnknown()
	for _, p := range b.template.Parameters {
		bd.bind(p)
	}
	if err := bad.err(); err != nil {
		return err
	}
	b.params = NewObject()
	for _, p := range b.template.Parameters {
		b.params.Set(p.Name, bd.out[strings.ToLower(p.Name)])
	}
	return nil
}

func (bd *binding) refuseUnknown() {
	known := map[string]bool{}
	var names, unknown []string
	for _, p := range bd.b.template.Parameters {
		known[strings.ToLower(p.Name)] = true
		names = append(names, p.Name)
	}
	for _, m := range bd.given.Object().Members() {
		if !known[strings.ToLower(m.Name)] {
			unknown = append(unknown, m.Name)
		}
	}
	if len(unknown) > 0 {
		bd.bad.add(&Error{Code: CodeInvalidTemplate, Path: "parameters." + unknown[0], Message: fmt.Sprintf(
			"The template parameters '%s' in the parameters file are not valid; they are not present in the original template and can therefore not be provided at deployment time. The only supported parameters for this template are '%s'. Please see https://aka.ms/arm-pass-parameter-values for usage details.",
			strings.Join(unknown, ", "), strings.Join(names, ", "))})
	}
}

// bind settles one parameter and, before it, those its default refers to.
func (bd *binding) bind(p *Parameter) {
	key := strings.ToLower(p.Name)
	if bd.state[key] != bindUnseen {
		return
	}
	bd.state[key] = bindRunning
	v, err := bd.value(p)
	if err != nil {
		bd.state[key] = bindFailed
		bd.bad.add(err)
		return
	}
	bd.out[key], bd.state[key] = v, bindDone
}

func (bd *binding) value(p *Parameter) (Value, error) {
	path := "parameters." + p.Name
	at := fmt.Sprintf("template parameter '%s' at line '%d' and column '%d'", p.Name, p.Pos.Line, p.Pos.Column)
	wrong := func(why string) error {
		return &Error{Code: CodeInvalidTemplate, Path: path, Pos: p.Pos, Message: fmt.Sprintf(
			"The provided value for the %s is not valid. %s Please see https://aka.ms/arm-create-parameter-file for usage details.", at, why)}
	}
	entry, given := bd.given.Get(p.Name)
	v, hasValue := entry.Get("value")
	switch {
	case given && !hasValue && entry.kind == KindObject && !entry.Member("reference").IsNull():
		return v, wrong("References to a key vault are not supported by this service.")
	case given && !hasValue && entry.Len() > 0, given && entry.kind != KindObject:
		return v, wrong("A parameter is given as an object with the property 'value'.")
	case hasValue && (!v.IsNull() || isNullable(p)):
	case !p.Default.IsNull():
		var err error
		if v, err = bd.byDefault(p, path+".defaultValue"); err != nil {
			return v, err
		}
	case p.Required:
		return v, &Error{Code: CodeInvalidTemplate, Path: path, Pos: p.Pos, Message: fmt.Sprintf(
			"The value for the %s is not provided. Please see https://aka.ms/arm-create-parameter-file for usage details.", at)}
	default:
		return Null(), nil // nullable, or a default of null
	}
	v, err := p.accept(bd.b.template, bd.meter, v)
	if err != nil {
		return v, wrong(err.Error())
	}
	return v, nil
}

func isNullable(p *Parameter) bool {
	n, _ := p.spec.Member("nullable").Truth()
	return n
}

func (bd *binding) byDefault(p *Parameter, path string) (Value, error) {
	f := bd.b.frame(context.Background(), "template parameter '"+p.Name+"'")
	f.meter = bd.meter
	s := *bd.b.scope
	s.inDefault, s.lookup = true, bd.lookup
	f.scope = &s
	return f.tree(p.Default, path)
}

// lookup is parameters() within a default.
func (bd *binding) lookup(_ *frame, name string) (Value, bool, error) {
	for _, p := range bd.b.template.Parameters {
		if !strings.EqualFold(p.Name, name) {
			continue
		}
		key := strings.ToLower(name)
		bd.bind(p)
		switch bd.state[key] {
		case bindRunning:
			return Value{}, true, fmt.Errorf("the defaults of the parameters '%s' and its own refer to each other", p.Name)
		case bindFailed:
			return Value{}, true, fmt.Errorf("the template parameter '%s' has no valid value", p.Name)
		}
		return bd.out[key], true, nil
	}
	return Value{}, false, nil
}

// variable is a template variable, evaluated when first asked for: ARM lets a
// variable be wrong that nothing uses, as zones[0] of no zones.
type variable struct {
	name  string
	b     *Bound
	value Value // unevaluated
	input bool  // value is an element of the section's own copy loop
	path  string

	running bool
	done    bool
	out     Value
	err     error
}

func (b *Bound) bindVariables() error {
	b.scope.variables = map[string]*variable{}
	for _, m := range b.template.variables.Object().Members() {
		if strings.EqualFold(m.Name, "copy") && m.Value.kind == KindArray {
			for i, it := range m.Value.items {
				name := it.Str("name")
				b.scope.variables[strings.ToLower(name)] = &variable{name: name, b: b, value: it, input: true, path: fmt.Sprintf("variables.copy[%d]", i)}
			}
			continue
		}
		b.scope.variables[strings.ToLower(m.Name)] = &variable{name: m.Name, b: b, value: m.Value, path: "variables." + m.Name}
	}
	// All are evaluated here, in one goroutine; a fault is kept for whoever uses the
	// variable, but reaching a limit ends it all.
	meter := newMeter(b.env.Limits)
	for _, v := range b.scope.variables {
		if _, err := v.eval(meter, context.Background()); err != nil && isTooMuch(err) {
			return err
		}
	}
	return nil
}

func (v *variable) eval(m *meter, ctx context.Context) (Value, error) {
	if v.done { // set before Bind returns, and never again
		return v.out, v.err
	}
	if v.running {
		return Value{}, fmt.Errorf("the template variable '%s' refers to itself", v.name)
	}
	v.running = true
	f := v.b.frame(ctx, "template variable '"+v.name+"'")
	f.meter, f.loop = m, nil
	if v.input {
		_, v.out, v.err = f.inputLoop(v.value, v.path)
	} else {
		v.out, v.err = f.tree(v.value, v.path)
	}
	v.running, v.done = false, true
	return v.out, v.err
}

// Parameters are the values of all parameters, {"name": {"value": ...}}, secrets
// marked: what to Bind with to get the same deployment again.
func (b *Bound) Parameters() Value {
	o := NewObject()
	for _, m := range b.params.Members() {
		o.Set(m.Name, ObjectOf("value", m.Value))
	}
	return Of(o)
}

// DisplayParameters are the parameters as a deployment shows them: with their
// type, and secret ones without value.
func (b *Bound) DisplayParameters() Value {
	o := NewObject()
	for _, p := range b.template.Parameters {
		v, _ := b.params.Get(p.Name)
		shown := ObjectOf("type", String(displayType(p.Type, v)))
		if !v.secure {
			shown = ObjectOf("type", String(displayType(p.Type, v)), "value", v.Redact())
		}
		o.Set(p.Name, shown)
	}
	return Of(o)
}

// displayType is a type as ARM spells it in answers: String, SecureString, Int, ...
func displayType(t string, v Value) string {
	for _, known := range []string{"String", "SecureString", "Int", "Bool", "Array", "Object", "SecureObject"} {
		if strings.EqualFold(t, known) {
			return known
		}
	}
	return map[Kind]string{KindNull: "Object", KindBool: "Bool", KindInt: "Int", KindFloat: "Int", KindString: "String", KindArray: "Array", KindObject: "Object"}[v.kind]
}
