package server

import (
	"context"

	"github.com/deskyard/deskyard/armapi"
	"github.com/deskyard/deskyard/image"
)

// imageList is the catalogue as the management API lists it.
type imageList struct{ catalogue *image.Catalogue }

// List implements armapi.Images.
func (l imageList) List(context.Context) ([]armapi.ImageInfo, error) {
	entries, err := l.catalogue.List()
	if err != nil {
		return nil, err
	}
	all := make([]armapi.ImageInfo, 0, len(entries))
	for _, e := range entries {
		all = append(all, armapi.ImageInfo{
			Publisher: e.Publisher, Offer: e.Offer, SKU: e.SKU, Version: e.Version,
			OS: e.OS, Firmware: e.Firmware, DiskBytes: e.VirtualBytes, Locations: e.Locations,
		})
	}
	return all, nil
}
