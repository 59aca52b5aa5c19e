package deskyard

import (
	"encoding/json"

	"github.com/deskyard/deskyard/arm"
)

// DiagnosticSetting is a Microsoft.Insights/diagnosticSettings of any resource: a
// stored reference to where its logs would go. Logs of this service go to its own
// monitoring; nothing is sent to the destination.
type DiagnosticSetting struct {
	Workspace       *string         `json:"workspaceId"`
	Storage         *string         `json:"storageAccountId"`
	EventHubRule    *string         `json:"eventHubAuthorizationRuleId"`
	EventHub        *string         `json:"eventHubName"`
	Partner         *string         `json:"marketplacePartnerId,omitempty"`
	DestinationType *string         `json:"logAnalyticsDestinationType,omitempty"`
	Logs            json.RawMessage `json:"logs,omitempty"`
	Metrics         json.RawMessage `json:"metrics,omitempty"`
}

// Default changes nothing.
func (d *DiagnosticSetting) Default(Model) {}

// Validate asks for a destination and for lists.
func (d *DiagnosticSetting) Validate(_ Model, v *arm.Violations) {
	if *orEmpty(d.Workspace) == "" && *orEmpty(d.Storage) == "" && *orEmpty(d.EventHubRule) == "" && *orEmpty(d.Partner) == "" {
		v.Add("properties", "At least one data sink needs to be specified.")
	}
	for path, raw := range map[string]json.RawMessage{"properties.logs": d.Logs, "properties.metrics": d.Metrics} {
		if given(raw) && raw[0] != '[' {
			v.Add(path, "The property '%s' must be an array.", lastName(path))
		}
	}
}

// Refs is empty.
func (d *DiagnosticSetting) Refs() []Ref { return nil }
