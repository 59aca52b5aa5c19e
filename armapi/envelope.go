package armapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/arm"
)

// Azure's bounds on tags.
const (
	maxTags     = 50
	maxTagName  = 512
	maxTagValue = 256
)

// kindForm is what a kind may look like (RPC, "Resource kind").
var kindForm = regexp.MustCompile(`^[-\w._,()]{1,128}$`)

// locationForm is what a location may look like, spaces and case put aside.
var locationForm = regexp.MustCompile(`^[a-z0-9-]{1,90}$`)

// sentBody is a body of PUT or PATCH: members that are absent are nil.
type sentBody struct {
	location   *string
	tags       map[string]string
	hasTags    bool
	kind       *string
	managedBy  *string
	identity   *arm.Identity
	sku, plan  json.RawMessage
	properties json.RawMessage // nil when absent or null
	zones      []string
	extended   *arm.ExtendedLocation
}

// parseBody reads the envelope of a resource, member names in any case. id, name,
// type, systemData, etag and what is unknown are passed over: the URL names the
// resource, and az sends back whatever it was given.
func parseBody(data []byte) (sentBody, error) {
	var b sentBody
	var members map[string]json.RawMessage
	if err := decodeJSON(data, &members, ""); err != nil {
		return b, err
	}
	for _, name := range slices.Sorted(maps.Keys(members)) { // of two spellings the lower case counts
		raw := members[name]
		if bytes.Equal(raw, []byte("null")) {
			if strings.EqualFold(name, "tags") {
				b.hasTags = true
			}
			continue
		}
		var err error
		switch strings.ToLower(name) {
		case "location":
			err = decodeJSON(raw, &b.location, "location")
		case "tags":
			b.hasTags = true
			b.tags, err = parseTags(raw, "tags")
		case "kind":
			err = decodeJSON(raw, &b.kind, "kind")
		case "managedby":
			err = decodeJSON(raw, &b.managedBy, "managedBy")
		case "identity":
			err = decodeJSON(raw, &b.identity, "identity")
		case "sku":
			b.sku, err = parseObject(raw, "sku")
		case "plan":
			b.plan, err = parseObject(raw, "plan")
		case "properties":
			b.properties, err = parseObject(raw, "properties")
		case "zones":
			err = decodeJSON(raw, &b.zones, "zones")
		case "extendedlocation":
			err = decodeJSON(raw, &b.extended, "extendedLocation")
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

func parseObject(raw json.RawMessage, at string) (json.RawMessage, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, invalidContent("%s must be an object", at).WithTarget(at)
	}
	return raw, nil
}

// parseTags reads a map of tags; a value null is "".
func parseTags(raw json.RawMessage, at string) (map[string]string, error) {
	var sent map[string]*string
	if err := decodeJSON(raw, &sent, at); err != nil {
		return nil, err
	}
	tags := make(map[string]string, len(sent))
	for k, v := range sent {
		tags[k] = ""
		if v != nil {
			tags[k] = *v
		}
	}
	return tags, checkTags(tags)
}

// checkTags holds a resource's tags against Azure's bounds.
func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return arm.Errorf(arm.Invalid, "TooManyTags", "The resource has %d tags. The maximum number of tags is %d.",
			len(tags), maxTags).WithTarget("tags")
	}
	seen := make(map[string]string, len(tags))
	for k, v := range tags {
		n := utf8.RuneCountInString(k)
		switch {
		case n == 0:
			return arm.Errorf(arm.Invalid, "InvalidTagName", "A tag's name must not be empty.").WithTarget("tags")
		case n > maxTagName:
			return arm.Errorf(arm.Invalid, "InvalidTagName", "The tag name '%s' has %d characters. The maximum length is %d.",
				clip(k), n, maxTagName).WithTarget("tags")
		case strings.ContainsAny(k, `<>%&\?/`):
			return arm.Errorf(arm.Invalid, "InvalidTagNameCharacters",
				"The tag names '%s' have reserved characters '<,>,%%,&,\\,?,/' or control characters.", clip(k)).WithTarget("tags")
		case utf8.RuneCountInString(v) > maxTagValue:
			return arm.Errorf(arm.Invalid, "InvalidTagValue", "The value of the tag '%s' has %d characters. The maximum length is %d.",
				clip(k), utf8.RuneCountInString(v), maxTagValue).WithTarget("tags")
		}
		if other, dup := seen[strings.ToLower(k)]; dup {
			return arm.Errorf(arm.Invalid, "InvalidTagName", "The tags '%s' and '%s' differ in case only.", clip(other), clip(k)).WithTarget("tags")
		}
		seen[strings.ToLower(k)] = k
	}
	return nil
}

// canonicalLocation is a location as Azure compares it: "West US" is "westus".
func canonicalLocation(l string) string {
	return strings.ToLower(strings.ReplaceAll(l, " ", ""))
}

