package template

import (
	"errors"
	"fmt"
	"strings"
)

// copySpec is a copy element: how often and under which name.
type copySpec struct {
	name   string
	count  int
	serial bool
	batch  int // of a serial loop: how many at a time
}

// readCopy evaluates all of a copy element but its input. Where named is false the
// loop bears the name of its place (outputs, symbolic resources).
func (f *frame) readCopy(v Value, path string, named bool) (copySpec, error) {
	c := copySpec{batch: 1}
	bad := func(format string, args ...any) (copySpec, error) {
		return c, f.fault(v.pos, path, fmt.Errorf(format, args...))
	}
	if v.kind != KindObject {
		return bad("a copy element must be an object")
	}
	field := func(name string) (Value, error) { return f.tree(v.Member(name), join(path, name)) }
	name, err := field("name")
	if err != nil {
		return c, err
	}
	if c.name, _ = name.Text(); c.name == "" && named {
		return bad("the copy element has no name")
	}
	count, err := field("count")
	if err != nil {
		return c, err
	}
	n, ok := count.Int()
	switch {
	case !ok:
		return bad("the copy count of '%s' must be an integer and is a value of type '%s'", c.name, count.kind)
	case n < 0 || n > int64(f.meter.limits.CopyCount):
		return bad("the copy count of '%s' is '%d'; it must be from 0 to %d", c.name, n, f.meter.limits.CopyCount)
	}
	c.count = int(n)
	mode, err := field("mode")
	if err != nil {
		return c, err
	}
	switch s, _ := mode.Text(); {
	case strings.EqualFold(s, "serial"):
		c.serial = true
	case s != "" && !strings.EqualFold(s, "parallel"):
		return bad("the copy mode '%s' must be 'Serial' or 'Parallel'", s)
	}
	batch, err := field("batchSize")
	if err != nil || batch.IsNull() {
		return c, err
	}
	if n, ok = batch.Int(); !ok || n < 1 || n > int64(f.meter.limits.CopyCount) {
		return bad("the batch size of '%s' must be from 1 to %d", c.name, f.meter.limits.CopyCount)
	}
	c.batch = int(n)
	return c, nil
}

// isPropertyCopy reports whether the member "copy" of an object is a list of
// loops, and not a property that happens to be called so.
func isPropertyCopy(v Value) bool {
	if v.kind != KindArray || len(v.items) == 0 {
		return false
	}
	for _, it := range v.items {
		_, hasName := it.object.Get("name")
		_, hasCount := it.object.Get("count")
		_, hasInput := it.object.Get("input")
		if !hasName || !hasCount || !hasInput {
			return false
		}
	}
	return true
}

// propertyLoops adds to o one array for each loop of a "copy" list.
func (f *frame) propertyLoops(o *Object, loops Value, path string) error {
	for i, it := range loops.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		name, items, err := f.inputLoop(it, at)
		if err != nil {
			return err
		}
		if _, taken := o.Get(name); taken {
			return f.fault(it.pos, at, fmt.Errorf("the copy loop '%s' has the name of another property", name))
		}
		o.Set(name, items)
	}
	return nil
}

// inputLoop evaluates the input of a property, variable or output loop count times.
func (f *frame) inputLoop(v Value, path string) (name string, items Value, err error) {
	c, err := f.readCopy(v, path, true)
	if err != nil {
		return "", Value{}, err
	}
	list, err := f.repeat(c, v.Member("input"), join(path, "input"))
	return c.name, list, err
}

func (f *frame) repeat(c copySpec, input Value, path string) (Value, error) {
	items := make([]Value, 0, c.count)
	inner := *f
	for i := range c.count {
		if err := f.meter.step(); err != nil {
			return Value{}, f.fault(input.pos, path, err)
		}
		inner.loop = &loop{name: c.name, index: i, next: f.loop}
		v, err := inner.tree(input, path)
		if err != nil {
			return Value{}, err
		}
		if err := f.meter.room(v.size); err != nil {
			return Value{}, f.fault(input.pos, path, err)
		}
		items = append(items, v)
	}
	return Array(items...), nil
}

// fnCopyIndex is copyIndex(), copyIndex(offset) and copyIndex(name, offset).
func fnCopyIndex(f *frame, args []Value) (Value, error) {
	name, offset := "", int64(0)
	for i, a := range args {
		if s, ok := a.Text(); ok && i == 0 {
			name = s
		} else if n, ok := a.Int(); ok {
			offset = n
		} else {
			return Value{}, fmt.Errorf("its arguments are a loop's name and an integer, not a value of type '%s'", a.kind)
		}
	}
	l := f.loopNamed(name)
	switch {
	case l == nil && name == "":
		return Value{}, errors.New("the function 'copyIndex' is not expected at this location. It can only be used in a resource, variable, property or output with copy specified")
	case l == nil:
		return Value{}, fmt.Errorf("there is no copy loop '%s' around it", name)
	}
	return Int(int64(l.index) + offset), nil
}

// loopNamed finds a loop around; without a name the resource's, else the innermost.
func (f *frame) loopNamed(name string) *loop {
	for l := f.loop; l != nil; l = l.next {
		if name != "" && strings.EqualFold(l.name, name) || name == "" && l.resource {
			return l
		}
	}
	if name == "" {
		return f.loop
	}
	return nil
}
