package deskyard

import (
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/arm"
)

// HybridMachine is a Microsoft.HybridCompute/machines: what is known of a machine
// outside of Azure. One of kind HCI is made real by the virtual machine instance
// below it, and its extensions run in that.
type HybridMachine struct {
	ProvisioningState string          `json:"provisioningState"`
	Status            string          `json:"status,omitempty"` // Connected | Disconnected: derived
	VMID              string          `json:"vmId"`             // GUID, lower case; given by the service
	VMUUID            string          `json:"vmUuid,omitempty"`
	DisplayName       string          `json:"displayName,omitempty"`
	OSType            string          `json:"osType,omitempty"`
	OSProfile         json.RawMessage `json:"osProfile,omitempty"`
	LocationData      json.RawMessage `json:"locationData,omitempty"`
	ClientPublicKey   string          `json:"clientPublicKey,omitempty"`
	ParentCluster     string          `json:"parentClusterResourceId,omitempty"`
}

// Default keeps the machine's GUID.
func (m *HybridMachine) Default(old Model) {
	o, _ := old.(*HybridMachine)
	m.ProvisioningState, m.Status, m.OSProfile = StateSucceeded, "", nil
	if o != nil {
		m.VMID = o.VMID
	}
	m.VMID = strings.ToLower(strings.TrimSpace(m.VMID))
	m.VMUUID = m.VMID
}

// Validate notes a GUID that is none.
func (m *HybridMachine) Validate(_ Model, v *arm.Violations) {
	if m.VMID == "" {
		return
	}
	if _, err := uuid.Parse(m.VMID); err != nil {
		v.Add("properties.vmId", "The value '%s' of 'vmId' is not a GUID.", m.VMID)
	}
}

// Refs is empty.
func (m *HybridMachine) Refs() []Ref { return nil }
