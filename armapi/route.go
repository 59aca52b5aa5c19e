package armapi

import (
	"fmt"
	"net/http"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/deskyard/deskyard/arm"
)

// routes finds what a path is about: a door, or a row of the table. Azure's clients
// send any case, empty parts ("Provider//hostpools") and trailing slashes, and do
// not follow redirects on writes, so nothing of http.ServeMux is used.
type routes struct {
	types      map[string]*ResourceType // by lower-case namespace/path
	rows       []*ResourceType          // in the table's order
	namespaces map[string]string        // lower case → documented spelling
	doors      map[int][]*door          // by number of parts
}

// door is a Door with its path taken apart.
type door struct {
	Door
	parts []string // words in lower case; "" where a variable stands
	vars  []string // name of the variable at each part, or ""
}

// target is what a path turned out to be about.
type target struct {
	door       *door
	vars       map[string]string
	row        *ResourceType
	id         arm.ResourceID // the resource, or a collection (its last name empty)
	collection bool
	action     string // what stands behind the resource or collection: an action's name
}

func newRoutes(rows []ResourceType, doors []Door) (*routes, error) {
	r := &routes{
		types:      map[string]*ResourceType{},
		namespaces: map[string]string{},
		doors:      map[int][]*door{},
	}
	for i := range rows {
		row := &rows[i]
		if row.Wire == "" {
			row.Wire = row.Path
		}
		key := strings.ToLower(row.Namespace + "/" + row.Path)
		if r.types[key] != nil {
			return nil, fmt.Errorf("type %s/%s stands in the table twice", row.Namespace, row.Path)
		}
		if v := row.Verbs; row.New == nil && (v.Get || v.Put || v.Patch || v.Delete || v.List || v.ListBySubscription) {
			return nil, fmt.Errorf("type %s/%s has generic verbs and no model", row.Namespace, row.Path)
		}
		r.types[key] = row
		r.rows = append(r.rows, row)
		r.namespaces[strings.ToLower(row.Namespace)] = row.Namespace
	}
	for _, d := range doors {
		e := &door{Door: d}
		for _, p := range splitPath(d.Path) {
			if strings.HasPrefix(p, "{") {
				e.parts, e.vars = append(e.parts, ""), append(e.vars, strings.Trim(p, "{}"))
			} else {
				e.parts, e.vars = append(e.parts, strings.ToLower(p)), append(e.vars, "")
			}
		}
		r.doors[len(e.parts)] = append(r.doors[len(e.parts)], e)
	}
	for _, list := range r.doors { // words win over variables
		sort.SliceStable(list, func(i, j int) bool { return list[i].variables() < list[j].variables() })
	}
	return r, nil
}

// find resolves a decoded path. The method matters only between doors.
func (r *routes) find(method, path string) (target, error) {
	if err := checkPath(path); err != nil {
		return target{}, err
	}
	parts := splitPath(path)
	if t, ok, err := r.findDoor(method, parts); ok || err != nil {
		return t, err
	}
	id, err := arm.ParseID(path)
	if err != nil || (len(id.Segments) == 0 && id.ResourceGroup == "") {
		return target{}, unknownPath(path)
	}
	return r.findType(id)
}

func (r *routes) findDoor(method string, parts []string) (target, bool, error) {
	var others []string
	for _, d := range r.doors[len(parts)] {
		vars, ok := d.match(parts)
		if !ok {
			continue
		}
		if d.Method == method {
			return target{
				door: d, vars: vars,
				id: arm.ResourceID{Subscription: vars["subscription"], ResourceGroup: vars["group"]},
			}, true, nil
		}
		others = append(others, d.Method)
	}
	if others != nil {
		return target{}, false, methodRefused(method, others)
	}
	return target{}, false, nil
}

func (d *door) match(parts []string) (map[string]string, bool) {
	for i, p := range d.parts {
		if p != "" && !strings.EqualFold(p, parts[i]) {
			return nil, false
		}
	}
	vars := map[string]string{}
	for i, name := range d.vars {
		if name != "" {
			vars[name] = parts[i]
		}
	}
	return vars, true
}

func (d *door) variables() int {
	n := 0
	for _, v := range d.vars {
		if v != "" {
			n++
		}
	}
	return n
}

