package provision

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/arm"
)

// microsoftTemplates is the folder of Microsoft's own templates; the test is skipped
// where it is not.
func microsoftTemplates(t *testing.T) string {
	t.Helper()
	shared := os.Getenv("DESKYARD_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	dir := filepath.Join(shared, "data", "rds-templates")
	if _, err := os.Stat(filepath.Join(dir, "AddVirtualMachinesTemplate.json")); err != nil {
		t.Skipf("Microsoft's templates are not at %s", dir)
	}
	return dir
}

// TestMicrosoftsTemplateAddsMachines takes AddVirtualMachinesTemplate and the gallery
// template that it links, byte for byte, to the calls that make two machines.
func TestMicrosoftsTemplateAddsMachines(t *testing.T) {
	const secret = "Adm1n-Passw0rd!"
	dir := microsoftTemplates(t)
	text, err := os.ReadFile(filepath.Join(dir, "AddVirtualMachinesTemplate.json"))
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, func(o *Options) {
		o.Links.Mirror = map[string]string{"https://raw.githubusercontent.com/Azure/RDS-Templates/master/ARM-wvd-templates/": dir}
	})
	g.api.open = true
	g.group("vms")
	parameters := map[string]any{
		"hostpoolName": "hp1", "hostpoolToken": "the-key", "hostpoolResourceGroup": "rg1", "hostpoolLocation": "eastus",
		"hostpoolProperties": map[string]any{"hostPoolType": "Pooled"}, "vmResourceGroup": "vms", "vmLocation": "eastus", "vmSize": "Standard_D2s_v3",
		"vmInitialNumber": 3, "vmNumberOfInstances": 2, "vmNamePrefix": "desk", "vmDiskType": "StandardSSD_LRS",
		"vmGalleryImageOffer": "debian-12-desktop", "vmGalleryImagePublisher": "deskyard", "vmGalleryImageSKU": "xrdp", "vmGalleryImageVersion": "latest",
		"existingVnetName": "vnet1", "existingSubnetName": "default", "virtualNetworkResourceGroupName": "net", "createNetworkSecurityGroup": true,
		"vmAdministratorAccountUsername": "local", "vmAdministratorAccountPassword": secret,
		"administratorAccountUsername": "join@corp.example", "administratorAccountPassword": secret, "deploymentId": "run1",
	}
	values := map[string]any{}
	for name, v := range parameters {
		values[name] = map[string]any{"value": v}
	}
	sent, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	g.mustDeploy("add", fmt.Sprintf(`{"properties": {"parameters": %s, "mode": "Incremental", template:%s}}`, sent, text))
	p := g.ended("add", stateSucceeded)
	has(t, p["outputs"], "desk-3", "desk-4")
	vms := "/subscriptions/" + testSubscription + "/resourcegroups/vms/providers/"
	for _, want := range []struct{ id, text string }{
		{"microsoft.compute/virtualmachines/desk-3", `"adminPassword":"` + secret + `"`},
		{"microsoft.compute/virtualmachines/desk-4", `"offer":"debian-12-desktop"`},
		{"microsoft.network/networkinterfaces/desk-3-nic", "/virtualNetworks/vnet1/subnets/default"},
		{"microsoft.compute/virtualmachines/desk-4/extensions/microsoft.powershell.dsc", `"hostPoolName":"hp1"`},
		{"microsoft.compute/virtualmachines/desk-4/extensions/joindomain", `"user":"join@corp.example"`},
	} {
		body := string(g.api.bodies[strings.ToLower(vms+want.id)])
		if !strings.Contains(strings.ReplaceAll(body, `" : "`, `":"`), want.text) {
			t.Errorf("PUT %s has no %s: %s", want.id, want.text, body)
		}
	}
	if _, made := g.api.bodies[vms+"microsoft.compute/virtualmachines/desk-3/extensions/aadloginforwindows"]; made {
		t.Error("a directory join nobody asked for was made")
	}
	linked := g.shown("/subscriptions/" + testSubscription + "/resourceGroups/vms/providers/Microsoft.Resources/deployments/vmCreation-linkedTemplate-run1")
	has(t, linked["templateLink"], "nestedtemplates/managedDisks-galleryvm.json")
	if whole := toJSON(p) + toJSON(linked) + g.log.String(); strings.Contains(whole, secret) || strings.Contains(whole, "the-key") {
		t.Error("a secret is shown")
	}
}

// FuzzDeploymentBody feeds the reader of deployments' bodies; whatever it takes must
// make an intent with one template or link.
func FuzzDeploymentBody(f *testing.F) {
	f.Add([]byte(body(thing("things", "a", ""))))
	f.Add([]byte(killBody))
	f.Add([]byte(`{"location":"East US","tags":{"a":null},"properties":{"mode":"complete","templateLink":{"uri":"https://a/b?sig=c","queryString":"d"},"onErrorDeployment":{"type":"LastSuccessful"}}}`))
	f.Add([]byte(`{"properties": {"mode": "Incremental", template:{// c` + "\n" + `"resources":[]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		in, err := parseIntent(arm.MustParseID(testDeployments+"d1"), text)
		if err != nil {
			if _, ok := armError(err); !ok {
				t.Fatalf("an error that a client cannot be told: %v", err)
			}
			return
		}
		if in.template.IsNull() == (in.st.Link == nil) {
			t.Fatal("neither or both of template and link")
		}
		if in.st.Link != nil && strings.Contains(in.st.Link.URI, "?") {
			t.Fatalf("the link keeps its query: %s", in.st.Link.URI)
		}
		if in.st.Mode != modeIncremental && in.st.Mode != modeComplete {
			t.Fatalf("mode %q", in.st.Mode)
		}
	})
}
