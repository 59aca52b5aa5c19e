package template

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// Plan is what a deployment has to do: a graph of resources. It does not change
// and may be used by several goroutines.
type Plan struct {
	Nodes []*Node // in the order of the template, a loop's one after the other

	bound     *Bound
	resources *resourceIndex
}

// Node is one resource of a plan.
type Node struct {
	Index      int // in Plan.Nodes
	ID         arm.ResourceID
	Type       string // as the template spells it, parents' types included
	Name       string // with the parents' names: "vm-0/extension"
	APIVersion string
	Location   string // "" where the template gives none or only its run will tell
	Symbol     string // symbolic name of language version 2.0
	Existing   bool   // only to be referred to
	Condition  bool   // false: not to be deployed
	DependsOn  []int  // nodes to deploy before; none whose condition is false
	Copy       string // name of the copy loop it is from
	CopyIndex  int
	Path       string // "resources[2]"
	Pos        Pos

	plan    *Plan
	value   Value // unevaluated
	loop    *loop
	runtime bool
	body    Value // evaluated, where nothing needs a Runtime
}

// deploymentType is the type whose resources are deployments themselves.
const deploymentType = "Microsoft.Resources/deployments"

// IsDeployment reports whether the node is a nested or linked deployment.
func (n *Node) IsDeployment() bool { return strings.EqualFold(n.Type, deploymentType) }

// Runtime reports whether the node's body asks for the state of other resources.
func (n *Node) Runtime() bool { return n.runtime }

// String names the node for messages.
func (n *Node) String() string { return n.Type + "/" + n.Name }

// expander builds a plan.
type expander struct {
	b     *Bound
	plan  *Plan
	meter *meter
	bad   faults
}

