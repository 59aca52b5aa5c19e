package template

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/arm"
)

const addMachines = `{
	"hostpoolName": {"value": "pool"}, "hostpoolToken": {"value": "tok-secret-1"},
	"administratorAccountUsername": {"value": "joiner@corp.example"}, "administratorAccountPassword": {"value": "pw-secret-2"},
	"vmAdministratorAccountUsername": {"value": "localadm"}, "vmAdministratorAccountPassword": {"value": "pw-secret-3"},
	"availabilityOption": {"value": "AvailabilityZone"}, "availabilityZones": {"value": ["1", "2"]},
	"vmResourceGroup": {"value": "rg-vms"}, "vmLocation": {"value": "westeurope"}, "vmSize": {"value": "Standard_D2s_v5"},
	"vmInitialNumber": {"value": 3}, "vmNumberOfInstances": {"value": 2}, "vmNamePrefix": {"value": "desk"},
	"vmImageType": {"value": "Gallery"}, "vmGalleryImageOffer": {"value": "debian"}, "vmGalleryImagePublisher": {"value": "deskyard"},
	"vmGalleryImageSKU": {"value": "12-desktop"}, "vmDiskType": {"value": "Premium_LRS"},
	"existingVnetName": {"value": "vnet"}, "existingSubnetName": {"value": "sub"}, "virtualNetworkResourceGroupName": {"value": "rg-net"},
	"deploymentId": {"value": "d1"}, "virtualMachineTags": {"value": {"owner": "it"}}
}`

func TestMicrosoftsTemplateAddsTwoMachinesThroughItsNestedTemplate(t *testing.T) {
	p := mustPlan(t, string(microsoft(t, "AddVirtualMachinesTemplate.json")), addMachines)
	if len(p.Nodes) != 3 {
		t.Fatalf("%d nodes", len(p.Nodes))
	}
	update, set, create := p.Nodes[0], p.Nodes[1], p.Nodes[2]
	if update.Condition || set.Condition || !create.Condition {
		t.Fatalf("conditions %v %v %v", update.Condition, set.Condition, create.Condition)
	}
	if want := "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-vms/providers/Microsoft.Resources/deployments/vmCreation-linkedTemplate-d1"; create.ID.String() != want {
		t.Errorf("id %s", create.ID)
	}
	if len(create.DependsOn) != 0 {
		t.Errorf("the creation waits for %s, whose condition is false", dependencies(p, create))
	}
	d, err := create.Deployment(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.Outer || d.Scope.ResourceGroup != "rg-vms" || d.TemplateLink.Str("uri") != "https://raw.githubusercontent.com/Azure/RDS-Templates/master/ARM-wvd-templates/nestedtemplates/managedDisks-galleryvm.json" {
		t.Fatalf("outer %v, scope %s, link %s", d.Outer, d.Scope, d.TemplateLink)
	}
	shown, err := json.Marshal(d.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), "secret") || !strings.Contains(string(d.Body.Reveal()), "tok-secret-1") {
		t.Errorf("secrets in what is shown: %s", shown)
	}
	outs, err := p.Outputs(context.Background(), nil)
	if err != nil || len(outs) != 1 {
		t.Fatalf("outputs %v, %v", outs, err)
	}
	if got := outs[0].Value.String(); got != `{"rdshVmNamesCopy":[{"name":"desk-3"},{"name":"desk-4"}]}` || outs[0].Type != "Object" {
		t.Errorf("output %s of type %s", got, outs[0].Type)
	}

	nested, err := ParseBytes(microsoft(t, "nestedtemplates/managedDisks-galleryvm.json"))
	if err != nil {
		t.Fatal(err)
	}
	env := testEnv()
	env.Scope = d.Scope
	b, err := d.Bind(nested, d.Parameters, env)
	if err != nil {
		t.Fatal(err)
	}
	checkMachines(t, b)
}

