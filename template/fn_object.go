package template

import (
	"errors"
	"fmt"
)

// objectFunctions are the functions of objects.
func objectFunctions() []function {
	return []function{
		{name: "createObject", min: 0, max: -1, call: fnCreateObject, taint: taintParts},
		{name: "items", min: 1, max: 1, call: fnItems, taint: taintParts},
		{name: "json", min: 1, max: 1, call: fnJSON},
		{name: "null", min: 0, max: 0, call: func(*frame, []Value) (Value, error) { return Null(), nil }},
		{name: "objectKeys", min: 1, max: 1, call: fnObjectKeys, taint: taintParts},
		{name: "shallowMerge", min: 1, max: 1, call: fnShallowMerge, taint: taintParts},
		{name: "tryGet", min: 2, max: -1, call: fnTryGet, taint: taintParts},
	}
}

func fnCreateObject(_ *frame, args []Value) (Value, error) {
	if len(args)%2 != 0 {
		return Value{}, errors.New("it takes names and values in turn, and the last name has no value")
	}
	o, secure := NewObject(), false
	for i := 0; i < len(args); i += 2 {
		name, err := textArg(args, i)
		if err != nil {
			return Value{}, err
		}
		secure = secure || args[i].secure
		o.Set(name, args[i+1])
	}
	v := Of(o)
	v.secure = secure
	return v, nil
}

// fnItems is an object as a list of {key, value}, sorted by key as ARM does.
func fnItems(f *frame, args []Value) (Value, error) {
	o, err := objectArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	if err := f.meter.rooms(3 * o.Len()); err != nil {
		return Value{}, err
	}
	list := make([]Value, 0, o.Len())
	for _, name := range sortedNames(o) {
		v, _ := o.Get(name)
		key := String(name)
		key.secure = args[0].secure
		list = append(list, ObjectOf("key", key, "value", v))
	}
	return Array(list...), nil
}

func fnJSON(f *frame, args []Value) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return args[0], nil // already a value: ARM takes it as it is
	}
	if err := f.meter.room(8 * len(s)); err != nil {
		return Value{}, err
	}
	v, err := ReadJSON([]byte(s))
	if err != nil {
		var bad *Error
		errors.As(err, &bad)
		return Value{}, fmt.Errorf("its argument is not valid JSON (line %d, column %d of the text)", bad.Pos.Line, bad.Pos.Column)
	}
	return v, nil
}

// fnObjectKeys is the sorted names; those of a secret object are secret too.
func fnObjectKeys(_ *frame, args []Value) (Value, error) {
	o, err := objectArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	var names []Value
	for _, n := range sortedNames(o) {
		names = append(names, String(n))
	}
	v := Array(names...)
	v.secure = args[0].secure
	return v, nil
}

// fnShallowMerge merges the objects of a list, the last winning, whole members at a time.
func fnShallowMerge(f *frame, args []Value) (Value, error) {
	items, err := itemsArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	merged := NewObject()
	for i := range items {
		o, err := objectArg(items, i)
		if err != nil {
			return Value{}, err
		}
		if err := f.meter.rooms(o.Len()); err != nil {
			return Value{}, err
		}
		for _, m := range o.Members() {
			merged.Set(m.Name, m.Value)
		}
	}
	return Of(merged), nil
}

// fnTryGet follows names and indices into a value; null where one does not exist.
func fnTryGet(_ *frame, args []Value) (Value, error) {
	v := args[0]
	for _, key := range args[1:] {
		if v.IsNull() {
			return v, nil
		}
		next, err := part(v, key)
		if errors.Is(err, errAbsent) {
			return Null(), nil
		}
		if err != nil {
			return Value{}, err
		}
		v = next
	}
	return v, nil
}
