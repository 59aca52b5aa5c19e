package provision

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard"
)

// metadata is what the guest answers at 169.254.169.254/metadata/instance, in the
// shape of Azure's instance metadata service (compute and network).
func (m *machineRun) metadata() json.RawMessage {
	f := &m.facts
	owner := guestOwner(m.id)
	compute := map[string]any{
		"azEnvironment": "Deskyard", "location": f.location, "name": owner.Name(), "vmId": m.st.MachineID, "vmSize": f.Hardware.Size,
		"resourceId": owner.String(), "resourceGroupName": owner.ResourceGroup, "subscriptionId": owner.Subscription,
		"zone": f.zone, "licenseType": f.LicenseType, "priority": "Regular", "provider": "Microsoft.Compute",
		"publisher": f.Storage.Image.Publisher, "offer": f.Storage.Image.Offer, "sku": f.Storage.Image.SKU, "version": f.Storage.Image.Version,
		"osProfile": map[string]any{
			"adminUsername": f.OS.AdminUser, "computerName": f.name, "disablePasswordAuthentication": strconv.FormatBool(f.OS.Linux.NoPassword),
		},
		"storageProfile": map[string]any{
			"imageReference": imageReferenceOf(f.Storage.Image),
			"osDisk": map[string]any{
				"name": f.Storage.OSDisk.Name, "diskSizeGB": strconv.Itoa(f.Storage.OSDisk.SizeGB), "createOption": "FromImage",
				"managedDisk": map[string]any{"id": f.Storage.OSDisk.Managed.ID, "storageAccountType": f.Storage.OSDisk.Managed.Type},
			},
		},
		"securityProfile": map[string]any{
			"secureBootEnabled": strconv.FormatBool(f.secureBoot()), "virtualTpmEnabled": strconv.FormatBool(f.tpm()),
		},
		"tags": tagText(f.tags), "tagsList": tagList(f.tags), "userData": "", "customData": "",
		"placementGroupId": "", "platformFaultDomain": "0", "platformUpdateDomain": "0", "isHostCompatibilityLayerVm": "false",
	}
	if f.hci {
		compute["provider"] = "Microsoft.HybridCompute"
	}
	interfaces := []any{}
	for _, n := range f.nics {
		v4 := map[string]any{"ipAddress": []any{}, "subnet": []any{}}
		if n.address.IsValid() {
			v4["ipAddress"] = []any{map[string]string{"privateIpAddress": n.address.String(), "publicIpAddress": ""}}
		}
		if n.subnet.prefix.IsValid() {
			v4["subnet"] = []any{map[string]string{"address": n.subnet.prefix.Masked().Addr().String(), "prefix": strconv.Itoa(n.subnet.prefix.Bits())}}
		}
		interfaces = append(interfaces, map[string]any{
			"ipv4": v4, "ipv6": map[string]any{"ipAddress": []any{}},
			"macAddress": strings.ToUpper(strings.ReplaceAll(n.mac, ":", "")),
		})
	}
	return encoded(map[string]any{"compute": compute, "network": map[string]any{"interface": interfaces}})
}

func imageReferenceOf(r deskyard.ImageReference) map[string]string {
	return map[string]string{"id": r.ID, "publisher": r.Publisher, "offer": r.Offer, "sku": r.SKU, "version": r.Version}
}

// tagText is Azure's old spelling of tags: name:value;name:value.
func tagText(tags map[string]string) string {
	var list []string
	for _, t := range tagList(tags) {
		list = append(list, t["name"]+":"+t["value"])
	}
	return strings.Join(list, ";")
}

func tagList(tags map[string]string) []map[string]string {
	list := []map[string]string{}
	for k, v := range tags {
		list = append(list, map[string]string{"name": k, "value": v})
	}
	slices.SortFunc(list, func(a, b map[string]string) int { return strings.Compare(a["name"], b["name"]) })
	return list
}
