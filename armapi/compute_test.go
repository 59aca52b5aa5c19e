package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// yard stands in for whoever makes machines: it notes jobs, and ends them when told.
type yard struct {
	f  *service
	mu sync.Mutex

	jobs  []deskyard.Job
	ops   []deskyard.Operation
	woken []string
	live  map[string]deskyard.MachineLive
	deny  error
}

func (y *yard) Admit(context.Context, deskyard.Tx, *deskyard.Resource, *deskyard.Resource) error {
	return y.deny
}

func (y *yard) Submit(ctx context.Context, tx deskyard.Tx, j deskyard.Job) (deskyard.Operation, error) {
	op := deskyard.Operation{ID: newID(), Scope: j.ID, Status: "Running", Started: storeTime(y.f.now)}
	if j.Kind == deskyard.WorkMachine {
		if _, err := tx.Work(ctx, j.Kind, j.ID); arm.IsMissing(err) {
			if _, err := tx.PutWork(ctx, deskyard.Work{Kind: j.Kind, ID: j.ID, Created: y.f.now, Changed: y.f.now}); err != nil {
				return op, err
			}
		}
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.jobs, y.ops = append(y.jobs, j), append(y.ops, op)
	return op, tx.PutOperation(ctx, op)
}

func (y *yard) Wake(kind string, id arm.ResourceID) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.woken = append(y.woken, kind+" "+id.Name())
}

func (y *yard) Live(context.Context, ...arm.ResourceID) map[string]deskyard.MachineLive {
	return y.live
}
func (y *yard) Console(context.Context, arm.ResourceID) ([]byte, error) {
	return []byte("login:"), nil
}
func (y *yard) Screenshot(context.Context, arm.ResourceID) ([]byte, error) {
	return []byte("\x89PNG"), nil
}
func (y *yard) Usages(context.Context, string) ([]deskyard.Usage, error) {
	return []deskyard.Usage{{Name: "cores", Localized: "Total Regional vCPUs", Current: 2, Limit: 8}}, nil
}

// finish ends the last job as its maker would.
func (y *yard) finish(state string) {
	y.f.t.Helper()
	y.mu.Lock()
	j, op := y.jobs[len(y.jobs)-1], y.ops[len(y.ops)-1]
	y.mu.Unlock()
	err := y.f.store.Write(y.f.t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		op.Status, op.Ended = "Succeeded", storeTime(y.f.now)
		if err := tx.PutOperation(ctx, op); err != nil {
			return err
		}
		if j.Verb == deskyard.JobDelete {
			if err := tx.DeleteWork(ctx, j.Kind, j.ID); err != nil {
				return err
			}
			return tx.DeleteResource(ctx, j.ID)
		}
		r, err := tx.Resource(ctx, j.ID)
		if err != nil {
			return err
		}
		var p map[string]any
		if err := json.Unmarshal(r.Properties, &p); err != nil {
			return err
		}
		p["provisioningState"] = state
		if r.Properties, err = json.Marshal(p); err != nil {
			return err
		}
		_, err = tx.PutResource(ctx, r)
		return err
	})
	if err != nil {
		y.f.t.Fatal(err)
	}
}

func (y *yard) last() deskyard.Job {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.jobs[len(y.jobs)-1]
}

const (
	vc       = "?api-version=2023-07-01"
	compute  = homeGroup + "/providers/Microsoft.Compute"
	network  = homeGroup + "/providers/Microsoft.Network"
	vnetPath = network + "/virtualNetworks/net"
	password = "Correct-Horse-7"
)

func newYard(t testing.TB, change ...func(*Options)) (*service, *yard) {
	t.Helper()
	y := &yard{live: map[string]deskyard.MachineLive{}}
	f := newService(t, append([]func(*Options){func(o *Options) { o.Machines = y }}, change...)...)
	y.f = f
	f.group("rg1")
	return f, y
}

// wire makes a network with a subnet of so many bits and a network interface.
func (f *service) wire(bits int, nics ...string) {
	f.t.Helper()
	f.do("PUT", vnetPath+vc, fmt.Sprintf(`{"location":"eastus","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"default","properties":{"addressPrefix":"10.0.0.0/%d"}}]}}`, bits)).want(201)
	for _, n := range nics {
		f.do("PUT", network+"/networkInterfaces/"+n+vc, nicBody("")).want(201)
	}
}

func nicBody(more string) string {
	return `{"location":"eastus","properties":{"ipConfigurations":[{"name":"ipconfig","properties":{` + more + `"subnet":{"id":"` + vnetPath + `/subnets/default"}}}]}}`
}

