package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// arrayFunctions are the functions of arrays, many of them for strings and objects too.
func arrayFunctions() []function {
	return []function{
		{name: "array", min: 1, max: 1, call: fnArray, taint: taintParts},
		{name: "concat", min: 1, max: -1, call: fnConcat, taint: taintParts},
		{name: "contains", min: 2, max: 2, call: fnContains, taint: taintNone},
		{name: "createArray", min: 0, max: -1, call: func(_ *frame, args []Value) (Value, error) { return Array(args...), nil }, taint: taintParts},
		{name: "empty", min: 1, max: 1, call: fnEmpty, taint: taintNone},
		{name: "first", min: 1, max: 1, call: func(_ *frame, args []Value) (Value, error) { return end(args, false) }, taint: taintParts},
		{name: "last", min: 1, max: 1, call: func(_ *frame, args []Value) (Value, error) { return end(args, true) }, taint: taintParts},
		{name: "flatten", min: 1, max: 1, call: fnFlatten, taint: taintParts},
		{name: "indexOf", min: 2, max: 2, call: fnIndexOf, taint: taintNone},
		{name: "lastIndexOf", min: 2, max: 2, call: fnLastIndexOf, taint: taintNone},
		{name: "intersection", min: 2, max: -1, call: fnIntersection, taint: taintParts},
		{name: "length", min: 1, max: 1, call: fnLength, taint: taintNone},
		{name: "max", min: 1, max: -1, call: func(_ *frame, args []Value) (Value, error) { return extreme(args, 1) }},
		{name: "min", min: 1, max: -1, call: func(_ *frame, args []Value) (Value, error) { return extreme(args, -1) }},
		{name: "range", min: 2, max: 2, call: fnRange},
		{name: "skip", min: 2, max: 2, call: func(f *frame, args []Value) (Value, error) { return slice(f, args, true) }, taint: taintParts},
		{name: "take", min: 2, max: 2, call: func(f *frame, args []Value) (Value, error) { return slice(f, args, false) }, taint: taintParts},
		{name: "union", min: 1, max: -1, call: fnUnion, taint: taintParts},
		{name: "tryIndexFromEnd", min: 2, max: 2, call: fnTryIndexFromEnd, taint: taintParts},
		{name: "indexFromEnd", min: 2, max: 2, call: fnIndexFromEnd, taint: taintParts},
	}
}

func fnArray(_ *frame, args []Value) (Value, error) {
	if args[0].kind == KindArray {
		return args[0], nil
	}
	return Array(args[0]), nil
}

// fnConcat joins arrays, or anything else as text.
func fnConcat(f *frame, args []Value) (Value, error) {
	if args[0].kind == KindArray {
		var all []Value
		for i := range args {
			items, err := itemsArg(args, i)
			if err != nil {
				return Value{}, err
			}
			if err := f.meter.rooms(len(items)); err != nil {
				return Value{}, err
			}
			all = append(all, items...)
		}
		return Array(all...), nil
	}
	var b strings.Builder
	secure := false
	for i, a := range args {
		if a.kind == KindArray || a.kind == KindObject {
			return Value{}, wrongType(i, "String", a)
		}
		s, err := asText(f, a)
		if err != nil {
			return Value{}, err
		}
		b.WriteString(s)
		secure = secure || a.secure
	}
	v := String(b.String())
	v.secure = secure
	return v, nil
}

// asText is a value as string() makes it: text as it is, True and False, JSON.
func asText(f *frame, v Value) (string, error) {
	switch v.kind {
	case KindString:
		return v.text, nil
	case KindBool:
		if v.num == 1 {
			return "True", nil
		}
		return "False", nil
	case KindNull:
		return "", nil
	}
	if err := f.meter.room(v.size); err != nil {
		return "", err
	}
	return string(v.appendJSON(nil)), nil
}

func fnContains(f *frame, args []Value) (Value, error) {
	if err := f.meter.room(args[0].size); err != nil {
		return Value{}, err
	}
	switch in := args[0]; in.kind {
	case KindString:
		s, err := asText(f, args[1])
		return Bool(strings.Contains(in.text, s)), err
	case KindObject:
		s, err := asText(f, args[1])
		_, ok := in.object.Get(s)
		return Bool(ok), err
	case KindArray:
		return Bool(slices.ContainsFunc(in.items, args[1].Equal)), nil
	}
	return Value{}, wrongType(0, "Array, Object or String", args[0])
}