func checkMachines(t *testing.T, b *Bound) {
	p, err := b.Expand()
	if err != nil {
		t.Fatal(err)
	}
	var run []string
	for _, n := range p.Nodes {
		if n.Condition {
			run = append(run, n.Name)
		}
	}
	if got, want := strings.Join(run, " "), "NSG-linkedTemplate-d1 desk-3-nic desk-4-nic desk-3 desk-4 desk-3/Microsoft.PowerShell.DSC desk-4/Microsoft.PowerShell.DSC desk-3/joindomain desk-4/joindomain"; got != want {
		t.Errorf("deployed are %s", got)
	}
	vm := nodeNamed(t, p, "Microsoft.Compute/virtualMachines", "desk-4")
	for name, want := range map[string]string{"desk-4": "desk-4-nic", "desk-3": "desk-3-nic"} {
		if got := dependencies(p, nodeNamed(t, p, "Microsoft.Compute/virtualMachines", name)); got != want {
			t.Errorf("%s waits for %s", name, got)
		}
	}
	ext := nodeNamed(t, p, "Microsoft.Compute/virtualMachines/extensions", "desk-3/joindomain")
	if got := dependencies(p, ext); got != "desk-3/Microsoft.PowerShell.DSC desk-4/Microsoft.PowerShell.DSC" {
		t.Errorf("the join waits for %s", got)
	}
	if want := "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-vms/providers/Microsoft.Compute/virtualMachines/desk-3/extensions/joindomain"; ext.ID.String() != want {
		t.Errorf("id %s", ext.ID)
	}
	body := bodyOf(t, vm, nil)
	if zones, _ := body["zones"].([]any); len(zones) != 1 || zones[0] != "2" {
		t.Errorf("zones %v", body["zones"])
	}
	for _, absent := range []string{"plan", "extendedLocation", "name", "type", "copy", "dependsOn"} {
		if _, ok := body[absent]; ok {
			t.Errorf("the body has %s", absent)
		}
	}
	props := at(body, "properties")
	if _, ok := props.(map[string]any)["availabilitySet"]; ok {
		t.Error("json('null') left a property")
	}
	nics := at(props, "networkProfile", "networkInterfaces").([]any)
	if at(nics[0], "id") != "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-vms/providers/Microsoft.Network/networkInterfaces/desk-4-nic" {
		t.Errorf("network interface %v", nics[0])
	}
	if at(props, "osProfile", "adminPassword") != "pw-secret-3" || at(props, "storageProfile", "imageReference", "version") != "latest" ||
		at(body, "identity", "type") != "None" || at(body, "tags", "owner") != "it" {
		t.Errorf("body %v", body)
	}
	secret, err := nodeNamed(t, p, "Microsoft.Compute/virtualMachines/extensions", "desk-3/Microsoft.PowerShell.DSC").Evaluate(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := secret.String(); strings.Contains(s, "tok-secret") || !strings.Contains(s, `"registrationInfoToken":"redacted"`) || !strings.Contains(s, `"aadJoinPreview":false`) {
		t.Errorf("shown %s", s)
	}
	if s := string(b.DisplayParameters().Reveal()); strings.Contains(s, "secret") {
		t.Errorf("stored parameters %s", s)
	}
}

func TestMicrosoftsNestedTemplateSeesTheOuterParameters(t *testing.T) {
	params := strings.Replace(addMachines, `"value": "AvailabilityZone"`, `"value": "AvailabilitySet"`, 1)
	params = strings.Replace(params, `"deploymentId"`, `"createAvailabilitySet": {"value": true}, "availabilitySetName": {"value": "set1"}, "deploymentId"`, 1)
	p := mustPlan(t, string(microsoft(t, "AddVirtualMachinesTemplate.json")), params)
	set := p.Nodes[1]
	if !set.Condition || dependencies(p, p.Nodes[2]) != set.Name {
		t.Fatalf("the creation waits for %q", dependencies(p, p.Nodes[2]))
	}
	d, err := set.Deployment(context.Background(), nil)
	if err != nil || !d.Outer {
		t.Fatalf("outer %v, %v", d.Outer, err)
	}
	inner, err := Parse(d.Template)
	if err != nil {
		t.Fatal(err)
	}
	env := testEnv()
	env.Scope = d.Scope
	b, err := d.Bind(inner, d.Parameters, env)
	if err != nil {
		t.Fatal(err)
	}
	ip, err := b.Expand()
	if err != nil {
		t.Fatal(err)
	}
	n := ip.Nodes[0]
	if n.ID.String() != strings.TrimSuffix(testGroup, "rg")+"rg-vms/providers/Microsoft.Compute/availabilitySets/set1" || n.Location != "westeurope" {
		t.Errorf("id %s, location %s", n.ID, n.Location)
	}
	if got := at(bodyOf(t, n, nil), "properties", "platformFaultDomainCount"); got != 2.0 {
		t.Errorf("fault domains %v", got)
	}
}

func TestMicrosoftsHCITemplatePutsTheInstanceOnItsMachine(t *testing.T) {
	src := microsoft(t, "nestedtemplates/azurestackhci-vm.json")
	tm, err := ParseBytes(src)
	if err != nil {
		t.Fatal(err)
	}
	given := NewObject()
	for _, p := range tm.Parameters {
		if !p.Required {
			continue
		}
		v := map[string]Value{"string": String("x-" + p.Name), "securestring": String("sec-" + p.Name), "int": Int(2), "bool": Bool(false),
			"object": ObjectOf(), "array": Array()}[strings.ToLower(p.Type)]
		given.Set(p.Name, ObjectOf("value", v))
	}
	given.Set("rdshPrefix", ObjectOf("value", String("hci-")))
	given.Set("vmInitialNumber", ObjectOf("value", Int(0)))
	b, err := Bind(tm, Of(given), testEnv())
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Expand()
	if err != nil {
		t.Fatal(err)
	}
	var instances []*Node
	for _, n := range p.Nodes {
		if n.Name == "default" {
			instances = append(instances, n)
		}
	}
	if len(instances) != 2 {
		t.Fatalf("%d instances", len(instances))
	}
	if want := testGroup + "/providers/Microsoft.HybridCompute/machines/hci-1/providers/microsoft.azurestackhci/virtualmachineinstances/default"; instances[1].ID.String() != want {
		t.Errorf("id %s", instances[1].ID)
	}
	if got := dependencies(p, instances[1]); got != "hci-1-nic hci-0 hci-1" {
		t.Errorf("the instance waits for %q", got)
	}
	cse := nodeNamed(t, p, "Microsoft.HybridCompute/machines/extensions", "hci-0/CustomScriptExtension")
	v, err := cse.Evaluate(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := v.String(); strings.Contains(s, "sec-") {
		t.Errorf("shown %s", s)
	}
}

func TestMicrosoftsTemplateNamesEveryMissingParameterAtOnce(t *testing.T) {
	_, err := plan(t, string(microsoft(t, "AddVirtualMachinesTemplate.json")), `{"availabilityOption": {"value": "Moon"}, "nonsense": {"value": 1}}`)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v", err)
	}
	all := e.ARM()
	if all.Code != "InvalidTemplate" || all.Kind != arm.Invalid || len(all.Details) < 10 {
		t.Fatalf("%d details of %s", len(all.Details), all.Code)
	}
	for _, want := range []string{
		"Deployment template validation failed: 'The template parameters 'nonsense' in the parameters file are not valid",
		"The value for the template parameter 'hostpoolName' at line '19' and column '23' is not provided. Please see https://aka.ms/arm-create-parameter-file for usage details.",
		"The provided value for the template parameter 'availabilityOption' at line '87' and column '29' is not valid. The value 'Moon' is not part of the allowed value(s): 'None,AvailabilitySet,AvailabilityZone'.",
	} {
		if !strings.Contains(all.Message, want) {
			t.Errorf("the message lacks %q:\n%s", want, all.Message)
		}
	}
}
