package provision

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/image"
)

// findImage finds the image that a reference names: by publisher, offer and SKU in
// the catalogue, or by the id of an image's row, which stands for one in it.
func (s *Service) findImage(ctx context.Context, reader deskyard.Reader, location string, ref deskyard.ImageReference) (compute.Image, error) {
	const at = "properties.storageProfile.imageReference"
	if s.o.Images == nil {
		return compute.Image{}, arm.Errorf(arm.Conflicting, "ImageNotFound", "The service has no image catalogue. Start it with one (deskyard image build).").WithTarget(at)
	}
	meant, err := meantImage(ctx, reader, ref)
	if err != nil {
		return compute.Image{}, err
	}
	found, err := s.o.Images.Resolve(ctx, location, meant)
	if errors.Is(err, image.ErrNotFound) {
		return found, arm.Errorf(arm.Invalid, "PlatformImageNotFound", "The image cannot be used: %v.", err).WithTarget(at)
	}
	return found, err
}

// meantImage is the catalogue's reference for one that names a row; others, and ids
// of what is no row, are the catalogue's to know.
func meantImage(ctx context.Context, reader deskyard.Reader, ref deskyard.ImageReference) (deskyard.ImageReference, error) {
	id := parsed(ref.ID)
	if id.IsZero() {
		return ref, nil
	}
	row, err := reader.Resource(ctx, id)
	if arm.IsMissing(err) {
		return ref, nil
	}
	if err != nil {
		return ref, err
	}
	var parent *deskyard.Resource
	if len(id.Segments) > 1 {
		definition, err := reader.Resource(ctx, id.Parent())
		if err != nil && !arm.IsMissing(err) {
			return ref, err
		}
		if err == nil {
			parent = &definition
		}
	}
	meant, ok := deskyard.ImageSource(row, parent)
	if !ok {
		return ref, arm.Errorf(arm.Invalid, "InvalidParameter", "The resource '%s' stands for no image of the catalogue.", id).WithTarget("properties.storageProfile.imageReference.id")
	}
	meant.Exact = ref.Exact
	return meant, nil
}

// image finds the machine's image, as the machine boots it: with secure boot by the
// firmware alone, which verifies what a directly booted kernel would evade.
func (m *machineRun) image(ctx context.Context) (compute.Image, error) {
	found, err := m.s.findImage(ctx, m.s.o.Store, m.facts.location, m.facts.Storage.Image)
	if m.facts.secureBoot() {
		found.Kernel, found.Initrd, found.Arguments = "", "", ""
	}
	return found, err
}

// recordImage writes into the machine's row which version "latest" was.
func recordImage(ctx context.Context, tx deskyard.Tx, id arm.ResourceID, found compute.Image) error {
	parts := strings.Split(found.ID, ":")
	if len(parts) != 4 {
		return nil // it has no version
	}
	return alterRow(ctx, tx, id, func(p map[string]json.RawMessage) {
		var storage, reference map[string]json.RawMessage
		if json.Unmarshal(p["storageProfile"], &storage) != nil || json.Unmarshal(storage["imageReference"], &reference) != nil || reference == nil {
			return // a row without one; placing it failed before
		}
		reference["exactVersion"] = quoted(parts[3])
		storage["imageReference"] = encoded(reference)
		p["storageProfile"] = encoded(storage)
	})
}
