package template

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Template is a parsed template. It does not change and may be used by several
// goroutines.
type Template struct {
	Schema          string
	ContentVersion  string
	LanguageVersion string       // "2.0" for symbolic names; "" for the first
	Parameters      []*Parameter // in their order
	Source          Value        // the whole template as it was read

	functions   map[string]*userFunction // by lower-case "namespace.name"
	definitions Value
	variables   Value
	resources   []declaration
	outputs     Value
	expressions sync.Map // string to parsed
}

// declaration is one element of the template's resources.
type declaration struct {
	symbol string // symbolic name in language version 2.0
	value  Value
	path   string
}

// parsed is a string's expression or why it is none.
type parsed struct {
	expr *expr
	err  error
}

// Limits of sections that Azure documents.
const (
	maxParameters = 256
	maxVariables  = 256
	maxOutputs    = 64
)

// ParseBytes reads a template file leniently and parses it.
func ParseBytes(src []byte) (*Template, error) {
	v, err := ReadJSON(src)
	if err != nil {
		return nil, err
	}
	return Parse(v)
}

// Parse makes a template of its JSON: it checks the sections, the syntax of every
// expression that will be evaluated and the names of the functions in them, and
// reports all faults at once as *Error.
func Parse(v Value) (*Template, error) {
	if v.kind != KindObject {
		return nil, &Error{Code: CodeInvalidTemplate, Pos: v.pos, Message: fmt.Sprintf("The template must be an object and is a value of type '%s'.", v.kind)}
	}
	t := &Template{
		Schema: v.Str("$schema"), ContentVersion: v.Str("contentVersion"), LanguageVersion: v.Str("languageVersion"),
		Source: v, definitions: v.Member("definitions"), variables: v.Member("variables"), outputs: v.Member("outputs"),
		functions: map[string]*userFunction{},
	}
	var bad faults
	if _, ok := v.Get("resources"); !ok {
		bad.add(&Error{Code: CodeInvalidTemplate, Pos: v.pos, Path: "resources", Message: "Required property 'resources' not found in the template."})
	}
	for _, s := range []struct {
		name string
		most int
	}{{"parameters", maxParameters}, {"variables", maxVariables}, {"outputs", maxOutputs}, {"definitions", maxParameters}} {
		section := v.Member(s.name)
		switch {
		case section.kind != KindObject && !section.IsNull():
			bad.add(&Error{Code: CodeInvalidTemplate, Pos: section.pos, Path: s.name, Message: fmt.Sprintf("The section '%s' of the template must be an object.", s.name)})
		case section.Len() > s.most:
			bad.add(&Error{Code: CodeInvalidTemplate, Pos: section.pos, Path: s.name, Message: fmt.Sprintf("The template has %d %s and may have %d.", section.Len(), s.name, s.most)})
		}
	}
	t.Parameters = readParameters(v.Member("parameters"), "parameters", &bad)
	t.readFunctions(v.Member("functions"), &bad)
	t.readResources(v.Member("resources"), "resources", &bad)
	t.checkExpressions(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Template) readFunctions(v Value, bad *faults) {
	for i, space := range v.Items() {
		for _, m := range space.Member("members").Object().Members() {
			path := fmt.Sprintf("functions[%d].members.%s", i, m.Name)
			fn := &userFunction{output: m.Value.Member("output").Member("value"), path: path + ".output.value"}
			for j, p := range m.Value.Member("parameters").Items() {
				at := fmt.Sprintf("%s.parameters[%d]", path, j)
				fn.params = append(fn.params, readParameter(p.Str("name"), p, at, bad))
			}
			t.functions[strings.ToLower(space.Str("namespace")+"."+m.Name)] = fn
		}
	}
}

func (t *Template) readResources(v Value, path string, bad *faults) {
	add := func(symbol string, r Value, at string) {
		if r.kind != KindObject {
			bad.add(&Error{Code: CodeInvalidTemplate, Path: at, Pos: r.pos, Message: fmt.Sprintf("The resource at '%s' must be an object.", at)})
			return
		}
		for _, need := range []string{"type", "name", "apiVersion"} {
			if need == "name" && symbol != "" && r.Str("type") == "" {
				continue
			}
			if _, ok := r.Get(need); !ok && !strings.EqualFold(r.Str("import"), "kubernetes") {
				bad.add(&Error{Code: CodeInvalidTemplate, Path: at, Pos: r.pos, Message: fmt.Sprintf(
					"The template resource '%s' at line '%d' and column '%d' is not valid. The %s property is required.", r.Str("name"), r.pos.Line, r.pos.Column, need)})
			}
		}
		t.resources = append(t.resources, declaration{symbol, r, at})
	}
	switch v.kind {
	case KindArray:
		for i, r := range v.items {
			add("", r, fmt.Sprintf("%s[%d]", path, i))
		}
	case KindObject:
		for _, m := range v.object.Members() {
			add(m.Name, m.Value, join(path, m.Name))
		}
	case KindNull:
	default:
		bad.add(&Error{Code: CodeInvalidTemplate, Path: path, Pos: v.pos, Message: "The section 'resources' of the template must be an array, or an object of symbolic names."})
	}
}

// checkExpressions parses every expression that an evaluation may come to.
// Metadata is prose, and a nested template is checked when it is run.
func (t *Template) checkExpressions(bad *faults) {
	for _, p := range t.Parameters {
		t.checkTree(p.Default, "parameters."+p.Name+".defaultValue", "template parameter '"+p.Name+"'", bad)
	}
	for _, m := range t.variables.Object().Members() {
		t.checkTree(m.Value, "variables."+m.Name, "template variable '"+m.Name+"'", bad)
	}
	for _, fn := range t.functions {
		t.checkTree(fn.output, fn.path, "user-defined function", bad)
	}
	for _, d := range t.resources {
		t.checkTree(d.value, d.path, "template resource '"+d.value.Str("name")+"'", bad)
	}
	for _, m := range t.outputs.Object().Members() {
		for _, part := range []string{"value", "condition", "copy"} {
			t.checkTree(m.Value.Member(part), "outputs."+m.Name+"."+part, "template output '"+m.Name+"'", bad)
		}
	}
}

func (t *Template) checkTree(v Value, path, subject string, bad *faults) {
	check := func(v Value, path string) {
		if !isExpression(v.text) {
			return
		}
		e, err := t.parsed(v.text)
		if err == nil {
			err = t.checkUserFunctions(e)
		}
		if err != nil {
			f := frame{scope: &scope{template: t}, subject: subject}
			bad.add(f.faultIn(v, path, err))
		}
	}
	switch v.kind {
	case KindString:
		check(v, path)
	case KindArray:
		for i, it := range v.items {
			t.checkTree(it, fmt.Sprintf("%s[%d]", path, i), subject, bad)
		}
	case KindObject:
		nested := strings.EqualFold(v.Str("type"), deploymentType)
		for _, m := range v.object.Members() {
			check(String(m.Name).At(m.Pos), join(path, m.Name))
			if strings.EqualFold(m.Name, "metadata") && m.Value.kind == KindObject {
				continue
			}
			if nested && strings.EqualFold(m.Name, "properties") {
				t.checkNested(m.Value, join(path, m.Name), subject, bad)
				continue
			}
			t.checkTree(m.Value, join(path, m.Name), subject, bad)
		}
	}
}

// checkNested checks the properties of a nested deployment but its template.
func (t *Template) checkNested(v Value, path, subject string, bad *faults) {
	if v.kind != KindObject {
		t.checkTree(v, path, subject, bad)
		return
	}
	for _, m := range v.object.Members() {
		if !strings.EqualFold(m.Name, "template") {
			t.checkTree(m.Value, join(path, m.Name), subject, bad)
		}
	}
}

// checkUserFunctions refuses a call of a function that the template does not have;
// one without functions may be nested in one that has them.
func (t *Template) checkUserFunctions(e *expr) error {
	var err error
	e.walk(func(x *expr) bool {
		if x.op == opCall && x.fn == nil && len(t.functions) > 0 && t.functions[strings.ToLower(x.name)] == nil {
			err = &evalError{x.off, fmt.Errorf("the template function '%s' is not valid", x.name)}
		}
		return err == nil
	})
	return err
}

// parsed is the expression in s, parsed once.
func (t *Template) parsed(s string) (*expr, error) {
	if p, ok := t.expressions.Load(s); ok {
		return p.(parsed).expr, p.(parsed).err
	}
	e, err := parseExpression(s)
	if err != nil && !errors.As(err, new(*faultAt)) {
		return nil, err
	}
	t.expressions.Store(s, parsed{e, err})
	return e, err
}
