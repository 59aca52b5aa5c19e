package template

import (
	"encoding/json"
	"log/slog"
	"math"
	"strings"
)

// Kind is the JSON type of a Value. ARM tells whole numbers from others.
type Kind uint8

// The kinds of value, by the names that ARM's messages give them (Kind.String).
const (
	KindNull Kind = iota
	KindBool
	KindInt
	KindFloat
	KindString
	KindArray
	KindObject
)

// String is the name ARM's messages use: "Boolean", "Integer", "Object", ...
func (k Kind) String() string {
	return [...]string{"Null", "Boolean", "Integer", "Float", "String", "Array", "Object"}[k]
}

// Redacted stands where a secure value would stand in anything shown or stored.
const Redacted = "redacted"

// Pos is a place in the text a value was read from, both counted from 1. The zero
// Pos means that the value was computed.
type Pos struct{ Line, Column int }

// Value is one JSON value of a template: immutable once handed out, with its place
// in the source and a mark when it came from a secure parameter. The zero Value is
// null.
//
// String, MarshalJSON and LogValue show secure parts as Redacted; only Reveal and
// the accessors (Text, Items, ...) give them in clear.
type Value struct {
	kind    Kind
	secure  bool   // all of it is secret
	tainted bool   // something in it is secret
	num     uint64 // bool, int64 or the bits of a float64
	text    string
	items   []Value
	object  *Object
	size    int // bytes of its JSON, roughly; parts shared by many values count each time
	pos     Pos
}

// Null is the null value; as the result of an expression it leaves a property out.
func Null() Value { return Value{} }

// Bool is true or false.
func Bool(b bool) Value {
	v := Value{kind: KindBool}
	if b {
		v.num = 1
	}
	return v
}

// Int is a whole number.
func Int(i int64) Value { return Value{kind: KindInt, num: uint64(i)} }

// Float is a number with a fraction.
func Float(f float64) Value { return Value{kind: KindFloat, num: math.Float64bits(f)} }

// String is a literal string, never an expression.
func String(s string) Value { return Value{kind: KindString, text: s, size: len(s)} }

// Array is a list; it keeps items without copying them.
func Array(items ...Value) Value {
	v := Value{kind: KindArray, items: items}
	for i := range items {
		v.size = addSize(v.size, items[i].size+valueSize)
		v.tainted = v.tainted || items[i].HasSecure()
	}
	return v
}

// Of is the value of an object, which must not change from now on.
func Of(o *Object) Value {
	v := Value{kind: KindObject, object: o}
	for _, m := range o.Members() {
		v.size = addSize(v.size, m.Value.size+len(m.Name)+valueSize)
		v.tainted = v.tainted || m.Value.HasSecure()
	}
	return v
}

// valueSize is what a value costs beside its text.
const valueSize = 8

// addSize adds without running over: a value may hold another twice, and that
// one another twice, and so on.
func addSize(a, b int) int { return min(a+b, math.MaxInt32) }

// Kind is the value's type.
func (v Value) Kind() Kind { return v.kind }

// Pos is where the value stood in its source.
func (v Value) Pos() Pos { return v.pos }

// At is v with another place.
func (v Value) At(p Pos) Value { v.pos = p; return v }

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.kind == KindNull }

// Truth is the value of a boolean; ok is false for another kind.
func (v Value) Truth() (b, ok bool) { return v.kind == KindBool && v.num == 1, v.kind == KindBool }

// Int is the value of a whole number, also of a float without fraction.
func (v Value) Int() (i int64, ok bool) {
	switch v.kind {
	case KindInt:
		return int64(v.num), true
	case KindFloat:
		f := math.Float64frombits(v.num)
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f), true
		}
	}
	return 0, false
}

// Float is the value of any number.
func (v Value) Float() (f float64, ok bool) {
	switch v.kind {
	case KindInt:
		return float64(int64(v.num)), true
	case KindFloat:
		return math.Float64frombits(v.num), true
	}
	return 0, false
}

// Text is a string in clear; ok is false for another kind.
func (v Value) Text() (s string, ok bool) { return v.text, v.kind == KindString }

// Items are an array's elements, nil for another kind.
func (v Value) Items() []Value {
	if !v.secure {
		return v.items
	}
	marked := make([]Value, len(v.items))
	for i, it := range v.items {
		marked[i] = it.AsSecure()
	}
	return marked
}

// Object is an object's members, nil for another kind. Members of a secure object
// do not carry its mark; Get and Walk do.
func (v Value) Object() *Object { return v.object }

// Get is the member name of an object, found without regard to case.
func (v Value) Get(name string) (Value, bool) {
	m, ok := v.object.Get(name)
	if v.secure {
		m.secure = true
	}
	return m, ok
}

// Member is Get where an absent member may read as null.
func (v Value) Member(name string) Value {
	m, _ := v.Get(name)
	return m
}

// Str is the text of the string member name, "" when there is none.
func (v Value) Str(name string) string {
	s, _ := v.Member(name).Text()
	return s
}

// Len counts elements, members or characters (UTF-16 units, as ARM does).
func (v Value) Len() int {
	switch v.kind {
	case KindArray:
		return len(v.items)
	case KindObject:
		return v.object.Len()
	case KindString:
		return utf16Len(v.text)
	}
	return 0
}

// AsSecure is v marked as secret, with everything in it.
func (v Value) AsSecure() Value { v.secure = true; return v }

// IsSecure reports whether the whole of v is secret.
func (v Value) IsSecure() bool { return v.secure }

// HasSecure reports whether v or anything in it is secret.
func (v Value) HasSecure() bool { return v.secure || v.tainted }

