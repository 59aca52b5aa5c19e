package deskyard

import (
	"bytes"
	"encoding/json"

	"github.com/deskyard/deskyard/arm"
)

// Provisioning states of resources that take longer to make than a request. A type
// that is made at once is always Succeeded.
const (
	StateCreating  = "Creating"
	StateUpdating  = "Updating"
	StateDeleting  = "Deleting"
	StateSucceeded = "Succeeded"
	StateFailed    = "Failed"
)

// Provisioning is how far a resource's making has come; the service alone writes it.
type Provisioning struct {
	ProvisioningState string             `json:"provisioningState,omitempty"`
	StatusReason      string             `json:"statusReason,omitempty"` // ours: one sentence for people
	Fault             *ProvisioningFault `json:"error,omitempty"`        // ours: why it Failed
}

// ProvisioningFault is why something could not be made.
type ProvisioningFault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Progress gives the provisioning of whatever embeds it.
func (p *Provisioning) Progress() *Provisioning { return p }

// Provisioned is a model whose making takes time.
type Provisioned interface {
	Model
	Progress() *Provisioning
}

// Secret is a text that a client sends and nobody reads back: it decodes from JSON and
// is left out of it (with omitzero), so that no model writes it to the store.
type Secret struct{ text string }

// Reveal gives the text, to be sealed.
func (s Secret) Reveal() string { return s.text }

// IsZero is true always: that is what keeps a secret out of JSON.
func (s Secret) IsZero() bool { return true }

// String hides the text from logs and messages.
func (s Secret) String() string { return "***" }

// GoString hides the text from %#v too.
func (s Secret) GoString() string { return "***" }

// MarshalJSON writes null, where a field was declared without omitzero.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// UnmarshalJSON reads a text or null.
func (s *Secret) UnmarshalJSON(b []byte) error {
	var text *string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	s.text = ""
	if text != nil {
		s.text = *text
	}
	return nil
}

// SubResource is how a resource names another.
type SubResource struct {
	ID string `json:"id"`
}

// idOf is the id of an optional reference; "" for none.
func idOf(r *SubResource) string {
	if r == nil {
		return ""
	}
	return r.ID
}

// present drops a reference without an id: clients send {} and {"id":null} for none.
func present(r *SubResource) *SubResource {
	if r == nil || r.ID == "" {
		return nil
	}
	return r
}

// given reports whether a raw member holds anything: not null, {}, [] or "".
func given(raw json.RawMessage) bool {
	switch string(bytes.TrimSpace(raw)) {
	case "", "null", "{}", "[]", `""`, "false":
		return false
	}
	return true
}

// saysNothing reports whether a value, and all that is in it, is empty: Terraform's
// azurerm sends {"galleryApplications":[]} for a machine that has none.
func saysNothing(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			if !saysNothing(member) {
				return false
			}
		}
		return true
	case []any:
		return len(value) == 0
	case string:
		return value == ""
	case bool:
		return !value
	}
	return value == nil
}

// unsupported notes members that this service does not act on, so that nobody
// believes they had their effect.
func unsupported(v *arm.Violations, why string, members map[string]json.RawMessage) {
	for path, raw := range members {
		var value any
		if given(raw) && (json.Unmarshal(raw, &value) != nil || !saysNothing(value)) {
			*v = append(*v, arm.Error{Kind: arm.Invalid, Code: "NotSupported", Target: path,
				Message: "The property '" + path + "' is not supported by this service: " + why})
		}
	}
}

// fixed notes a change of a property that only a create may set, as Microsoft.Compute
// puts it. A property that is left out afterwards keeps its value, so that an empty
// text is no change.
func fixed(v *arm.Violations, path, old, now string) {
	if now != "" && !sameText(old, now) {
		*v = append(*v, arm.Error{Kind: arm.Conflicting, Code: "PropertyChangeNotAllowed", Target: path,
			Message: "Changing property '" + path + "' is not allowed."})
	}
}
