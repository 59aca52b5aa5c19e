package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/deskyard/deskyard/arm"
)

// resources makes a template of the text of its resources.
func resources(list ...string) string { return `{"resources": [` + strings.Join(list, ",") + `]}` }

const nic = `{"type": "Microsoft.Network/networkInterfaces", "apiVersion": "1", "name": "[concat('nic', copyIndex())]", "copy": {"name": "nics", "count": 3}}`

// vm is a machine of the given name with more members.
func vm(name, more string) string {
	if more != "" {
		more = ", " + more
	}
	return `{"type": "Microsoft.Compute/virtualMachines", "apiVersion": "1", "name": "` + name + `"` + more + `}`
}

func TestADependencyMayBeNamedInAnyForm(t *testing.T) {
	for named, want := range map[string]string{
		`"nics"`: "nic0 nic1 nic2",
		`"NICS"`: "nic0 nic1 nic2",
		`"nic1"`: "nic1",
		`"Microsoft.Network/networkInterfaces/nic2"`:                                 "nic2",
		`"[resourceId('Microsoft.Network/networkInterfaces', 'NIC0')]"`:              "nic0",
		`"[resourceId('elsewhere', 'Microsoft.Network/networkInterfaces', 'nic0')]"`: "nic0",
		`"nic1", "nics"`:                  "nic0 nic1 nic2",
		`"[createArray('nic1', 'nic2')]"`: "nic1 nic2",
		`"off"`:                           "",
	} {
		p := mustPlan(t, resources(nic, vm("off", `"condition": false`), vm("vm", `"dependsOn": [`+named+`]`)), `{}`)
		if got := dependencies(p, p.Nodes[len(p.Nodes)-1]); got != want {
			t.Errorf("%s: waits for %q, want %q", named, got, want)
		}
	}
}

func TestOrderHoldsThroughAResourceThatIsLeftOut(t *testing.T) {
	p := mustPlan(t, resources(
		vm("a", ""),
		vm("b", `"condition": false, "dependsOn": ["a"]`),
		vm("c", `"dependsOn": ["b"]`)), `{}`)
	if got := dependencies(p, p.Nodes[2]); got != "a" {
		t.Errorf("c waits for %q, want a, which the resource left out between them waits for", got)
	}
}

func TestAnUnknownDependencyIsNamed(t *testing.T) {
	_, err := plan(t, resources(vm("a", "\n\"dependsOn\": [\"Microsoft.None/b\"]")), `{}`)
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "The resource 'Microsoft.None/b' is not defined in the template, and 'Microsoft.Compute/virtualMachines/a'") || e.Pos != (Pos{2, 15}) {
		t.Fatalf("%v", err)
	}
}

func TestACycleIsNamed(t *testing.T) {
	_, err := plan(t, resources(vm("z", `"dependsOn": ["a"]`), vm("a", `"dependsOn": ["b"]`), vm("b", `"dependsOn": ["c"]`), vm("c", `"dependsOn": ["a"]`)), `{}`)
	want := "'Microsoft.Compute/virtualMachines/a' depends on 'Microsoft.Compute/virtualMachines/b' depends on 'Microsoft.Compute/virtualMachines/c' depends on 'Microsoft.Compute/virtualMachines/a'"
	if err == nil || !strings.Contains(err.Error(), "Circular dependency detected") || !strings.Contains(err.Error(), want) {
		t.Fatalf("%v", err)
	}
	if _, err := plan(t, resources(vm("a", `"dependsOn": ["a"]`)), `{}`); err == nil || !strings.Contains(err.Error(), "Circular") {
		t.Fatalf("a resource that waits for itself: %v", err)
	}
}

func TestASerialLoopRunsBatchAfterBatch(t *testing.T) {
	p := mustPlan(t, resources(vm("[concat('vm', copyIndex(1))]", `"copy": {"name": "l", "count": 5, "mode": "Serial", "batchSize": 2}`)), `{}`)
	var got []string
	for _, n := range p.Nodes {
		got = append(got, n.Name+":"+dependencies(p, n))
	}
	if s := strings.Join(got, ","); s != "vm1:,vm2:,vm3:vm1 vm2,vm4:vm1 vm2,vm5:vm3 vm4" {
		t.Fatal(s)
	}
}

