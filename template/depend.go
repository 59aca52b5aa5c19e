package template

import (
	"fmt"
	"slices"
	"strings"
)

// depend fills in DependsOn of every node: what dependsOn names and what
// reference() and list*() name, without nodes that are not deployed.
func (x *expander) depend() error {
	for _, n := range x.plan.Nodes {
		x.explicit(n)
		if n.runtime || n.IsDeployment() {
			x.implicit(n)
		}
		if x.stop() {
			break
		}
	}
	if err := x.bad.err(); err != nil {
		return err
	}
	deps := make([][]int, len(x.plan.Nodes))
	for i, n := range x.plan.Nodes {
		deps[i] = x.plan.deployed(n)
	}
	for i, n := range x.plan.Nodes {
		n.DependsOn = deps[i]
	}
	return x.plan.refuseCycle()
}

// deployed is what a node depends on, each once and in order. Resources that exist or
// whose condition is false are replaced by what they depend on: the order of a chain
// holds when a link is left out. Microsoft's azurestackhci-vm.json needs that, whose
// monitoring waits for the machine through a domain join that may not be wanted.
func (p *Plan) deployed(n *Node) []int {
	var out []int
	seen := make(map[int]bool, len(n.DependsOn))
	var add func(list []int)
	add = func(list []int) {
		for _, d := range list {
			to := p.Nodes[d]
			if seen[d] {
				continue
			}
			seen[d] = true
			if to.Existing || !to.Condition {
				add(to.DependsOn)
			} else {
				out = append(out, d)
			}
		}
	}
	add(n.DependsOn)
	slices.Sort(out)
	return out
}

func (x *expander) explicit(n *Node) {
	section := n.value.Member("dependsOn")
	if section.IsNull() {
		return
	}
	f := x.frame("template resource '"+n.Name+"'", n.loop)
	path := n.Path + ".dependsOn"
	v, err := f.tree(section, path)
	if err != nil {
		if n.Condition {
			x.bad.add(err)
		}
		return
	}
	items := v.Items()
	if v.kind == KindString {
		items = []Value{v}
	}
	for i := 0; i < len(items); i++ {
		it := items[i]
		if it.kind == KindArray { // an expression that yields several
			items = append(items, it.Items()...)
			continue
		}
		name, ok := it.Text()
		nodes := x.plan.resources.dependency(name)
		if !ok || nodes == nil {
			x.bad.add(&Error{Code: CodeInvalidTemplate, Path: path, Pos: it.pos, Message: fmt.Sprintf(
				"The resource '%s' is not defined in the template, and '%s' at line '%d' depends on it. Please see https://aka.ms/arm-syntax-resources for usage details.", show(it), n, n.Pos.Line)})
			continue
		}
		if err := x.meter.rooms(len(nodes)); err != nil {
			x.bad.add(f.fault(it.pos, path, err))
			return
		}
		for _, to := range nodes {
			n.DependsOn = append(n.DependsOn, to.Index)
		}
	}
}

// dependency is what an element of dependsOn means, nil for nothing. An id of a
// resource in another group stands for the one of the template that has its type
// and name: in a nested template, resourceId() gives the outer deployment's group.
func (r *resourceIndex) dependency(name string) []*Node {
	key := strings.ToLower(strings.TrimSuffix(name, "/"))
	for _, m := range []map[string][]*Node{r.symbols, r.ids, r.loops, r.names} {
		if nodes, ok := m[key]; ok {
			return nodes
		}
	}
	if i := strings.LastIndex(key, "/providers/"); i >= 0 && strings.HasPrefix(key, "/") {
		return r.names[key[i+len("/providers/"):]]
	}
	return nil
}

// implicit adds what the node's expressions refer to. A name that cannot be told
// yet, as one made of a lambda's variable, adds nothing.
func (x *expander) implicit(n *Node) {
	f := x.frame("template resource '"+n.Name+"'", n.loop)
	n.expressions(func(e *expr) {
		e.walk(func(c *expr) bool {
			if c.fn == nil || !c.fn.runtime || len(c.args) == 0 || c.args[0].needsRuntime() {
				return true
			}
			v, err := f.eval(c.args[0])
			if err != nil {
				return true
			}
			for _, to := range x.plan.resources.find(v.text) {
				if to.plan == x.plan && to != n && v.kind == KindString {
					n.DependsOn = append(n.DependsOn, to.Index)
				}
			}
			return true
		})
	})
}

// expressions calls do for each expression of the node that is evaluated with it,
// those of a nested template in the outer scope too.
func (n *Node) expressions(do func(*expr)) {
	t := n.plan.bound.scope.template
	var walk func(v Value)
	walk = func(v Value) {
		switch v.kind {
		case KindString:
			if isExpression(v.text) {
				if e, err := t.parsed(v.text); err == nil {
					do(e)
				}
			}
		case KindArray:
			for _, it := range v.items {
				walk(it)
			}
		case KindObject:
			for _, m := range v.object.Members() {
				walk(String(m.Name))
				walk(m.Value)
			}
		}
	}
	for _, m := range n.value.object.Members() {
		switch name := strings.ToLower(m.Name); {
		case !n.IsDeployment() && name == "resources":
		case n.IsDeployment() && name == "properties" && m.Value.kind == KindObject && !isOuter(m.Value):
			for _, p := range m.Value.object.Members() {
				if !strings.EqualFold(p.Name, "template") {
					walk(p.Value)
				}
			}
		default:
			walk(m.Value)
		}
	}
}

// refuseCycle finds nodes that wait for each other and names them.
func (p *Plan) refuseCycle() error {
	const (
		unseen = iota
		open
		closed
	)
	state := make([]int, len(p.Nodes))
	var path []int
	var visit func(i int) []int
	visit = func(i int) []int {
		state[i] = open
		path = append(path, i)
		for _, d := range p.Nodes[i].DependsOn {
			if state[d] == open {
				return path[slices.Index(path, d):]
			}
			if state[d] == unseen {
				if cycle := visit(d); cycle != nil {
					return cycle
				}
			}
		}
		path = path[:len(path)-1]
		state[i] = closed
		return nil
	}
	for i := range p.Nodes {
		if state[i] != unseen {
			continue
		}
		if cycle := visit(i); cycle != nil {
			first := p.Nodes[cycle[0]]
			names := make([]string, 0, len(cycle)+1)
			for _, c := range append(cycle[:len(cycle):len(cycle)], cycle[0]) {
				names = append(names, "'"+p.Nodes[c].String()+"'")
			}
			return &Error{Code: CodeInvalidTemplate, Path: first.Path, Pos: first.Pos, Message: fmt.Sprintf(
				"Circular dependency detected on resource: '%s': %s. Please see https://aka.ms/arm-syntax-resources for usage details.", first.ID, strings.Join(names, " depends on "))}
		}
	}
	return nil
}
