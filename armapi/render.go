package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Body is a resource on the wire. AVD writes unset members as explicit null, and
// leaves location, tags, kind and identity out where a type is not tracked.
type Body struct {
	Identity   *arm.Identity
	Name       string
	ID         string
	Type       string
	Location   string
	Tags       map[string]string
	Kind       string
	ManagedBy  string
	SKU        json.RawMessage
	Plan       json.RawMessage
	SystemData any // *SystemData, or nil for null
	Properties any
	Tracked    bool
	Sparse     bool // leave unset members out

	Zones            []string
	ExtendedLocation *arm.ExtendedLocation
}

// MarshalJSON writes the members in the order that AVD does.
func (b Body) MarshalJSON() ([]byte, error) { return json.Marshal(b.wire()) }

// wire is the body as encoding/json takes it without a Marshaler, whose output it
// would scan a second time.
func (b Body) wire() any {
	if b.Sparse {
		return &sparseBody{b.Name, b.ID, b.Type, b.Location, b.Tags, b.Kind, b.Identity, b.ManagedBy, b.SKU, b.Plan, b.Zones, b.ExtendedLocation, b.SystemData, b.Properties}
	}
	if !b.Tracked {
		return &proxyBody{b.Name, b.ID, b.Type, b.SystemData, b.Properties}
	}
	identity := b.Identity
	if identity == nil {
		identity = &arm.Identity{Type: "None"}
	}
	var kind *string
	if b.Kind != "" {
		kind = &b.Kind
	}
	return &trackedBody{identity, b.Name, b.ID, b.Type, b.Location, b.Tags, kind, b.ManagedBy, b.SKU, b.Plan, b.SystemData, b.Properties, b.Zones, b.ExtendedLocation}
}

type proxyBody struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Type       string `json:"type"`
	SystemData any    `json:"systemData"`
	Properties any    `json:"properties"`
}

// sparseBody is a resource of any provider but AVD: what is not set is not there.
type sparseBody struct {
	Name       string                `json:"name"`
	ID         string                `json:"id"`
	Type       string                `json:"type"`
	Location   string                `json:"location,omitempty"`
	Tags       map[string]string     `json:"tags,omitempty"`
	Kind       string                `json:"kind,omitempty"`
	Identity   *arm.Identity         `json:"identity,omitempty"`
	ManagedBy  string                `json:"managedBy,omitempty"`
	SKU        json.RawMessage       `json:"sku,omitempty"`
	Plan       json.RawMessage       `json:"plan,omitempty"`
	Zones      []string              `json:"zones,omitempty"`
	Extended   *arm.ExtendedLocation `json:"extendedLocation,omitempty"`
	SystemData any                   `json:"systemData,omitempty"`
	Properties any                   `json:"properties"`
}

type trackedBody struct {
	Identity   *arm.Identity     `json:"identity"`
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	Kind       *string           `json:"kind"`
	ManagedBy  string            `json:"managedBy,omitempty"`
	SKU        json.RawMessage   `json:"sku,omitempty"`
	Plan       json.RawMessage   `json:"plan,omitempty"`
	SystemData any               `json:"systemData"`
	Properties any               `json:"properties"`

	Zones            []string              `json:"zones,omitempty"`
	ExtendedLocation *arm.ExtendedLocation `json:"extendedLocation,omitempty"`
}

// SystemData is arm.SystemData on the wire: times with at most seven fraction
// digits, and null for what is not known.
type SystemData struct {
	CreatedBy          *string   `json:"createdBy"`
	CreatedByType      *string   `json:"createdByType"`
	CreatedAt          *arm.Time `json:"createdAt"`
	LastModifiedBy     *string   `json:"lastModifiedBy"`
	LastModifiedByType *string   `json:"lastModifiedByType"`
	LastModifiedAt     *arm.Time `json:"lastModifiedAt"`
}

// RenderSystemData puts systemData on the wire.
func RenderSystemData(d arm.SystemData) *SystemData {
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	out := &SystemData{
		CreatedBy: text(d.CreatedBy), CreatedByType: text(d.CreatedByType),
		LastModifiedBy: text(d.LastModifiedBy), LastModifiedByType: text(d.LastModifiedByType),
	}
	if !d.CreatedAt.IsZero() {
		out.CreatedAt = &arm.Time{Time: d.CreatedAt}
	}
	if !d.LastModifiedAt.IsZero() {
		out.LastModifiedAt = &arm.Time{Time: d.LastModifiedAt}
	}
	return out
}