func fnEmpty(_ *frame, args []Value) (Value, error) {
	switch args[0].kind {
	case KindNull, KindString, KindArray, KindObject:
		return Bool(args[0].Len() == 0), nil
	}
	return Value{}, wrongType(0, "Array, Object or String", args[0])
}

func fnLength(_ *frame, args []Value) (Value, error) {
	switch args[0].kind {
	case KindString, KindArray, KindObject:
		return Int(int64(args[0].Len())), nil
	}
	return Value{}, wrongType(0, "Array, Object or String", args[0])
}

// end is the first or last element or character; of an empty array null, of an
// empty string the empty string.
func end(args []Value, last bool) (Value, error) {
	switch v := args[0]; v.kind {
	case KindArray:
		if len(v.items) == 0 {
			return Null(), nil
		}
		if last {
			return part(v, Int(int64(len(v.items)-1)))
		}
		return part(v, Int(0))
	case KindString:
		r := []rune(v.text)
		switch {
		case len(r) == 0:
		case last:
			r = r[len(r)-1:]
		default:
			r = r[:1]
		}
		s := String(string(r))
		s.secure = v.secure
		return s, nil
	}
	return Value{}, wrongType(0, "Array or String", args[0])
}

func fnFlatten(f *frame, args []Value) (Value, error) {
	items, err := itemsArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	var all []Value
	for _, it := range items {
		if it.kind != KindArray {
			return Value{}, fmt.Errorf("the array must hold arrays and holds a value of type '%s'", it.kind)
		}
		if err := f.meter.rooms(len(it.items)); err != nil {
			return Value{}, err
		}
		all = append(all, it.Items()...)
	}
	return Array(all...), nil
}

// fnIndexOf searches text without regard to case, arrays with it.
func fnIndexOf(f *frame, args []Value) (Value, error) {
	if args[0].kind == KindArray {
		if err := f.meter.room(args[0].size); err != nil {
			return Value{}, err
		}
		return Int(int64(slices.IndexFunc(args[0].items, args[1].Equal))), nil
	}
	return textIndex(args, strings.Index)
}

func fnLastIndexOf(f *frame, args []Value) (Value, error) {
	if args[0].kind == KindArray {
		if err := f.meter.room(args[0].size); err != nil {
			return Value{}, err
		}
		for i := len(args[0].items) - 1; i >= 0; i-- {
			if args[1].Equal(args[0].items[i]) {
				return Int(int64(i)), nil
			}
		}
		return Int(-1), nil
	}
	return textIndex(args, strings.LastIndex)
}

func textIndex(args []Value, find func(s, sub string) int) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	sub, err := textArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	s = strings.ToLower(s)
	i := find(s, strings.ToLower(sub))
	if i > 0 {
		i = utf16Len(s[:i])
	}
	return Int(int64(i)), nil
}

func fnIntersection(f *frame, args []Value) (Value, error) {
	if args[0].kind == KindObject {
		return intersectObjects(f, args)
	}
	common, err := itemsArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	for n := 1; n < len(args); n++ {
		other, err := itemsArg(args, n)
		if err != nil {
			return Value{}, err
		}
		if err := charge(f, len(common), len(other), args[n].size); err != nil {
			return Value{}, err
		}
		var kept []Value
		for _, v := range common {
			if slices.ContainsFunc(other, v.Equal) && !slices.ContainsFunc(kept, v.Equal) {
				kept = append(kept, v)
			}
		}
		common = kept
	}
	return Array(common...), nil
}

// charge counts the steps of comparing each of n values with each of m.
func charge(f *frame, n, m, size int) error {
	if n > 0 && m > f.meter.limits.Steps/n {
		return errTooMuch
	}
	f.meter.steps += n * m
	if err := f.meter.step(); err != nil {
		return err
	}
	return f.meter.room(size)
}

