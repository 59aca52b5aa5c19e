package deskyard

import (
	"encoding/json"

	"github.com/deskyard/deskyard/arm"
)

// CustomLocation is a Microsoft.ExtendedLocation/customLocations: a place of the
// owner's own. Which hypervisor backs it is said by the service's configuration, by
// the location's id or name.
type CustomLocation struct {
	ProvisioningState string          `json:"provisioningState"`
	DisplayName       string          `json:"displayName,omitempty"`
	Namespace         string          `json:"namespace,omitempty"`
	HostType          string          `json:"hostType,omitempty"`
	HostResource      string          `json:"hostResourceId,omitempty"`
	Extensions        []string        `json:"clusterExtensionIds,omitempty"`
	Authentication    json.RawMessage `json:"authentication,omitempty"` // refused: it holds a kubeconfig
}

// Default marks it made.
func (l *CustomLocation) Default(Model) { l.ProvisioningState = StateSucceeded }

// Validate notes every fault.
func (l *CustomLocation) Validate(_ Model, v *arm.Violations) {
	unsupported(v, "hypervisors are named in the service's own configuration.", map[string]json.RawMessage{"properties.authentication": l.Authentication})
	l.Authentication = nil
}

// Refs is empty.
func (l *CustomLocation) Refs() []Ref { return nil }
