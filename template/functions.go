package template

import (
	"fmt"
	"strings"
	"sync"
)

// function is a built-in function of the language.
type function struct {
	name     string
	min, max int // arguments; max < 0 for any number
	call     func(f *frame, args []Value) (Value, error)
	lazy     func(f *frame, e *expr) (Value, error) // instead of call: evaluates its arguments itself
	taint    taint
	runtime  bool // asks for the state of deployed resources
	quiet    bool // its errors need no function's name before them
}

// taint says what becomes of a secret in an argument.
type taint uint8

const (
	taintMixed taint = iota // the result is made of the arguments' text: all of it is secret
	taintParts              // parts of arguments are handed on as they are, marks and all
	taintNone               // the result says nothing of the text: a truth value, a length
)

// functions is the table of the language, made when first asked for.
var functions struct {
	once   sync.Once
	byName map[string]*function
}

// functionNamed finds a built-in function without regard to case. The list
// functions are without number: listKeys, listSecrets, listAccountSas, ...
func functionNamed(name string) *function {
	functions.once.Do(func() {
		functions.byName = map[string]*function{}
		for _, group := range [][]function{
			arrayFunctions(), objectFunctions(), lambdaFunctions(), logicFunctions(), numberFunctions(), comparisonFunctions(),
			stringFunctions(), encodingFunctions(), dateFunctions(), cidrFunctions(), deploymentFunctions(), resourceFunctions(), scopeFunctions(),
		} {
			for i := range group {
				functions.byName[strings.ToLower(group[i].name)] = &group[i]
			}
		}
	})
	lower := strings.ToLower(name)
	if fn := functions.byName[lower]; fn != nil {
		return fn
	}
	if strings.HasPrefix(lower, "list") {
		return &function{name: name, min: 1, max: 3, runtime: true, taint: taintParts, lazy: evalList}
	}
	return nil
}

// What follows reads arguments: n counts from 0, messages from 1.

func wrongType(n int, want string, got Value) error {
	return fmt.Errorf("argument %d must be of type '%s' and is of type '%s'", n+1, want, got.kind)
}

func textArg(args []Value, n int) (string, error) {
	s, ok := args[n].Text()
	if !ok {
		return "", wrongType(n, "String", args[n])
	}
	return s, nil
}

func intArg(args []Value, n int) (int64, error) {
	i, ok := args[n].Int()
	if !ok {
		return 0, wrongType(n, "Integer", args[n])
	}
	return i, nil
}

func itemsArg(args []Value, n int) ([]Value, error) {
	if args[n].kind != KindArray {
		return nil, wrongType(n, "Array", args[n])
	}
	return args[n].Items(), nil
}

func objectArg(args []Value, n int) (*Object, error) {
	if args[n].kind != KindObject {
		return nil, wrongType(n, "Object", args[n])
	}
	return args[n].marked(), nil
}

// marked is an object's members with the object's own mark on each.
func (v Value) marked() *Object {
	if !v.secure {
		return v.object
	}
	o := NewObject()
	for _, m := range v.object.Members() {
		m.Value = m.Value.AsSecure()
		o.add(m)
	}
	return o
}
