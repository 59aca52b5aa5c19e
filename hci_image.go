package deskyard

import (
	"encoding/json"

	"github.com/deskyard/deskyard/arm"
)

// HCIGalleryImage is a Microsoft.AzureStackHCI/galleryImages or
// marketplaceGalleryImages: an image that a custom location offers. It refers to the
// image catalogue by its identifier, or by the path of the image that was imported.
type HCIGalleryImage struct {
	ProvisioningState string           `json:"provisioningState"`
	ImagePath         string           `json:"imagePath,omitempty"`
	OSType            string           `json:"osType"`
	Generation        string           `json:"hyperVGeneration,omitempty"`
	CloudInit         string           `json:"cloudInitDataSource,omitempty"`
	Identifier        *ImageIdentifier `json:"identifier,omitempty"`
	Version           *HCIImageVersion `json:"version,omitempty"`
	Container         string           `json:"containerId,omitempty"`
	Status            json.RawMessage  `json:"status,omitempty"`
}

// HCIImageVersion is the version of an image.
type HCIImageVersion struct {
	Name       string          `json:"name,omitempty"`
	Properties json.RawMessage `json:"properties,omitempty"`
}

// Default marks it made and brings enums to canonical spelling.
func (g *HCIGalleryImage) Default(Model) {
	g.ProvisioningState, g.Status = StateSucceeded, nil
	g.OSType = canonical(g.OSType, []string{"Windows", "Linux"})
	g.Generation = canonical(g.Generation, []string{"V1", "V2"})
}

// Validate notes every fault.
func (g *HCIGalleryImage) Validate(_ Model, v *arm.Violations) {
	inEnum(v, "properties.osType", g.OSType, []string{"Windows", "Linux"})
	if g.Identifier == nil && g.ImagePath == "" {
		v.Add("properties.identifier", "An image needs an identifier {publisher, offer, sku} or an imagePath: what it is in the image catalogue.")
	}
}

// Refs is empty.
func (g *HCIGalleryImage) Refs() []Ref { return nil }

// StorageContainer is a Microsoft.AzureStackHCI/storageContainers: a place for disks.
// Disks lie where their hypervisor's configuration says; this is a stored reference.
type StorageContainer struct {
	ProvisioningState string `json:"provisioningState"`
	Path              string `json:"path"`
}

// Default marks it made.
func (c *StorageContainer) Default(Model) { c.ProvisioningState = StateSucceeded }

// Validate asks for the path.
func (c *StorageContainer) Validate(_ Model, v *arm.Violations) {
	required(v, "properties.path", c.Path)
}

// Refs is empty.
func (c *StorageContainer) Refs() []Ref { return nil }

// ImageSource says which entry of the image catalogue a stored image resource stands
// for: an image of Microsoft.Compute, a version of a gallery's image definition (give
// the definition as parent) or an image of Azure Stack HCI. ok is false for a
// resource of another type, or one that says too little.
func ImageSource(r Resource, parent *Resource) (ref ImageReference, ok bool) {
	var p struct {
		Catalogue  string           `json:"catalogueImage"`
		Path       string           `json:"imagePath"`
		Identifier *ImageIdentifier `json:"identifier"`
		Version    *HCIImageVersion `json:"version"`
	}
	read := func(r Resource) bool { return len(r.Properties) > 0 && json.Unmarshal(r.Properties, &p) == nil }
	version := "latest"
	switch typ := r.ID.Type(); {
	case sameText(typ, "Microsoft.Compute/images"):
		if !read(r) {
			return ref, false
		}
		if urn, ok := parseURN(p.Catalogue); ok {
			return urn, true
		}
		return ImageReference{Offer: r.ID.Name(), Version: version}, true
	case sameText(typ, "Microsoft.Compute/galleries/images/versions"):
		if parent == nil || !read(*parent) {
			return ref, false
		}
		version = r.ID.Name()
	case sameText(typ, "Microsoft.Compute/galleries/images"), sameText(typ, "Microsoft.AzureStackHCI/galleryImages"),
		sameText(typ, "Microsoft.AzureStackHCI/marketplaceGalleryImages"):
		if !read(r) {
			return ref, false
		}
	default:
		return ref, false
	}
	if p.Version != nil && p.Version.Name != "" {
		version = p.Version.Name
	}
	if p.Identifier == nil {
		return ImageReference{Offer: r.ID.Name(), Version: version}, p.Path != ""
	}
	return ImageReference{Publisher: p.Identifier.Publisher, Offer: p.Identifier.Offer, SKU: p.Identifier.SKU, Version: version}, true
}
