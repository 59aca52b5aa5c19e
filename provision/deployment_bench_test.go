package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// instantAPI answers every call at once and keeps nothing: what is left is the
// engine.
type instantAPI struct{}

func (instantAPI) Do(_ context.Context, c Call) (Reply, error) {
	if c.Method == "GET" {
		return Reply{Status: 200, Body: json.RawMessage(fmt.Sprintf(`{"id":%q,"name":%q,"location":"local","tags":{},"properties":{}}`, c.ID, c.ID.Name()))}, nil
	}
	return Reply{Status: 201, Body: json.RawMessage(`{"properties":{"provisioningState":"Succeeded"}}`)}, nil
}

func (instantAPI) Knows(string) ([]string, bool) { return []string{"2024-01-01"}, true }

// machinesBody is what a run of n machines asks for: a network interface, a machine
// and an extension each.
func machinesBody(n int) string {
	return strings.Replace(body(`
	{"type":"Microsoft.Network/networkInterfaces","apiVersion":"2024-01-01","name":"[concat('vm-', copyIndex(), '-nic')]","location":"[resourceGroup().location]","copy":{"name":"nics","count":"[parameters('n')]"},
	 "properties":{"ipConfigurations":[{"name":"ipconfig","properties":{"privateIPAllocationMethod":"Dynamic","subnet":{"id":"[parameters('subnet')]"}}}]}},
	{"type":"Microsoft.Compute/virtualMachines","apiVersion":"2024-01-01","name":"[concat('vm-', copyIndex())]","location":"[resourceGroup().location]","copy":{"name":"vms","count":"[parameters('n')]"},
	 "dependsOn":["[concat('Microsoft.Network/networkInterfaces/vm-', copyIndex(), '-nic')]"],"tags":{"a":"b"},
	 "properties":{"hardwareProfile":{"vmSize":"Standard_D2s_v3"},"osProfile":{"computerName":"[concat('vm-', copyIndex())]","adminUsername":"u","adminPassword":"[parameters('password')]"},
	  "storageProfile":{"imageReference":{"publisher":"deskyard","offer":"debian","sku":"12","version":"latest"},"osDisk":{"createOption":"FromImage"}},
	  "networkProfile":{"networkInterfaces":[{"id":"[resourceId('Microsoft.Network/networkInterfaces', concat('vm-', copyIndex(), '-nic'))]"}]}}},
	{"type":"Microsoft.Compute/virtualMachines/extensions","apiVersion":"2024-01-01","name":"[concat('vm-', copyIndex(), '/dsc')]","location":"[resourceGroup().location]","copy":{"name":"exts","count":"[parameters('n')]"},
	 "dependsOn":["[concat('Microsoft.Compute/virtualMachines/vm-', copyIndex())]"],
	 "properties":{"publisher":"Microsoft.Powershell","type":"DSC","typeHandlerVersion":"2.73","settings":{"configurationFunction":"Configuration.ps1\\AddSessionHost","properties":{"hostPoolName":"hp1"}}}}`,
		`"parameters":{"n":{"type":"int"},"subnet":{"type":"string","defaultValue":"/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/s"},"password":{"type":"securestring"}}`),
		`"mode":"Incremental"`, fmt.Sprintf(`"parameters":{"n":{"value":%d},"password":{"value":"Passw0rd!"}},"mode":"Incremental"`, n), 1)
}

// BenchmarkRunOf400Machines is what the engine adds to a run of 400 machines: from the
// request to the end of 1,200 resources, rows on SQLite with every write durable.
func BenchmarkRunOf400Machines(b *testing.B) {
	const machines = 400
	text := machinesBody(machines)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		g := newRig(b, func(o *Options) { o.Resources = instantAPI{} })
		var before, during runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		g.mustDeploy("d1", text)
		g.ended("d1", stateSucceeded)
		b.StopTimer()
		runtime.ReadMemStats(&during)
		b.ReportMetric(float64(during.TotalAlloc-before.TotalAlloc)/machines/1024, "KiB-allocated/machine")
		if r, err := g.s.PrepareDeployment(b.Context(), g.request("d2", text)); err != nil {
			b.Fatal(err)
		} else {
			runtime.GC()
			runtime.ReadMemStats(&before)
			b.ReportMetric(float64(heapOf(r))/machines/1024, "KiB-held/machine")
		}
		g.stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/machines, "ms/machine")
}

// heapOf is how much memory goes when a prepared deployment is let go.
func heapOf(p *PreparedDeployment) int64 {
	var with, without runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&with)
	p.run = nil
	runtime.GC()
	runtime.ReadMemStats(&without)
	return int64(with.HeapAlloc) - int64(without.HeapAlloc)
}

// BenchmarkWakeOfAWaitingRun is what one machine that becomes ready costs a run that
// waits for 400 of them.
func BenchmarkWakeOfAWaitingRun(b *testing.B) {
	g := newRig(b)
	g.mustDeploy("d1", strings.Replace(body(
		`{"type":"Test.Things/slow","apiVersion":"2025-01-01","name":"[concat('vm-', copyIndex())]","location":"local","copy":{"name":"vms","count":400}},
		{"type":"Test.Things/things","apiVersion":"2025-01-01","name":"[concat('ext-', copyIndex())]","location":"local","copy":{"name":"exts","count":400},"dependsOn":["[concat('vm-', copyIndex())]"]}`),
		`"resources"`, `"metadata":{"size":"`+strings.Repeat("of a template of Microsoft's ", 1500)+`"},"resources"`, 1))
	g.settled("d1")
	next := 0
	for b.Loop() {
		if next == 400 {
			b.Fatal("more machines are wanted than there are: use -benchtime 300x")
		}
		g.finish(fmt.Sprintf("vm-%d", next), stateSucceeded, "")
		next++
		if err := g.s.Settle(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
