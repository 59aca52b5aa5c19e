package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/fake"
	"github.com/deskyard/deskyard/template"
)

// wizardImages is a catalogue with one image.
type wizardImages struct{}

func (wizardImages) Resolve(context.Context, string, deskyard.ImageReference) (compute.Image, error) {
	return compute.Image{ID: "deskyard:debian:12:1", Path: "debian", VirtualBytes: 4 << 30, OS: "linux", Firmware: "uefi", Provisioning: "deskyard"}, nil
}

// wizardTokens renders a key as its id.
type wizardTokens struct{}

func (wizardTokens) Registration(k deskyard.RegistrationKey) (string, error) {
	return "token-of-" + k.ID, nil
}

// wizardSite is a service with a pool, a network and an API that takes every type.
func wizardSite(t *testing.T) (*Service, *testAPI, arm.ResourceID) {
	t.Helper()
	e := newRig(t)
	e.stop() // nothing of a run happens unless a test runs the service
	e.api.open = true
	d := fake.New(fake.Options{})
	t.Cleanup(d.Close)
	s, err := New(Options{Store: e.store, Seal: e.seal, Owner: "owner", Log: slog.New(slog.DiscardHandler), Resources: e.api,
		Images: wizardImages{}, Tokens: wizardTokens{}, Hypervisors: []Hypervisor{{Name: "host1", Driver: d}}})
	if err != nil {
		t.Fatal(err)
	}
	group := arm.MustParseID(testGroup)
	pool := group.Provider("Microsoft.DesktopVirtualization", "hostPools", "desks")
	rows := map[string]string{
		pool.String(): `{"objectId":"pool","hostPoolType":"Pooled","loadBalancerType":"BreadthFirst"}`,
		testGroup + "/providers/Microsoft.Network/virtualNetworks/net": `{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"desks","properties":{"addressPrefix":"10.0.2.0/23"}}]}`,
	}
	err = s.o.Store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		for id, p := range rows {
			if _, err := tx.PutResource(ctx, deskyard.Resource{ID: arm.MustParseID(id), Properties: json.RawMessage(p), Envelope: arm.Envelope{Location: "eastus"}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, e.api, pool
}

func wizardRun(n int) deskyard.AddSessionHosts {
	return deskyard.AddSessionHosts{
		Basics:   deskyard.AddBasics{NamePrefix: "sh"},
		Machines: deskyard.AddMachines{Count: n, Size: "Standard_D2s_v3", Image: deskyard.ImageReference{Publisher: "deskyard", Offer: "debian", SKU: "12"}},
		Network:  deskyard.AddNetwork{VirtualNetwork: "net", Subnet: "desks"},
		Admin:    deskyard.AddAdmin{User: "keeper", Password: "Correct-Horse-9-Staple"},
		Tags:     deskyard.Tags{"team": "blue"},
	}
}

func TestTwoRunsAtOnceNeverShareAName(t *testing.T) {
	s, _, pool := wizardSite(t)
	var mu sync.Mutex // guards names
	var names []string
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			added, op, err := s.AddSessionHosts(t.Context(), AddRequest{Pool: pool, Caller: testCaller, Run: wizardRun(5)})
			if err != nil || op.ID == "" {
				t.Errorf("add: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			names = append(names, added.Names...)
		})
	}
	wg.Wait()
	slices.Sort(names)
	if len(names) != 30 || len(slices.Compact(names)) != 30 {
		t.Errorf("names: %v", names)
	}
	for n := range 30 {
		if !slices.Contains(names, fmt.Sprint("sh-", n)) {
			t.Errorf("sh-%d was passed over", n)
		}
	}
}

func TestRunMintsAKeyForItselfAndKeepsSecretsOutOfTheStore(t *testing.T) {
	s, _, pool := wizardSite(t)
	added, _, err := s.AddSessionHosts(t.Context(), AddRequest{Pool: pool, Caller: testCaller, Run: wizardRun(2)})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.o.Store.RegistrationKeys(t.Context(), "pool")
	if err != nil || len(keys) != 1 || keys[0].Limits.MaxUses != 2 || keys[0].Limits.NamePattern != "sh-*" {
		t.Fatalf("keys %+v, %v", keys, err)
	}
	works, err := s.o.Store.Works(t.Context(), deskyard.WorkQuery{})
	if err != nil {
		t.Fatal(err)
	}
	row, err := s.o.Store.Resource(t.Context(), arm.MustParseID(added.Deployment))
	if err != nil {
		t.Fatal(err)
	}
	texts := [][]byte{row.Properties}
	for _, w := range works.Items {
		texts = append(texts, w.State, w.Sealed)
	}
	for _, text := range texts {
		if bytes.Contains(text, []byte("Correct-Horse")) || bytes.Contains(text, []byte("token-of-")) {
			t.Errorf("a secret in clear: %.200s", text)
		}
	}
	p, err := s.RunProgress(t.Context(), pool, arm.MustParseID(added.Deployment).Name())
	if err != nil || len(p.Hosts) != 2 || p.Hosts[0].Name != "sh-0" || p.Hosts[0].Stage != "Queued" || p.State != "Running" {
		t.Errorf("progress %+v, %v", p, err)
	}
	runs, err := s.Runs(t.Context(), pool)
	if err != nil || len(runs) != 1 || runs[0].Deployment != added.Deployment || runs[0].State != "Running" || runs[0].Ended != nil || !slices.Equal(runs[0].Names, added.Names) {
		t.Errorf("runs %+v, %v", runs, err)
	}
	if none, err := s.Runs(t.Context(), pool.Parent().Provider("Microsoft.DesktopVirtualization", "hostPools", "other")); err != nil || len(none) != 0 {
		t.Errorf("another pool's runs %+v, %v", none, err)
	}
}

func TestRunDeploysEverythingTaggedAndInOrder(t *testing.T) {
	s, api, pool := wizardSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	run := wizardRun(2)
	run.Network.SecurityGroup, run.Network.InboundPorts, run.Confirmed.InboundPorts = "Basic", []int{3389}, true
	run.Directory = deskyard.AddDirectory{Directory: "ActiveDirectory", JoinUPN: "joiner@corp.example", JoinPassword: "Pass-of-joiner-1", OU: "OU=desks,DC=corp,DC=example"}
	run.Script.URL = "https://files.example/setup.sh"
	added, op, err := s.AddSessionHosts(t.Context(), AddRequest{Pool: pool, Caller: testCaller, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		o, err := s.o.Store.Operation(t.Context(), op.ID)
		if err == nil && o.Done() {
			if o.Status != "Succeeded" {
				t.Fatalf("deployment %s: %+v", o.Status, o.Error)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal("the deployment did not end")
		}
	}
	if runs, err := s.Runs(t.Context(), pool); err != nil || len(runs) != 1 || runs[0].State != "Succeeded" || runs[0].Ended == nil || !runs[0].Ended.After(runs[0].Began) {
		t.Errorf("runs %+v, %v", runs, err)
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	at := func(name string) int { return slices.Index(api.order, name) }
	for _, host := range []string{"sh-0", "sh-1"} {
		if at(host+"-nsg") > at(host+"-nic") || at(host+"-nic") > at(host) || at(host) > at(host+"/joindomain") {
			t.Errorf("order %v", api.order)
		}
	}
	bodies := map[string]string{}
	for key, b := range api.bodies {
		if strings.Contains(key, "/sh-0") || strings.Contains(key, "/sh-1") {
			bodies[key[strings.LastIndex(key, "providers/"):]] = string(b)
			if !strings.Contains(string(b), `"team"`) {
				t.Errorf("%s has no tags: %s", key, b)
			}
		}
	}
	if len(bodies) != 2*6 { // security group, interface, machine, join, script, agent
		t.Errorf("%d resources: %v", len(bodies), api.order)
	}
	for part, want := range map[string][]string{
		"providers/microsoft.network/networksecuritygroups/sh-0-nsg":                           {`"3389"`},
		"providers/microsoft.compute/virtualmachines/sh-0":                                     {`"computerName":"sh-0"`, `Correct-Horse-9-Staple`, `sh-0-nic`},
		"providers/microsoft.compute/virtualmachines/sh-1/extensions/joindomain":               {`joiner@corp.example`, `OU=desks`, `Pass-of-joiner-1`, `"corp.example"`},
		"providers/microsoft.compute/virtualmachines/sh-1/extensions/configuration":            {`https://files.example/setup.sh`, `sh ./setup.sh`},
		"providers/microsoft.compute/virtualmachines/sh-1/extensions/microsoft.powershell.dsc": {`AddSessionHost`, `token-of-`, `"desks"`},
	} {
		for _, w := range want {
			if !strings.Contains(bodies[part], w) {
				t.Errorf("%s lacks %s: %s", part, w, bodies[part])
			}
		}
	}
	if added.Names[1] != "sh-1" {
		t.Errorf("names %v", added.Names)
	}
}

func TestFaultsOfARunAreToldTogetherByTabAndParameter(t *testing.T) {
	s, _, pool := wizardSite(t)
	run := wizardRun(401)
	run.Basics.NamePrefix = "a-prefix-too-long"
	run.Network.Subnet = "none"
	run.Admin.Password = "Password1"
	_, err := s.ValidateSessionHosts(t.Context(), AddRequest{Pool: pool, Run: run})
	var e *arm.Error
	if !errors.As(err, &e) || e.Code != "InvalidSessionHostParameters" {
		t.Fatalf("told %v", err)
	}
	var targets []string
	for _, d := range e.Details {
		targets = append(targets, d.Target)
	}
	for _, want := range []string{"basics.namePrefix", "virtualMachines.numberOfVirtualMachines", "network.virtualNetwork", "virtualMachineAdministratorAccount.password"} {
		if !slices.Contains(targets, want) {
			t.Errorf("%s is not among the faults: %v", want, targets)
		}
	}
}

func TestAddressesAreCountedBeforeAnythingIsMade(t *testing.T) {
	s, _, pool := wizardSite(t)
	net := arm.MustParseID(testGroup + "/providers/Microsoft.Network/virtualNetworks/net")
	err := s.o.Store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		r, err := tx.Resource(ctx, net)
		if err != nil {
			return err
		}
		r.Properties = []byte(`{"subnets":[{"name":"desks","properties":{"addressPrefix":"10.0.2.0/28"}}]}`) // 16, of which five are Azure's
		_, err = tx.PutResource(ctx, r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ValidateSessionHosts(t.Context(), AddRequest{Pool: pool, Run: wizardRun(11)}); err != nil {
		t.Errorf("11 hosts: %v", err)
	}
	if _, err := s.ValidateSessionHosts(t.Context(), AddRequest{Pool: pool, Run: wizardRun(12)}); err == nil || !strings.Contains(err.Error(), "11 free addresses") {
		t.Errorf("12 hosts: %v", err)
	}
}

func TestRunWhoseDeploymentIsRefusedGivesItsNamesBack(t *testing.T) {
	s, api, pool := wizardSite(t)
	api.refuse = func(c Call) error {
		if strings.EqualFold(c.ID.Type(), "Microsoft.Compute/virtualMachines") {
			return arm.Errorf(arm.Forbidden, "AuthorizationFailed", "no virtualMachines/write")
		}
		return nil
	}
	_, _, err := s.AddSessionHosts(t.Context(), AddRequest{Pool: pool, Caller: testCaller, Run: wizardRun(3)})
	var e *arm.Error
	if !errors.As(err, &e) || !strings.Contains(fmt.Sprint(e.Details), "virtualMachines/write") {
		t.Fatalf("told %v", err)
	}
	api.refuse = nil
	added, _, err := s.AddSessionHosts(t.Context(), AddRequest{Pool: pool, Caller: testCaller, Run: wizardRun(1)})
	if err != nil || added.Names[0] != "sh-0" {
		t.Errorf("names %v, %v", added.Names, err)
	}
	keys, err := s.o.Store.RegistrationKeys(t.Context(), "pool")
	if err != nil || len(keys) != 2 || keys[0].RevokedAt.IsZero() == keys[1].RevokedAt.IsZero() {
		t.Errorf("keys %+v, %v", keys, err)
	}
}

func TestRunIsDeployedAgainWithItsSecretsAlone(t *testing.T) {
	s, _, pool := wizardSite(t)
	run := wizardRun(2)
	run.Directory = deskyard.AddDirectory{Directory: "ActiveDirectory", JoinUPN: "joiner@corp.example", JoinPassword: "Pass-of-joiner-1", OU: "OU=desks,DC=corp,DC=example"}
	run.Tags = deskyard.Tags{"note": "[concat('a', 'b')]"}
	added, _, err := s.AddSessionHosts(t.Context(), AddRequest{Pool: pool, Caller: testCaller, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	id := arm.MustParseID(added.Deployment)
	exported, err := s.DeploymentTemplate(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"Correct-Horse", "Pass-of-joiner", "token-of-"} {
		if bytes.Contains(exported, []byte(secret)) {
			t.Errorf("the template tells %s…", secret)
		}
	}
	parsed, err := template.ParseBytes(exported)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parsed.Parameters {
		if p.Required != p.Secure {
			t.Errorf("parameter %s, which is secret: %v, must be given: %v", p.Name, p.Secure, p.Required)
		}
	}
	for _, want := range []string{`"defaultValue":"OU=desks,DC=corp,DC=example"`, `"defaultValue":["sh-0","sh-1"]`, `"[[concat('a', 'b')]"`} {
		if !bytes.Contains(exported, []byte(want)) {
			t.Errorf("the template lacks %s", want)
		}
	}
}

func TestProgressTellsHowToGoOnAfterAFailedJoin(t *testing.T) {
	s, _, pool := wizardSite(t)
	added, _, err := s.AddSessionHosts(t.Context(), AddRequest{Pool: pool, Caller: testCaller, Run: wizardRun(1)})
	if err != nil {
		t.Fatal(err)
	}
	deployment := arm.MustParseID(added.Deployment)
	vm := deployment.Group().Provider("Microsoft.Compute", "virtualMachines", "sh-0")
	join := vm.Child("extensions", "joindomain")
	err = s.o.Store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutResource(ctx, deskyard.Resource{ID: vm, Properties: json.RawMessage(`{"provisioningState":"Succeeded"}`)})
		if err == nil {
			_, err = tx.PutResource(ctx, deskyard.Resource{ID: join, Properties: json.RawMessage(`{"provisioningState":"Failed","statusReason":"It did not join.","type":"JsonADDomainExtension"}`)})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{
		"OrganizationalUnitNotFound": " --parameters ouPath=RIGHT-OU", "DomainNotFound": " --parameters domain=RIGHT-DOMAIN", "LogonFailure": "",
	} {
		err := s.o.Store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
			return showInstance(ctx, tx, join, deskyard.StepResult{State: deskyard.StepFailed, Code: code, Message: "It did not join."}, time.Unix(0, 0))
		})
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.RunProgress(t.Context(), pool, deployment.Name())
		if err != nil {
			t.Fatal(err)
		}
		n := deployment.Name()
		command := "az deployment group export --resource-group " + deployment.ResourceGroup + " --name " + n + " >" + n + ".json && az deployment group create --resource-group " + deployment.ResourceGroup + " --name " + n + " --template-file " + n + ".json" + want
		if h := p.Hosts[0]; h.Stage != "Failed" || h.Detail != "joindomain: It did not join." || h.Next != command {
			t.Errorf("%s: %+v", code, h)
		}
	}
}

func TestValidationSaysWhatARunCosts(t *testing.T) {
	s, _, pool := wizardSite(t)
	run := wizardRun(3)
	run.Machines.DiskGB = 64
	checked, err := s.ValidateSessionHosts(t.Context(), AddRequest{Pool: pool, Caller: testCaller, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	want := deskyard.RunResources{Machines: 3, CPUs: 6, MemoryMB: 24 << 10, DiskGB: 192, Addresses: 3}
	if n := checked.Requires; n.Total != want || n.Each.CPUs != 2 || n.Each.MemoryMB != 8<<10 {
		t.Errorf("it requires %+v, not %+v", n, want)
	}
	// No hypervisor has answered yet, so that nobody knows of its memory.
	if free := checked.Requires.Free; free.Addresses == nil || *free.Addresses < 400 || free.MemoryMB != nil {
		t.Errorf("free are %+v", free)
	}
	run.Machines.DiskGB, run.Basics.NamePrefix = 0, "far-too-long-a-prefix"
	run.Admin.Password = "short"
	_, err = s.ValidateSessionHosts(t.Context(), AddRequest{Pool: pool, Caller: testCaller, Run: run})
	var refused *arm.Error
	if !errors.As(err, &refused) || len(refused.Details) < 2 {
		t.Fatalf("the faults are %v", err)
	}
	for _, d := range refused.Details {
		if tab, field, ok := strings.Cut(d.Target, "."); !ok || tab == "" || field == "" || d.Message == "" || d.Code == "" {
			t.Errorf("a fault without tab, field, code or message: %+v", d)
		}
	}
}

func TestARunWithoutANetworkIsToldAtItsField(t *testing.T) {
	s, _, pool := wizardSite(t)
	for name, n := range map[string]deskyard.AddNetwork{"none": {}, "no subnet": {VirtualNetwork: "net"}, "one that is not": {VirtualNetwork: "other", Subnet: "desks"}} {
		run := wizardRun(1)
		run.Network = n
		_, err := s.ValidateSessionHosts(t.Context(), AddRequest{Pool: pool, Run: run})
		var e *arm.Error
		if !errors.As(err, &e) || !strings.HasPrefix(e.Target, "network.") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoSecurityGroupIsNamedWhereNoneIsChosen(t *testing.T) {
	if id := azureParameters(wizardRun(1), runFacts{})["securityGroupId"]; id != "" {
		t.Errorf("the template is given the security group %q", id)
	}
	group := arm.MustParseID(testGroup).Provider("Microsoft.Network", "networkSecurityGroups", "guard")
	if id := azureParameters(wizardRun(1), runFacts{nsg: group})["securityGroupId"]; id != group.String() {
		t.Errorf("the template is given the security group %q", id)
	}
}
