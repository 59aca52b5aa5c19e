package template

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// Runtime answers what an expression asks of deployed resources.
type Runtime interface {
	// Reference is the state of a resource: its properties, or with full the whole
	// resource with id, type, location, properties and the rest.
	Reference(ctx context.Context, id arm.ResourceID, apiVersion string, full bool) (Value, error)
	// List is the answer of a POST action such as listKeys, whose name function is;
	// body is null where the template gives none.
	List(ctx context.Context, id arm.ResourceID, function, apiVersion string, body Value) (Value, error)
}

var (
	errTooMuch = errors.New("the template asks for too much")
	// errNotHere is what reference() and list*() answer where no Runtime is: in
	// names, conditions, parameters and variables.
	errNotHere = errors.New("is not expected at this location. It may be used in the properties of a resource and in outputs")
)

// frame is all that an expression sees while it is evaluated. It belongs to one
// goroutine; what it points to is not changed after Bind, but for the meter.
type frame struct {
	scope     *scope
	loop      *loop       // the copy loops around, innermost first
	lambda    *lambdaArgs // the lambdas around, innermost first
	resources *resourceIndex
	ctx       context.Context
	rt        Runtime // nil where the state of resources may not be asked for
	preview   bool    // leave expressions that need rt as their text
	meter     *meter
	subject   string // "template resource 'vm-0'", for messages
	depth     int    // of user-defined functions within each other
}

// loop is one running copy loop.
type loop struct {
	name     string
	index    int
	resource bool // a loop over resources, whose index copyIndex() without a name means
	next     *loop
}

// tree evaluates every expression in v, a part of a template at path.
func (f *frame) tree(v Value, path string) (Value, error) {
	switch v.kind {
	case KindString:
		return f.str(v, path)
	case KindArray:
		items := make([]Value, 0, len(v.items))
		for i, it := range v.items {
			out, err := f.tree(it, path+"["+strconv.Itoa(i)+"]")
			if err != nil {
				return Value{}, err
			}
			items = append(items, out)
		}
		return Array(items...).At(v.pos), nil
	case KindObject:
		return f.members(v, path)
	}
	return v, nil
}

// members evaluates an object: its names, its values and its property loops. A
// member whose expression is null is left out, as ARM does; one written as null
// stays.
func (f *frame) members(v Value, path string) (Value, error) {
	o := NewObject()
	for _, m := range v.object.Members() {
		at := join(path, m.Name)
		if strings.EqualFold(m.Name, "copy") && isPropertyCopy(m.Value) {
			if err := f.propertyLoops(o, m.Value, at); err != nil {
				return Value{}, err
			}
			continue
		}
		name, err := f.memberName(m, path)
		if err != nil {
			return Value{}, err
		}
		out, err := f.tree(m.Value, at)
		if err != nil {
			return Value{}, err
		}
		if !out.IsNull() || m.Value.IsNull() {
			o.Set(name, out)
		}
	}
	return Of(o).At(v.pos), nil
}

func (f *frame) memberName(m Member, path string) (string, error) {
	if !isExpression(m.Name) {
		return unescape(m.Name), nil
	}
	v, err := f.str(String(m.Name).At(m.Pos), join(path, m.Name))
	if err != nil {
		return "", err
	}
	name, ok := v.Text()
	if !ok {
		return "", f.fault(m.Pos, path, fmt.Errorf("the name of a property evaluates to a value of type '%s' where a string is needed", v.kind))
	}
	if v.secure {
		return "", f.fault(m.Pos, path, errors.New("the name of a property is made of a secret, and names are shown"))
	}
	return name, nil
}

// str evaluates one string of a template.
func (f *frame) str(v Value, path string) (Value, error) {
	if v.secure || !isExpression(v.text) {
		if s := unescape(v.text); len(s) != len(v.text) {
			w := String(s).At(v.pos)
			w.secure = v.secure
			return w, nil
		}
		return v, nil
	}
	e, err := f.scope.template.parsed(v.text)
	if err == nil && f.preview && e.needsRuntime() {
		return v, nil
	}
	var out Value
	if err == nil {
		out, err = f.eval(e)
	}
	if err != nil {
		return Value{}, f.faultIn(v, path, err)
	}
	return out.At(v.pos), nil
}

// faultIn is err as a fault of the expression v.
func (f *frame) faultIn(v Value, path string, err error) error {
	pos := v.pos
	var at *evalError
	if errors.As(err, &at) {
		pos = place(v, at.off)
	}
	var parse *faultAt
	if errors.As(err, &parse) {
		pos = place(v, parse.off)
	}
	return f.fault(pos, path, err)
}

// place is where the byte at off of the string v stood in the source: exact but
// for strings with escapes.
func place(v Value, off int) Pos {
	if v.pos == (Pos{}) {
		return v.pos
	}
	before := v.text[:min(off, len(v.text))]
	if nl := strings.LastIndexByte(before, '\n'); nl >= 0 {
		return Pos{v.pos.Line + strings.Count(before, "\n"), len(before) - nl}
	}
	return Pos{v.pos.Line, v.pos.Column + 1 + len(before)}
}

func (f *frame) fault(pos Pos, path string, err error) error {
	var done *Error
	if errors.As(err, &done) { // a fault in a variable or function that this expression uses: its own place says more
		return done
	}
	e := &Error{Code: CodeInvalidTemplate, Path: path, Pos: pos, cause: err}
	if errors.Is(err, errTooMuch) {
		e.Code = CodeTooMuch
	} else if f.rt != nil {
		e.Code = CodeInvalidNested
	}
	e.Message = fmt.Sprintf("The %s at line '%d' and column '%d' is not valid: %s. Please see https://aka.ms/arm-functions for usage details.",
		f.subject, pos.Line, pos.Column, strings.TrimSuffix(err.Error(), "."))
	return e
}

