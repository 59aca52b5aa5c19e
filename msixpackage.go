package deskyard

import (
	"fmt"

	"github.com/deskyard/deskyard/arm"
)

// MSIXPackage is the settable properties of an MSIX package of a host pool.
type MSIXPackage struct {
	ImagePath             string               `json:"imagePath"`
	PackageName           string               `json:"packageName"`
	PackageFamilyName     string               `json:"packageFamilyName"`
	DisplayName           *string              `json:"displayName"`
	PackageRelativePath   string               `json:"packageRelativePath"`
	IsRegularRegistration bool                 `json:"isRegularRegistration"`
	IsActive              bool                 `json:"isActive"`
	PackageDependencies   []PackageDependency  `json:"packageDependencies"`
	Version               string               `json:"version"`
	LastUpdated           *arm.Time            `json:"lastUpdated"`
	PackageApplications   []PackageApplication `json:"packageApplications"`
}

// PackageDependency is a package that another one needs.
type PackageDependency struct {
	DependencyName string `json:"dependencyName"`
	Publisher      string `json:"publisher"`
	MinVersion     string `json:"minVersion"`
}

// PackageApplication is an application inside a package, as its manifest has it.
type PackageApplication struct {
	AppID          string  `json:"appId"`
	Description    string  `json:"description"`
	AppUserModelID string  `json:"appUserModelID"`
	FriendlyName   string  `json:"friendlyName"`
	IconImageName  string  `json:"iconImageName"`
	RawIcon        *[]byte `json:"rawIcon"`
	RawPNG         *[]byte `json:"rawPng"`
}

// Default writes empty lists as [].
func (p *MSIXPackage) Default(Model) {
	if p.PackageDependencies == nil {
		p.PackageDependencies = []PackageDependency{}
	}
	if p.PackageApplications == nil {
		p.PackageApplications = []PackageApplication{}
	}
}

// Validate notes what the manifest of a package cannot lack; a package's image and
// identity are those it was created with.
func (p *MSIXPackage) Validate(old Model, v *arm.Violations) {
	const at = "properties."
	required(v, at+"imagePath", p.ImagePath)
	required(v, at+"packageName", p.PackageName)
	required(v, at+"packageFamilyName", p.PackageFamilyName)
	required(v, at+"packageRelativePath", p.PackageRelativePath)
	required(v, at+"version", p.Version)
	validateApplications(v, at+"packageApplications", p.PackageApplications)
	notLonger(v, at+"displayName", p.DisplayName, maxFriendlyName)
	if o, _ := old.(*MSIXPackage); o != nil {
		unchanged(v, at+"packageName", o.PackageName, p.PackageName)
		unchanged(v, at+"packageFamilyName", o.PackageFamilyName, p.PackageFamilyName)
	}
}

// Refs is empty: the package belongs to its pool by its id.
func (p *MSIXPackage) Refs() []Ref { return nil }

func validateApplications(v *arm.Violations, at string, apps []PackageApplication) {
	for i, a := range apps {
		required(v, fmt.Sprintf("%s[%d].appId", at, i), a.AppID)
	}
}
