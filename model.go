package deskyard

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// Model is a resource type's properties: what is stored, as JSON, in the newest
// API version's shape. Decoding it is case-insensitive and ignores unknown members.
type Model interface {
	// Default fills in what a PUT left out, brings values to canonical spelling and
	// takes read-only values over from old; old is nil on create.
	Default(old Model)
	// Validate notes every fault; old is nil on create and serves immutable properties.
	Validate(old Model, v *arm.Violations)
	// Refs are the resources it points at, to be kept in the store.
	Refs() []Ref
}

// Relations that Refs are stored under.
const (
	RelationHostPool         = "hostPool"         // application group -> host pool
	RelationApplicationGroup = "applicationGroup" // workspace -> application group
	RelationScalingHostPool  = "scalingHostPool"  // scaling plan -> host pool
	RelationPackageHostPool  = "package"          // app attach package -> host pool
)

// Types of resources that others point at.
const (
	typeHostPool         = "Microsoft.DesktopVirtualization/hostPools"
	typeApplicationGroup = "Microsoft.DesktopVirtualization/applicationGroups"
)

// Integer is a 32-bit number that also reads the string form of itself:
// Microsoft's own templates send "maxSessionLimit": "99999".
type Integer int32

// UnmarshalJSON reads a number or a string of digits.
func (n *Integer) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	i, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return fmt.Errorf("read %s: not a whole number of 32 bits", b)
	}
	*n = Integer(i)
	return nil
}

// canonical is the documented spelling of an enum value that was given in any
// case; a value outside the enum comes back as it is, for Validate to refuse.
func canonical(value string, allowed []string) string {
	value = strings.TrimSpace(value)
	for _, a := range allowed {
		if strings.EqualFold(a, value) {
			return a
		}
	}
	return value
}

// canonicalOrNull is canonical for a nullable enum: clients (terraform) send ""
// for "not set", which the service answers as null.
func canonicalOrNull(value *string, allowed []string) *string {
	if value == nil || strings.TrimSpace(*value) == "" {
		return nil
	}
	c := canonical(*value, allowed)
	return &c
}

// inEnum notes a value outside its enum.
func inEnum(v *arm.Violations, path, value string, allowed []string) {
	for _, a := range allowed {
		if a == value {
			return
		}
	}
	if value == "" {
		v.Add(path, "The property '%s' is required; it takes one of: %s.", lastName(path), strings.Join(allowed, ", "))
		return
	}
	v.Add(path, "The value '%s' of '%s' is not one of: %s.", value, lastName(path), strings.Join(allowed, ", "))
}

// inEnumOrNull is inEnum for a property that may be null.
func inEnumOrNull(v *arm.Violations, path string, value *string, allowed []string) {
	if value != nil {
		inEnum(v, path, *value, allowed)
	}
}

// between notes a number outside its bounds; nil passes.
func between(v *arm.Violations, path string, n *Integer, low, high Integer) {
	if n != nil && (*n < low || *n > high) {
		v.Add(path, "The value %d of '%s' must lie between %d and %d.", *n, lastName(path), low, high)
	}
}

// notLonger notes a text beyond its bound, counted in characters; nil passes.
func notLonger(v *arm.Violations, path string, s *string, most int) {
	if s != nil && len([]rune(*s)) > most {
		v.Add(path, "The text of '%s' has %d characters; %d are allowed.", lastName(path), len([]rune(*s)), most)
	}
}

// required notes a text that is missing or blank.
func required(v *arm.Violations, path, s string) {
	if strings.TrimSpace(s) == "" {
		v.Add(path, "The property '%s' is required.", lastName(path))
	}
}

// unchanged notes a change of a property that only a create may set.
func unchanged(v *arm.Violations, path, old, now string) {
	if !strings.EqualFold(old, now) {
		v.Add(path, "The property '%s' cannot be changed after creation: it is '%s', not '%s'. Create a new resource instead.",
			lastName(path), old, now)
	}
}

// refersTo notes a path that is not the id of a resource of the given type.
func refersTo(v *arm.Violations, path, id, wantType string) {
	if strings.TrimSpace(id) == "" {
		v.Add(path, "The property '%s' is required: the resource id of a %s.", lastName(path), wantType)
		return
	}
	parsed, err := arm.ParseID(id)
	if err != nil || !strings.EqualFold(parsed.Type(), wantType) || parsed.Name() == "" || parsed.ResourceGroup == "" {
		v.Add(path, "The value '%s' of '%s' is not the resource id of a %s.", id, lastName(path), wantType)
	}
}

// refsTo are the refs of one relation; ids that do not parse were refused by
// Validate and are passed over.
func refsTo(relation string, ids ...string) []Ref {
	var refs []Ref
	for _, id := range ids {
		if parsed, err := arm.ParseID(id); err == nil {
			refs = append(refs, Ref{Relation: relation, Target: parsed})
		}
	}
	return refs
}

// unique drops ids that name a resource already in the list, as ARM compares them.
func unique(ids []string) []string {
	kept := make([]string, 0, len(ids))
	seen := map[string]bool{}
	for _, id := range ids {
		key := strings.ToLower(strings.TrimRight(id, "/"))
		if !seen[key] {
			seen[key] = true
			kept = append(kept, id)
		}
	}
	return kept
}

func lastName(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// Bounds of free texts; Azure publishes none for the current API. They are those
// of its first PowerShell module, and keep a list of 10,000 resources affordable.
const (
	maxFriendlyName = 256
	maxDescription  = 512
	maxLongText     = 64 << 10
)

func ptr[T any](t T) *T { return &t }

// without is the list less the ids of one resource.
func without(ids []string, gone arm.ResourceID) []string {
	kept := []string{}
	for _, s := range ids {
		if id, err := arm.ParseID(s); err != nil || !id.Equal(gone) {
			kept = append(kept, s)
		}
	}
	return kept
}
