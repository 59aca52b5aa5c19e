package armapi

import "context"

// Images lists the image catalogue; package image's Catalogue is one.
type Images interface {
	// List gives every version of every image.
	List(ctx context.Context) ([]ImageInfo, error)
}

// ImageInfo is a version of an image in the catalogue.
type ImageInfo struct {
	Publisher string
	Offer     string
	SKU       string
	Version   string   // "1.0.3"
	OS        string   // linux | windows
	Firmware  string   // uefi | bios
	DiskBytes int64    // virtual size
	Locations []string // lower case; none: every location
}
