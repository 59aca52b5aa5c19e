package yard

import "context"

// Stack are the ids of what Azure Stack HCI machines are made of.
type Stack struct{ CustomLocation, LogicalNetwork, GalleryImage string }

// stackVersion is the api-version of Microsoft.AzureStackHCI that is used here.
const stackVersion = "2024-01-01"

// CustomLocation makes a custom location that a hypervisor of this name backs, with a
// network and an image of the catalogue.
func (y *Yard) CustomLocation(ctx context.Context, name string, image Image) (Stack, error) {
	const network, gallery = "Microsoft.AzureStackHCI/logicalNetworks/edge", "Microsoft.AzureStackHCI/galleryImages/desktop"
	place := "Microsoft.ExtendedLocation/customLocations/" + name
	s := Stack{y.ID(place), y.ID(network), y.ID(gallery)}
	at := map[string]any{"type": "CustomLocation", "name": s.CustomLocation}
	if err := y.Put(ctx, place, "2021-08-15", map[string]any{"location": "local", "properties": map[string]any{"displayName": name}}); err != nil {
		return s, err
	}
	// The same addresses as the virtual network's: each machine is alone behind QEMU's
	// own network, where the service stands at 10.0.2.2.
	err := y.Put(ctx, network, stackVersion, map[string]any{"location": "local", "extendedLocation": at, "properties": map[string]any{
		"subnets": []any{map[string]any{"name": "edge", "properties": map[string]any{
			"addressPrefix": "10.0.2.0/24", "ipAllocationMethod": "Static",
			"ipPools": []any{map[string]any{"start": "10.0.2.100", "end": "10.0.2.120"}},
		}}},
	}})
	if err != nil {
		return s, err
	}
	return s, y.Put(ctx, gallery, stackVersion, map[string]any{"location": "local", "extendedLocation": at, "properties": map[string]any{
		"osType": "Linux", "identifier": map[string]any{"publisher": image.Publisher, "offer": image.Offer, "sku": image.SKU},
	}})
}