// checkLocation answers the location in canonical spelling.
func (s *Server) checkLocation(typ, sent string) (string, error) {
	l := canonicalLocation(sent)
	if l == "" {
		return "", arm.Errorf(arm.Invalid, "LocationRequired", "The location property is required for this definition.").WithTarget("location")
	}
	listed := make([]string, len(s.locations))
	for i, known := range s.locations {
		listed[i] = known.Name
	}
	if !locationForm.MatchString(l) || (s.opt.OnlyLocations && !containsFold(listed, l)) {
		return "", arm.Errorf(arm.Invalid, "LocationNotAvailableForResourceType",
			"The provided location '%s' is not available for resource type '%s'. List of available regions for the resource type is '%s'.",
			clip(sent), typ, strings.Join(listed, ",")).WithTarget("location")
	}
	return l, nil
}

// apply puts what a client sent into the envelope. On a PUT (replace) what was left
// out goes back to nothing; on a PATCH it stays.
func (b sentBody) apply(s *Server, row *ResourceType, e *arm.Envelope, replace bool) error {
	if replace {
		e.Tags, e.ManagedBy, e.SKU, e.Plan, e.Zones, e.ExtendedLocation = nil, "", nil, nil, nil, nil
	}
	if len(b.zones) > 0 {
		e.Zones = b.zones
	}
	if b.extended != nil && b.extended.Name != "" {
		e.ExtendedLocation = b.extended
	}
	if b.hasTags {
		e.Tags = b.tags
	}
	if b.managedBy != nil {
		e.ManagedBy = *b.managedBy
	}
	if b.plan != nil {
		e.Plan = b.plan
	}
	if b.sku != nil {
		merged, err := mergePatch(e.SKU, b.sku)
		if err != nil {
			return err
		}
		e.SKU = merged
	}
	if b.kind != nil && *b.kind != "" {
		if !kindForm.MatchString(*b.kind) {
			return arm.Errorf(arm.Invalid, "InvalidKind", "The kind '%s' does not match '%s'.", clip(*b.kind), kindForm).WithTarget("kind")
		}
		e.Kind = *b.kind
	} else if replace {
		e.Kind = ""
	}
	if !row.Tracked {
		e.Tags, e.Location = nil, ""
		return nil
	}
	return b.applyIdentity(row, s.opt.Tenant.ID, e, replace)
}

// applyIdentity gives a resource its identity: the service makes the principal's id
// when the identity is first asked for, and keeps it while it is.
func (b sentBody) applyIdentity(row *ResourceType, tenant string, e *arm.Envelope, replace bool) error {
	if b.identity == nil {
		if replace {
			e.Identity = nil
		}
		return nil
	}
	switch {
	case b.identity.Type == "", strings.EqualFold(b.identity.Type, "None"):
		e.Identity = nil
	case strings.EqualFold(b.identity.Type, "SystemAssigned"):
		if e.Identity == nil || e.Identity.PrincipalID == nil {
			e.Identity = &arm.Identity{Type: "SystemAssigned", TenantID: &tenant, PrincipalID: principalOf(e.Identity)}
		}
	case userAssigned(row, b.identity.Type):
		next := &arm.Identity{Type: "UserAssigned", UserAssigned: b.identity.UserAssigned}
		if strings.Contains(strings.ToLower(b.identity.Type), "systemassigned") {
			next.Type = "SystemAssigned, UserAssigned"
			next.TenantID, next.PrincipalID = &tenant, principalOf(e.Identity)
		}
		e.Identity = next
	default:
		return arm.Errorf(arm.Invalid, "InvalidIdentityType",
			"The identity type '%s' is not supported. Supported are 'None' and 'SystemAssigned'.", clip(b.identity.Type)).WithTarget("identity.type")
	}
	return nil
}

// userAssigned reports whether a type takes user-assigned identities and one is asked for.
func userAssigned(row *ResourceType, asked string) bool {
	switch strings.ToLower(strings.ReplaceAll(asked, " ", "")) {
	case "userassigned", "systemassigned,userassigned":
		return row.UserIdentities
	}
	return false
}

// principalOf is the principal that an identity has, or a new one.
func principalOf(i *arm.Identity) *string {
	if i != nil && i.PrincipalID != nil {
		return i.PrincipalID
	}
	id := uuid.NewString()
	return &id
}

// checkName holds a new resource's name against its type's rule.
func checkName(row *ResourceType, name string) error {
	n, rule := utf8.RuneCountInString(name), row.Name
	if (rule.Max == 0 || n <= rule.Max) && n >= rule.Min && (rule.Pattern == nil || rule.Pattern.MatchString(name)) {
		return nil
	}
	bounds := ""
	if rule.Max > 0 {
		bounds = " It must be between " + itoa(rule.Min) + " and " + itoa(rule.Max) + " characters long."
	}
	if rule.Pattern != nil {
		bounds += " It must match '" + rule.Pattern.String() + "'."
	}
	return arm.Errorf(arm.Invalid, "InvalidResourceName", "The name '%s' of a resource of type '%s/%s' is invalid.%s",
		clip(name), row.Namespace, row.Path, bounds).WithTarget("name")
}
