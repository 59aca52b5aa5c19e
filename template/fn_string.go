package template

import (
	"errors"
	"fmt"
	"strings"
)

// stringFunctions are the functions of strings.
func stringFunctions() []function {
	return []function{
		{name: "endsWith", min: 2, max: 2, call: affix(strings.HasSuffix), taint: taintNone},
		{name: "startsWith", min: 2, max: 2, call: affix(strings.HasPrefix), taint: taintNone},
		{name: "format", min: 1, max: -1, call: fnFormat},
		{name: "guid", min: 1, max: -1, call: fnGUID},
		{name: "join", min: 2, max: 2, call: fnJoin},
		{name: "newGuid", min: 0, max: 0, call: fnNewGUID, quiet: true},
		{name: "padLeft", min: 2, max: 3, call: fnPadLeft},
		{name: "replace", min: 3, max: 3, call: fnReplace},
		{name: "split", min: 2, max: 2, call: fnSplit},
		{name: "string", min: 1, max: 1, call: fnString},
		{name: "substring", min: 2, max: 3, call: fnSubstring},
		{name: "toLower", min: 1, max: 1, call: mapping(strings.ToLower)},
		{name: "toUpper", min: 1, max: 1, call: mapping(strings.ToUpper)},
		{name: "trim", min: 1, max: 1, call: mapping(strings.TrimSpace)},
		{name: "uniqueString", min: 1, max: -1, call: fnUniqueString},
		{name: "fail", min: 1, max: 1, call: fnFail, quiet: true},
	}
}

func mapping(change func(string) string) func(*frame, []Value) (Value, error) {
	return func(_ *frame, args []Value) (Value, error) {
		s, err := textArg(args, 0)
		return String(change(s)), err
	}
}

// affix compares without regard to case, as ARM documents for both functions.
func affix(holds func(s, affix string) bool) func(*frame, []Value) (Value, error) {
	return func(_ *frame, args []Value) (Value, error) {
		s, err := textArg(args, 0)
		if err != nil {
			return Value{}, err
		}
		part, err := textArg(args, 1)
		return Bool(holds(strings.ToLower(s), strings.ToLower(part))), err
	}
}

func fnString(f *frame, args []Value) (Value, error) {
	s, err := asText(f, args[0])
	return String(s), err
}

func fnJoin(f *frame, args []Value) (Value, error) {
	items, err := itemsArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	between, err := textArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	if err := f.meter.room(args[0].size + len(items)*len(between)); err != nil {
		return Value{}, err
	}
	texts := make([]string, len(items))
	for i, it := range items {
		if texts[i], err = asText(f, it); err != nil {
			return Value{}, err
		}
	}
	return String(strings.Join(texts, between)), nil
}

func fnPadLeft(f *frame, args []Value) (Value, error) {
	s, err := asText(f, args[0])
	if err != nil {
		return Value{}, err
	}
	width, err := intArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	pad := " "
	if len(args) == 3 {
		if pad, err = textArg(args, 2); err != nil {
			return Value{}, err
		}
		if utf16Len(pad) != 1 {
			return Value{}, errors.New("the padding must be one character")
		}
	}
	missing := width - int64(utf16Len(s))
	if missing <= 0 {
		return String(s), nil
	}
	if err := f.meter.room(int(min(missing, 1<<30)) * len(pad)); err != nil {
		return Value{}, err
	}
	return String(strings.Repeat(pad, int(missing)) + s), nil
}

func fnReplace(f *frame, args []Value) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	old, err := textArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	by, err := textArg(args, 2)
	if err != nil {
		return Value{}, err
	}
	if old == "" {
		return Value{}, errors.New("the text to replace must not be empty")
	}
	grown := int64(len(s)) + int64(strings.Count(s, old))*int64(len(by))
	if err := f.meter.room(int(min(grown, 1<<31))); err != nil {
		return Value{}, err
	}
	return String(strings.ReplaceAll(s, old, by)), nil
}

// fnSplit splits by one delimiter, or by each of a list of them.
func fnSplit(f *frame, args []Value) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	delimiters := args[1].Items()
	if args[1].kind != KindArray {
		delimiters = args[1:2]
	}
	parts := []string{s}
	for i := range delimiters {
		d, err := textArg(delimiters, i)
		if err != nil {
			return Value{}, err
		}
		if d == "" {
			continue
		}
		n := len(parts)
		for _, p := range parts {
			n += strings.Count(p, d)
		}
		if err := f.meter.rooms(n); err != nil {
			return Value{}, err
		}
		next := make([]string, 0, n)
		for _, p := range parts {
			next = append(next, strings.Split(p, d)...)
		}
		parts = next
	}
	items := make([]Value, len(parts))
	for i, p := range parts {
		items[i] = String(p)
	}
	return Array(items...), nil
}

func fnSubstring(f *frame, args []Value) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	start, err := intArg(args, 1)
	if err != nil {
		return Value{}, err
	}
	if err := f.meter.room(4 * len(s)); err != nil {
		return Value{}, err
	}
	r := []rune(s)
	length := int64(len(r)) - start
	if len(args) == 3 {
		if length, err = intArg(args, 2); err != nil {
			return Value{}, err
		}
	}
	if start < 0 || start > int64(len(r)) || length < 0 || length > int64(len(r))-start {
		return Value{}, fmt.Errorf("start and length must refer to a place within the string: start '%d', length '%d', length of the string '%d'", start, length, len(r))
	}
	return String(string(r[start : start+length])), nil
}

// texts are all arguments as strings.
func texts(args []Value) ([]string, error) {
	list := make([]string, len(args))
	for i := range args {
		s, err := textArg(args, i)
		if err != nil {
			return nil, err
		}
		list[i] = s
	}
	return list, nil
}

func fnGUID(_ *frame, args []Value) (Value, error) {
	list, err := texts(args)
	return String(nameGUID(strings.Join(list, "-"))), err
}

func fnUniqueString(_ *frame, args []Value) (Value, error) {
	list, err := texts(args)
	return String(uniqueString(strings.Join(list, "-"))), err
}

func fnNewGUID(f *frame, _ []Value) (Value, error) {
	if !f.scope.inDefault {
		return Value{}, errors.New("the template function 'newGuid' is not expected at this location. It can only be used in the default value of a parameter")
	}
	if f.scope.env.NewGUID == nil {
		return Value{}, errors.New("the template function 'newGuid' has no source of GUIDs here")
	}
	return String(f.scope.env.NewGUID()), nil
}

func fnFail(_ *frame, args []Value) (Value, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	return Value{}, fmt.Errorf("the template asked to fail: %s", s)
}