func vmBody(nic, more string) string {
	return `{"location":"East US","tags":{"a":"b"},"properties":{"hardwareProfile":{"vmSize":"standard_d2s_v3"},
	 "storageProfile":{"imageReference":{"publisher":"deskyard","offer":"debian","sku":"12"},"osDisk":{"createOption":"fromImage","diskSizeGB":"64"}},
	 "osProfile":{"computerName":"h-0","adminUsername":"olga","adminPassword":"` + password + `","customData":"aGVsbG8="},
	 "networkProfile":{"networkInterfaces":[{"id":"` + network + `/networkInterfaces/` + nic + `"}]}` + more + `}}`
}

func (f *service) machine(y *yard, name, nic string) {
	f.t.Helper()
	f.do("PUT", compute+"/virtualMachines/"+name+vc, vmBody(nic, "")).want(201)
	y.finish("Succeeded")
}

func TestAMachineIsCreatedInTheBackgroundAndItsSecretsNeverReachTheStore(t *testing.T) {
	f, y := newYard(t)
	f.wire(24, "n1")
	vm := compute + "/virtualMachines/h-0"
	a := f.do("PUT", vm+vc, vmBody("n1", "")).want(201)
	a.is("properties.provisioningState", "Creating").is("location", "eastus").is("properties.hardwareProfile.vmSize", "Standard_D2s_v3").
		is("properties.storageProfile.osDisk.managedDisk.storageAccountType", "Premium_LRS").is("properties.storageProfile.osDisk.diskSizeGB", 64).
		is("properties.storageProfile.imageReference.version", "latest").is("properties.osProfile.adminPassword", nil).is("properties.osProfile.customData", nil)
	if a.header.Get("Retry-After") != "1" || !strings.Contains(a.header.Get("Azure-AsyncOperation"), "/providers/Microsoft.Compute/locations/eastus/operationStatuses/") {
		t.Errorf("headers to poll by are %v", a.header)
	}
	job := y.last()
	if string(job.Secrets) != `{"adminPassword":"`+password+`","customData":"aGVsbG8="}` || job.Verb != deskyard.JobPut {
		t.Errorf("job is %s with secrets %s", job.Verb, job.Secrets)
	}
	r, err := f.store.Resource(t.Context(), job.ID)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(r.Properties) + f.log.String() + a.text; strings.Contains(text, password) || strings.Contains(text, "aGVsbG8") {
		t.Error("a secret reached the row, the log or the answer")
	}
	poll := strings.TrimPrefix(a.header.Get("Azure-AsyncOperation"), "https://desk.example:8443")
	f.do("GET", poll, nil).want(200).is("status", "Running")
	y.finish("Succeeded")
	f.do("GET", poll, nil).want(200).is("status", "Succeeded")
	f.do("GET", vm+vc, nil).want(200).is("properties.provisioningState", "Succeeded").is("properties.vmId", a.get("properties.vmId"))
	f.do("GET", network+"/networkInterfaces/n1"+vc, nil).want(200).is("properties.virtualMachine.id", vm)
}

func TestAnUpdateKeepsWhatItLeavesOutAndRefusesWhatOnlyACreateSets(t *testing.T) {
	f, y := newYard(t)
	f.wire(24, "n1")
	f.machine(y, "h-0", "n1")
	vm := compute + "/virtualMachines/h-0" + vc
	id := f.do("GET", vm, nil).want(200).get("properties.vmId")
	f.do("PATCH", vm, `{"tags":{"c":"d"}}`).want(200).is("tags.c", "d").is("properties.osProfile.adminUsername", "olga").is("properties.provisioningState", "Updating")
	if y.last().Secrets != nil {
		t.Errorf("an update without secrets submitted %s", y.last().Secrets)
	}
	f.do("PUT", vm, `{"location":"eastus","properties":{"hardwareProfile":{"vmSize":"Standard_D4s_v3"}}}`).want(200).
		is("properties.vmId", id).is("properties.osProfile.computerName", "h-0").is("properties.storageProfile.imageReference.offer", "debian")
	f.do("PUT", vm, strings.Replace(vmBody("n1", ""), `"olga"`, `"ada"`, 1)).want(409, "PropertyChangeNotAllowed")
	f.do("PUT", vm, strings.Replace(vmBody("n1", ""), `"debian"`, `"ubuntu"`, 1)).want(409, "PropertyChangeNotAllowed")
	f.do("PUT", vm, strings.Replace(vmBody("n1", ""), `"64"`, `32`, 1)).want(400, "InvalidParameter")
}

