package deskyard

import (
	"encoding/json"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// Image is a Microsoft.Compute/images: an image that is named by a resource. What it
// is made of is an entry of the service's image catalogue.
type Image struct {
	ProvisioningState string          `json:"provisioningState"`
	Storage           json.RawMessage `json:"storageProfile,omitempty"`
	Source            *SubResource    `json:"sourceVirtualMachine,omitempty"` // refused: machines are not captured
	Generation        string          `json:"hyperVGeneration,omitempty"`
	// Catalogue is ours: the entry "publisher:offer:sku:version". Without it the entry
	// has the resource's name as its offer.
	Catalogue string `json:"catalogueImage,omitempty"`
}

// Default marks it made.
func (i *Image) Default(Model) {
	i.ProvisioningState = StateSucceeded
	i.Source = present(i.Source)
	if i.Generation == "" {
		i.Generation = "V2"
	}
}

// Validate notes every fault.
func (i *Image) Validate(_ Model, v *arm.Violations) {
	if i.Source != nil {
		v.Add("properties.sourceVirtualMachine", "Machines are not captured here: bring the disk with 'deskyard image import' and name its catalogue entry in catalogueImage.")
	}
	if _, ok := parseURN(i.Catalogue); i.Catalogue != "" && !ok {
		v.Add("properties.catalogueImage", "The catalogue entry '%s' is not of the form publisher:offer:sku:version.", i.Catalogue)
	}
}

// Refs is empty.
func (i *Image) Refs() []Ref { return nil }

func parseURN(urn string) (ImageReference, bool) {
	p := strings.Split(urn, ":")
	if len(p) != 4 || p[0] == "" || p[1] == "" || p[2] == "" || p[3] == "" {
		return ImageReference{}, false
	}
	return ImageReference{Publisher: p[0], Offer: p[1], SKU: p[2], Version: p[3]}, true
}

// Gallery is a collection of images.
type Gallery struct {
	ProvisioningState string          `json:"provisioningState"`
	Description       *string         `json:"description,omitempty"`
	Identifier        json.RawMessage `json:"identifier,omitempty"`
	Sharing           json.RawMessage `json:"sharingProfile,omitempty"`
}

// Default marks it made.
func (g *Gallery) Default(Model) { g.ProvisioningState = StateSucceeded }

// Validate bounds the description.
func (g *Gallery) Validate(_ Model, v *arm.Violations) {
	notLonger(v, "properties.description", g.Description, maxDescription)
}

// Refs is empty.
func (g *Gallery) Refs() []Ref { return nil }

// ImageIdentifier is what an image is called in the catalogue.
type ImageIdentifier struct {
	Publisher string `json:"publisher"`
	Offer     string `json:"offer"`
	SKU       string `json:"sku"`
}

// GalleryImage is an image definition of a gallery; its identifier is that of the
// catalogue's entries.
type GalleryImage struct {
	ProvisioningState string          `json:"provisioningState"`
	Description       *string         `json:"description,omitempty"`
	OSType            string          `json:"osType"`
	OSState           string          `json:"osState"`
	Generation        string          `json:"hyperVGeneration,omitempty"`
	Architecture      string          `json:"architecture,omitempty"`
	Identifier        ImageIdentifier `json:"identifier"`
	Features          json.RawMessage `json:"features,omitempty"`
	Recommended       json.RawMessage `json:"recommended,omitempty"`
}

// Default brings enums to canonical spelling.
func (g *GalleryImage) Default(Model) {
	g.ProvisioningState = StateSucceeded
	g.OSType = canonical(g.OSType, []string{"Windows", "Linux"})
	g.OSState = canonical(g.OSState, []string{"Generalized", "Specialized"})
	if g.OSState == "" {
		g.OSState = "Generalized"
	}
}

// Validate notes every fault; what the image is called cannot be changed.
func (g *GalleryImage) Validate(old Model, v *arm.Violations) {
	inEnum(v, "properties.osType", g.OSType, []string{"Windows", "Linux"})
	if g.OSState != "Generalized" {
		v.Add("properties.osState", "Only images of osState 'Generalized' are supported: a machine gets its own name and administrator at its first boot.")
	}
	required(v, "properties.identifier.publisher", g.Identifier.Publisher)
	required(v, "properties.identifier.offer", g.Identifier.Offer)
	required(v, "properties.identifier.sku", g.Identifier.SKU)
	if o, _ := old.(*GalleryImage); o != nil {
		unchanged(v, "properties.identifier.publisher", o.Identifier.Publisher, g.Identifier.Publisher)
		unchanged(v, "properties.identifier.offer", o.Identifier.Offer, g.Identifier.Offer)
		unchanged(v, "properties.identifier.sku", o.Identifier.SKU, g.Identifier.SKU)
	}
}

// Refs is empty.
func (g *GalleryImage) Refs() []Ref { return nil }

// GalleryImageVersion is a version of an image definition: the catalogue's entry with
// the definition's identifier and this version.
type GalleryImageVersion struct {
	ProvisioningState string          `json:"provisioningState"`
	Publishing        json.RawMessage `json:"publishingProfile,omitempty"`
	Storage           json.RawMessage `json:"storageProfile,omitempty"`
	Safety            json.RawMessage `json:"safetyProfile,omitempty"`
}

// Default marks it made.
func (g *GalleryImageVersion) Default(Model) { g.ProvisioningState = StateSucceeded }

// Validate finds no fault: the name is the version, and whether the catalogue has it is
// known when a machine asks for it.
func (g *GalleryImageVersion) Validate(Model, *arm.Violations) {}

// Refs is empty.
func (g *GalleryImageVersion) Refs() []Ref { return nil }
