package template

import (
	"errors"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// resourceFunctions are the functions of resources.
func resourceFunctions() []function {
	return []function{
		{name: "resourceId", min: 2, max: -1, call: fnResourceID},
		{name: "subscriptionResourceId", min: 2, max: -1, call: fnSubscriptionResourceID},
		{name: "tenantResourceId", min: 2, max: -1, call: fnTenantResourceID},
		{name: "managementGroupResourceId", min: 2, max: -1, call: fnManagementGroupResourceID},
		{name: "extensionResourceId", min: 3, max: -1, call: fnExtensionResourceID},
		{name: "reference", min: 1, max: 3, lazy: evalReference, runtime: true},
		{name: "references", min: 1, max: 2, lazy: evalReferences, runtime: true},
		{name: "resourceInfo", min: 1, max: 1, lazy: evalResourceInfo},
		{name: "providers", min: 1, max: 2, call: fnProviders},
		{name: "pickZones", min: 3, max: 5, call: fnPickZones},
	}
}

// typeAndNames writes "Microsoft.A/b/c" and {"x", "y"} as
// "providers/Microsoft.A/b/x/c/y". A trailing slash of the type is dropped, as
// Microsoft's own templates have it.
func typeAndNames(typ string, names []string) (string, error) {
	parts := strings.Split(strings.Trim(typ, "/"), "/")
	if len(parts) < 2 {
		return "", fmt.Errorf("'%s' is not a resource type", typ)
	}
	if len(parts)-1 != len(names) {
		return "", fmt.Errorf("the type '%s' requires '%d' resource name argument(s) and '%d' are given", typ, len(parts)-1, len(names))
	}
	var b strings.Builder
	b.WriteString("/providers/" + parts[0])
	for i, n := range names {
		b.WriteString("/" + parts[i+1] + "/" + n)
	}
	return b.String(), nil
}

// scopeID is the id of a scope without the trailing slash of the tenant's.
func scopeID(id arm.ResourceID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// fnResourceID is resourceId([subscription], [group], type, name, ...): of the
// deployment's scope where neither is given.
func fnResourceID(f *frame, args []Value) (Value, error) {
	list, err := texts(args)
	if err != nil {
		return Value{}, err
	}
	at := 0
	for at < len(list) && !strings.Contains(list[at], "/") {
		at++
	}
	if at > 2 || at == len(list) {
		return Value{}, errors.New("none of its first three arguments is a resource type")
	}
	tail, err := typeAndNames(list[at], list[at+1:])
	if err != nil {
		return Value{}, err
	}
	scope := f.scope.env.Scope
	switch {
	case at == 2:
		scope = arm.ResourceID{Subscription: list[0], ResourceGroup: list[1]}
	case at == 1 && (scope.ResourceGroup != "" || scope.Subscription != "" && !isGUID(list[0])):
		scope = arm.ResourceID{Subscription: scope.Subscription, ResourceGroup: list[0]}
	case at == 1:
		scope = arm.ResourceID{Subscription: list[0]}
	}
	return String(scopeID(scope) + tail), nil
}

func isGUID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && strings.Trim(strings.ToLower(s), "0123456789abcdef-") == ""
}

func fnSubscriptionResourceID(f *frame, args []Value) (Value, error) {
	list, err := texts(args)
	if err != nil {
		return Value{}, err
	}
	sub := f.scope.env.Scope.Subscription
	if !strings.Contains(list[0], "/") {
		sub, list = list[0], list[1:]
	}
	if sub == "" {
		return Value{}, errors.New("the deployment is in no subscription")
	}
	tail, err := typeAndNames(list[0], list[1:])
	return String("/subscriptions/" + sub + tail), err
}

func fnTenantResourceID(_ *frame, args []Value) (Value, error) {
	list, err := texts(args)
	if err != nil {
		return Value{}, err
	}
	tail, err := typeAndNames(list[0], list[1:])
	return String(tail), err
}

func fnManagementGroupResourceID(f *frame, args []Value) (Value, error) {
	list, err := texts(args)
	if err != nil {
		return Value{}, err
	}
	group := ""
	if !strings.Contains(list[0], "/") {
		group, list = list[0], list[1:]
	} else if s := f.scope.env.Scope; len(s.Segments) > 0 && strings.EqualFold(s.Type(), "Microsoft.Management/managementGroups") {
		group = s.Name()
	}
	if group == "" {
		return Value{}, errors.New("the deployment is in no management group")
	}
	tail, err := typeAndNames(list[0], list[1:])
	return String("/providers/Microsoft.Management/managementGroups/" + group + tail), err
}

func fnExtensionResourceID(_ *frame, args []Value) (Value, error) {
	list, err := texts(args)
	if err != nil {
		return Value{}, err
	}
	tail, err := typeAndNames(list[1], list[2:])
	return String(strings.TrimSuffix(list[0], "/") + tail), err
}

// target is the resource that reference() and list*() name: by symbolic name, by
// id, or by the name of a resource of this template.
func (f *frame) target(v Value) (arm.ResourceID, *Node, error) {
	name, ok := v.Text()
	if !ok {
		return arm.ResourceID{}, nil, wrongType(0, "String", v)
	}
	if nodes := f.resources.find(name); len(nodes) > 0 {
		return nodes[0].ID, nodes[0], nil
	}
	id, err := arm.ParseID(name)
	if err != nil {
		return id, nil, fmt.Errorf("the resource '%s' is not defined in the template and is not a resource id", show(v))
	}
	return id, nil, nil
}

func (f *frame) runtime(e *expr) (Runtime, error) {
	if f.rt == nil {
		return nil, fmt.Errorf("the template function '%s' %w", e.name, errNotHere)
	}
	return f.rt, nil
}

// evalReference is reference(resource, [apiVersion], ['Full']).
func evalReference(f *frame, e *expr) (Value, error) {
	rt, err := f.runtime(e)
	if err != nil {
		return Value{}, err
	}
	args, err := f.args(e)
	if err != nil {
		return Value{}, err
	}
	id, node, err := f.target(args[0])
	if err != nil {
		return Value{}, err
	}
	version, full := "", false
	if node != nil {
		version = node.APIVersion
	}
	for i := range args[1:] {
		s, err := textArg(args, i+1)
		switch {
		case err != nil && !args[i+1].IsNull():
			return Value{}, err
		case strings.EqualFold(s, "full"):
			full = true
		case s != "" && i == 0:
			version = s
		case s != "":
			return Value{}, fmt.Errorf("its third argument may only be 'Full' and is '%s'", s)
		}
	}
	v, err := rt.Reference(f.ctx, id, version, full)
	if err != nil {
		return Value{}, &askError{"read the state of " + id.String(), err}
	}
	return v, f.meter.room(v.size)
}

// evalReferences is references(symbolic name of a loop, ['Full']).
func evalReferences(f *frame, e *expr) (Value, error) {
	rt, err := f.runtime(e)
	if err != nil {
		return Value{}, err
	}
	args, err := f.args(e)
	if err != nil {
		return Value{}, err
	}
	name, err := textArg(args, 0)
	if err != nil {
		return Value{}, err
	}
	full := len(args) == 2 && strings.EqualFold(args[1].text, "full")
	nodes := f.resources.find(name)
	if nodes == nil {
		return Value{}, fmt.Errorf("there is no copy loop '%s' in the template", name)
	}
	var list []Value
	for _, n := range nodes {
		if !n.Condition {
			continue
		}
		v, err := rt.Reference(f.ctx, n.ID, n.APIVersion, full)
		if err != nil {
			return Value{}, &askError{"read the state of " + n.ID.String(), err}
		}
		if err := f.meter.room(v.size); err != nil {
			return Value{}, err
		}
		list = append(list, v)
	}
	return Array(list...), nil
}

// evalList is listKeys(resource, apiVersion, [body]) and every other list function.
func evalList(f *frame, e *expr) (Value, error) {
	rt, err := f.runtime(e)
	if err != nil {
		return Value{}, err
	}
	args, err := f.args(e)
	if err != nil {
		return Value{}, err
	}
	id, node, err := f.target(args[0])
	if err != nil {
		return Value{}, err
	}
	version, body := "", Null()
	if node != nil {
		version = node.APIVersion
	}
	if len(args) > 1 {
		if version, err = textArg(args, 1); err != nil {
			return Value{}, err
		}
	}
	if len(args) > 2 {
		body = args[2]
	}
	v, err := rt.List(f.ctx, id, e.name, version, body)
	if err != nil {
		return Value{}, &askError{"ask " + id.String() + " for " + e.name, err}
	}
	return v, f.meter.room(v.size)
}

// evalResourceInfo is what the template says of a resource, without asking for its state.
func evalResourceInfo(f *frame, e *expr) (Value, error) {
	args, err := f.args(e)
	if err != nil {
		return Value{}, err
	}
	_, n, err := f.target(args[0])
	if err == nil && n == nil {
		err = fmt.Errorf("the resource '%s' is not defined in the template", show(args[0]))
	}
	if err != nil {
		return Value{}, err
	}
	return ObjectOf("id", String(n.ID.String()), "name", String(n.Name), "type", String(n.Type),
		"apiVersion", String(n.APIVersion), "location", String(n.Location)), nil
}

func (f *frame) provider(args []Value) (Value, error) {
	list, err := texts(args[:min(len(args), 2)])
	if err != nil {
		return Value{}, err
	}
	typ := ""
	if len(list) > 1 {
		typ = list[1]
	}
	if f.scope.env.Providers != nil {
		if v, ok := f.scope.env.Providers(list[0], typ); ok {
			return v, nil
		}
	}
	return Value{}, fmt.Errorf("the resource provider '%s' has no type '%s'", list[0], typ)
}

func fnProviders(f *frame, args []Value) (Value, error) { return f.provider(args) }

// fnPickZones is pickZones(namespace, type, location, [count], [offset]); empty
// where the type knows no zones at the location.
func fnPickZones(f *frame, args []Value) (Value, error) {
	record, err := f.provider(args)
	if err != nil {
		return Value{}, err
	}
	location, err := textArg(args, 2)
	if err != nil {
		return Value{}, err
	}
	count, from := int64(1), int64(0)
	if len(args) > 3 {
		if count, err = intArg(args, 3); err != nil {
			return Value{}, err
		}
	}
	if len(args) > 4 {
		if from, err = intArg(args, 4); err != nil {
			return Value{}, err
		}
	}
	for _, m := range record.Member("zoneMappings").Items() {
		if !strings.EqualFold(canonicalLocation(m.Str("location")), canonicalLocation(location)) {
			continue
		}
		zones := m.Member("zones").Items()
		if count < 1 || from < 0 || from+count > int64(len(zones)) || from > int64(len(zones)) {
			return Value{}, fmt.Errorf("the location '%s' has %d zones", location, len(zones))
		}
		return Array(zones[from : from+count]...), nil
	}
	return Array(), nil
}

func canonicalLocation(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }
