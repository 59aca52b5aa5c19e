package template

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// lambdaFunctions are the functions that take a lambda expression.
func lambdaFunctions() []function {
	return []function{
		{name: "lambda", min: 1, max: -1, lazy: func(*frame, *expr) (Value, error) {
			return Value{}, errors.New("the function 'lambda' is not expected at this location. It may only be an argument of filter, map, reduce, sort, toObject, groupBy and mapValues")
		}},
		{name: "lambdaVariables", min: 1, max: 1, call: fnLambdaVariables, taint: taintParts, quiet: true},
		{name: "filter", min: 2, max: 2, lazy: evalFilter},
		{name: "map", min: 2, max: 2, lazy: evalMap},
		{name: "mapValues", min: 2, max: 2, lazy: evalMapValues},
		{name: "reduce", min: 3, max: 3, lazy: evalReduce},
		{name: "sort", min: 2, max: 2, lazy: evalSort},
		{name: "toObject", min: 2, max: 3, lazy: evalToObject},
		{name: "groupBy", min: 2, max: 2, lazy: evalGroupBy},
	}
}

// lambdaArgs are the variables of one running lambda.
type lambdaArgs struct {
	names  []string
	values []Value
	next   *lambdaArgs
}

func fnLambdaVariables(f *frame, args []Value) (Value, error) {
	name, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	for l := f.lambda; l != nil; l = l.next {
		for i, n := range l.names {
			if strings.EqualFold(n, name) {
				return l.values[i], nil
			}
		}
	}
	return Value{}, fmt.Errorf("there is no lambda variable '%s' here", name)
}

// lambda is a lambda expression with the frame it stands in.
type lambda struct {
	f     *frame
	names []string
	body  *expr
}

// lambdaArg reads the n-th argument of e, lambda('x', ..., body), which must take
// from least to most variables.
func (f *frame) lambdaArg(e *expr, n, least, most int) (*lambda, error) {
	a := e.args[n]
	if a.op != opCall || a.fn == nil || a.fn.name != "lambda" {
		return nil, fmt.Errorf("argument %d of '%s' must be a lambda expression", n+1, e.name)
	}
	l := &lambda{f: f, body: a.args[len(a.args)-1]}
	for _, v := range a.args[:len(a.args)-1] {
		name, ok := v.val.Text()
		if v.op != opLiteral || !ok {
			return nil, errors.New("the variables of a lambda expression must be named by literal strings")
		}
		l.names = append(l.names, name)
	}
	if len(l.names) < least || len(l.names) > most {
		return nil, fmt.Errorf("the lambda expression of '%s' must have %d to %d variables and has %d", e.name, least, most, len(l.names))
	}
	return l, nil
}

// apply runs the lambda with the values that its variables take.
func (l *lambda) apply(values ...Value) (Value, error) {
	inner := *l.f
	inner.lambda = &lambdaArgs{names: l.names, values: values[:min(len(l.names), len(values))], next: l.f.lambda}
	if err := l.f.meter.room(elementBytes); err != nil {
		return Value{}, err
	}
	return inner.eval(l.body)
}

func (l *lambda) truth(values ...Value) (bool, error) {
	v, err := l.apply(values...)
	if err != nil {
		return false, err
	}
	b, ok := v.Truth()
	if !ok {
		return false, fmt.Errorf("the lambda expression must yield true or false and yields a value of type '%s'", v.kind)
	}
	return b, nil
}

// listAndLambda evaluates the usual arguments: an array and a lambda.
func (f *frame) listAndLambda(e *expr, least, most int) ([]Value, *lambda, error) {
	v, err := f.eval(e.args[0])
	if err != nil {
		return nil, nil, err
	}
	if v.kind != KindArray {
		return nil, nil, fmt.Errorf("the template language function '%s' cannot be evaluated: %w", e.name, wrongType(0, "Array", v))
	}
	l, err := f.lambdaArg(e, len(e.args)-1, least, most)
	return v.Items(), l, err
}

func evalFilter(f *frame, e *expr) (Value, error) {
	items, l, err := f.listAndLambda(e, 1, 2)
	if err != nil {
		return Value{}, err
	}
	var kept []Value
	for i, it := range items {
		ok, err := l.truth(it, Int(int64(i)))
		if err != nil {
			return Value{}, err
		}
		if ok {
			kept = append(kept, it)
		}
	}
	return Array(kept...), nil
}

