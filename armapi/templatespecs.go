package armapi

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// specVersions are the api-versions of template specs.
var specVersions = []string{"2021-03-01-preview", "2021-05-01", "2022-02-01"}

// specName is Azure's rule for the names of template specs and of their versions.
var specName = regexp.MustCompile(`^[-\w._()]+$`)

// Azure's bounds on what a template spec says of itself.
const (
	maxSpecDisplay     = 64
	maxSpecDescription = 4096
)

// templateSpecTypes are templates that are kept in the service: a deployment names a
// version's id as its templateLink.id.
func (s *Server) templateSpecTypes() []ResourceType {
	return []ResourceType{{
		Namespace: resourcesNamespace, Path: "templateSpecs", Versions: specVersions, AnyVersion: true, Tracked: true,
		Name:   NameRule{Min: 1, Max: 90, Pattern: specName},
		Verbs:  Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true, ListBySubscription: true},
		New:    func() Model { return new(templateSpec) },
		Render: s.renderSpecs,
	}, {
		Namespace: resourcesNamespace, Path: "templateSpecs/versions", Versions: specVersions, AnyVersion: true, Tracked: true,
		Name:  NameRule{Min: 1, Max: 90, Pattern: specName},
		Verbs: Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true},
		New:   func() Model { return new(templateSpecVersion) },
	}}
}

// templateSpec is what is said of all versions of a template.
type templateSpec struct {
	DisplayName string          `json:"displayName,omitempty"`
	Description string          `json:"description,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
}

// Default leaves what was sent as it is.
func (*templateSpec) Default(Model) {}

// Validate holds the texts against Azure's bounds.
func (t *templateSpec) Validate(_ Model, v *arm.Violations) {
	if n := len([]rune(t.DisplayName)); n > maxSpecDisplay {
		v.Add("properties.displayName", "it has %d characters; at most %d are allowed.", n, maxSpecDisplay)
	}
	if n := len([]rune(t.Description)); n > maxSpecDescription {
		v.Add("properties.description", "it has %d characters; at most %d are allowed.", n, maxSpecDescription)
	}
}

// Refs are none.
func (*templateSpec) Refs() []deskyard.Ref { return nil }

// templateSpecVersion is one version: a template and those that it links to by path.
type templateSpecVersion struct {
	Description      string          `json:"description,omitempty"`
	MainTemplate     json.RawMessage `json:"mainTemplate"`
	LinkedTemplates  []specLinked    `json:"linkedTemplates,omitempty"`
	UIFormDefinition json.RawMessage `json:"uiFormDefinition,omitempty"`
	Metadata         json.RawMessage `json:"metadata,omitempty"`
}

type specLinked struct {
	Path     string          `json:"path"`
	Template json.RawMessage `json:"template"`
}

// Default leaves what was sent as it is.
func (*templateSpecVersion) Default(Model) {}

// Validate wants templates to be objects and paths to differ. Whether a template is
// a good one is found out where it is deployed.
func (t *templateSpecVersion) Validate(_ Model, v *arm.Violations) {
	if !isObject(t.MainTemplate) {
		v.Add("properties.mainTemplate", "it must be a template, a JSON object.")
	}
	if n := len([]rune(t.Description)); n > maxSpecDescription {
		v.Add("properties.description", "it has %d characters; at most %d are allowed.", n, maxSpecDescription)
	}
	seen := map[string]bool{}
	for i, l := range t.LinkedTemplates {
		at := "properties.linkedTemplates[" + itoa(i) + "]"
		path := strings.ToLower(strings.TrimPrefix(l.Path, "./"))
		if path == "" || seen[path] {
			v.Add(at+".path", "each linked template needs a path of its own.")
		}
		seen[path] = true
		if !isObject(l.Template) {
			v.Add(at+".template", "it must be a template, a JSON object.")
		}
	}
}

// Refs are none.
func (*templateSpecVersion) Refs() []deskyard.Ref { return nil }

func isObject(raw json.RawMessage) bool {
	return strings.HasPrefix(strings.TrimSpace(string(raw)), "{")
}

// renderSpecs shows specs with what is said of their versions, as $expand=versions
// asks for and other readers pass over.
func (s *Server) renderSpecs(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	row := s.routes.types["microsoft.resources/templatespecs"]
	out := make([]any, len(rows))
	for i, r := range rows {
		found, err := v.Reader.Resources(ctx, deskyard.ResourceQuery{Scope: r.ID, Type: resourcesNamespace + "/templateSpecs/versions"})
		if err != nil {
			return nil, err
		}
		var properties map[string]any
		if err := decodeNumbers(propertiesOf(r), &properties); err != nil {
			return nil, err
		}
		versions := map[string]any{}
		for _, one := range found.Items {
			var t templateSpecVersion
			if err := json.Unmarshal(propertiesOf(one), &t); err != nil {
				return nil, err
			}
			versions[one.ID.Name()] = map[string]any{"description": t.Description,
				"timeCreated": arm.Time{Time: one.Envelope.SystemData.CreatedAt}, "timeModified": arm.Time{Time: one.Envelope.SystemData.LastModifiedAt}}
		}
		if len(versions) > 0 {
			properties["versions"] = versions
		}
		out[i] = row.RenderBody(r, properties)
	}
	return out, nil
}
