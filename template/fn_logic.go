package template

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// logicFunctions are the logical functions.
func logicFunctions() []function {
	return []function{
		{name: "and", min: 1, max: -1, lazy: func(f *frame, e *expr) (Value, error) { return connective(f, e, false) }},
		{name: "or", min: 1, max: -1, lazy: func(f *frame, e *expr) (Value, error) { return connective(f, e, true) }},
		{name: "if", min: 3, max: 3, lazy: evalIf},
		{name: "not", min: 1, max: 1, call: fnNot, taint: taintNone},
		{name: "bool", min: 1, max: 1, call: fnBool},
		{name: "true", call: func(*frame, []Value) (Value, error) { return Bool(true), nil }},
		{name: "false", call: func(*frame, []Value) (Value, error) { return Bool(false), nil }},
	}
}

// comparisonFunctions are the functions that compare.
func comparisonFunctions() []function {
	return []function{
		{name: "coalesce", min: 1, max: -1, lazy: evalCoalesce},
		{name: "equals", min: 2, max: 2, call: fnEquals, taint: taintNone},
		{name: "less", min: 2, max: 2, call: ordering(func(c int) bool { return c < 0 }), taint: taintNone},
		{name: "lessOrEquals", min: 2, max: 2, call: ordering(func(c int) bool { return c <= 0 }), taint: taintNone},
		{name: "greater", min: 2, max: 2, call: ordering(func(c int) bool { return c > 0 }), taint: taintNone},
		{name: "greaterOrEquals", min: 2, max: 2, call: ordering(func(c int) bool { return c >= 0 }), taint: taintNone},
	}
}

// numberFunctions are the functions of numbers.
func numberFunctions() []function {
	return []function{
		{name: "add", min: 2, max: 2, call: arithmetic(func(a, b int64) (int64, error) {
			if c := a + b; (c > a) == (b > 0) {
				return c, nil
			}
			return 0, errOverflow
		})},
		{name: "sub", min: 2, max: 2, call: arithmetic(func(a, b int64) (int64, error) {
			if c := a - b; (c < a) == (b > 0) {
				return c, nil
			}
			return 0, errOverflow
		})},
		{name: "mul", min: 2, max: 2, call: arithmetic(func(a, b int64) (int64, error) {
			if a == 0 || b == 0 {
				return 0, nil
			}
			if c := a * b; c/b == a && !(a == -1 && b == math.MinInt64) && !(b == -1 && a == math.MinInt64) {
				return c, nil
			}
			return 0, errOverflow
		})},
		{name: "div", min: 2, max: 2, call: arithmetic(func(a, b int64) (int64, error) {
			if b == 0 || a == math.MinInt64 && b == -1 {
				return 0, errors.New("the division has no result")
			}
			return a / b, nil
		})},
		{name: "mod", min: 2, max: 2, call: arithmetic(func(a, b int64) (int64, error) {
			if b == 0 {
				return 0, errors.New("the division has no result")
			}
			return a % b, nil
		})},
		{name: "int", min: 1, max: 1, call: fnInt},
		{name: "float", min: 1, max: 1, call: fnFloat},
		{name: "copyIndex", min: 0, max: 2, call: fnCopyIndex, quiet: true},
	}
}

var errOverflow = errors.New("the result is not a 64-bit integer")

func arithmetic(do func(a, b int64) (int64, error)) func(*frame, []Value) (Value, error) {
	return func(_ *frame, args []Value) (Value, error) {
		a, err := intArg(args, 0)
		if err != nil {
			return Value{}, err
		}
		b, err := intArg(args, 1)
		if err != nil {
			return Value{}, err
		}
		c, err := do(a, b)
		return Int(c), err
	}
}

// connective evaluates and() and or() from the left until the answer is known.
func connective(f *frame, e *expr, until bool) (Value, error) {
	for i, a := range e.args {
		v, err := f.eval(a)
		if err != nil {
			return Value{}, err
		}
		b, ok := v.Truth()
		if !ok {
			return Value{}, fmt.Errorf("the template language function '%s' cannot be evaluated: %w", e.name, wrongType(i, "Boolean", v))
		}
		if b == until {
			return Bool(until), nil
		}
	}
	return Bool(!until), nil
}

// evalIf evaluates the branch that its condition chooses and not the other.
func evalIf(f *frame, e *expr) (Value, error) {
	v, err := f.eval(e.args[0])
	if err != nil {
		return Value{}, err
	}
	b, ok := v.Truth()
	switch {
	case !ok:
		return Value{}, fmt.Errorf("the template language function 'if' cannot be evaluated: %w", wrongType(0, "Boolean", v))
	case b:
		return f.eval(e.args[1])
	}
	return f.eval(e.args[2])
}

func evalCoalesce(f *frame, e *expr) (Value, error) {
	for _, a := range e.args {
		v, err := f.eval(a)
		if err != nil || !v.IsNull() {
			return v, err
		}
	}
	return Null(), nil
}

func fnNot(_ *frame, args []Value) (Value, error) {
	b, ok := args[0].Truth()
	if !ok {
		return Value{}, wrongType(0, "Boolean", args[0])
	}
	return Bool(!b), nil
}

func fnBool(_ *frame, args []Value) (Value, error) {
	switch v := args[0]; v.kind {
	case KindBool:
		return v, nil
	case KindInt:
		return Bool(v.num != 0), nil
	case KindString:
		switch strings.ToLower(strings.TrimSpace(v.text)) {
		case "true", "1":
			return Bool(true), nil
		case "false", "0":
			return Bool(false), nil
		}
		return Value{}, fmt.Errorf("the text '%s' is neither true nor false", show(v))
	}
	return Value{}, wrongType(0, "String or Integer", args[0])
}

func fnInt(_ *frame, args []Value) (Value, error) {
	if i, ok := args[0].Int(); ok {
		return Int(i), nil
	}
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, wrongType(0, "String or Integer", args[0])
	}
	i, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return Value{}, fmt.Errorf("the text '%s' is not an integer", show(args[0]))
	}
	return Int(i), nil
}

func fnFloat(_ *frame, args []Value) (Value, error) {
	if x, ok := args[0].Float(); ok {
		return Float(x), nil
	}
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, wrongType(0, "String or Integer", args[0])
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
		return Value{}, fmt.Errorf("the text '%s' is not a number", show(args[0]))
	}
	return Float(x), nil
}

func fnEquals(f *frame, args []Value) (Value, error) {
	if err := f.meter.room(min(args[0].size, args[1].size)); err != nil {
		return Value{}, err
	}
	return Bool(args[0].Equal(args[1])), nil
}

// ordering compares two numbers, or two strings by their characters' codes with
// regard to case, as ARM documents.
func ordering(holds func(int) bool) func(*frame, []Value) (Value, error) {
	return func(_ *frame, args []Value) (Value, error) {
		if a, ok := args[0].Text(); ok {
			b, err := textArg(args, 1)
			return Bool(holds(strings.Compare(a, b))), err
		}
		a, ok := args[0].Float()
		if !ok {
			return Value{}, wrongType(0, "Integer or String", args[0])
		}
		b, ok := args[1].Float()
		if !ok {
			return Value{}, wrongType(1, "Integer", args[1])
		}
		c := 0
		switch {
		case a < b:
			c = -1
		case a > b:
			c = 1
		}
		return Bool(holds(c)), nil
	}
}

func sortedNames(o *Object) []string {
	names := o.Names()
	sort.Slice(names, func(i, j int) bool {
		a, b := strings.ToLower(names[i]), strings.ToLower(names[j])
		return a < b
	})
	return names
}
