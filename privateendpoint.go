package deskyard

import "github.com/deskyard/deskyard/arm"

var connectionStates = []string{"Pending", "Approved", "Rejected"}

// PrivateEndpointConnection is the settable properties of a private endpoint's
// connection to a host pool or workspace. Azure's network provider creates it and
// an administrator approves or rejects it; here a PUT does both.
type PrivateEndpointConnection struct {
	GroupIDs                          []string         `json:"groupIds"`
	PrivateEndpoint                   *PrivateEndpoint `json:"privateEndpoint"`
	PrivateLinkServiceConnectionState *ConnectionState `json:"privateLinkServiceConnectionState"`
}

// PrivateEndpoint names the endpoint that a connection comes from.
type PrivateEndpoint struct {
	ID string `json:"id"`
}

// ConnectionState is the administrator's decision on a connection.
type ConnectionState struct {
	Status          string  `json:"status"`
	Description     *string `json:"description"`
	ActionsRequired *string `json:"actionsRequired"`
}

// Default keeps the read-only endpoint and groups, and lets a decision without a
// status be pending.
func (c *PrivateEndpointConnection) Default(old Model) {
	if o, _ := old.(*PrivateEndpointConnection); o != nil {
		c.GroupIDs, c.PrivateEndpoint = o.GroupIDs, o.PrivateEndpoint
	}
	if c.GroupIDs == nil {
		c.GroupIDs = []string{}
	}
	if s := c.PrivateLinkServiceConnectionState; s != nil {
		if s.Status == "" {
			s.Status = "Pending"
		}
		s.Status = canonical(s.Status, connectionStates)
		if s.ActionsRequired == nil {
			s.ActionsRequired = ptr("None")
		}
	}
}

// Validate notes a missing decision or an unknown status.
func (c *PrivateEndpointConnection) Validate(_ Model, v *arm.Violations) {
	const at = "properties.privateLinkServiceConnectionState"
	if c.PrivateLinkServiceConnectionState == nil {
		v.Add(at, "The property 'privateLinkServiceConnectionState' is required: the decision on the connection.")
		return
	}
	inEnum(v, at+".status", c.PrivateLinkServiceConnectionState.Status, connectionStates)
	notLonger(v, at+".description", c.PrivateLinkServiceConnectionState.Description, maxDescription)
}

// Refs is empty.
func (c *PrivateEndpointConnection) Refs() []Ref { return nil }