func TestADeletedMachineStaysDeletingUntilItIsGone(t *testing.T) {
	f, y := newYard(t)
	f.wire(24, "n1")
	f.machine(y, "h-0", "n1")
	vm := compute + "/virtualMachines/h-0" + vc
	a := f.do("DELETE", vm, nil).want(202)
	if a.header.Get("Location") == "" || a.header.Get("Azure-AsyncOperation") == "" || a.header.Get("Retry-After") != "1" {
		t.Errorf("headers to poll by are %v", a.header)
	}
	f.do("GET", vm, nil).want(200).is("properties.provisioningState", "Deleting")
	f.do("PUT", vm, vmBody("n1", "")).want(409, "OperationNotAllowed")
	f.do("POST", compute+"/virtualMachines/h-0/start"+vc, nil).want(409, "OperationNotAllowed")
	f.do("DELETE", network+"/networkInterfaces/n1"+vc, nil).want(409, "NicInUse")
	y.finish("")
	f.do("GET", strings.TrimPrefix(a.header.Get("Location"), "https://desk.example:8443"), nil).want(200)
	f.do("GET", vm, nil).want(404, "ResourceNotFound")
	f.do("DELETE", vm, nil).want(204)
	f.do("DELETE", network+"/networkInterfaces/n1"+vc, nil).want(200)
}

func TestPowerActionsAreAcceptedAndDoneLater(t *testing.T) {
	f, y := newYard(t)
	f.wire(24, "n1")
	f.machine(y, "h-0", "n1")
	vm := compute + "/virtualMachines/h-0"
	for path, verb := range map[string]string{"start": deskyard.JobStart, "powerOff": deskyard.JobPowerOff, "restart": deskyard.JobRestart, "deallocate": deskyard.JobDeallocate} {
		a := f.do("POST", vm+"/"+path+vc, nil).want(202)
		if y.last().Verb != verb || a.header.Get("Location") == "" {
			t.Errorf("%s submitted %s, headers %v", path, y.last().Verb, a.header)
		}
	}
	f.do("POST", vm+"/powerOff"+vc+"&skipShutdown=true", nil).want(202)
	if string(y.last().Settings) != `{"skipShutdown":true}` {
		t.Errorf("settings are %s", y.last().Settings)
	}
	f.do("POST", vm+"/deallocate"+vc+"&hibernate=true", nil).want(409, "OperationNotAllowed")
	f.do("POST", vm+"/generalize"+vc, nil).want(409, "NotSupported")
	f.do("POST", vm+"/runCommand"+vc, `{"commandId":"RunShellScript","script":["id"]}`).want(202)
	if y.last().Kind != deskyard.WorkCommand || !strings.Contains(string(y.last().Secrets), `"id"`) {
		t.Errorf("job is %+v", y.last())
	}
	f.do("POST", vm+"/runCommand"+vc, `{"commandId":"EnableRemotePS"}`).want(400, "InvalidParameter")
	f.do("POST", compute+"/virtualMachines/none/start"+vc, nil).want(404, "ResourceNotFound")
}

func TestTheInstanceViewSaysWhatTheMachineAndItsExtensionsDo(t *testing.T) {
	f, y := newYard(t)
	f.wire(24, "n1")
	f.machine(y, "h-0", "n1")
	id := y.last().ID
	vm := compute + "/virtualMachines/h-0"
	y.live[id.Key()] = deskyard.MachineLive{Power: "running", Connected: true, Agent: "1.2", Host: "hv1", At: f.now}
	f.do("PUT", vm+"/extensions/dsc"+vc, `{"location":"eastus","properties":{"publisher":"Microsoft.Powershell","type":"DSC","typeHandlerVersion":"2.73","settings":{"a":1},"protectedSettings":{"key":"hush-hush"}}}`).want(201).
		is("properties.provisioningState", "Creating").is("properties.protectedSettings", nil)
	if string(y.last().Secrets) != `{"key":"hush-hush"}` || y.last().Kind != deskyard.WorkExtension {
		t.Errorf("job is %+v", y.last())
	}
	f.do("GET", vm+vc, nil).want(200).is("properties.instanceView", nil)
	f.do("GET", vm+vc+"&$expand=instanceView", nil).want(200).
		is("properties.instanceView.statuses.0.code", "ProvisioningState/succeeded").is("properties.instanceView.statuses.1.code", "PowerState/running").
		is("properties.instanceView.vmAgent.statuses.0.displayStatus", "Ready").is("properties.instanceView.extensions.0.name", "dsc").
		is("properties.instanceView.extensions.0.statuses.0.code", "ProvisioningState/creating")
	y.live[id.Key()] = deskyard.MachineLive{Power: "hibernated", At: f.now}
	f.do("GET", vm+"/instanceView"+vc, nil).want(200).is("statuses.1.code", "PowerState/deallocated").is("statuses.2.code", "HibernationState/Hibernated")
	f.do("GET", compute+"/virtualMachines"+vc, nil).want(200).is("value.0.name", "h-0")
	f.do("GET", homeSub+"/providers/Microsoft.Compute/virtualMachines"+vc+"&statusOnly=true", nil).want(200).is("value.0.properties.instanceView.statuses.1.code", "PowerState/deallocated")
	f.do("GET", homeSub+"/providers/Microsoft.Compute/locations/eastus/virtualMachines"+vc, nil).want(200).is("value.0.name", "h-0")
	f.do("GET", homeSub+"/providers/Microsoft.Compute/locations/westus/virtualMachines"+vc, nil).want(200).is("value.0", nil)
}

