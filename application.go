package deskyard

import "github.com/deskyard/deskyard/arm"

var (
	commandLineSettings = []string{"DoNotAllow", "Allow", "Require"}
	applicationTypes    = []string{"InBuilt", "MsixApplication"}
)

// Application is the settable properties of a published application (RemoteApp).
type Application struct {
	Description              *string  `json:"description"`
	FriendlyName             *string  `json:"friendlyName"`
	FilePath                 *string  `json:"filePath"`
	MSIXPackageFamilyName    *string  `json:"msixPackageFamilyName"`
	MSIXPackageApplicationID *string  `json:"msixPackageApplicationId"`
	ApplicationType          string   `json:"applicationType"`
	CommandLineSetting       string   `json:"commandLineSetting"`
	CommandLineArguments     *string  `json:"commandLineArguments"`
	ShowInPortal             *bool    `json:"showInPortal"`
	IconPath                 *string  `json:"iconPath"`
	IconIndex                *Integer `json:"iconIndex"`
	ObjectID                 string   `json:"objectId"` // given by the service
}

// Default makes an application of no said type InBuilt, and gives "" for no
// command line, as the service was recorded to.
func (a *Application) Default(old Model) {
	a.ObjectID = ""
	if o, _ := old.(*Application); o != nil {
		a.ObjectID = o.ObjectID
		if a.ApplicationType == "" {
			a.ApplicationType = o.ApplicationType
		}
	}
	if a.ApplicationType == "" {
		a.ApplicationType = "InBuilt"
	}
	a.ApplicationType = canonical(a.ApplicationType, applicationTypes)
	a.CommandLineSetting = canonical(a.CommandLineSetting, commandLineSettings)
	if a.CommandLineArguments == nil {
		a.CommandLineArguments = new(string)
	}
	if a.IconIndex == nil {
		a.IconIndex = new(Integer)
	}
	if a.IconPath == nil && a.FilePath != nil {
		a.IconPath = ptr(*a.FilePath)
	}
	if a.ShowInPortal == nil {
		a.ShowInPortal = new(bool)
	}
}

// Validate notes every fault: an InBuilt application has a file, an MSIX one a
// package and an id in it, and which of the two it is never changes.
func (a *Application) Validate(old Model, v *arm.Violations) {
	inEnum(v, "properties.commandLineSetting", a.CommandLineSetting, commandLineSettings)
	inEnum(v, "properties.applicationType", a.ApplicationType, applicationTypes)
	switch a.ApplicationType {
	case "InBuilt":
		required(v, "properties.filePath", *orEmpty(a.FilePath))
	case "MsixApplication":
		required(v, "properties.msixPackageFamilyName", *orEmpty(a.MSIXPackageFamilyName))
		required(v, "properties.msixPackageApplicationId", *orEmpty(a.MSIXPackageApplicationID))
	}
	if o, _ := old.(*Application); o != nil {
		unchanged(v, "properties.applicationType", o.ApplicationType, a.ApplicationType)
		unchanged(v, "properties.msixPackageFamilyName", *orEmpty(o.MSIXPackageFamilyName), *orEmpty(a.MSIXPackageFamilyName))
		unchanged(v, "properties.msixPackageApplicationId", *orEmpty(o.MSIXPackageApplicationID), *orEmpty(a.MSIXPackageApplicationID))
	}
	notLonger(v, "properties.friendlyName", a.FriendlyName, maxFriendlyName)
	notLonger(v, "properties.description", a.Description, maxDescription)
	notLonger(v, "properties.commandLineArguments", a.CommandLineArguments, maxLongText)
}

// Refs is empty: an application belongs to its group by its id.
func (a *Application) Refs() []Ref { return nil }