func intersectObjects(f *frame, args []Value) (Value, error) {
	o := NewObject()
	first := args[0].marked()
	for _, m := range first.Members() {
		all := true
		for n := 1; n < len(args); n++ {
			other, err := objectArg(args, n)
			if err != nil {
				return Value{}, err
			}
			if err := f.meter.room(m.Value.size); err != nil {
				return Value{}, err
			}
			v, ok := other.Get(m.Name)
			all = all && ok && v.Equal(m.Value)
		}
		if all {
			o.Set(m.Name, m.Value)
		}
	}
	return Of(o), nil
}

// fnUnion merges objects member by member, nested ones too, the last winning; of
// arrays it keeps each element once, in the order of their first occurrence.
func fnUnion(f *frame, args []Value) (Value, error) {
	if args[0].kind == KindObject {
		merged := NewObject()
		for n := range args {
			o, err := objectArg(args, n)
			if err != nil {
				return Value{}, err
			}
			if err := f.meter.room(args[n].size); err != nil {
				return Value{}, err
			}
			merged = mergeObjects(merged, o)
		}
		return Of(merged), nil
	}
	var all []Value
	for n := range args {
		items, err := itemsArg(args, n)
		if err != nil {
			return Value{}, err
		}
		if err := charge(f, len(all)+len(items), len(items), args[n].size); err != nil {
			return Value{}, err
		}
		for _, v := range items {
			if !slices.ContainsFunc(all, v.Equal) {
				all = append(all, v)
			}
		}
	}
	return Array(all...), nil
}

func mergeObjects(a, b *Object) *Object {
	merged := a.clone()
	for _, m := range b.Members() {
		if old, ok := merged.Get(m.Name); ok && old.kind == KindObject && m.Value.kind == KindObject {
			merged.Set(m.Name, Of(mergeObjects(old.marked(), m.Value.marked())))
			continue
		}
		merged.Set(m.Name, m.Value)
	}
	return merged
}

func extreme(args []Value, sign int64) (Value, error) {
	if len(args) == 1 && args[0].kind == KindArray {
		args = args[0].items
	}
	if len(args) == 0 {
		return Value{}, errors.New("there are no integers to compare")
	}
	best, err := intArg(args, 0)
	for n := range args {
		i, bad := intArg(args, n)
		if bad != nil {
			err = bad
		}
		if sign > 0 && i > best || sign < 0 && i < best {
			best = i
		}
	}
	return Int(best), err
}

func fnRange(f *frame, args []Value) (Value, error) {
	start, err := intArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	count, err := intArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	const most = 10_000 // ARM's documented limit, and its sum's
	if count < 0 || count > most || start > 1<<31-1-count {
		return Value{}, fmt.Errorf("the count must be from 0 to %d, and start and count together at most 2147483647", most)
	}
	if err := f.meter.rooms(int(count)); err != nil {
		return Value{}, err
	}
	items := make([]Value, count)
	for i := range items {
		items[i] = Int(start + int64(i))
	}
	return Array(items...), nil
}

// slice is skip and take, of arrays and of strings.
func slice(f *frame, args []Value, skip bool) (Value, error) {
	n, err := intArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	n = max(n, 0)
	switch v := args[0]; v.kind {
	case KindArray:
		at := int(min(n, int64(len(v.items))))
		items := v.Items()
		if skip {
			return Array(items[at:]...), nil
		}
		return Array(items[:at:at]...), nil
	case KindString:
		if err := f.meter.room(4 * len(v.text)); err != nil {
			return Value{}, err
		}
		r := []rune(v.text)
		at := int(min(n, int64(len(r))))
		s := String(string(r[:at]))
		if skip {
			s = String(string(r[at:]))
		}
		s.secure = v.secure
		return s, nil
	}
	return Value{}, wrongType(0, "Array or String", args[0])
}

func fnIndexFromEnd(_ *frame, args []Value) (Value, error) {
	n, err := intArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	if args[0].kind != KindArray {
		return Value{}, wrongType(0, "Array", args[0])
	}
	return part(args[0], Int(int64(len(args[0].items))-n))
}

func fnTryIndexFromEnd(f *frame, args []Value) (Value, error) {
	v, err := fnIndexFromEnd(f, args)
	if errors.Is(err, errAbsent) {
		return Null(), nil
	}
	return v, err
}