func TestBootDiagnosticsAreBehindSignedURLsThatExpire(t *testing.T) {
	f, y := newYard(t)
	f.wire(24, "n1")
	f.machine(y, "h-0", "n1")
	a := f.do("POST", compute+"/virtualMachines/h-0/retrieveBootDiagnosticsData"+vc+"&sasUriExpirationTimeInMinutes=5", nil).want(200)
	console := strings.TrimPrefix(a.get("serialConsoleLogBlobUri").(string), "https://desk.example:8443")
	if got := f.do("GET", console, nil, "Authorization", "").want(200).text; got != "login:" {
		t.Errorf("serial log is %q", got)
	}
	shot := f.do("GET", strings.TrimPrefix(a.get("consoleScreenshotBlobUri").(string), "https://desk.example:8443"), nil, "Authorization", "").want(200)
	if shot.header.Get("Content-Type") != "image/png" || shot.text != "\x89PNG" {
		t.Errorf("screenshot is %q, %q", shot.header.Get("Content-Type"), shot.text)
	}
	f.do("GET", strings.Replace(console, "/bootdiagnostics/e", "/bootdiagnostics/f", 1), nil).want(403, "AuthenticationFailed")
	f.now = f.now.Add(6 * 60 * 1e9)
	f.do("GET", console, nil).want(403, "AuthenticationFailed")
}

func TestAddressesAreGivenLowestFirstAndNeverTwice(t *testing.T) {
	f, _ := newYard(t)
	f.wire(29)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[any]int{}
	for i := range 5 {
		wg.Go(func() {
			a := f.do("PUT", fmt.Sprintf("%s/networkInterfaces/n%d%s", network, i, vc), nicBody(""))
			mu.Lock()
			defer mu.Unlock()
			if a.status == 201 {
				got[a.get("properties.ipConfigurations.0.properties.privateIPAddress")]++
			} else {
				got[a.get("error.code")]++
			}
		})
	}
	wg.Wait()
	want := map[any]int{"10.0.0.4": 1, "10.0.0.5": 1, "10.0.0.6": 1, "SubnetIsFull": 2}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("addresses are %v, want %v", got, want)
	}
	f.do("PUT", network+"/networkInterfaces/s"+vc, nicBody(`"privateIPAllocationMethod":"Static","privateIPAddress":"10.0.0.5",`)).want(400, "PrivateIPAddressInUse")
	f.do("PUT", network+"/networkInterfaces/s"+vc, nicBody(`"privateIPAllocationMethod":"Static","privateIPAddress":"10.0.0.1",`)).want(400, "PrivateIPAddressNotInSubnet")
	f.do("GET", vnetPath+"/CheckIPAddressAvailability"+vc+"&ipAddress=10.0.0.5", nil).want(200).is("available", false)
	f.do("DELETE", vnetPath+vc, nil).want(409, "InUseSubnetCannotBeDeleted")
	f.do("PUT", vnetPath+vc, `{"location":"eastus","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[]}}`).want(409, "InUseSubnetCannotBeDeleted")
}

func TestAnInterfaceKeepsItsAddressAndMACThroughUpdates(t *testing.T) {
	f, _ := newYard(t)
	f.wire(24, "n1", "n2")
	before := f.do("GET", network+"/networkInterfaces/n2"+vc, nil).want(200)
	f.do("DELETE", network+"/networkInterfaces/n1"+vc, nil).want(200)
	after := f.do("PUT", network+"/networkInterfaces/n2"+vc, nicBody("")).want(200)
	for _, p := range []string{"properties.macAddress", "properties.ipConfigurations.0.properties.privateIPAddress", "properties.resourceGuid"} {
		after.is(p, before.get(p))
	}
	f.do("PUT", network+"/networkInterfaces/n3"+vc, nicBody("")).want(201).is("properties.ipConfigurations.0.properties.privateIPAddress", "10.0.0.4")
	f.do("PUT", network+"/networkInterfaces/p"+vc, nicBody(`"publicIPAddress":{"id":"/x"},`)).want(400, "NotSupported")
}

