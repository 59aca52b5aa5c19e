package deskyard

import (
	"fmt"
	"net/url"

	"github.com/deskyard/deskyard/arm"
)

var (
	stagingFailures = []string{"Unhealthy", "NeedsAssistance", "DoNotFail"}
	timestamping    = []string{"Timestamped", "NotTimestamped"}

	// PackageArchitectures are the architectures that an import may ask for.
	PackageArchitectures = []string{"ARM", "ARM64", "x86", "x64", "Neutral", "x86a64", "ALL"}
)

// AppAttachPackage is the settable properties of an app attach package.
type AppAttachPackage struct {
	Image                           *PackageImage `json:"image"`
	HostPoolReferences              []string      `json:"hostPoolReferences"`
	KeyVaultURL                     *string       `json:"keyVaultURL"`
	FailHealthCheckOnStagingFailure string        `json:"failHealthCheckOnStagingFailure"`
}

// PackageImage describes the image that a package is in, and its manifest.
type PackageImage struct {
	PackageAlias          *string              `json:"packageAlias"`
	ImagePath             string               `json:"imagePath"`
	PackageName           *string              `json:"packageName"`
	PackageFamilyName     *string              `json:"packageFamilyName"`
	PackageFullName       *string              `json:"packageFullName"`
	DisplayName           *string              `json:"displayName"`
	PackageRelativePath   *string              `json:"packageRelativePath"`
	IsRegularRegistration bool                 `json:"isRegularRegistration"`
	IsActive              bool                 `json:"isActive"`
	PackageDependencies   []PackageDependency  `json:"packageDependencies"`
	Version               *string              `json:"version"`
	LastUpdated           *arm.Time            `json:"lastUpdated"`
	PackageApplications   []PackageApplication `json:"packageApplications"`
	CertificateName       *string              `json:"certificateName"`
	CertificateExpiry     *arm.Time            `json:"certificateExpiry"`
	IsPackageTimestamped  *string              `json:"isPackageTimestamped"`
}

// Default makes a staging failure need assistance, as the service does.
func (p *AppAttachPackage) Default(Model) {
	p.HostPoolReferences = unique(p.HostPoolReferences)
	if p.FailHealthCheckOnStagingFailure == "" {
		p.FailHealthCheckOnStagingFailure = "NeedsAssistance"
	}
	p.FailHealthCheckOnStagingFailure = canonical(p.FailHealthCheckOnStagingFailure, stagingFailures)
	if i := p.Image; i != nil {
		i.IsPackageTimestamped = canonicalOrNull(i.IsPackageTimestamped, timestamping)
		if i.PackageDependencies == nil {
			i.PackageDependencies = []PackageDependency{}
		}
		if i.PackageApplications == nil {
			i.PackageApplications = []PackageApplication{}
		}
	}
}

// Validate notes every fault that can be seen without the host pools.
func (p *AppAttachPackage) Validate(_ Model, v *arm.Violations) {
	const at = "properties."
	inEnum(v, at+"failHealthCheckOnStagingFailure", p.FailHealthCheckOnStagingFailure, stagingFailures)
	for i, id := range p.HostPoolReferences {
		refersTo(v, fmt.Sprintf(at+"hostPoolReferences[%d]", i), id, typeHostPool)
	}
	if s := *orEmpty(p.KeyVaultURL); s != "" {
		if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" {
			v.Add(at+"keyVaultURL", "The value '%s' of 'keyVaultURL' is not an https URL.", s)
		}
	}
	if p.Image == nil {
		v.Add(at+"image", "The property 'image' is required: the package and where its image lies.")
		return
	}
	required(v, at+"image.imagePath", p.Image.ImagePath)
	inEnumOrNull(v, at+"image.isPackageTimestamped", p.Image.IsPackageTimestamped, timestamping)
	validateApplications(v, at+"image.packageApplications", p.Image.PackageApplications)
}

// Refs are the host pools that the package is assigned to.
func (p *AppAttachPackage) Refs() []Ref {
	return refsTo(RelationPackageHostPool, p.HostPoolReferences...)
}

// Unassign takes a host pool out of those that the package is assigned to.
func (p *AppAttachPackage) Unassign(pool arm.ResourceID) {
	p.HostPoolReferences = without(p.HostPoolReferences, pool)
}
