package template

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Output is one output of a deployment.
type Output struct {
	Name  string
	Type  string // as ARM spells it in answers: String, SecureString, Int, ...
	Value Value  // secret for the secure types, and where it is made of secrets
}

// Outputs evaluates the outputs, once every node is deployed. All that fail are
// reported at once.
func (p *Plan) Outputs(ctx context.Context, rt Runtime) ([]Output, error) {
	var list []Output
	var bad faults
	m := newMeter(p.bound.env.Limits)
	for _, decl := range p.bound.template.outputs.Object().Members() {
		f := p.bound.frame(ctx, "template output '"+decl.Name+"'")
		f.rt, f.resources, f.meter = rt, p.resources, m
		out, ok, err := f.output(decl.Name, decl.Value)
		if err != nil {
			var e *Error
			if errors.As(err, &e) && e.Code != CodeTooMuch {
				failed := *e
				failed.Code = CodeOutputFailed
				err = &failed
			}
			bad.add(err)
			continue
		}
		if ok {
			list = append(list, out)
		}
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	return list, nil
}

func (f *frame) output(name string, spec Value) (out Output, ok bool, err error) {
	path := "outputs." + name
	if cond, has := spec.Get("condition"); has {
		v, err := f.tree(cond, path+".condition")
		if err != nil {
			return out, false, err
		}
		holds, isBool := v.Truth()
		if !isBool {
			return out, false, f.fault(cond.pos, path+".condition", fmt.Errorf("the condition must be true or false and is a value of type '%s'", v.kind))
		}
		if !holds {
			return out, false, nil
		}
	}
	var v Value
	if loops, has := spec.Get("copy"); has {
		c, err := f.readCopy(loops, path+".copy", false)
		if err != nil {
			return out, false, err
		}
		if v, err = f.repeat(c, loops.Member("input"), path+".copy.input"); err != nil {
			return out, false, err
		}
	} else if v, err = f.tree(spec.Member("value"), path+".value"); err != nil {
		return out, false, err
	}
	c := &typeCheck{t: f.scope.template, m: f.meter}
	if !v.IsNull() {
		v = c.value(spec, v, "")
	}
	if len(c.wrong) > 0 {
		return out, false, f.fault(spec.pos, path, errors.New(strings.Join(c.wrong, " ")))
	}
	return Output{Name: name, Type: displayType(spec.Str("type"), v), Value: v}, true, nil
}
