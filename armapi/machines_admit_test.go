package armapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
	hypervisor "github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/fake"
	"github.com/deskyard/deskyard/image"
	"github.com/deskyard/deskyard/provision"
)

// oneImage is a catalogue with one image.
type oneImage struct{}

func (oneImage) Resolve(_ context.Context, _ string, ref deskyard.ImageReference) (hypervisor.Image, error) {
	if ref.Offer != "debian" {
		return hypervisor.Image{}, fmt.Errorf("find %s: %w", ref.Offer, image.ErrNotFound)
	}
	return hypervisor.Image{ID: "deskyard:debian:12:1", Path: "debian", VirtualBytes: 4 << 30, OS: "linux", Firmware: "uefi", Provisioning: "deskyard"}, nil
}

// machineService is a management API with a service behind it that makes machines, on
// one host in memory.
func machineService(t *testing.T, host fake.Options, change ...func(*provision.Options)) (*service, *provision.Service) {
	t.Helper()
	d := fake.New(host)
	t.Cleanup(d.Close)
	return deployService(t, append(change, func(o *provision.Options) {
		o.Images, o.Hypervisors = oneImage{}, []provision.Hypervisor{{Name: "host1", Driver: d, Network: "user"}}
	})...)
}

func TestExtensionsThatThereIsNoStepForAreRefusedWhenTheyArePut(t *testing.T) {
	f, _ := machineService(t, fake.Options{})
	f.wire(24, "n1")
	vm := compute + "/virtualMachines/h-0"
	f.do("PUT", vm+vc, vmBody("n1", "")).want(201)
	put := func(publisher, kind, settings string) answer {
		return f.do("PUT", vm+"/extensions/x"+vc, fmt.Sprintf(`{"location":"eastus","properties":{"publisher":"%s","type":"%s","typeHandlerVersion":"2.0","settings":%s}}`, publisher, kind, settings))
	}
	put("Contoso", "Thing", "{}").want(400, "ArtifactNotFound")
	put("Microsoft.Powershell", "DSC", `{"configurationFunction":"x.ps1\\InstallIIS"}`).want(400, "NotSupported")
	f.do("GET", vm+"/extensions/x"+vc, nil).want(404, "ResourceNotFound")
	put("Microsoft.Azure.Extensions", "CustomScript", `{"commandToExecute":"true"}`).want(201)
}

// TestValidateTellsWhatATemplatesMachinesLack sends bodies as templates have them, with
// numbers as text and sizes in any case, which the API reads and preflight must too.
func TestValidateTellsWhatATemplatesMachinesLack(t *testing.T) {
	f, _ := machineService(t, fake.Options{CPUs: 64, MemoryMB: 20 << 10})
	f.wire(24)
	template := func(n int, change ...string) string {
		nic := `{"type":"Microsoft.Network/networkInterfaces","apiVersion":"2023-07-01","name":"[concat('n', copyIndex())]","copy":{"name":"nics","count":` + fmt.Sprint(n) + `},` + nicBody("")[1:]
		vm := `{"type":"Microsoft.Compute/virtualMachines","apiVersion":"2023-07-01","name":"[concat('h-', copyIndex())]","dependsOn":["nics"],"copy":{"name":"vms","count":` + fmt.Sprint(n) + `},` +
			strings.NewReplacer(`"`+network+`/networkInterfaces/NIC"`, `"[resourceId('Microsoft.Network/networkInterfaces', concat('n', copyIndex()))]"`,
				`"h-0"`, `"[concat('h-', copyIndex())]"`).Replace(vmBody("NIC", ""))[1:]
		return strings.NewReplacer(change...).Replace(azBody(`{"$schema":"s","contentVersion":"1.0.0.0","resources":[`+nic+`,`+vm+`]}`, `{}`))
	}
	for _, door := range []string{"/validate", ""} {
		send := func(body string) answer {
			method := "PUT"
			if door != "" {
				method = "POST"
			}
			return f.do(method, deployments+"/d1"+door+vDeploy, body)
		}
		send(template(1, `"debian"`, `"other"`)).want(400, "InvalidTemplateDeployment").is("error.details.0.code", "PlatformImageNotFound")
		send(template(1, `"64"`, `"2"`)).want(400, "InvalidTemplateDeployment").is("error.details.0.code", "InvalidParameter")
		send(template(3)).want(400, "InvalidTemplateDeployment").is("error.details.0.code", "AllocationFailed").is("error.details.0.target", compute+"/virtualMachines/h-2")
		f.do("GET", network+"/networkInterfaces/n0"+vc, nil).want(404, "ResourceNotFound")
		if a := send(template(2)); a.status != 200 && a.status != 201 {
			t.Errorf("two that fit: %d %s", a.status, a.text)
		}
	}
}