// Redact is a copy of v in which secure parts are the string Redacted and nothing
// is marked any more: what may be stored and shown.
func (v Value) Redact() Value {
	if v.secure {
		return String(Redacted).At(v.pos)
	}
	if !v.tainted {
		return v
	}
	v.tainted = false
	switch v.kind {
	case KindArray:
		items := make([]Value, len(v.items))
		for i, it := range v.items {
			items[i] = it.Redact()
		}
		v.items = items
	case KindObject:
		o := NewObject()
		for _, m := range v.object.Members() {
			o.add(Member{Name: m.Name, Pos: m.Pos, Value: m.Value.Redact()})
		}
		v.object = o
	}
	return v
}

// Equal compares as equals() does: strings with regard to case, member names
// without, whole and fractional numbers by value.
func (v Value) Equal(w Value) bool {
	if a, ok := v.Float(); ok {
		b, ok := w.Float()
		return ok && a == b && (v.kind != KindInt || w.kind != KindInt || v.num == w.num)
	}
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case KindBool:
		return v.num == w.num
	case KindString:
		return v.text == w.text
	case KindArray:
		if len(v.items) != len(w.items) {
			return false
		}
		for i := range v.items {
			if !v.items[i].Equal(w.items[i]) {
				return false
			}
		}
	case KindObject:
		if v.object.Len() != w.object.Len() {
			return false
		}
		for _, m := range v.object.Members() {
			other, ok := w.object.Get(m.Name)
			if !ok || !m.Value.Equal(other) {
				return false
			}
		}
	}
	return true
}

// Reveal is v as JSON with its secrets in clear. Hand it on; store nothing of it.
func (v Value) Reveal() []byte { return v.appendJSON(nil) }

// MarshalJSON is v as JSON with its secrets redacted.
func (v Value) MarshalJSON() ([]byte, error) { return v.Redact().appendJSON(nil), nil }

// UnmarshalJSON reads one value of ordinary JSON.
func (v *Value) UnmarshalJSON(b []byte) error {
	read, err := ReadJSON(b)
	if err == nil {
		*v = read
	}
	return err
}

// String is v as JSON with its secrets redacted.
func (v Value) String() string { return string(v.Redact().appendJSON(nil)) }

// LogValue keeps secrets out of logs.
func (v Value) LogValue() slog.Value { return slog.StringValue(v.String()) }

// FromAny is the Value of what encoding/json makes of a document, or of any type
// it can marshal.
func FromAny(x any) (Value, error) {
	if v, ok := x.(Value); ok {
		return v, nil
	}
	b, err := json.Marshal(x)
	if err != nil {
		return Value{}, err
	}
	return ReadJSON(b)
}

// Any is v, in clear, as encoding/json would decode it into an any.
func (v Value) Any() any {
	switch v.kind {
	case KindBool:
		return v.num == 1
	case KindInt, KindFloat:
		f, _ := v.Float()
		return f
	case KindString:
		return v.text
	case KindArray:
		list := make([]any, len(v.items))
		for i, it := range v.items {
			list[i] = it.Any()
		}
		return list
	case KindObject:
		m := make(map[string]any, v.object.Len())
		for _, member := range v.object.Members() {
			m[member.Name] = member.Value.Any()
		}
		return m
	}
	return nil
}

// Member is one name and value of an object.
type Member struct {
	Name  string
	Value Value
	Pos   Pos // of the name
}

// Object is an ordered set of members whose names differ in more than case.
// A nil Object is empty and may be read.
type Object struct {
	members []Member
	index   map[string]int // lower-case name to place; made when linear search would be slow
}

// indexFrom is how many members make an index worth its memory.
const indexFrom = 9

// NewObject is an empty object to fill with Set.
func NewObject() *Object { return &Object{} }

// ObjectOf is an object of members given as name, value, name, value, ...; it is
// for a handful of known names.
func ObjectOf(pairs ...any) Value {
	o := NewObject()
	for i := 0; i+1 < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1].(Value))
	}
	return Of(o)
}

// Len counts the members.
func (o *Object) Len() int {
	if o == nil {
		return 0
	}
	return len(o.members)
}

// Members are the members in their order; the slice must not be changed.
func (o *Object) Members() []Member {
	if o == nil {
		return nil
	}
	return o.members
}

// Names are the members' names in their order.
func (o *Object) Names() []string {
	names := make([]string, 0, o.Len())
	for _, m := range o.Members() {
		names = append(names, m.Name)
	}
	return names
}

// Get finds a member without regard to the case of its name.
func (o *Object) Get(name string) (Value, bool) {
	if i := o.find(name); i >= 0 {
		return o.members[i].Value, true
	}
	return Value{}, false
}

// Set adds a member or replaces the value of the one so named.
func (o *Object) Set(name string, v Value) {
	if i := o.find(name); i >= 0 {
		o.members[i].Value = v
		return
	}
	o.add(Member{Name: name, Value: v})
}

// add appends a member known to be new.
func (o *Object) add(m Member) {
	o.members = append(o.members, m)
	switch {
	case o.index != nil:
		o.index[strings.ToLower(m.Name)] = len(o.members) - 1
	case len(o.members) == indexFrom:
		o.index = make(map[string]int, 2*indexFrom)
		for i, m := range o.members {
			o.index[strings.ToLower(m.Name)] = i
		}
	}
}

func (o *Object) find(name string) int {
	if o == nil {
		return -1
	}
	if o.index != nil {
		if i, ok := o.index[strings.ToLower(name)]; ok {
			return i
		}
		return -1
	}
	for i := range o.members {
		if strings.EqualFold(o.members[i].Name, name) {
			return i
		}
	}
	return -1
}

// clone is a copy that may be changed.
func (o *Object) clone() *Object {
	c := NewObject()
	for _, m := range o.Members() {
		c.add(m)
	}
	return c
}
