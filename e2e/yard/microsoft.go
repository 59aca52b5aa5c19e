package yard

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Microsoft are Microsoft's own templates, byte for byte, in a folder that is no part
// of the project.
type Microsoft struct{ folder string }

// microsoftURL is where Microsoft publishes them, and what they link each other by.
const microsoftURL = "https://raw.githubusercontent.com/Azure/RDS-Templates/master/ARM-wvd-templates/"

// ErrNoTemplates is answered where Microsoft's templates are not on this machine.
var ErrNoTemplates = errors.New("Microsoft's templates are not on this machine: DESKYARD_SHARED names the folder that has data/rds-templates")

// FindMicrosoft looks for the templates in the folder that DESKYARD_SHARED names, or
// beside the checkout.
func FindMicrosoft(repo string) (Microsoft, error) {
	shared := os.Getenv("DESKYARD_SHARED")
	if shared == "" {
		shared = filepath.Join(repo, "..", "shared")
	}
	folder, err := filepath.Abs(filepath.Join(shared, "data", "rds-templates"))
	if err != nil {
		return Microsoft{}, err
	}
	m := Microsoft{folder}
	if _, err := os.Stat(m.AddVirtualMachines()); errors.Is(err, fs.ErrNotExist) {
		return Microsoft{}, ErrNoTemplates
	} else if err != nil {
		return Microsoft{}, err
	}
	return m, nil
}

// AddVirtualMachines is the file that the portal's wizard deploys.
func (m Microsoft) AddVirtualMachines() string {
	return filepath.Join(m.folder, "AddVirtualMachinesTemplate.json")
}

// AzureStackHCI is the file that makes machines on a custom location.
func (m Microsoft) AzureStackHCI() string {
	return filepath.Join(m.folder, "nestedtemplates", "azurestackhci-vm.json")
}

// Mirror are the service's arguments that have it read linked templates from here.
func (m Microsoft) Mirror() []string {
	return []string{"--template-mirror", microsoftURL + "=" + m.folder + "/"}
}

// Hosts says which session hosts a deployment of Microsoft's templates makes.
type Hosts struct {
	Pool, Key string
	Prefix    string // hosts are PREFIX-N
	First     int
	Count     int
	Image     Image
	Size      string
	Admin     string
	Password  string
	Tags      map[string]string
}

// AddVirtualMachinesParameters are AddVirtualMachinesTemplate.json's for hosts of the
// yard's network that join the service's own directory.
func (h Hosts) AddVirtualMachinesParameters() map[string]any {
	return map[string]any{
		"hostpoolName": h.Pool, "hostpoolToken": h.Key,
		"vmResourceGroup": Group, "vmLocation": "local", "vmSize": h.Size,
		"vmInitialNumber": h.First, "vmNumberOfInstances": h.Count, "vmNamePrefix": h.Prefix,
		"vmImageType": "Gallery", "vmGalleryImagePublisher": h.Image.Publisher, "vmGalleryImageOffer": h.Image.Offer,
		"vmGalleryImageSKU": h.Image.SKU, "vmGalleryImageVersion": h.Image.Version,
		"vmDiskType": "StandardSSD_LRS", "bootDiagnostics": map[string]any{"enabled": true},
		"existingVnetName": VNet, "existingSubnetName": Subnet, "virtualNetworkResourceGroupName": Group,
		"vmAdministratorAccountUsername": h.Admin, "vmAdministratorAccountPassword": h.Password,
		"aadJoin": true, "deploymentId": h.Prefix, "virtualMachineTags": h.Tags, "networkInterfaceTags": h.Tags,
	}
}

// Names are the hosts' names.
func (h Hosts) Names() []string {
	names := make([]string, h.Count)
	for i := range names {
		names[i] = h.Prefix + "-" + strconv.Itoa(h.First+i)
	}
	return names
}

// AzureStackHCIParameters are azurestackhci-vm.json's, for machines of the same memory
// on a custom location.
func (h Hosts) AzureStackHCIParameters(s Stack) map[string]any {
	return map[string]any{
		"hostpoolName": h.Pool, "hostpoolToken": h.Key, "location": "local",
		"rdshPrefix": h.Prefix + "-", "rdshNumberOfInstances": h.Count, "vmInitialNumber": h.First,
		"virtualProcessorCount": 2, "memoryMB": 768,
		"customLocationId": s.CustomLocation, "logicalNetworkId": s.LogicalNetwork, "imageId": s.GalleryImage,
		"domainAdministratorUsername": "", "domainAdministratorPassword": "",
		"vmAdministratorAccountUsername": h.Admin, "vmAdministratorAccountPassword": h.Password,
		"aadJoin": true, "virtualMachineTags": h.Tags, "networkInterfaceTags": h.Tags,
	}
}
