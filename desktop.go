package deskyard

import "github.com/deskyard/deskyard/arm"

// SessionDesktop is the name of the desktop that every Desktop group has. Clients
// can neither create nor delete it.
const SessionDesktop = "SessionDesktop"

// Desktop is the settable properties of a published desktop.
type Desktop struct {
	Description  *string `json:"description"`
	FriendlyName *string `json:"friendlyName"`
	ObjectID     string  `json:"objectId"` // given by the service
}

// NewSessionDesktop is the desktop as the service makes it with its group.
func NewSessionDesktop(objectID string) *Desktop {
	return &Desktop{Description: ptr("The default Session Desktop"), FriendlyName: ptr(SessionDesktop), ObjectID: objectID}
}

// Default keeps the object id.
func (d *Desktop) Default(old Model) {
	if o, _ := old.(*Desktop); o != nil {
		d.ObjectID = o.ObjectID
	}
}

// Validate notes texts that are too long.
func (d *Desktop) Validate(_ Model, v *arm.Violations) {
	notLonger(v, "properties.friendlyName", d.FriendlyName, maxFriendlyName)
	notLonger(v, "properties.description", d.Description, maxDescription)
}

// Refs is empty.
func (d *Desktop) Refs() []Ref { return nil }