// findType resolves an id: to a resource or collection of the table, or else to an
// action behind one.
func (r *routes) findType(id arm.ResourceID) (target, error) {
	if row := r.types[typeKey(id)]; row != nil && !spelledOut(id) {
		t := target{row: row, id: id, collection: len(id.Segments) > 0 && id.Name() == ""}
		if err := checkLevel(row, id); err != nil {
			return target{}, err
		}
		if action, ok := collectionAction(row, id); ok {
			t.id.Segments = append([]arm.Segment(nil), id.Segments...)
			t.id.Segments[len(t.id.Segments)-1].Name = ""
			t.collection, t.action = true, action
		}
		return t, nil
	}
	last := len(id.Segments) - 1
	if last >= 0 && id.Segments[last].Name == "" && id.Segments[last].Namespace == "" {
		owner := id.Parent()
		if row := r.types[typeKey(owner)]; row != nil && row.hasAction(id.Segments[last].Collection) {
			if err := checkLevel(row, owner); err != nil {
				return target{}, err
			}
			return target{row: row, id: owner, action: id.Segments[last].Collection}, nil
		}
	}
	return target{}, r.unknownType(id)
}

func typeKey(id arm.ResourceID) string { return strings.ToLower(id.Type()) }

// spelledOut sees a resource group named like a provider's resource, which nothing is.
func spelledOut(id arm.ResourceID) bool {
	return len(id.Segments) > 0 && typeKey(id) == "microsoft.resources/resourcegroups"
}

// collectionAction sees an action behind a collection: ".../hostPools/import" looks
// like a resource of that name.
func collectionAction(row *ResourceType, id arm.ResourceID) (string, bool) {
	for _, a := range row.Actions {
		if a.Collection && a.Path != "" && strings.EqualFold(a.Path, id.Name()) {
			return a.Path, true
		}
	}
	return "", false
}

func (row *ResourceType) hasAction(name string) bool {
	for _, a := range row.Actions {
		if !a.Collection && a.Path != "" && strings.EqualFold(a.Path, name) {
			return true
		}
	}
	return false
}

// action finds the handler for a method on a target; nil when there is none.
func (row *ResourceType) action(method string, t target) *Action {
	for i := range row.Actions {
		a := &row.Actions[i]
		m := a.Method
		if m == "" {
			m = http.MethodPost
		}
		if m == method && a.Collection == t.collection && strings.EqualFold(a.Path, t.action) {
			return a
		}
	}
	return nil
}

// checkLevel refuses an id whose scope the type does not live in. A list over a
// subscription of a type that lives in groups passes here.
func checkLevel(row *ResourceType, id arm.ResourceID) error {
	if row.Level == Extension || len(id.Segments) == 0 {
		return nil
	}
	fits := false
	switch {
	case len(id.Segments) != strings.Count(row.Path, "/")+1: // stands below another resource
	case row.Level == InTenant:
		fits = id.Subscription == ""
	case row.Level == InSubscription:
		fits = id.Subscription != "" && id.ResourceGroup == ""
	default:
		fits = id.ResourceGroup != "" || (id.Subscription != "" && len(id.Segments) == 1 && id.Name() == "")
	}
	if !fits {
		return arm.Errorf(arm.Missing, "InvalidResourceType",
			"The resource type '%s' of namespace '%s' does not live at '%s'.", row.Path, row.Namespace, id)
	}
	return nil
}

// unknownType says whether the namespace or only the type is unknown.
func (r *routes) unknownType(id arm.ResourceID) error {
	namespace, types, _ := strings.Cut(id.Type(), "/")
	known, ok := r.namespaces[strings.ToLower(namespace)]
	if !ok {
		return arm.Errorf(arm.Missing, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.", namespace)
	}
	return arm.Errorf(arm.Missing, "InvalidResourceType",
		"The resource type '%s' could not be found in the namespace '%s'.", types, known)
}

func unknownPath(path string) error {
	return arm.Errorf(arm.Missing, "NotFound", "No HTTP resource was found that matches the request path '%s'.", path)
}

func methodRefused(method string, allowed []string) error {
	return arm.Errorf(arm.MethodRefused, "MethodNotAllowed",
		"The requested resource does not support http method '%s'; it supports %s.", method, strings.Join(allowed, ", "))
}

// checkPath refuses what no store could keep and no name may hold.
func checkPath(path string) error {
	if len(path) > arm.MaxIDLength {
		return arm.Errorf(arm.Invalid, "InvalidRequestUri", "The path is longer than %d characters.", arm.MaxIDLength)
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return arm.Errorf(arm.Invalid, "InvalidRequestUri", "The path holds control characters or is not UTF-8.")
	}
	return nil
}

func splitPath(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}