// Expand unrolls the copy loops, settles conditions, names and ids, finds who
// depends on whom and evaluates every body that needs no Runtime. All faults of
// the resources are reported at once.
func (b *Bound) Expand() (*Plan, error) {
	p := &Plan{bound: b, resources: newResourceIndex(b.resources)}
	x := &expander{b: b, plan: p, meter: newMeter(b.env.Limits)}
	for _, d := range b.template.resources {
		x.declare(d, nil, b.loop)
		if x.stop() {
			break
		}
	}
	if err := x.bad.err(); err != nil {
		return nil, err
	}
	if err := p.resources.fill(p.Nodes); err != nil {
		return nil, err
	}
	if err := x.depend(); err != nil {
		return nil, err
	}
	x.evaluateEarly()
	if err := x.bad.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// stop ends the work when a limit was reached: what follows would fail likewise.
func (x *expander) stop() bool {
	for i := range x.bad {
		if x.bad[i].Code == CodeTooMuch {
			return true
		}
	}
	return false
}

func (x *expander) frame(subject string, l *loop) *frame {
	f := x.b.frame(context.Background(), subject)
	f.meter, f.loop, f.resources = x.meter, l, x.plan.resources
	return f
}

// declare adds the nodes of one declaration: one, or as many as its loop makes,
// each with its nested children.
func (x *expander) declare(d declaration, parent *Node, outer *loop) {
	spec, looped := d.value.Get("copy")
	if !looped || spec.kind == KindArray {
		x.instance(d, parent, outer, copySpec{}, 0)
		return
	}
	f := x.frame("template resource '"+d.value.Str("name")+"'", outer)
	c, err := f.readCopy(spec, d.path+".copy", d.symbol == "")
	if err != nil {
		x.bad.add(err)
		return
	}
	if c.name == "" {
		c.name = d.symbol
	}
	x.plan.resources.addLoop(c.name, d.symbol)
	var before, batch []int
	for i := range c.count {
		if c.serial && i%c.batch == 0 {
			before, batch = batch, nil
		}
		n := x.instance(d, parent, &loop{name: c.name, index: i, resource: true, next: outer}, c, i)
		if x.stop() {
			return
		}
		if n != nil && n.Condition {
			batch = append(batch, n.Index)
			n.DependsOn = append(n.DependsOn, before...)
		}
	}
}

// instance adds one node and its nested children; nil where it is wrong, or has no
// name and is not to be deployed.
func (x *expander) instance(d declaration, parent *Node, l *loop, c copySpec, i int) *Node {
	if len(x.plan.Nodes) >= x.meter.limits.Resources {
		x.bad.add(&Error{Code: CodeTooMuch, Path: d.path, Pos: d.value.pos, Message: fmt.Sprintf("The template has more than %d resources.", x.meter.limits.Resources)})
		return nil
	}
	n := &Node{Symbol: d.symbol, Path: d.path, Pos: d.value.pos, plan: x.plan, value: d.value, loop: l, Copy: c.name, CopyIndex: i, Condition: true}
	if err := x.settle(n, parent); err != nil {
		if n.Condition || isTooMuch(err) {
			x.bad.add(err)
		}
		return nil
	}
	n.Index = len(x.plan.Nodes)
	x.plan.Nodes = append(x.plan.Nodes, n)
	children := d.value.Member("resources")
	if n.IsDeployment() || children.Len() == 0 {
		return n
	}
	at := n.Index
	for i, m := range children.Items() {
		x.declare(declaration{value: m, path: fmt.Sprintf("%s.resources[%d]", d.path, i)}, n, l)
	}
	for _, m := range children.Object().Members() {
		x.declare(declaration{symbol: m.Name, value: m.Value, path: d.path + ".resources." + m.Name}, n, l)
	}
	if n.Condition && !n.Existing {
		for _, child := range x.plan.Nodes[at+1:] { // a child cannot be made before its parent
			child.DependsOn = append(child.DependsOn, at)
		}
	}
	return n
}

// settle evaluates what must be known of a node before anything is deployed.
func (x *expander) settle(n *Node, parent *Node) error {
	f := x.frame("template resource '"+n.value.Str("name")+"'", n.loop)
	if cond, ok := n.value.Get("condition"); ok {
		v, err := f.tree(cond, n.Path+".condition")
		if err != nil {
			return err
		}
		if n.Condition, ok = v.Truth(); !ok {
			n.Condition = true
			return f.fault(cond.pos, n.Path+".condition", fmt.Errorf("the condition must be true or false and is a value of type '%s'", v.kind))
		}
	}
	n.Existing, _ = n.value.Member("existing").Truth()
	for _, field := range []struct {
		name string
		to   *string
	}{{"name", &n.Name}, {"type", &n.Type}, {"apiVersion", &n.APIVersion}} {
		v, err := f.tree(n.value.Member(field.name), join(n.Path, field.name))
		if err != nil {
			return err
		}
		s, ok := v.Text()
		if !ok || s == "" {
			return f.fault(n.value.Member(field.name).pos, join(n.Path, field.name), fmt.Errorf("the %s must be a string that is not empty", field.name))
		}
		*field.to = s
	}
	if v, err := f.tree(n.value.Member("location"), n.Path+".location"); err == nil {
		n.Location, _ = v.Text()
	}
	n.Type = strings.Trim(n.Type, "/")
	if parent != nil && isRelative(n.Type, parent.Type) {
		n.Type, n.Name = parent.Type+"/"+n.Type, parent.Name+"/"+n.Name
	}
	var err error
	n.ID, err = x.identify(f, n)
	n.runtime = n.needsRuntime()
	return err
}

// isRelative reports whether a nested child gives only its own part of its type.
func isRelative(typ, parent string) bool {
	first, _, _ := strings.Cut(typ, "/")
	return !strings.Contains(first, ".") && !strings.HasPrefix(strings.ToLower(typ), strings.ToLower(parent)+"/")
}

// identify is the id of a node: of its type and name in the scope it goes to.
func (x *expander) identify(f *frame, n *Node) (arm.ResourceID, error) {
	scope, err := x.scopeOf(f, n)
	if err != nil {
		return scope, err
	}
	if strings.EqualFold(n.Type, "Microsoft.Resources/resourceGroups") {
		return arm.ResourceID{Subscription: scope.Subscription, ResourceGroup: n.Name}, nil
	}
	at := n.value.Member("name").pos
	tail, err := typeAndNames(n.Type, strings.Split(n.Name, "/"))
	if err != nil {
		return scope, &Error{Code: CodeInvalidTemplate, Path: n.Path, Pos: at, Message: fmt.Sprintf(
			"The template resource '%s' for type '%s' at line '%d' and column '%d' has incorrect segment lengths. A nested resource type must have identical number of segments as its resource name. A root resource type must have segment length one greater than its resource name. Please see https://aka.ms/arm-syntax-resources for usage details.",
			n.Name, n.Type, at.Line, at.Column)}
	}
	id, err := arm.ParseID(scopeID(scope) + tail)
	if err == nil && id.Name() == "" {
		err = errors.New("its name is empty")
	}
	if err != nil {
		return id, f.fault(at, n.Path+".name", err)
	}
	return id, nil
}

// scopeOf is where a node goes: the deployment's scope, the resource that it
// extends (scope), or the group of a nested deployment.
func (x *expander) scopeOf(f *frame, n *Node) (arm.ResourceID, error) {
	text := func(name string) (string, error) {
		v, err := f.tree(n.value.Member(name), join(n.Path, name))
		s, _ := v.Text()
		return s, err
	}
	scope := x.b.env.Scope
	if n.IsDeployment() {
		sub, err := text("subscriptionId")
		if err != nil {
			return scope, err
		}
		group, err := text("resourceGroup")
		if err != nil {
			return scope, err
		}
		if sub != "" {
			scope = arm.ResourceID{Subscription: sub}
		}
		if group != "" {
			scope = arm.ResourceID{Subscription: scope.Subscription, ResourceGroup: group}
		}
	}
	s, err := text("scope")
	if err != nil || s == "" {
		return scope, err
	}
	if !strings.HasPrefix(s, "/") {
		s = scopeID(scope) + "/providers/" + s
	}
	id, err := arm.ParseID(s)
	if err != nil {
		return id, f.fault(n.value.Member("scope").pos, n.Path+".scope", err)
	}
	return id, nil
}

// evaluateEarly evaluates the bodies that nothing at run time can change.
func (x *expander) evaluateEarly() {
	for _, n := range x.plan.Nodes {
		if n.runtime || !n.Condition || n.Existing {
			continue
		}
		f := x.frame("template resource '"+n.Name+"'", n.loop)
		var err error
		if n.body, err = n.evaluate(f); err != nil {
			x.bad.add(err)
			if x.stop() {
				return
			}
		}
	}
}

// resourceIndex finds a plan's nodes by all that a template may call them.
type resourceIndex struct {
	outer   *resourceIndex // of the template around, where its scope is the outer one
	symbols map[string][]*Node
	ids     map[string][]*Node
	loops   map[string][]*Node
	names   map[string][]*Node // type/name, the id's last part, and the name alone
}

func newResourceIndex(outer *resourceIndex) *resourceIndex {
	return &resourceIndex{outer: outer, symbols: map[string][]*Node{}, ids: map[string][]*Node{}, loops: map[string][]*Node{}, names: map[string][]*Node{}}
}

// addLoop makes a loop known that may have no nodes.
func (r *resourceIndex) addLoop(name, symbol string) {
	if key := strings.ToLower(name); r.loops[key] == nil {
		r.loops[key] = []*Node{}
	}
	if symbol != "" {
		r.symbols[strings.ToLower(symbol)] = []*Node{}
	}
}

func (r *resourceIndex) fill(nodes []*Node) error {
	add := func(m map[string][]*Node, key string, n *Node) {
		key = strings.ToLower(key)
		if have := m[key]; len(have) == 0 || have[len(have)-1] != n {
			m[key] = append(have, n)
		}
	}
	for _, n := range nodes {
		key := n.ID.Key()
		for _, other := range r.ids[key] {
			if other.Condition && n.Condition && !other.Existing && !n.Existing {
				return &Error{Code: CodeInvalidTemplate, Path: n.Path, Pos: n.Pos, Message: fmt.Sprintf(
					"The resource '%s' at line '%d' and column '%d' is defined multiple times in a template. Please see https://aka.ms/arm-syntax-resources for usage details.", n, n.Pos.Line, n.Pos.Column)}
			}
		}
		add(r.ids, key, n)
		if n.Symbol != "" {
			add(r.symbols, n.Symbol, n)
			if n.Copy != "" {
				add(r.symbols, n.Symbol+"["+strconv.Itoa(n.CopyIndex)+"]", n)
			}
		}
		if n.Copy != "" {
			add(r.loops, n.Copy, n)
		}
		add(r.names, n.Type+"/"+n.Name, n)
		add(r.names, n.Name, n)
		if i := strings.LastIndex(key, "/providers/"); i >= 0 {
			add(r.names, key[i+len("/providers/"):], n)
		} else if n.ID.ResourceGroup != "" { // a resource group, also by the id that resourceId() makes for it
			add(r.ids, "/subscriptions/"+n.ID.Subscription+"/providers/Microsoft.Resources/resourceGroups/"+n.Name, n)
		}
	}
	return nil
}

// find is the nodes that name means, nil for none.
func (r *resourceIndex) find(name string) []*Node {
	for key := strings.ToLower(name); r != nil; r = r.outer {
		for _, m := range []map[string][]*Node{r.symbols, r.ids, r.names, r.loops} {
			if nodes, ok := m[key]; ok {
				return nodes
			}
		}
		if strings.HasPrefix(key, "/") {
			if id, err := arm.ParseID(key); err == nil {
				if nodes, ok := r.ids[id.Key()]; ok {
					return nodes
				}
			}
		}
	}
	return nil
}
