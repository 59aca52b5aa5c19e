package deskyard

import "github.com/deskyard/deskyard/arm"

var applicationGroupTypes = []string{"RemoteApp", "Desktop"}

// ApplicationGroup is the settable properties of an application group: what users
// assigned to it may open on one host pool.
type ApplicationGroup struct {
	Description          *string `json:"description"`
	FriendlyName         *string `json:"friendlyName"`
	HostPoolARMPath      string  `json:"hostPoolArmPath"`
	ApplicationGroupType string  `json:"applicationGroupType"`
	ShowInFeed           *bool   `json:"showInFeed"`
	ObjectID             string  `json:"objectId"` // given by the service
}

// Default spells the type canonically.
func (g *ApplicationGroup) Default(old Model) {
	g.ObjectID = ""
	if o, _ := old.(*ApplicationGroup); o != nil {
		g.ObjectID = o.ObjectID
	}
	g.ApplicationGroupType = canonical(g.ApplicationGroupType, applicationGroupTypes)
}

// Validate notes every fault that can be seen without the host pool; the type and
// the pool of a group never change.
func (g *ApplicationGroup) Validate(old Model, v *arm.Violations) {
	inEnum(v, "properties.applicationGroupType", g.ApplicationGroupType, applicationGroupTypes)
	refersTo(v, "properties.hostPoolArmPath", g.HostPoolARMPath, typeHostPool)
	notLonger(v, "properties.friendlyName", g.FriendlyName, maxFriendlyName)
	notLonger(v, "properties.description", g.Description, maxDescription)
	if o, _ := old.(*ApplicationGroup); o != nil {
		unchanged(v, "properties.applicationGroupType", o.ApplicationGroupType, g.ApplicationGroupType)
		unchanged(v, "properties.hostPoolArmPath", o.HostPoolARMPath, g.HostPoolARMPath)
	}
}

// Refs is the group's host pool.
func (g *ApplicationGroup) Refs() []Ref { return refsTo(RelationHostPool, g.HostPoolARMPath) }