func TestACopyCountIsBounded(t *testing.T) {
	for count, want := range map[string]string{"801": "from 0 to 800", "-1": "from 0 to 800", `"x"`: "must be an integer", `"[add(1, 'x')]"`: "must be of type 'Integer'"} {
		_, err := plan(t, resources(vm("[string(copyIndex())]", `"copy": {"name": "l", "count": `+count+`}`)), `{}`)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("count %s: %v", count, err)
		}
	}
	p := mustPlan(t, resources(vm("[string(copyIndex())]", `"copy": {"name": "l", "count": 0}`), vm("b", `"dependsOn": ["l"]`)), `{}`)
	if len(p.Nodes) != 1 || len(p.Nodes[0].DependsOn) != 0 {
		t.Errorf("a loop of none made %d nodes", len(p.Nodes)-1)
	}
}

func TestNamesAndTypesMakeIDs(t *testing.T) {
	p := mustPlan(t, resources(
		`{"type": "Microsoft.DesktopVirtualization/hostpools/providers/diagnosticSettings", "apiVersion": "1", "name": "pool/Microsoft.Insights/d"}`,
		vm("vm", `"resources": [{"type": "extensions", "apiVersion": "1", "name": "e", "resources": [{"type": "sub", "apiVersion": "1", "name": "s"}]}]`),
		`{"type": "Microsoft.Authorization/locks", "apiVersion": "1", "name": "l", "scope": "Microsoft.Compute/virtualMachines/vm"}`,
		`{"type": "Microsoft.Authorization/locks", "apiVersion": "1", "name": "l", "scope": "[resourceId('rg2', 'Microsoft.Compute/virtualMachines', 'vm')]"}`,
		`{"type": "Microsoft.Resources/deployments", "apiVersion": "1", "name": "d", "resourceGroup": "rg3", "properties": {"templateLink": {"uri": "u"}}}`,
		`{"type": "Microsoft.Resources/deployments", "apiVersion": "1", "name": "d", "subscriptionId": "S2", "location": "l", "properties": {"templateLink": {"uri": "u"}}}`,
		`{"type": "Microsoft.Management/managementGroups", "apiVersion": "1", "name": "mg", "scope": "/"}`,
		`{"type": "Microsoft.Resources/resourceGroups", "apiVersion": "1", "name": "new"}`,
	), `{}`)
	var got []string
	for _, n := range p.Nodes {
		got = append(got, n.ID.String())
	}
	const sub = "/subscriptions/11111111-1111-1111-1111-111111111111"
	want := []string{
		testGroup + "/providers/Microsoft.DesktopVirtualization/hostpools/pool/providers/Microsoft.Insights/diagnosticSettings/d",
		testGroup + "/providers/Microsoft.Compute/virtualMachines/vm",
		testGroup + "/providers/Microsoft.Compute/virtualMachines/vm/extensions/e",
		testGroup + "/providers/Microsoft.Compute/virtualMachines/vm/extensions/e/sub/s",
		testGroup + "/providers/Microsoft.Compute/virtualMachines/vm/providers/Microsoft.Authorization/locks/l",
		sub + "/resourceGroups/rg2/providers/Microsoft.Compute/virtualMachines/vm/providers/Microsoft.Authorization/locks/l",
		sub + "/resourceGroups/rg3/providers/Microsoft.Resources/deployments/d",
		"/subscriptions/S2/providers/Microsoft.Resources/deployments/d",
		"/providers/Microsoft.Management/managementGroups/mg",
		sub + "/resourceGroups/new",
	}
	if !slices.Equal(got, want) {
		t.Errorf("ids\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if dependencies(p, p.Nodes[2]) != "vm" || !strings.Contains(dependencies(p, p.Nodes[3]), "vm/e") {
		t.Errorf("children wait for %q and %q", dependencies(p, p.Nodes[2]), dependencies(p, p.Nodes[3]))
	}
}

func TestATypeAndANameMustMatch(t *testing.T) {
	_, err := plan(t, resources(`{"type": "Microsoft.Compute/virtualMachines/extensions", "apiVersion": "1", "name": "onlyone"}`), `{}`)
	if err == nil || !strings.Contains(err.Error(), "has incorrect segment lengths") {
		t.Fatal(err)
	}
}

func TestTwoResourcesOfOneIDAreRefused(t *testing.T) {
	_, err := plan(t, resources(vm("a", ""), vm("A", "")), `{}`)
	if err == nil || !strings.Contains(err.Error(), "is defined multiple times in a template") {
		t.Fatal(err)
	}
	mustPlan(t, resources(vm("a", `"condition": false`), vm("A", "")), `{}`) // either this or that
}

func TestPropertiesMayBeCopiedNamedAndLeftOutByExpressions(t *testing.T) {
	p := mustPlan(t, `{"parameters": {"n": {"type": "int", "defaultValue": 2}}, "variables": {
		"copy": [{"name": "top", "count": 2, "input": "[concat('t', copyIndex('top'))]"}],
		"inner": {"copy": [{"name": "list", "count": "[parameters('n')]", "input": {"i": "[copyIndex('list', 10)]"}}], "other": 1}},
		"resources": [`+vm("[concat('vm', copyIndex())]", `"copy": {"name": "vms", "count": 2}, "tags": {"[concat('k', copyIndex())]": "v"},
			"properties": {"copy": [{"name": "disks", "count": "[add(copyIndex(), 1)]", "input": {"lun": "[copyIndex('disks')]", "vm": "[copyIndex()]"}}],
			"gone": "[null()]", "alsoGone": "[json('null')]", "ring": null, "top": "[variables('top')]", "inner": "[variables('inner')]", "brackets": "[[x]"}`)+`]}`, `{}`)
	v, err := p.Nodes[1].Evaluate(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"tags":{"k1":"v"},"properties":{"disks":[{"lun":0,"vm":1},{"lun":1,"vm":1}],"ring":null,"top":["t0","t1"],"inner":{"list":[{"i":10},{"i":11}],"other":1},"brackets":"[x]"}}`
	if got := string(v.Reveal()); got != want {
		t.Errorf("body\n%s\nwant\n%s", got, want)
	}
}

func TestTheStateOfResourcesIsAskedForWhenTheyAreThere(t *testing.T) {
	src := resources(
		`{"type": "Microsoft.DesktopVirtualization/hostPools", "apiVersion": "2", "name": "pool"}`,
		vm("vm", `"properties": {"token": "[reference('pool').registrationInfo.token]", "where": "[reference(resourceId('Microsoft.DesktopVirtualization/hostPools', 'pool'), '3', 'Full').location]",
			"keys": "[listKeys('pool', '2020-01-01').keys[0]]"}`),
		vm("other", `"tags": {"x": "[reference(resourceId('far', 'Microsoft.Compute/virtualMachines', 'x'), '1').size]"}`))
	p := mustPlan(t, src, `{}`)
	if dependencies(p, p.Nodes[1]) != "pool" || dependencies(p, p.Nodes[2]) != "" || !p.Nodes[1].Runtime() || p.Nodes[0].Runtime() {
		t.Fatalf("vm waits for %q, other for %q", dependencies(p, p.Nodes[1]), dependencies(p, p.Nodes[2]))
	}
	w := world{strings.ToLower(testGroup) + "/providers/microsoft.desktopvirtualization/hostpools/pool": `{"location": "here", "properties": {"registrationInfo": {"token": "tok"}}}`}
	v, err := p.Nodes[1].Evaluate(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(v.Reveal()); got != `{"properties":{"token":"tok","where":"here","keys":"listKeys of pool at 2020-01-01"}}` {
		t.Errorf("body %s", got)
	}
	if got := v.String(); !strings.Contains(got, `"keys":"redacted"`) {
		t.Errorf("shown %s", got)
	}
	pre, err := p.Nodes[1].Preview()
	if err != nil || pre.Member("properties").Str("token") != "[reference('pool').registrationInfo.token]" {
		t.Errorf("preview %s, %v", pre, err)
	}
	_, err = p.Nodes[2].Evaluate(t.Context(), w)
	var gone *arm.Error
	if !errors.As(err, &gone) || gone.Kind != arm.Missing {
		t.Errorf("a missing resource: %v", err)
	}
	if e := new(Error); !errors.As(err, &e) || e.ARM().Kind != arm.Invalid || len(e.ARM().Details) != 1 {
		t.Errorf("a missing resource for clients: %+v", e)
	}
	for kind, said := range map[arm.Kind]error{arm.Unavailable: errors.New("disk full"), arm.Throttled: arm.Errorf(arm.Throttled, "TooManyRequests", "later")} {
		_, err := p.Nodes[2].Evaluate(t.Context(), deaf{said})
		if e := new(Error); !errors.As(err, &e) || e.ARM().Kind != kind || !errors.Is(err, said) {
			t.Errorf("%v became %v", said, err)
		}
	}
	for _, bad := range []string{vm("[reference('x').y]", ""), vm("a", `"condition": "[empty(listKeys('x'))]"`)} {
		if _, err := plan(t, resources(bad), `{}`); err == nil || !strings.Contains(err.Error(), "is not expected at this location") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestSymbolicNamesAndExistingResources(t *testing.T) {
	src := `{"languageVersion": "2.0", "resources": {
		"vnet": {"existing": true, "type": "Microsoft.Network/virtualNetworks", "apiVersion": "5", "name": "net", "dependsOn": ["prep"]},
		"prep": ` + vm("prep", "") + `,
		"nics": {"type": "Microsoft.Network/networkInterfaces", "apiVersion": "7", "name": "[format('nic{0}', copyIndex())]", "copy": {"name": "nics", "count": 2},
			"properties": {"space": "[reference('vnet').space]"}},
		"vm": ` + vm("vm", `"properties": {"all": "[map(references('nics'), lambda('n', lambdaVariables('n').mac))]", "one": "[reference('nics[1]').mac]", "id": "[resourceInfo('vnet').id]"}`) + `},
		"outputs": {"macs": {"type": "array", "copy": {"count": 2, "input": "[reference(format('nics[{0}]', copyIndex())).mac]"}}, "no": {"condition": false, "type": "string", "value": "x"}}}`
	p := mustPlan(t, src, `{}`)
	vmNode := nodeNamed(t, p, "Microsoft.Compute/virtualMachines", "vm")
	if got := dependencies(p, vmNode); got != "nic0 nic1" {
		t.Errorf("the machine waits for %q", got)
	}
	if got := dependencies(p, nodeNamed(t, p, "Microsoft.Network/networkInterfaces", "nic0")); got != "prep" {
		t.Errorf("what refers to an existing resource waits for %q", got)
	}
	base := strings.ToLower(testGroup) + "/providers/microsoft.network/"
	w := world{base + "virtualnetworks/net": `{"properties": {"space": "10/8"}}`, base + "networkinterfaces/nic0": `{"properties": {"mac": "m0"}}`, base + "networkinterfaces/nic1": `{"properties": {"mac": "m1"}}`}
	v, err := vmNode.Evaluate(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.String(), fmt.Sprintf(`{"properties":{"all":["m0","m1"],"one":"m1","id":"%s/providers/Microsoft.Network/virtualNetworks/net"}}`, testGroup); got != want {
		t.Errorf("body %s", got)
	}
	outs, err := p.Outputs(t.Context(), w)
	if err != nil || len(outs) != 1 || outs[0].Value.String() != `["m0","m1"]` {
		t.Errorf("outputs %v, %v", outs, err)
	}
}

func TestOutputsThatFailAreAllReported(t *testing.T) {
	p := mustPlan(t, `{"resources": [], "outputs": {"a": {"type": "string", "value": "[createObject().x]"}, "b": {"type": "int", "value": "text"}}}`, `{}`)
	_, err := p.Outputs(t.Context(), nil)
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeOutputFailed || len(e.Details) != 2 || !strings.Contains(e.Message, "'x' doesn't exist") || !strings.Contains(e.Message, "Expected a value of type 'String'") && !strings.Contains(e.Message, "Expected a value of type 'Integer'") {
		t.Fatalf("%v", err)
	}
}

func TestAPlanMayBeRunByManyAtOnce(t *testing.T) {
	p := mustPlan(t, `{"parameters": {"pw": {"type": "securestring"}}, "variables": {"v": {"copy": [{"name": "l", "count": 5, "input": "[concat('x', copyIndex('l'))]"}]}}, "resources": [`+
		`{"type": "A/pool", "apiVersion": "1", "name": "pool"},`+
		vm("[concat('vm', copyIndex())]", `"copy": {"name": "vms", "count": 20}, "properties": {"a": "[variables('v')]", "pw": "[parameters('pw')]", "t": "[concat(reference('pool').t, copyIndex())]"}`)+`]}`, `{"pw": {"value": "x"}}`)
	w := world{strings.ToLower(testGroup) + "/providers/a/pool/pool": `{"properties": {"t": "tok"}}`}
	var wg sync.WaitGroup
	for _, n := range p.Nodes {
		wg.Go(func() {
			v, err := n.Evaluate(t.Context(), w)
			if err != nil || n.Copy != "" && v.Member("properties").Str("t") != fmt.Sprintf("tok%d", n.CopyIndex) {
				t.Errorf("%s: %s, %v", n, v, err)
			}
		})
	}
	wg.Wait()
}
