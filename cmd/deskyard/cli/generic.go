package cli

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// genericUpdate are az's generic update arguments.
type genericUpdate struct {
	Set         words `help:"Set a property: --set friendlyName=Desks tags.stage=test." group:"Generic update" placeholder:"PATH=VALUE"`
	Add         words `help:"Append to a list: --add applicationGroupReferences ID." group:"Generic update" placeholder:"PATH VALUE"`
	Remove      words `help:"Remove a property or a list's element: --remove tags.stage, --remove applicationGroupReferences 0." group:"Generic update" placeholder:"PATH [INDEX]"`
	ForceString bool  `name:"force-string" help:"Keep values of --set and --add as strings." group:"Generic update"`
}

func (g *genericUpdate) empty() bool {
	return g.Set == nil && g.Add == nil && g.Remove == nil
}

// envelope are the members of a resource that stand beside properties.
var envelope = []string{"id", "name", "type", "location", "tags", "identity", "kind", "managedBy", "sku", "plan", "etag", "systemData", "properties"}

// apply changes a resource as it came from the API. A path starts at the resource;
// a property may be named with or without "properties." before it, since answers
// are shown without.
func (g *genericUpdate) apply(resource map[string]any) error {
	for _, arg := range g.Set {
		path, raw, ok := strings.Cut(arg, "=")
		if !ok {
			return usagef("--set %s is not of the form PATH=VALUE", arg)
		}
		at := resourcePath(path)
		v, err := g.value(raw, isText(resource, at))
		if err != nil {
			return usagef("--set %s: %v", arg, err)
		}
		if err := setPath(resource, at, v); err != nil {
			return usagef("--set %s: %v", arg, err)
		}
	}
	if len(g.Add) > 0 {
		if err := g.add(resource); err != nil {
			return err
		}
	}
	if len(g.Remove) > 0 {
		return g.remove(resource)
	}
	return nil
}

// isText reports whether what stands at a path is a string, and so will stay one:
// every tag, and a property that holds one now.
func isText(resource map[string]any, path []string) bool {
	if len(path) > 1 && path[0] == "tags" {
		return true
	}
	old, _ := getPath(resource, path)
	_, isString := old.(string)
	return isString
}

func (g *genericUpdate) value(raw string, text bool) (any, error) {
	if g.ForceString || text && raw != "null" {
		return raw, nil
	}
	switch raw {
	case "true", "false":
		return raw == "true", nil
	}
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return n, nil
	}
	return parseShortValue(raw)
}

func (g *genericUpdate) add(resource map[string]any) error {
	if len(g.Add) < 2 {
		return usagef("--add needs a list and at least one value")
	}
	path := resourcePath(g.Add[0])
	old, _ := getPath(resource, path)
	list, isList := old.([]any)
	if old != nil && !isList {
		return usagef("--add %s: it is no list", g.Add[0])
	}
	list = slices.Clone(list)
	for _, raw := range g.Add[1:] {
		v, err := g.value(raw, false)
		if err != nil {
			return usagef("--add %s: %v", raw, err)
		}
		list = append(list, v)
	}
	return setPath(resource, path, list)
}

func (g *genericUpdate) remove(resource map[string]any) error {
	path := resourcePath(g.Remove[0])
	old, ok := getPath(resource, path)
	if !ok {
		return usagef("--remove %s: there is no such property", g.Remove[0])
	}
	if len(g.Remove) == 1 {
		return setPath(resource, path, nil)
	}
	list, isList := old.([]any)
	i, err := strconv.Atoi(g.Remove[1])
	if !isList || err != nil || i < 0 || i >= len(list) {
		return usagef("--remove %s %s: there is no such element", g.Remove[0], g.Remove[1])
	}
	return setPath(resource, path, slices.Delete(slices.Clone(list), i, i+1))
}

func resourcePath(path string) []string {
	parts := splitDots(path)
	if len(parts) > 0 && !slices.Contains(envelope, parts[0]) {
		parts = append([]string{"properties"}, parts...)
	}
	return parts
}

// splitDots takes a path apart: a.b[0].c and a['x.y'].
func splitDots(path string) []string {
	var parts []string
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			parts = append(parts, b.String())
			b.Reset()
		}
	}
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '.':
			flush()
		case '[':
			flush()
			end := strings.IndexByte(path[i:], ']')
			if end < 0 {
				b.WriteString(path[i:])
				i = len(path)
				continue
			}
			parts = append(parts, strings.Trim(path[i+1:i+end], `'"`))
			i += end
		default:
			b.WriteByte(path[i])
		}
	}
	flush()
	return parts
}

// setPath sets a member, making objects on the way. Names are matched in any case
// first, as the service does.
func setPath(object map[string]any, path []string, v any) error {
	if len(path) == 0 {
		return fmt.Errorf("the path is empty")
	}
	key := memberName(object, path[0])
	if len(path) == 1 {
		object[key] = v
		return nil
	}
	switch next := object[key].(type) {
	case map[string]any:
		return setPath(next, path[1:], v)
	case []any:
		return setElement(next, path[1:], v)
	case nil:
		made := map[string]any{}
		object[key] = made
		return setPath(made, path[1:], v)
	}
	return fmt.Errorf("%s has no members", key)
}

func setElement(list []any, path []string, v any) error {
	i, err := strconv.Atoi(path[0])
	if err != nil || i < 0 || i >= len(list) {
		return fmt.Errorf("%s is not an element of a list of %d", path[0], len(list))
	}
	if len(path) == 1 {
		list[i] = v
		return nil
	}
	object, ok := list[i].(map[string]any)
	if !ok {
		return fmt.Errorf("element %d has no members", i)
	}
	return setPath(object, path[1:], v)
}

func getPath(v any, path []string) (any, bool) {
	for _, p := range path {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[memberName(at, p)]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(p)
			if err != nil || i < 0 || i >= len(at) {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func memberName(object map[string]any, name string) string {
	if _, ok := object[name]; ok {
		return name
	}
	for _, k := range slices.Sorted(maps.Keys(object)) {
		if strings.EqualFold(k, name) {
			return k
		}
	}
	return name
}

// mergePatch is what turns before into after under RFC 7396: only what differs,
// null for what is gone. Lists are replaced whole.
func mergePatch(before, after map[string]any) map[string]any {
	patch := map[string]any{}
	for k, now := range after {
		was, had := before[k]
		wasObject, ok1 := was.(map[string]any)
		nowObject, ok2 := now.(map[string]any)
		switch {
		case ok1 && ok2:
			if sub := mergePatch(wasObject, nowObject); len(sub) > 0 {
				patch[k] = sub
			}
		case !had && now == nil, had && reflect.DeepEqual(was, now):
		default:
			patch[k] = now
		}
	}
	for k := range before {
		if _, still := after[k]; !still {
			patch[k] = nil
		}
	}
	return patch
}

// clone copies a JSON value deeply.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}
