package deskyard

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/arm"
)

// machineModels are the models that clients' bodies of machines and networks decode into.
var machineModels = []func() Model{
	func() Model { return new(VirtualMachine) }, func() Model { return new(VMExtension) }, func() Model { return new(AvailabilitySet) },
	func() Model { return new(Image) }, func() Model { return new(Gallery) }, func() Model { return new(GalleryImage) },
	func() Model { return new(GalleryImageVersion) }, func() Model { return new(VirtualNetwork) }, func() Model { return new(Subnet) },
	func() Model { return new(NetworkInterface) }, func() Model { return new(SecurityGroup) }, func() Model { return new(SecurityRule) },
	func() Model { return new(HybridMachine) }, func() Model { return new(HCIInstance) }, func() Model { return new(HCIInterface) },
	func() Model { return new(LogicalNetwork) }, func() Model { return new(HCIGalleryImage) }, func() Model { return new(StorageContainer) },
	func() Model { return new(CustomLocation) }, func() Model { return new(ManagedIdentity) },
}

// FuzzMachineModels decodes any properties into any model, twice over itself: nothing
// panics, what is stored decodes again to the same, and no secret is in it.
func FuzzMachineModels(f *testing.F) {
	for i, seed := range []string{
		`{"hardwareProfile":{"vmSize":"Standard_D2s_v3"},"osProfile":{"adminUsername":"u","adminPassword":"hush-hush-hush-0","linuxConfiguration":{"ssh":{"publicKeys":[{"keyData":"ssh-rsa AAAA"}]}}},"networkProfile":{"networkInterfaces":[{"id":"/x"}]},"storageProfile":{"imageReference":{"id":"/i"},"osDisk":{"diskSizeGB":"3"}}}`,
		`{"publisher":"p","type":"t","settings":{"a":1},"protectedSettings":{"k":"hush-hush-hush-0"}}`,
		`{"platformFaultDomainCount":2}`, `{"catalogueImage":"a:b:c:d"}`, `{}`, `{"osType":"Windows","identifier":{"sku":"s"}}`, `{"storageProfile":{}}`,
		`{"addressSpace":{"addressPrefixes":["10.0.0.0/8"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.0.0.0/24","networkSecurityGroup":{"id":"/g"}}}]}`,
		`{"addressPrefixes":["10.0.0.0/24"]}`, `{"ipConfigurations":[{"name":"i","properties":{"subnet":{"id":"/s"}}}]}`,
		`{"securityRules":[{"name":"r","properties":{"protocol":"*","priority":"100","destinationPortRange":"1-2"}}]}`, `{"sourcePortRange":"*"}`, `{"vmId":"x"}`,
		`{"hardwareProfile":{"processors":2,"memoryMB":"512","dynamicMemoryConfig":{"minimumMemoryMB":256}},"osProfile":{"adminPassword":"hush-hush-hush-0"}}`,
		`{"ipConfigurations":[{"properties":{}}]}`, `{"subnets":[{"properties":{"ipPools":[{"start":"1.2.3.4","end":"x"}]}}]}`, `{"identifier":null}`, `{"path":"/p"}`, `null`, `[]`,
	} {
		f.Add(uint8(i), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		build := machineModels[int(which)%len(machineModels)]
		m := build()
		if json.Unmarshal(body, m) != nil {
			return
		}
		m.Default(nil)
		var v arm.Violations
		m.Validate(nil, &v)
		m.Refs()
		stored, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("encode %T: %v", m, err)
		}
		if s, ok := m.(interface{ Secrets() json.RawMessage }); ok && s.Secrets() != nil && strings.Contains(string(stored), "hush-hush-hush-0") &&
			strings.Count(string(body), "hush-hush-hush-0") == 1 {
			t.Fatalf("a secret is in the stored %T: %s", m, stored)
		}
		old := build()
		if err := json.Unmarshal(stored, old); err != nil {
			t.Fatalf("read %T back: %v: %s", m, err, stored)
		}
		next := build()
		if err := json.Unmarshal(body, next); err != nil {
			t.Fatal(err)
		}
		next.Default(old)
		next.Validate(old, &v)
		again, err := json.Marshal(old)
		if err != nil || string(again) != string(stored) {
			t.Fatalf("%T changes by being stored: %s, then %s (%v)", m, stored, again, err)
		}
	})
}

func TestSizesAreFoundInAnyCaseAndCustomOnesWithinBounds(t *testing.T) {
	for name, want := range map[string]VMSize{
		"STANDARD_d4s_V3":  {Name: "Standard_D4s_v3", CPUs: 4, MemoryMB: 16384, Premium: true, TrustedLaunch: true},
		"Standard_E64_v3":  {Name: "Standard_E64_v3", CPUs: 64, MemoryMB: 432 << 10, TrustedLaunch: true},
		"Standard_B1ls":    {Name: "Standard_B1ls", CPUs: 1, MemoryMB: 512, Premium: true, TrustedLaunch: true},
		"Standard_D16s_v5": {Name: "Standard_D16s_v5", CPUs: 16, MemoryMB: 64 << 10, Premium: true, Hibernation: true, TrustedLaunch: true},
		"Standard_D32s_v5": {Name: "Standard_D32s_v5", CPUs: 32, MemoryMB: 128 << 10, Premium: true, TrustedLaunch: true},
		"custom_2_768":     {Name: "Custom_2_768", CPUs: 2, MemoryMB: 768, Premium: true, Hibernation: true, TrustedLaunch: true},
	} {
		got, ok := LookupVMSize(name)
		if !ok || got.Name != want.Name || got.CPUs != want.CPUs || got.MemoryMB != want.MemoryMB || got.Premium != want.Premium ||
			got.Hibernation != want.Hibernation || got.TrustedLaunch != want.TrustedLaunch {
			t.Errorf("%s is %+v, %v; want %+v", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "Standard_D3s_v3", "Custom_0_512", "Custom_2_64", "Custom_2000_512", "Custom_2"} {
		if got, ok := LookupVMSize(name); ok {
			t.Errorf("%s is %+v", name, got)
		}
	}
}

func TestSizeNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range VMSizes() {
		if key := strings.ToLower(s.Name); seen[key] || s.CPUs == 0 || s.MemoryMB == 0 || s.Family == "" {
			t.Errorf("size %+v is there twice or says too little", s)
		} else {
			seen[key] = true
		}
	}
}