func TestSubnetsAreOneThingUnderBothNames(t *testing.T) {
	f, _ := newYard(t)
	f.wire(24)
	f.do("PUT", vnetPath+"/subnets/second"+vc, `{"properties":{"addressPrefix":"10.0.1.0/24"}}`).want(201).is("name", "second").is("properties.provisioningState", "Succeeded")
	f.do("GET", vnetPath+vc, nil).want(200).is("properties.subnets.1.name", "second").is("properties.subnets.1.id", vnetPath+"/subnets/second")
	f.do("PUT", vnetPath+"/subnets/third"+vc, `{"properties":{"addressPrefix":"10.0.1.0/25"}}`).want(400, "NetcfgSubnetRangesOverlap")
	f.do("PUT", vnetPath+"/subnets/third"+vc, `{"properties":{"addressPrefix":"10.1.0.0/24"}}`).want(400, "NetcfgInvalidSubnet")
	f.do("GET", vnetPath+"/subnets"+vc, nil).want(200).is("value.1.name", "second").is("value.2", nil)
	f.do("DELETE", vnetPath+"/subnets/second"+vc, nil).want(200)
	f.do("GET", vnetPath+"/subnets/second"+vc, nil).want(404, "ResourceNotFound")
	f.do("DELETE", vnetPath+"/subnets/second"+vc, nil).want(204)
	f.do("PUT", network+"/virtualNetworks/none/subnets/x"+vc, `{"properties":{"addressPrefix":"10.0.1.0/24"}}`).want(404, "ParentResourceNotFound")
}

func TestSecurityRulesAreOneThingUnderBothNamesAndWakeWhomTheyFilter(t *testing.T) {
	f, y := newYard(t)
	f.wire(24)
	group := network + "/networkSecurityGroups/g"
	f.do("PUT", group+vc, `{"location":"eastus","properties":{"securityRules":[{"name":"rdp","properties":{"protocol":"TCP","sourcePortRange":"*","destinationPortRange":"3389","sourceAddressPrefix":"virtualnetwork","destinationAddressPrefix":"*","access":"allow","priority":"100","direction":"inbound"}}]}}`).want(201).
		is("properties.securityRules.0.properties.protocol", "Tcp").is("properties.securityRules.0.properties.priority", 100).is("properties.defaultSecurityRules.5.name", "DenyAllOutBound")
	f.do("PUT", network+"/networkInterfaces/n1"+vc, strings.Replace(nicBody(""), `"ipConfigurations"`, `"networkSecurityGroup":{"id":"`+group+`"},"ipConfigurations"`, 1)).want(201)
	f.machine(y, "h-0", "n1")
	y.woken = nil
	f.do("PUT", group+"/securityRules/ssh"+vc, `{"properties":{"protocol":"*","sourcePortRange":"*","destinationPortRanges":["22","80-90"],"sourceAddressPrefix":"10.0.0.0/8","destinationAddressPrefix":"*","access":"Deny","priority":110,"direction":"Outbound"}}`).want(201)
	if fmt.Sprint(y.woken) != "[machine h-0]" {
		t.Errorf("woken: %v", y.woken)
	}
	f.do("GET", group+vc, nil).want(200).is("properties.securityRules.1.name", "ssh").is("properties.networkInterfaces.0.id", network+"/networkInterfaces/n1")
	f.do("PUT", group+"/securityRules/dup"+vc, `{"properties":{"protocol":"*","sourcePortRange":"*","destinationPortRange":"*","sourceAddressPrefix":"*","destinationAddressPrefix":"*","access":"Deny","priority":110,"direction":"Outbound"}}`).want(400, "SecurityRuleConflict")
	f.do("GET", group+"/defaultSecurityRules/DenyAllInBound"+vc, nil).want(200).is("properties.priority", 65500)
	f.do("DELETE", group+vc, nil).want(409, "InUseNetworkSecurityGroupCannotBeDeleted")
	f.do("DELETE", group+"/securityRules/ssh"+vc, nil).want(200)
}

func TestReferringNeedsTheRightToJoin(t *testing.T) {
	f, _ := newYard(t)
	f.wire(24, "n1")
	f.access.let("vmonly", func(action string, _ arm.ResourceID) bool { return !strings.HasSuffix(action, "/join/action") })
	f.do("PUT", network+"/networkInterfaces/n2"+vc, nicBody(""), "Authorization", "Bearer vmonly").want(403, "LinkedAuthorizationFailed")
	f.do("PUT", compute+"/virtualMachines/h-0"+vc, vmBody("n1", ""), "Authorization", "Bearer vmonly").want(403, "LinkedAuthorizationFailed")
}