func evalMap(f *frame, e *expr) (Value, error) {
	items, l, err := f.listAndLambda(e, 1, 2)
	if err != nil {
		return Value{}, err
	}
	out := make([]Value, len(items))
	for i, it := range items {
		if out[i], err = l.apply(it, Int(int64(i))); err != nil {
			return Value{}, err
		}
	}
	return f.bounded(Array(out...))
}

// bounded refuses a value that grew too large.
func (f *frame) bounded(v Value) (Value, error) {
	if v.size > f.meter.limits.ValueBytes {
		return Value{}, f.meter.room(v.size)
	}
	return v, nil
}

func evalMapValues(f *frame, e *expr) (Value, error) {
	v, err := f.eval(e.args[0])
	if err != nil {
		return Value{}, err
	}
	if v.kind != KindObject {
		return Value{}, fmt.Errorf("the template language function 'mapValues' cannot be evaluated: %w", wrongType(0, "Object", v))
	}
	l, err := f.lambdaArg(e, 1, 1, 1)
	if err != nil {
		return Value{}, err
	}
	o := NewObject()
	for _, m := range v.marked().Members() {
		mapped, err := l.apply(m.Value)
		if err != nil {
			return Value{}, err
		}
		o.Set(m.Name, mapped)
	}
	return f.bounded(Of(o))
}

func evalReduce(f *frame, e *expr) (Value, error) {
	list, err := f.eval(e.args[0])
	if err != nil {
		return Value{}, err
	}
	if list.kind != KindArray {
		return Value{}, fmt.Errorf("the template language function 'reduce' cannot be evaluated: %w", wrongType(0, "Array", list))
	}
	sum, err := f.eval(e.args[1])
	if err != nil {
		return Value{}, err
	}
	l, err := f.lambdaArg(e, 2, 2, 3)
	if err != nil {
		return Value{}, err
	}
	for i, it := range list.Items() {
		if sum, err = l.apply(sum, it, Int(int64(i))); err != nil {
			return Value{}, err
		}
		if err = f.meter.room(shallow(sum)); err != nil {
			return Value{}, err
		}
	}
	return sum, nil
}

// evalSort sorts by a lambda that says whether its first variable comes before its
// second; equal elements keep their order.
func evalSort(f *frame, e *expr) (Value, error) {
	items, l, err := f.listAndLambda(e, 2, 2)
	if err != nil {
		return Value{}, err
	}
	sorted := append([]Value(nil), items...)
	sort.SliceStable(sorted, func(i, j int) bool {
		if err != nil {
			return false
		}
		var before bool
		before, err = l.truth(sorted[i], sorted[j])
		return before
	})
	return Array(sorted...), err
}

func evalToObject(f *frame, e *expr) (Value, error) {
	list, err := f.eval(e.args[0])
	if err != nil {
		return Value{}, err
	}
	if list.kind != KindArray {
		return Value{}, fmt.Errorf("the template language function 'toObject' cannot be evaluated: %w", wrongType(0, "Array", list))
	}
	key, err := f.lambdaArg(e, 1, 1, 1)
	if err != nil {
		return Value{}, err
	}
	var value *lambda
	if len(e.args) == 3 {
		if value, err = f.lambdaArg(e, 2, 1, 1); err != nil {
			return Value{}, err
		}
	}
	o, secure := NewObject(), false
	for _, it := range list.Items() {
		name, err := key.name(it)
		if err != nil {
			return Value{}, err
		}
		secure = secure || name.secure
		if value != nil {
			if it, err = value.apply(it); err != nil {
				return Value{}, err
			}
		}
		o.Set(name.text, it)
	}
	v := Of(o)
	v.secure = secure
	return f.bounded(v)
}

// name runs a lambda that yields an object's key.
func (l *lambda) name(it Value) (Value, error) {
	k, err := l.apply(it)
	if err == nil && k.kind != KindString {
		err = fmt.Errorf("the lambda expression must yield a string and yields a value of type '%s'", k.kind)
	}
	return k, err
}

func evalGroupBy(f *frame, e *expr) (Value, error) {
	items, l, err := f.listAndLambda(e, 1, 1)
	if err != nil {
		return Value{}, err
	}
	var names []string
	groups := map[string][]Value{}
	secure := false
	for _, it := range items {
		k, err := l.name(it)
		if err != nil {
			return Value{}, err
		}
		secure = secure || k.secure
		lower := strings.ToLower(k.text)
		if groups[lower] == nil {
			names = append(names, k.text)
		}
		groups[lower] = append(groups[lower], it)
	}
	o := NewObject()
	for _, n := range names {
		o.Set(n, Array(groups[strings.ToLower(n)]...))
	}
	v := Of(o)
	v.secure = secure
	return v, nil
}
