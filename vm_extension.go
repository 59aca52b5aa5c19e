package deskyard

import (
	"encoding/json"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// VMExtension is the properties of an extension of a virtual machine, or of a machine
// of HybridCompute: a step inside the guest. Its protected settings are read and never
// written; who stores the model takes them with Secrets first.
type VMExtension struct {
	Provisioning
	Publisher          string               `json:"publisher"`
	Type               string               `json:"type"`
	TypeHandlerVersion string               `json:"typeHandlerVersion,omitempty"`
	AutoUpgradeMinor   *bool                `json:"autoUpgradeMinorVersion,omitempty"`
	AutomaticUpgrade   *bool                `json:"enableAutomaticUpgrade,omitempty"`
	ForceUpdateTag     *string              `json:"forceUpdateTag,omitempty"`
	Settings           json.RawMessage      `json:"settings,omitempty"`
	Protected          SecretJSON           `json:"protectedSettings,omitzero"`
	ProtectedVault     json.RawMessage      `json:"protectedSettingsFromKeyVault,omitempty"`
	SuppressFailures   *bool                `json:"suppressFailures,omitempty"`
	ProvisionAfter     []string             `json:"provisionAfterExtensions,omitempty"`
	InstanceView       *VMExtensionInstance `json:"instanceView,omitempty"` // written by the service
}

// VMExtensionInstance is what came of an extension, as Azure's instance view has it.
type VMExtensionInstance struct {
	Name               string           `json:"name,omitempty"`
	Type               string           `json:"type,omitempty"`
	TypeHandlerVersion string           `json:"typeHandlerVersion,omitempty"`
	Substatuses        []InstanceStatus `json:"substatuses,omitempty"` // ComponentStatus/StdOut/succeeded
	Statuses           []InstanceStatus `json:"statuses,omitempty"`    // ProvisioningState/succeeded
}

// InstanceStatus is one line of an instance view.
type InstanceStatus struct {
	Code          string    `json:"code"`  // "PowerState/running"
	Level         string    `json:"level"` // Info | Warning | Error
	DisplayStatus string    `json:"displayStatus"`
	Message       string    `json:"message,omitempty"`
	Time          *arm.Time `json:"time,omitempty"`
}

// SecretJSON is Secret for a JSON value: it decodes and is never written.
type SecretJSON struct{ raw json.RawMessage }

// Reveal gives the value, to be sealed; nil for none.
func (s SecretJSON) Reveal() json.RawMessage { return s.raw }

// IsZero is true always: that is what keeps a secret out of JSON.
func (s SecretJSON) IsZero() bool { return true }

// String hides the value from logs and messages.
func (s SecretJSON) String() string { return "***" }

// GoString hides the value from %#v too.
func (s SecretJSON) GoString() string { return "***" }

// MarshalJSON writes null, where a field was declared without omitzero.
func (s SecretJSON) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// UnmarshalJSON keeps any JSON value; null is none.
func (s *SecretJSON) UnmarshalJSON(b []byte) error {
	s.raw = nil
	if given(b) {
		s.raw = append(json.RawMessage(nil), b...)
	}
	return nil
}

// Secrets are the protected settings, nil when none were sent. A registration key goes
// with them wherever it stands: Microsoft's own templates write it among the open
// settings, where everybody who may read the machine would read it.
func (e *VMExtension) Secrets() json.RawMessage {
	token, rest := cutToken(e.Settings)
	if token == "" {
		return e.Protected.raw
	}
	e.Settings = rest
	all := map[string]json.RawMessage{}
	if e.Protected.raw != nil && json.Unmarshal(e.Protected.raw, &all) != nil {
		return e.Protected.raw // not an object: Validate refuses it
	}
	quoted, err := json.Marshal(token)
	if err != nil {
		return e.Protected.raw
	}
	all["registrationInfoToken"] = quoted
	both, err := json.Marshal(all)
	if err != nil {
		return e.Protected.raw
	}
	return both
}

// cutToken takes the registration key out of a DSC extension's settings.
func cutToken(settings json.RawMessage) (token string, rest json.RawMessage) {
	var outer, inner map[string]json.RawMessage
	if json.Unmarshal(settings, &outer) != nil || json.Unmarshal(outer["properties"], &inner) != nil {
		return "", settings
	}
	for name, value := range inner {
		if strings.EqualFold(name, "registrationInfoToken") && json.Unmarshal(value, &token) == nil {
			delete(inner, name)
		}
	}
	if token == "" {
		return "", settings
	}
	var err error
	if outer["properties"], err = json.Marshal(inner); err != nil {
		return "", settings
	}
	if rest, err = json.Marshal(outer); err != nil {
		return "", settings
	}
	return token, rest
}

// Default keeps what the service wrote and takes a version that is left out as any.
func (e *VMExtension) Default(old Model) {
	o, _ := old.(*VMExtension)
	e.Provisioning, e.InstanceView = Provisioning{}, nil
	if o != nil {
		e.Provisioning, e.InstanceView = o.Provisioning, o.InstanceView
		if e.Publisher == "" {
			e.Publisher = o.Publisher
		}
		if e.Type == "" {
			e.Type = o.Type
		}
	}
	if !given(e.Settings) {
		e.Settings = nil
	}
	if e.AutoUpgradeMinor == nil {
		e.AutoUpgradeMinor = new(bool)
	}
}

// Validate notes every fault of the extension; whether there is a step for its type is
// the rule of whoever runs it.
func (e *VMExtension) Validate(old Model, v *arm.Violations) {
	required(v, "properties.publisher", e.Publisher)
	required(v, "properties.type", e.Type)
	if o, _ := old.(*VMExtension); o != nil {
		fixed(v, "publisher", o.Publisher, e.Publisher)
		fixed(v, "type", o.Type, e.Type)
	}
	if e.Settings != nil && e.Settings[0] != '{' {
		v.Add("properties.settings", "The settings must be an object.")
	}
	if e.Protected.raw != nil && e.Protected.raw[0] != '{' {
		v.Add("properties.protectedSettings", "The protected settings must be an object.")
	}
	unsupported(v, "there is no key vault. Send protectedSettings; they are sealed.", map[string]json.RawMessage{"properties.protectedSettingsFromKeyVault": e.ProtectedVault})
	e.ProtectedVault = nil
}

// Refs is empty: an extension stands below its machine.
func (e *VMExtension) Refs() []Ref { return nil }