func TestWhatIsNotSupportedIsRefusedByName(t *testing.T) {
	f, y := newYard(t)
	f.wire(24, "n1", "n2")
	vm := compute + "/virtualMachines/h-0" + vc
	for more, code := range map[string]string{
		`,"virtualMachineScaleSet":{"id":"x"}`: "NotSupported",
		`,"priority":"Spot"`:                   "InvalidParameter",
		`,"userData":"aGk="`:                   "NotSupported",
		`,"securityProfile":{"uefiSettings":{"secureBootEnabled":true}}`:    "InvalidParameter",
		`,"additionalCapabilities":{"hibernationEnabled":true}`:             "InvalidParameter", // D2s_v3 does not
		`,"availabilitySet":{"id":"` + compute + `/availabilitySets/none"}`: "InvalidResourceReference",
		`,"licenseType":"Free"`: "InvalidParameter",
	} {
		if got := f.do("PUT", vm, vmBody("n1", more)).get("error.code"); got != code {
			t.Errorf("%s: code %v, want %s", more, got, code)
		}
	}
	for old, now := range map[string]string{
		`"standard_d2s_v3"`: `"Standard_Z9"`, `"fromImage"`: `"Attach"`, password: "short", `"olga"`: `"administrator"`, `"h-0"`: `"h_0!"`,
		`"createOption"`: `"deleteOption":"Detach","createOption"`,
	} {
		if got := f.do("PUT", vm, strings.Replace(vmBody("n1", ""), old, now, 1)).want(400).text; strings.Contains(got, password) {
			t.Errorf("%s: the answer repeats the password", now)
		}
	}
	f.do("PUT", vm, vmBody("none", "")).want(400, "InvalidResourceReference")
	f.do("PUT", vm, strings.Replace(vmBody("n1", ""), "East US", "westus", 1)).want(400, "InvalidResourceReference")
	f.machine(y, "h-1", "n1")
	f.do("PUT", vm, vmBody("n1", "")).want(400, "NicInUse")
	y.deny = arm.Errorf(arm.Conflicting, "QuotaExceeded", "no room")
	f.do("PUT", vm, vmBody("n2", "")).want(409, "QuotaExceeded")
	f.do("GET", vm, nil).want(404)
}

// What Terraform's azurerm sends for what a machine has none of, and what it compares.
func TestWhatSaysNothingIsTaken(t *testing.T) {
	f, _ := newYard(t)
	f.wire(24, "n1")
	if got := f.do("GET", vnetPath+vc, nil).get("properties.privateEndpointVNetPolicies"); got != "Disabled" {
		t.Errorf("privateEndpointVNetPolicies is %v", got)
	}
	vm := compute + "/virtualMachines/h-0" + vc
	more := `,"applicationProfile":{"galleryApplications":[]},"additionalCapabilities":{},"proximityPlacementGroup":{"id":""},"extensionsTimeBudget":"PT1H30M"`
	f.do("PUT", vm, vmBody("n1", strings.Replace(more, "[]", `[{"packageReferenceId":"/x"}]`, 1))).want(400, "NotSupported")
	a := f.do("PUT", vm, vmBody("n1", more)).want(201)
	if a.header.Get(skipPollingDelay) != "" {
		t.Error("the machine is being made, and is said to be there")
	}
	if got := f.do("GET", vm, nil).want(200).get("properties.additionalCapabilities"); got != nil {
		t.Errorf("additionalCapabilities is %v", got)
	}
	if a := f.do("DELETE", vnetPath+"other"+vc, nil).want(204); a.header.Get(skipPollingDelay) != "true" {
		t.Error("nothing is left to be deleted, and a client is not told that it need not wait")
	}
}

func TestWithoutAHypervisorMachinesAreRefusedAndNetworksAreNot(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.wire(24, "n1")
	f.do("PUT", compute+"/virtualMachines/h-0"+vc, vmBody("n1", "")).want(409, "NoHypervisorConfigured")
	f.do("GET", compute+"/virtualMachines"+vc, nil).want(200)
	f.do("DELETE", homeGroup+"?api-version=2021-04-01", nil).want(202)
	f.do("GET", homeGroup+"?api-version=2021-04-01", nil).want(404)
}

func TestAGroupWithMachinesIsDeletedByAJob(t *testing.T) {
	f, y := newYard(t)
	f.wire(24, "n1")
	f.machine(y, "h-0", "n1")
	a := f.do("DELETE", homeGroup+"?api-version=2021-04-01", nil).want(202)
	if j := y.last(); j.Kind != "group" || j.Verb != deskyard.JobDelete || j.ID.ResourceGroup != "rg1" {
		t.Errorf("job is %+v", j)
	}
	f.do("GET", strings.TrimPrefix(a.header.Get("Location"), "https://desk.example:8443"), nil).want(202)
	f.do("GET", homeGroup+"?api-version=2021-04-01", nil).want(200)
}