// evalError gives an error its place in the expression.
type evalError struct {
	off int
	err error
}

func (e *evalError) Error() string { return e.err.Error() }
func (e *evalError) Unwrap() error { return e.err }

func (e *expr) fault(err error) error {
	var at *evalError
	var done *Error
	if errors.As(err, &at) || errors.As(err, &done) {
		return err
	}
	return &evalError{e.off, err}
}

func (f *frame) eval(e *expr) (Value, error) {
	if err := f.meter.step(); err != nil {
		return Value{}, e.fault(err)
	}
	var v Value
	var err error
	switch e.op {
	case opLiteral:
		return e.val, nil
	case opCall:
		v, err = f.call(e)
	default:
		v, err = f.access(e)
	}
	if err != nil {
		return Value{}, e.fault(err)
	}
	return v, nil
}

func (f *frame) call(e *expr) (Value, error) {
	if e.fn == nil {
		return f.userFunction(e)
	}
	if err := f.ctx.Err(); err != nil {
		return Value{}, err
	}
	if e.fn.lazy != nil {
		return e.fn.lazy(f, e)
	}
	args, err := f.args(e)
	if err != nil {
		return Value{}, err
	}
	v, err := e.fn.call(f, args)
	if err != nil {
		if anySecure(args) && !isTooMuch(err) { // the message may quote an argument
			return Value{}, fmt.Errorf("the template language function '%s' cannot be evaluated: its arguments, of which some are secret, are not what it takes", e.name)
		}
		if e.fn.quiet {
			return Value{}, err
		}
		return Value{}, fmt.Errorf("the template language function '%s' cannot be evaluated: %w", e.name, err)
	}
	if err := f.meter.room(shallow(v)); err != nil {
		return Value{}, err
	}
	if v, err = f.bounded(v); err != nil {
		return Value{}, err
	}
	if e.fn.taint == taintMixed && anySecure(args) {
		v = v.AsSecure()
	}
	return v, nil
}

func anySecure(args []Value) bool { return slices.ContainsFunc(args, Value.HasSecure) }

// shallow is what a value costs that may share its parts with others.
func shallow(v Value) int {
	return len(v.text) + 8*(len(v.items)+v.object.Len())
}

func (f *frame) args(e *expr) ([]Value, error) {
	args := make([]Value, len(e.args))
	for i, a := range e.args {
		v, err := f.eval(a)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	return args, nil
}

// access evaluates base.name and base[key].
func (f *frame) access(e *expr) (Value, error) {
	base, err := f.eval(e.base)
	if err != nil {
		return Value{}, err
	}
	if base.IsNull() && (e.safe || e.base.mayBeAbsent()) {
		return Null(), nil
	}
	key := String(e.name)
	if e.op == opIndex {
		if key, err = f.eval(e.args[0]); err != nil {
			return Value{}, err
		}
	}
	v, err := part(base, key)
	if err != nil && e.safe && errors.Is(err, errAbsent) {
		return Null(), nil
	}
	return v, err
}

// mayBeAbsent reports whether e ends in a chain that began with a safe access: what
// follows .? is skipped with it.
func (e *expr) mayBeAbsent() bool {
	for ; e != nil && (e.op == opProperty || e.op == opIndex); e = e.base {
		if e.safe {
			return true
		}
	}
	return false
}

// errAbsent is wrapped where a part does not exist, other than where it cannot.
var errAbsent = errors.New("")

// part is one element or member of a value.
func part(base, key Value) (Value, error) {
	name, isName := key.Text()
	i, isIndex := key.Int()
	switch {
	case base.kind == KindObject && isName:
		if v, ok := base.Get(name); ok {
			return v, nil
		}
		names := Redacted
		if !base.secure {
			names = cut(strings.Join(base.object.Names(), ", "))
		}
		return Value{}, fmt.Errorf("the language expression property '%s' doesn't exist, available properties are '%s'%w", show(key), names, errAbsent)
	case base.kind == KindArray && isIndex:
		if i < 0 || i >= int64(len(base.items)) {
			return Value{}, fmt.Errorf("the language expression property array index '%d' is out of bounds%w", i, errAbsent)
		}
		v := base.items[i]
		v.secure = v.secure || base.secure
		return v, nil
	case base.kind == KindArray:
		return Value{}, fmt.Errorf("the language expression property '%s' can't be evaluated, the array index must be an integer", show(key))
	case base.kind == KindObject:
		return Value{}, fmt.Errorf("the language expression property '%s' can't be evaluated, the name of a property must be a string", show(key))
	}
	return Value{}, fmt.Errorf("the language expression property '%s' can't be evaluated, property access is not supported on a value of type '%s'", show(key), base.kind)
}

// show is a value as it may stand in a message: without quotes, cut, no secret.
func show(v Value) string {
	s, isText := v.Text()
	if v.HasSecure() {
		s = Redacted
	} else if !isText {
		if v.size > 1<<16 {
			return v.kind.String()
		}
		s = v.String()
	}
	return cut(s)
}

// cut keeps messages short, whatever a template puts into them.
func cut(s string) string {
	const most = 1000
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// join extends a path by a member's name.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func isTooMuch(err error) bool { return errors.Is(err, errTooMuch) }
