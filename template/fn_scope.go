package template

import (
	"errors"
	"fmt"
	"strings"
)

// deploymentFunctions are the functions of the deployment.
func deploymentFunctions() []function {
	return []function{
		{name: "parameters", min: 1, max: 1, call: fnParameters, taint: taintParts, quiet: true},
		{name: "variables", min: 1, max: 1, call: fnVariables, taint: taintParts, quiet: true},
		{name: "deployment", min: 0, max: 0, call: fnDeployment, taint: taintParts},
		{name: "deployer", min: 0, max: 0, call: func(f *frame, _ []Value) (Value, error) {
			return known(f.scope.env.Deployer, "who deploys is not known here")
		}},
		{name: "environment", min: 0, max: 0, call: func(f *frame, _ []Value) (Value, error) {
			return known(f.scope.env.Environment, "the service's endpoints are not known here")
		}},
	}
}

// scopeFunctions are the functions of scopes.
func scopeFunctions() []function {
	return []function{
		{name: "resourceGroup", min: 0, max: 0, call: func(f *frame, _ []Value) (Value, error) {
			return known(f.scope.env.Group, "the deployment is in no resource group")
		}},
		{name: "subscription", min: 0, max: 0, call: func(f *frame, _ []Value) (Value, error) {
			return known(f.scope.env.Subscription, "the deployment is in no subscription")
		}},
		{name: "tenant", min: 0, max: 0, call: func(f *frame, _ []Value) (Value, error) {
			return known(f.scope.env.Tenant, "the tenant is not known here")
		}},
		{name: "managementGroup", min: 0, max: 0, call: func(f *frame, _ []Value) (Value, error) {
			return known(f.scope.env.ManagementGroup, "the deployment is in no management group")
		}},
	}
}

func known(v Value, otherwise string) (Value, error) {
	if v.IsNull() {
		return v, errors.New(otherwise)
	}
	return v, nil
}

func fnParameters(f *frame, args []Value) (Value, error) {
	name, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	if f.scope.lookup != nil { // the default of a parameter that refers to another
		v, found, err := f.scope.lookup(f, name)
		if found || err != nil {
			return v, err
		}
	} else if v, ok := f.scope.params.Get(name); ok {
		return v, nil
	}
	return Value{}, fmt.Errorf("the template parameter '%s' is not found", name)
}

func fnVariables(f *frame, args []Value) (Value, error) {
	name, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	v, ok := f.scope.variables[strings.ToLower(name)]
	if !ok {
		return Value{}, fmt.Errorf("the template variable '%s' is not found", name)
	}
	return v.eval(f.meter, f.ctx)
}

func fnDeployment(f *frame, _ []Value) (Value, error) {
	d := f.scope.env.Deployment
	o := NewObject()
	o.Set("name", String(d.Name))
	if d.Location != "" {
		o.Set("location", String(d.Location))
	}
	if d.Properties.IsNull() {
		d.Properties = ObjectOf("mode", String("Incremental"), "provisioningState", String("Accepted"))
	}
	o.Set("properties", d.Properties)
	return Of(o), nil
}

// userFunction is one function of the template's own.
type userFunction struct {
	params []*Parameter
	output Value
	path   string
}

// userFunction calls namespace.name(args). A user's function sees its parameters
// and other such functions, and nothing else.
func (f *frame) userFunction(e *expr) (Value, error) {
	fn := f.scope.template.functions[strings.ToLower(e.name)]
	if fn == nil {
		return Value{}, fmt.Errorf("the template function '%s' is not valid", e.name)
	}
	if len(e.args) != len(fn.params) {
		return Value{}, fmt.Errorf("the user-defined function '%s' expects %d argument(s) and was given %d", e.name, len(fn.params), len(e.args))
	}
	const deepest = 50 // of functions that call each other
	if f.depth >= deepest {
		return Value{}, fmt.Errorf("user-defined functions call each other deeper than %d levels", deepest)
	}
	params := NewObject()
	for i, a := range e.args {
		v, err := f.eval(a)
		if err != nil {
			return Value{}, err
		}
		if v, err = fn.params[i].accept(f.scope.template, f.meter, v); err != nil {
			return Value{}, fmt.Errorf("the argument '%s' of the user-defined function '%s' is not valid: %w", fn.params[i].Name, e.name, err)
		}
		params.Set(fn.params[i].Name, v)
	}
	inner := *f
	inner.loop, inner.lambda, inner.rt, inner.depth = nil, nil, nil, f.depth+1
	inner.scope = &scope{template: f.scope.template, env: f.scope.env, params: params}
	return inner.tree(fn.output, fn.path)
}