func TestAvailabilitySetsAndZonesExcludeEachOther(t *testing.T) {
	f, y := newYard(t)
	f.wire(24, "n1")
	set := compute + "/availabilitySets/set"
	f.do("PUT", set+"?api-version=2018-10-01", `{"location":"eastus","sku":{"name":"Aligned"},"properties":{"platformFaultDomainCount":2,"platformUpdateDomainCount":5}}`).want(200)
	with := `,"availabilitySet":{"id":"` + set + `"}`
	zoned := strings.Replace(vmBody("n1", with), `"tags"`, `"zones":["1"],"tags"`, 1)
	f.do("PUT", compute+"/virtualMachines/h-0"+vc, zoned).want(400, "BadRequest")
	f.do("PUT", compute+"/virtualMachines/h-0"+vc, vmBody("n1", with)).want(201)
	y.finish("Succeeded")
	f.do("GET", set+vc, nil).want(200).is("sku.name", "Aligned").is("properties.virtualMachines.0.id", compute+"/virtualMachines/h-0")
	f.do("DELETE", set+vc, nil).want(409, "AvailabilitySetInUse")
}

// shelf is an image catalogue of one image.
type shelf struct{}

func (shelf) List(context.Context) ([]ImageInfo, error) {
	return []ImageInfo{{Publisher: "deskyard", Offer: "debian", SKU: "12", Version: "1.0.0", OS: "linux", Firmware: "uefi", DiskBytes: 3 << 30}}, nil
}

func TestSizesUsagesAndImagesAreListedPerLocation(t *testing.T) {
	f, _ := newYard(t, func(o *Options) { o.Images = shelf{} })
	at := homeSub + "/providers/Microsoft.Compute/locations/eastus"
	if n := strings.Count(f.do("GET", at+"/vmSizes"+vc, nil).want(200).text, "numberOfCores"); n < 200 {
		t.Errorf("%d sizes are listed", n)
	}
	f.do("GET", at+"/usages"+vc, nil).want(200).is("value.0.name.value", "cores").is("value.0.limit", 8)
	f.do("GET", homeSub+"/providers/Microsoft.Compute/skus"+vc+"&$filter=location eq 'eastus'", nil).want(200).is("value.0.locations.0", "eastus").is("value.0.locations.1", nil)
	images := at + "/publishers"
	f.do("GET", images+vc, nil).want(200).is("0.name", "deskyard")
	f.do("GET", images+"/Deskyard/artifacttypes/vmimage/offers/debian/skus/12/versions"+vc, nil).want(200).is("0.name", "1.0.0")
	f.do("GET", images+"/deskyard/artifacttypes/vmimage/offers/debian/skus/12/versions/1.0.0"+vc, nil).want(200).is("properties.osDiskImage.operatingSystem", "Linux").is("properties.osDiskImage.sizeInGb", 3)
	f.do("GET", images+"/canonical/artifacttypes/vmimage/offers"+vc, nil).want(404, "NotFound")
	f.do("GET", homeSub+"/providers/Microsoft.Compute?api-version=2021-04-01", nil).want(200).is("resourceTypes.0.resourceType", "virtualMachines")
}

