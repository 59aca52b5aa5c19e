package template

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Parameter is one declared parameter.
type Parameter struct {
	Name     string
	Type     string // as the template spells it: string, securestring, int, bool, array, object, secureObject; "" where $ref gives it
	Default  Value  // unevaluated
	Required bool   // neither a default nor nullable
	Secure   bool   // securestring or secureObject
	Metadata Value
	Pos      Pos

	spec Value // the whole declaration
}

func readParameters(v Value, path string, bad *faults) []*Parameter {
	var list []*Parameter
	for _, m := range v.Object().Members() {
		list = append(list, readParameter(m.Name, m.Value, join(path, m.Name), bad))
	}
	return list
}

var knownTypes = regexp.MustCompile(`(?i)^(string|securestring|int|bool|array|object|secureobject)$`)

func readParameter(name string, v Value, path string, bad *faults) *Parameter {
	p := &Parameter{Name: name, Type: v.Str("type"), Metadata: v.Member("metadata"), Pos: v.pos, spec: v}
	var has bool
	p.Default, has = v.Get("defaultValue")
	nullable, _ := v.Member("nullable").Truth()
	p.Required = !has && !nullable
	p.Secure = isSecureType(p.Type)
	_, ref := v.Get("$ref")
	if !knownTypes.MatchString(p.Type) && (!ref || p.Type != "") {
		bad.add(&Error{Code: CodeInvalidTemplate, Path: path + ".type", Pos: v.pos, Message: fmt.Sprintf(
			"The type '%s' of the template parameter '%s' at line '%d' and column '%d' is not valid. It is one of 'string, securestring, int, bool, array, object, secureObject'.",
			p.Type, name, v.pos.Line, v.pos.Column)})
	}
	return p
}

func isSecureType(t string) bool {
	return strings.EqualFold(t, "securestring") || strings.EqualFold(t, "secureObject")
}

// accept checks a value against the declaration and marks what is secret in it.
func (p *Parameter) accept(t *Template, m *meter, v Value) (Value, error) {
	c := &typeCheck{t: t, m: m}
	v = c.value(p.spec, v, "")
	if len(c.wrong) > 0 {
		return v, errors.New(strings.Join(c.wrong, " "))
	}
	return v, nil
}

// typeCheck holds a value against a type of the template's, with the types of
// language version 2.0: properties, items, references to definitions.
type typeCheck struct {
	t     *Template
	m     *meter
	depth int
	wrong []string
}

func (c *typeCheck) fault(path, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if path != "" {
		s = "At '" + path + "': " + s
	}
	c.wrong = append(c.wrong, s)
}

// value checks v and is v with its secret parts marked.
func (c *typeCheck) value(spec, v Value, path string) Value {
	if err := c.m.step(); err != nil {
		c.fault(path, "%s.", err)
		return v
	}
	if c.depth++; c.depth > maxDepth {
		c.fault(path, "The type refers to itself deeper than %d levels.", maxDepth)
		return v
	}
	defer func() { c.depth-- }()
	if nullable, _ := spec.Member("nullable").Truth(); nullable && v.IsNull() {
		return v
	}
	if ref := spec.Str("$ref"); ref != "" {
		name, ok := strings.CutPrefix(ref, "#/definitions/")
		def, found := c.t.definitions.Get(name)
		if !ok || !found {
			c.fault(path, "The type '%s' is not defined in the template.", ref)
			return v
		}
		v = c.value(def, v, path)
	}
	typ := spec.Str("type")
	want, known := map[string]Kind{
		"string": KindString, "securestring": KindString, "int": KindInt, "bool": KindBool,
		"array": KindArray, "object": KindObject, "secureobject": KindObject,
	}[strings.ToLower(typ)]
	if known && v.kind != want && !(strings.EqualFold(typ, "secureObject") && v.kind == KindArray) {
		if i, ok := v.Int(); ok && want == KindInt {
			v = Int(i).At(v.pos)
		} else {
			c.fault(path, "Expected a value of type '%s', but received a value of type '%s'.", want, v.kind)
			return v
		}
	}
	c.allowed(spec, v, path)
	c.bounds(spec, v, path)
	switch v.kind {
	case KindArray:
		v = c.array(spec, v, path)
	case KindObject:
		v = c.object(spec, v, path)
	}
	if isSecureType(typ) {
		v = v.AsSecure()
	}
	return v
}

