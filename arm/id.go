// Package arm is Azure Resource Manager's contract as plain types: resource ids,
// the resource envelope, the error body, timestamps as clients send them, and
// list pages. It knows nothing of desktops and performs no I/O.
package arm

import (
	"errors"
	"fmt"
	"strings"
)

// ResourceID is a parsed ARM id. ARM compares ids without regard to case but keeps
// the caller's spelling of names, so a ResourceID keeps the spelling and Key gives
// the form to compare and to index by.
//
// The zero value is the tenant root "/".
type ResourceID struct {
	Subscription  string    // GUID, "" at tenant scope
	ResourceGroup string    // "" above resource-group scope
	Segments      []Segment // provider parts, outermost first
}

// Segment is one provider part of an id: a namespace (only where a "/providers/"
// stands before it), the collection and the name.
type Segment struct {
	Namespace  string // "Microsoft.DesktopVirtualization", or "" for a child
	Collection string // "hostPools"
	Name       string // "hp1"; "" when the id names the collection itself
}

// MaxIDLength bounds what ParseID reads. Azure's own limit on an id is not
// published; its longest documented names stay far below this.
const MaxIDLength = 4096

// ErrBadID is wrapped by every error of ParseID.
var ErrBadID = errors.New("not a resource id")

// ParseID reads an id or the path of a request. It accepts any case in the fixed
// words, empty segments (az sends "Provider//hostpools") and a trailing slash.
// A path that ends in a collection leaves the last Segment's Name empty.
func ParseID(s string) (ResourceID, error) {
	var id ResourceID
	if len(s) > MaxIDLength {
		return id, fmt.Errorf("%w: longer than %d characters", ErrBadID, MaxIDLength)
	}
	if s == "" || s[0] != '/' {
		return id, fmt.Errorf("%w: %q does not start with a slash", ErrBadID, s)
	}
	parts := make([]string, 0, 12)
	for _, p := range strings.Split(s, "/") {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if len(parts) >= 2 && strings.EqualFold(parts[0], "subscriptions") {
		id.Subscription, parts = parts[1], parts[2:]
		if len(parts) >= 2 && strings.EqualFold(parts[0], "resourceGroups") {
			id.ResourceGroup, parts = parts[1], parts[2:]
		}
	}
	for len(parts) > 0 {
		var seg Segment
		if strings.EqualFold(parts[0], "providers") {
			if len(parts) < 3 {
				return ResourceID{}, fmt.Errorf("%w: %q names no type after its provider", ErrBadID, s)
			}
			seg.Namespace, parts = parts[1], parts[2:]
		} else if len(id.Segments) == 0 {
			return ResourceID{}, fmt.Errorf("%w: unexpected %q in %q", ErrBadID, parts[0], s)
		}
		seg.Collection, parts = parts[0], parts[1:]
		if len(parts) > 0 {
			seg.Name, parts = parts[0], parts[1:]
		}
		id.Segments = append(id.Segments, seg)
	}
	return id, nil
}

// MustParseID is ParseID for ids known to be right; it panics on others.
func MustParseID(s string) ResourceID {
	id, err := ParseID(s)
	if err != nil {
		panic(err)
	}
	return id
}

// String renders the id with the spelling it was given and "resourceGroups".
func (id ResourceID) String() string {
	var b strings.Builder
	if id.Subscription != "" {
		b.WriteString("/subscriptions/" + id.Subscription)
	}
	if id.ResourceGroup != "" {
		b.WriteString("/resourceGroups/" + id.ResourceGroup)
	}
	for _, s := range id.Segments {
		if s.Namespace != "" {
			b.WriteString("/providers/" + s.Namespace)
		}
		b.WriteString("/" + s.Collection)
		if s.Name != "" {
			b.WriteString("/" + s.Name)
		}
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// Key is the id in lower case: the form to compare, to index and to store by.
func (id ResourceID) Key() string { return strings.ToLower(id.String()) }

// Equal reports whether both ids name the same resource, as ARM compares them.
func (id ResourceID) Equal(other ResourceID) bool { return id.Key() == other.Key() }

// IsZero reports whether the id is the tenant root.
func (id ResourceID) IsZero() bool {
	return id.Subscription == "" && id.ResourceGroup == "" && len(id.Segments) == 0
}

// Name is the last name of the id: the resource's, the group's or the subscription's.
func (id ResourceID) Name() string {
	switch {
	case len(id.Segments) > 0:
		return id.Segments[len(id.Segments)-1].Name
	case id.ResourceGroup != "":
		return id.ResourceGroup
	default:
		return id.Subscription
	}
}

// Type is the full type of the resource ("Microsoft.DesktopVirtualization/hostPools/sessionHosts"),
// of a resource group or of a subscription; "" at tenant scope. For an extension
// resource (a role assignment on a host pool) it is the extension's own type.
func (id ResourceID) Type() string {
	if len(id.Segments) == 0 {
		switch {
		case id.ResourceGroup != "":
			return "Microsoft.Resources/resourceGroups"
		case id.Subscription != "":
			return "Microsoft.Resources/subscriptions"
		}
		return ""
	}
	first := id.lastNamespace()
	t := id.Segments[first].Namespace
	for _, s := range id.Segments[first:] {
		t += "/" + s.Collection
	}
	return t
}

// Names are the names that go with Type's collections, outermost first.
func (id ResourceID) Names() []string {
	if len(id.Segments) == 0 {
		return nil
	}
	var names []string
	for _, s := range id.Segments[id.lastNamespace():] {
		names = append(names, s.Name)
	}
	return names
}

// Parent is the id one level up: a child's resource, an extension's scope, a
// resource's group, a group's subscription; the root is its own parent.
func (id ResourceID) Parent() ResourceID {
	p := id
	switch {
	case len(id.Segments) > 0:
		p.Segments = append([]Segment(nil), id.Segments[:len(id.Segments)-1]...)
		if len(p.Segments) == 0 {
			p.Segments = nil
		}
	case id.ResourceGroup != "":
		p.ResourceGroup = ""
	default:
		p.Subscription = ""
	}
	return p
}

// Child is the id of a child resource; name may be empty for the collection itself.
func (id ResourceID) Child(collection, name string) ResourceID {
	return id.append(Segment{Collection: collection, Name: name})
}

// Provider is the id of a resource of another provider below id: a resource in a
// group, or an extension resource on a resource.
func (id ResourceID) Provider(namespace, collection, name string) ResourceID {
	return id.append(Segment{Namespace: namespace, Collection: collection, Name: name})
}

// Group is the id of the resource group that holds id.
func (id ResourceID) Group() ResourceID {
	return ResourceID{Subscription: id.Subscription, ResourceGroup: id.ResourceGroup}
}

// Scopes lists id and every scope above it, nearest first, the root last: the
// order in which inherited role assignments are looked for.
func (id ResourceID) Scopes() []ResourceID {
	scopes := []ResourceID{id}
	for !id.IsZero() {
		id = id.Parent()
		scopes = append(scopes, id)
	}
	return scopes
}

// MarshalText renders the id for JSON and SQL.
func (id ResourceID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText parses what MarshalText wrote.
func (id *ResourceID) UnmarshalText(b []byte) error {
	p, err := ParseID(string(b))
	if err == nil {
		*id = p
	}
	return err
}

func (id ResourceID) append(s Segment) ResourceID {
	id.Segments = append(append([]Segment(nil), id.Segments...), s)
	return id
}

func (id ResourceID) lastNamespace() int {
	for i := len(id.Segments) - 1; i > 0; i-- {
		if id.Segments[i].Namespace != "" {
			return i
		}
	}
	return 0
}