// TestMicrosoftsTemplatesPassPreflightWhereThereIsRoom validates Microsoft's own
// templates, byte for byte, for machines that fit and for too many of them.
func TestMicrosoftsTemplatesPassPreflightWhereThereIsRoom(t *testing.T) {
	shared := os.Getenv("DESKYARD_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	dir := filepath.Join(shared, "data", "rds-templates")
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			t.Skipf("Microsoft's templates are not at %s", dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	azure, hci := read("AddVirtualMachinesTemplate.json"), read(filepath.Join("nestedtemplates", "azurestackhci-vm.json"))
	f, _ := machineService(t, fake.Options{CPUs: 4, MemoryMB: 40 << 10}, func(o *provision.Options) {
		o.Links.Mirror = map[string]string{"https://raw.githubusercontent.com/Azure/RDS-Templates/master/ARM-wvd-templates/": dir}
	})
	f.wire(24)
	const stack, v = homeGroup + "/providers/Microsoft.AzureStackHCI", "?api-version=2025-06-01-preview"
	place := homeGroup + "/providers/Microsoft.ExtendedLocation/customLocations/cellar"
	at := `{"location":"eastus","extendedLocation":{"type":"CustomLocation","name":"` + place + `"},"properties":`
	f.do("PUT", place+"?api-version=2021-08-15", `{"location":"eastus","properties":{"displayName":"cellar"}}`).want(201)
	f.do("PUT", stack+"/logicalNetworks/lan"+v, at+`{"subnets":[{"name":"s","properties":{"addressPrefix":"10.7.0.0/24","ipAllocationMethod":"Static",
		"ipPools":[{"start":"10.7.0.100","end":"10.7.0.109"}]}}]}}`).want(201)
	f.do("PUT", stack+"/galleryImages/deb"+v, at+`{"osType":"Linux","identifier":{"publisher":"deskyard","offer":"debian","sku":"12"}}}`).want(201)
	f.do("PUT", homeGroup+"/providers/Microsoft.DesktopVirtualization/hostPools/hp1?api-version=2024-04-03",
		`{"location":"eastus","properties":{"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"}}`).want(201)
	validate := func(text string, parameters map[string]any) answer {
		values := map[string]any{}
		for name, v := range parameters {
			values[name] = map[string]any{"value": v}
		}
		b, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		return f.do("POST", deployments+"/add/validate"+vDeploy, azBody(text, string(b)))
	}
	inAzure := map[string]any{
		"hostpoolName": "hp1", "hostpoolToken": "the-key", "hostpoolResourceGroup": "rg1", "hostpoolLocation": "eastus",
		"hostpoolProperties": map[string]any{"hostPoolType": "Pooled", "loadBalancerType": "BreadthFirst", "preferredAppGroupType": "Desktop"}, "vmResourceGroup": "rg1", "vmLocation": "eastus", "vmSize": "Standard_D2s_v3",
		"vmInitialNumber": 0, "vmNamePrefix": "desk", "vmDiskType": "StandardSSD_LRS", "aadJoin": true,
		"vmGalleryImageOffer": "debian", "vmGalleryImagePublisher": "deskyard", "vmGalleryImageSKU": "12", "vmGalleryImageVersion": "latest",
		"existingVnetName": "net", "existingSubnetName": "default", "virtualNetworkResourceGroupName": "rg1", "createNetworkSecurityGroup": true,
		"vmAdministratorAccountUsername": "olga", "vmAdministratorAccountPassword": password,
		"administratorAccountUsername": "", "administratorAccountPassword": "", "deploymentId": "run1",
	}
	onStack := map[string]any{
		"hostpoolName": "hp1", "hostpoolToken": "the-key", "location": "eastus", "rdshPrefix": "edge-", "vmInitialNumber": 0,
		"virtualProcessorCount": 2, "memoryMB": 8192, "customLocationId": place, "logicalNetworkId": stack + "/logicalNetworks/lan", "imageId": stack + "/galleryImages/deb",
		"domainAdministratorUsername": "", "domainAdministratorPassword": "", "vmAdministratorAccountUsername": "olga", "vmAdministratorAccountPassword": password, "aadJoin": true,
	}
	for _, c := range []struct {
		text, count string
		parameters  map[string]any
	}{{azure, "vmNumberOfInstances", inAzure}, {hci, "rdshNumberOfInstances", onStack}} {
		c.parameters[c.count] = 5
		validate(c.text, c.parameters).want(200)
		c.parameters[c.count] = 6
		validate(c.text, c.parameters).want(400, "InvalidTemplateDeployment").is("error.details.0.code", "AllocationFailed")
		c.parameters[c.count] = 9
		validate(c.text, c.parameters).want(400, "InvalidTemplateDeployment").is("error.details.0.code", "QuotaExceeded")
	}
	onStack["rdshNumberOfInstances"] = 11 // the network has a pool of 10 addresses
	validate(hci, onStack).want(400, "InvalidTemplateDeployment").is("error.details.0.code", "SubnetIsFull")
}
