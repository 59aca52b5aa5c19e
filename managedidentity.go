package deskyard

import "github.com/deskyard/deskyard/arm"

// ManagedIdentity is a Microsoft.ManagedIdentity/userAssignedIdentities: a stored
// reference that machines and deployments may name.
type ManagedIdentity struct {
	TenantID    string `json:"tenantId"`
	PrincipalID string `json:"principalId"` // both given by the service
	ClientID    string `json:"clientId"`
}

// Default keeps the ids.
func (i *ManagedIdentity) Default(old Model) {
	*i = ManagedIdentity{}
	if o, _ := old.(*ManagedIdentity); o != nil {
		*i = *o
	}
}

// Validate finds no fault: there is nothing to set.
func (i *ManagedIdentity) Validate(Model, *arm.Violations) {}

// Refs is empty.
func (i *ManagedIdentity) Refs() []Ref { return nil }
