package deskyard

import (
	"fmt"

	"github.com/deskyard/deskyard/arm"
)

var workspaceAccess = []string{"Enabled", "Disabled"}

// MaxGroupsPerWorkspace bounds applicationGroupReferences: a tenant has at most
// 500 application groups (azure-virtual-desktop-limits).
const MaxGroupsPerWorkspace = 500

// Workspace is the settable properties of a workspace: the application groups that
// its users see together.
type Workspace struct {
	Description                *string  `json:"description"`
	FriendlyName               *string  `json:"friendlyName"`
	ApplicationGroupReferences []string `json:"applicationGroupReferences"`
	PublicNetworkAccess        *string  `json:"publicNetworkAccess"`
	ObjectID                   string   `json:"objectId"` // given by the service
}

// Default drops groups given twice and opens the workspace to every network.
func (w *Workspace) Default(old Model) {
	w.ObjectID = ""
	if o, _ := old.(*Workspace); o != nil {
		w.ObjectID = o.ObjectID
	}
	w.ApplicationGroupReferences = unique(w.ApplicationGroupReferences)
	w.PublicNetworkAccess = canonicalOrNull(w.PublicNetworkAccess, workspaceAccess)
	if w.PublicNetworkAccess == nil {
		w.PublicNetworkAccess = ptr("Enabled")
	}
}

// Validate notes every fault that can be seen without the groups.
func (w *Workspace) Validate(_ Model, v *arm.Violations) {
	for i, id := range w.ApplicationGroupReferences {
		refersTo(v, fmt.Sprintf("properties.applicationGroupReferences[%d]", i), id, typeApplicationGroup)
	}
	if n := len(w.ApplicationGroupReferences); n > MaxGroupsPerWorkspace {
		v.Add("properties.applicationGroupReferences", "A workspace has at most %d application groups; %d were given.", MaxGroupsPerWorkspace, n)
	}
	inEnumOrNull(v, "properties.publicNetworkAccess", w.PublicNetworkAccess, workspaceAccess)
	notLonger(v, "properties.friendlyName", w.FriendlyName, maxFriendlyName)
	notLonger(v, "properties.description", w.Description, maxDescription)
}

// Refs are the workspace's application groups.
func (w *Workspace) Refs() []Ref {
	return refsTo(RelationApplicationGroup, w.ApplicationGroupReferences...)
}

// Unassign takes an application group out of the workspace.
func (w *Workspace) Unassign(group arm.ResourceID) {
	w.ApplicationGroupReferences = without(w.ApplicationGroupReferences, group)
}
