package deskyard

import (
	"encoding/json"

	"github.com/deskyard/deskyard/arm"
)

// Bounds of an availability set (article "Availability sets overview").
const (
	maxFaultDomains  = 3
	maxUpdateDomains = 20
)

// AvailabilitySet is a group of machines that placement spreads over hosts.
type AvailabilitySet struct {
	FaultDomains   *Integer        `json:"platformFaultDomainCount,omitempty"`
	UpdateDomains  *Integer        `json:"platformUpdateDomainCount,omitempty"`
	ProximityGroup json.RawMessage `json:"proximityPlacementGroup,omitempty"`
}

// Default gives what Resource Manager gives: 2 fault domains and 5 update domains.
func (a *AvailabilitySet) Default(Model) {
	if a.FaultDomains == nil {
		a.FaultDomains = ptr(Integer(2))
	}
	if a.UpdateDomains == nil {
		a.UpdateDomains = ptr(Integer(5))
	}
}

// Validate notes every fault; the domains cannot be changed once machines count on them.
func (a *AvailabilitySet) Validate(old Model, v *arm.Violations) {
	between(v, "properties.platformFaultDomainCount", a.FaultDomains, 1, maxFaultDomains)
	between(v, "properties.platformUpdateDomainCount", a.UpdateDomains, 1, maxUpdateDomains)
	unsupported(v, "it has no counterpart on the operator's own hypervisors. Leave it out.", map[string]json.RawMessage{"properties.proximityPlacementGroup": a.ProximityGroup})
	a.ProximityGroup = nil
	if o, _ := old.(*AvailabilitySet); o != nil && (*o.FaultDomains != *a.FaultDomains || *o.UpdateDomains != *a.UpdateDomains) {
		*v = append(*v, arm.Error{Kind: arm.Conflicting, Code: "PropertyChangeNotAllowed", Target: "properties.platformFaultDomainCount",
			Message: "Changing the fault and update domains of an availability set is not allowed."})
	}
}

// Refs is empty: machines point at their set.
func (a *AvailabilitySet) Refs() []Ref { return nil }