// allowed checks allowedValues; for an array each element may be held against them.
func (c *typeCheck) allowed(spec, v Value, path string) {
	list, ok := spec.Get("allowedValues")
	if !ok || list.kind != KindArray {
		return
	}
	isAllowed := func(v Value) bool {
		for _, a := range list.items {
			if v.Equal(a) || v.kind == KindString && a.kind == KindString && strings.EqualFold(v.text, a.text) {
				return true
			}
		}
		return false
	}
	if isAllowed(v) {
		return
	}
	if v.kind == KindArray {
		all := true
		for _, it := range v.items {
			all = all && isAllowed(it)
		}
		if all {
			return
		}
	}
	names := make([]string, len(list.items))
	for i, a := range list.items {
		names[i] = show(a)
	}
	shown := show(v)
	if isSecureType(spec.Str("type")) {
		shown = Redacted
	}
	c.fault(path, "The value '%s' is not part of the allowed value(s): '%s'.", shown, strings.Join(names, ","))
}

func (c *typeCheck) bounds(spec, v Value, path string) {
	limit := func(name string) (int64, bool) { return spec.Member(name).Int() }
	switch v.kind {
	case KindInt:
		i, _ := v.Int()
		if low, ok := limit("minValue"); ok && i < low {
			c.fault(path, "The value should be greater than or equal to '%d'.", low)
		}
		if high, ok := limit("maxValue"); ok && i > high {
			c.fault(path, "The value should be less than or equal to '%d'.", high)
		}
	case KindString, KindArray:
		n := int64(v.Len())
		if low, ok := limit("minLength"); ok && n < low {
			c.fault(path, "Length of the value should be greater than or equal to '%d'.", low)
		}
		if high, ok := limit("maxLength"); ok && n > high {
			c.fault(path, "Length of the value should be less than or equal to '%d'.", high)
		}
	}
}

func (c *typeCheck) array(spec, v Value, path string) Value {
	prefix, item := spec.Member("prefixItems").Items(), spec.Member("items")
	if len(prefix) == 0 && item.kind != KindObject {
		return v
	}
	items := make([]Value, len(v.items))
	for i, it := range v.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i < len(prefix):
			it = c.value(prefix[i], it, at)
		case item.kind == KindObject:
			it = c.value(item, it, at)
		case item.kind == KindBool && item.num == 0:
			c.fault(at, "The array may have %d elements.", len(prefix))
		}
		items[i] = it
	}
	out := Array(items...).At(v.pos)
	out.secure = v.secure
	return out
}

func (c *typeCheck) object(spec, v Value, path string) Value {
	props, extra := spec.Member("properties"), spec.Member("additionalProperties")
	if d := spec.Member("discriminator"); d.kind == KindObject {
		tag := v.Str(d.Str("propertyName"))
		if variant, ok := d.Member("mapping").Get(tag); ok {
			return c.value(variant, v, path)
		}
		c.fault(path, "The value '%s' of '%s' is not one of '%s'.", show(v.Member(d.Str("propertyName"))), d.Str("propertyName"), strings.Join(d.Member("mapping").Object().Names(), ","))
		return v
	}
	if props.kind != KindObject && extra.kind != KindObject {
		return v
	}
	o := NewObject()
	for _, m := range v.object.Members() {
		at := join(path, m.Name)
		if p, ok := props.Get(m.Name); ok {
			m.Value = c.value(p, m.Value, at)
		} else if extra.kind == KindObject {
			m.Value = c.value(extra, m.Value, at)
		} else if extra.kind == KindBool && extra.num == 0 {
			c.fault(at, "The property is not allowed; the type has '%s'.", strings.Join(props.object.Names(), ","))
		}
		o.add(m)
	}
	for _, p := range props.object.Members() {
		_, given := v.object.Get(p.Name)
		nullable, _ := p.Value.Member("nullable").Truth()
		if !given && !nullable {
			c.fault(join(path, p.Name), "The property is required and is not provided.")
		}
	}
	out := Of(o).At(v.pos)
	out.secure = v.secure
	return out
}