// RenderBody is a stored resource's wire body with the given properties; nil takes
// the stored ones as they are.
func (row *ResourceType) RenderBody(r deskyard.Resource, properties any) Body {
	if properties == nil {
		properties = r.Properties
		if len(r.Properties) == 0 {
			properties = struct{}{}
		}
	}
	e := r.Envelope
	return Body{
		Identity: e.Identity, Name: row.WireName(r.ID), ID: row.WireID(r.ID), Type: row.WireType(),
		Location: e.Location, Tags: e.Tags, Kind: e.Kind, ManagedBy: e.ManagedBy, SKU: e.SKU, Plan: e.Plan,
		SystemData: RenderSystemData(e.SystemData), Properties: properties, Tracked: row.Tracked,
		Zones: e.Zones, ExtendedLocation: e.ExtendedLocation, Sparse: row.Sparse,
	}
}

// RenderPlain renders rows as they are stored.
func (row *ResourceType) RenderPlain(_ context.Context, _ View, rows []deskyard.Resource) ([]any, error) {
	out := make([]any, len(rows))
	for i, r := range rows {
		out[i] = row.RenderBody(r, nil)
	}
	return out, nil
}

// WireType is the type as answers spell it.
func (row *ResourceType) WireType() string { return row.Namespace + "/" + row.Wire }

// WireName is the name as answers give it: "pool/host" for a composite one.
func (row *ResourceType) WireName(id arm.ResourceID) string {
	if !row.Composite {
		return id.Name()
	}
	return strings.Join(id.Names(), "/")
}

// WireID spells an id as AVD does: collections as in Wire, names as the caller wrote
// them, and the group's word in lower case where the type's own is. The scope of an
// extension keeps its spelling.
func (row *ResourceType) WireID(id arm.ResourceID) string {
	if len(id.Segments) == 0 {
		return id.String()
	}
	words := strings.Split(row.Wire, "/")
	first := len(id.Segments) - len(words)
	if first < 0 {
		return id.String()
	}
	var b strings.Builder
	group := "resourceGroups"
	if row.Level != Extension && !row.Sparse && words[0] == strings.ToLower(words[0]) {
		group = "resourcegroups"
	}
	if id.Subscription != "" {
		b.WriteString("/subscriptions/" + id.Subscription)
	}
	if id.ResourceGroup != "" {
		b.WriteString("/" + group + "/" + id.ResourceGroup)
	}
	for i, s := range id.Segments {
		collection, namespace := s.Collection, s.Namespace
		if i >= first {
			collection = words[i-first]
			if namespace != "" {
				namespace = row.Namespace
			}
		}
		if namespace != "" {
			b.WriteString("/providers/" + namespace)
		}
		b.WriteString("/" + collection + "/" + s.Name)
	}
	return b.String()
}

// render is the type's own rendering, or the plain one.
func (row *ResourceType) render(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	f := row.Render
	if f == nil {
		f = row.RenderPlain
	}
	out, err := f(ctx, v, rows)
	if err != nil {
		return nil, err
	}
	if len(out) != len(rows) {
		return nil, fmt.Errorf("render %s: %d bodies for %d rows", row.WireType(), len(out), len(rows))
	}
	for i := range out {
		if b, ok := out[i].(Body); ok {
			out[i] = b.wire()
		}
	}
	return out, nil
}

// withProperties sets extra members under a body's properties.
func withProperties(body any, extra map[string]any) (any, error) {
	if len(extra) == 0 {
		return body, nil
	}
	data, err := encodeBody(body)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	if err := decodeNumbers(data, &out); err != nil {
		return nil, fmt.Errorf("read the rendered body: %w", err)
	}
	properties, _ := out["properties"].(map[string]any) // null or absent: a new one
	if properties == nil {
		properties = map[string]any{}
	}
	for k, v := range extra {
		properties[k] = v
	}
	out["properties"] = properties
	return out, nil
}