func TestImagesOfGalleriesStandForTheCatalogue(t *testing.T) {
	f, _ := newYard(t)
	gallery := compute + "/galleries/desk"
	f.do("PUT", gallery+vc, `{"location":"eastus"}`).want(201)
	f.do("PUT", gallery+"/images/win"+vc, `{"location":"eastus","properties":{"osType":"linux","osState":"Generalized","identifier":{"publisher":"p","offer":"o","sku":"s"}}}`).want(201).is("properties.osType", "Linux")
	f.do("PUT", gallery+"/images/win/versions/1.2.3"+vc, `{"location":"eastus"}`).want(201)
	read := func(path string) deskyard.Resource {
		id, err := arm.ParseID(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := f.store.Resource(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	definition := read(gallery + "/images/win")
	want := deskyard.ImageReference{Publisher: "p", Offer: "o", SKU: "s", Version: "1.2.3"}
	if ref, ok := deskyard.ImageSource(read(gallery+"/images/win/versions/1.2.3"), &definition); !ok || ref != want {
		t.Errorf("the version stands for %+v, %v", ref, ok)
	}
	f.do("PUT", compute+"/images/img"+vc, `{"location":"eastus","properties":{"catalogueImage":"p:o:s:2.0.0"}}`).want(201)
	if ref, ok := deskyard.ImageSource(read(compute+"/images/img"), nil); !ok || ref.Version != "2.0.0" {
		t.Errorf("the image stands for %+v, %v", ref, ok)
	}
}

func TestAMachineOfACustomLocationIsMadeByItsInstance(t *testing.T) {
	f, y := newYard(t)
	hci, v := homeGroup+"/providers/Microsoft.AzureStackHCI", "?api-version=2023-09-01-preview"
	place := homeGroup + "/providers/Microsoft.ExtendedLocation/customLocations/cellar"
	f.do("PUT", place+"?api-version=2021-08-15", `{"location":"eastus","properties":{"displayName":"Cellar"}}`).want(201)
	f.do("PUT", hci+"/logicalNetworks/lan"+v, `{"location":"eastus","properties":{"subnets":[{"name":"s","properties":{"addressPrefix":"192.168.7.0/24","ipPools":[{"start":"192.168.7.50","end":"192.168.7.51"}]}}]}}`).want(201)
	nic := func(name string) answer {
		return f.do("PUT", hci+"/networkinterfaces/"+name+v, `{"location":"eastus","extendedLocation":{"type":"CustomLocation","name":"`+place+`"},"properties":{"ipConfigurations":[{"name":"c","properties":{"subnet":{"id":"`+hci+`/logicalNetworks/lan"}}}]}}`)
	}
	nic("a").want(201).is("properties.ipConfigurations.0.properties.privateIPAddress", "192.168.7.50").is("extendedLocation.name", place)
	nic("b").want(201)
	nic("c").want(400, "SubnetIsFull")
	machine := homeGroup + "/providers/Microsoft.HybridCompute/machines/h-0"
	m := f.do("PUT", machine+"?api-version=2023-03-15-preview", `{"location":"eastus","kind":"HCI","identity":{"type":"SystemAssigned"}}`).want(201).is("kind", "HCI")
	instance := machine + "/providers/microsoft.azurestackhci/virtualmachineinstances/default"
	body := `{"extendedLocation":{"type":"CustomLocation","name":"` + place + `"},"properties":{"hardwareProfile":{"vmSize":"Custom","processors":2,"memoryMB":1024,"dynamicMemoryConfig":null},
	 "osProfile":{"adminUsername":"olga","adminPassword":"` + password + `","computerName":"h-0"},"storageProfile":{"imageReference":{"id":"` + hci + `/galleryImages/deb"}},
	 "networkProfile":{"networkInterfaces":[{"id":"` + hci + `/networkinterfaces/a"}]}}}`
	f.do("PUT", instance+v, strings.Replace(body, `"extendedLocation"`, `"x"`, 1)).want(400, "InvalidRequestContent")
	f.do("PUT", instance+v, body).want(201).is("properties.provisioningState", "Creating").is("properties.vmId", m.get("properties.vmId"))
	if y.last().ID.Parent().Name() != "h-0" || !strings.Contains(string(y.last().Secrets), password) {
		t.Errorf("job is about %s", y.last().ID)
	}
	y.finish("Succeeded")
	f.do("GET", machine+"/providers/Microsoft.AzureStackHCI/virtualMachineInstances"+v, nil).want(200).is("value.0.name", "default")
	f.do("DELETE", machine+"?api-version=2023-03-15-preview", nil).want(409, "VirtualMachineInstanceExists")
	f.do("DELETE", hci+"/networkInterfaces/a"+v, nil).want(409, "NicInUse")
	f.do("PUT", machine+"/extensions/CustomScriptExtension?api-version=2023-03-15-preview", `{"location":"eastus","properties":{"publisher":"Microsoft.Compute","type":"CustomScriptExtension","settings":{"fileUris":["u"]},"protectedSettings":{"commandToExecute":"x"}}}`).want(201)
	f.do("DELETE", instance+v, nil).want(202)
	y.finish("")
	f.do("DELETE", machine+"?api-version=2023-03-15-preview", nil).want(200)
}

func TestUserAssignedIdentitiesMustExistAndAreFilledIn(t *testing.T) {
	f, _ := newYard(t)
	f.wire(24, "n1")
	id := homeGroup + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/app"
	with := strings.Replace(vmBody("n1", ""), `"tags"`, `"identity":{"type":"UserAssigned","userAssignedIdentities":{"`+id+`":{}}},"tags"`, 1)
	f.do("PUT", compute+"/virtualMachines/h-0"+vc, with).want(400, "FailedIdentityOperation")
	made := f.do("PUT", id+"?api-version=2023-01-31", `{"location":"eastus"}`).want(201)
	a := f.do("PUT", compute+"/virtualMachines/h-0"+vc, with).want(201)
	all := a.get("identity.userAssignedIdentities").(map[string]any)
	if got := all[id].(map[string]any)["principalId"]; got != made.get("properties.principalId") || got == nil {
		t.Errorf("the identity is %v", all)
	}
}

func TestFreeAddressesLeaveOutWhatAzureKeeps(t *testing.T) {
	var got []string
	for a := range deskyard.FreeAddresses(netip.MustParsePrefix("10.0.0.0/29")) {
		got = append(got, a.String())
	}
	if fmt.Sprint(got) != "[10.0.0.4 10.0.0.5 10.0.0.6]" {
		t.Errorf("addresses are %v", got)
	}
}
