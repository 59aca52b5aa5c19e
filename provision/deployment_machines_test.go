package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/fake"
	"github.com/deskyard/deskyard/image"
)

// shelf is a catalogue with one image, of 4 GB.
type shelf struct{}

func (shelf) Resolve(_ context.Context, _ string, ref deskyard.ImageReference) (compute.Image, error) {
	if ref.Offer != "debian" {
		return compute.Image{}, fmt.Errorf("find %s: %w", ref.Offer, image.ErrNotFound)
	}
	return compute.Image{ID: "deskyard:debian:12:1", Path: "debian", VirtualBytes: 4 << 30, OS: "linux", Firmware: "uefi", Provisioning: "deskyard"}, nil
}

// machineRig is a rig with hypervisors, on which nothing is ever made: its API keeps
// the machines' bodies and no more.
func machineRig(t *testing.T, change func(*Options), hosts ...fake.Options) *rig {
	t.Helper()
	g := newRig(t, func(o *Options) {
		o.Images = shelf{}
		for i, h := range hosts {
			d := fake.New(h)
			t.Cleanup(d.Close)
			o.Hypervisors = append(o.Hypervisors, Hypervisor{Name: fmt.Sprint("host", i+1), Driver: d, Zone: fmt.Sprint(i + 1)})
		}
		if change != nil {
			change(o)
		}
	})
	g.api.open = true
	return g
}

// machineTemplate is a template's part that makes n machines with their interfaces in a network
// of its own; more is laid into the machines' properties, extra are further resources.
func machineTemplate(n int, prefix, more, extra string) string {
	return body(fmt.Sprintf(`{"type":"Microsoft.Network/virtualNetworks","apiVersion":"2022-09-01","name":"net","location":"eastus",
		"properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"desks","properties":{"addressPrefix":"%s"}}]}},
	{"type":"Microsoft.Network/networkInterfaces","apiVersion":"2022-09-01","name":"[concat('sh-', copyIndex(), '-nic')]","location":"eastus","dependsOn":["net"],"copy":{"name":"nics","count":%d},
		"properties":{"ipConfigurations":[{"name":"a","properties":{"subnet":{"id":"[resourceId('Microsoft.Network/virtualNetworks/subnets', 'net', 'desks')]"}}}]}},
	{"type":"Microsoft.Compute/virtualMachines","apiVersion":"2022-09-01","name":"[concat('sh-', copyIndex())]","location":"East US","dependsOn":["nics"],"copy":{"name":"vms","count":%d},
		"properties":{"hardwareProfile":{"vmSize":"[parameters('size')]"},"storageProfile":{"imageReference":{"publisher":"deskyard","offer":"[parameters('offer')]","sku":"12","version":"latest"}},
		"networkProfile":{"networkInterfaces":[{"id":"[resourceId('Microsoft.Network/networkInterfaces', concat('sh-', copyIndex(), '-nic'))]"}]}%s}}%s`,
		prefix, n, n, more, extra),
		`"parameters":{"size":{"type":"string","defaultValue":"Custom_2_1024"},"offer":{"type":"string","defaultValue":"debian"}}`)
}

// nested puts resources' deployment into another, with nothing else in it.
func nested(t *testing.T, inner string) string {
	t.Helper()
	var d struct {
		Properties struct {
			Template json.RawMessage `json:"template"`
		} `json:"properties"`
	}
	if err := json.Unmarshal([]byte(inner), &d); err != nil {
		t.Fatal(err)
	}
	return body(`{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"inner","properties":{"mode":"Incremental",
		"expressionEvaluationOptions":{"scope":"inner"},"template":` + string(d.Properties.Template) + `}}`)
}

// TestWhatMachinesLackIsToldBeforeAnythingIsMade has templates whose machines cannot be
// made: alone, or so many of them.
func TestWhatMachinesLackIsToldBeforeAnythingIsMade(t *testing.T) {
	roomy, small := fake.Options{CPUs: 1024}, fake.Options{CPUs: 64, MemoryMB: 100 << 10}
	quota := func(name string, n int64) func(*Options) {
		return func(o *Options) { o.Quotas = map[string]int64{name: n} }
	}
	extension := func(publisher, kind string) string {
		return fmt.Sprintf(`,{"type":"Microsoft.Compute/virtualMachines/extensions","apiVersion":"2022-09-01","name":"sh-0/x","location":"eastus","dependsOn":["vms"],
			"properties":{"publisher":"%s","type":"%s","settings":{}}}`, publisher, kind)
	}
	const wide, wider = "10.0.2.0/24", "10.0.2.0/23"
	for _, c := range []struct {
		what   string
		host   fake.Options
		change func(*Options)
		body   string
		wants  []string // "" alone: it is fine
	}{
		{"all there", roomy, nil, machineTemplate(3, wide, "", extension("Microsoft.Azure.Extensions", "CustomScript")), nil},
		{"400 in a host that is large enough", roomy, nil, machineTemplate(400, wider, "", ""), nil},
		{"an unknown image", roomy, nil, strings.Replace(machineTemplate(1, wide, "", ""), `"defaultValue":"debian"`, `"defaultValue":"other"`, 1), []string{"PlatformImageNotFound", "sh-0"}},
		{"an unknown size", roomy, nil, strings.Replace(machineTemplate(1, wide, "", ""), "Custom_2_1024", "Standard_Huge", 1), []string{"Standard_Huge"}},
		{"an unknown publisher", roomy, nil, machineTemplate(1, wide, "", extension("Contoso", "Thing")), []string{"ArtifactNotFound", "Contoso"}},
		{"an unknown configuration", roomy, nil, machineTemplate(1, wide, "", extension("Microsoft.Powershell", "DSC")), []string{"NotSupported", "AddSessionHost"}},
		{"a disk that is too small", roomy, nil, strings.Replace(machineTemplate(1, wide, "", ""), `"imageReference"`, `"osDisk":{"diskSizeGB":2},"imageReference"`, 1), []string{"disk size 2 GB"}},
		{"a quota of machines", roomy, quota(quotaMachines, 5), machineTemplate(6, wide, "", ""), []string{"QuotaExceeded", "Additional Required: 6", "Limit Required: 6"}},
		{"a quota of processors", roomy, quota(quotaCores, 11), machineTemplate(6, wide, "", ""), []string{"QuotaExceeded", "vCPUs", "Additional Required: 12"}},
		{"a quota that is just enough", roomy, quota(quotaCores, 12), machineTemplate(6, wide, "", ""), nil},
		{"400 that fit alone", small, quota(quotaCores, 10000), machineTemplate(400, wider, "", ""), []string{"AllocationFailed", "sh-100", "The 100 machines of this deployment before it are counted"}},
		{"one that fits nowhere", small, nil, strings.Replace(machineTemplate(1, wide, "", ""), "Custom_2_1024", "Custom_2_204800", 1), []string{"AllocationFailed", "204800"}},
		{"too few addresses", roomy, nil, machineTemplate(12, "10.0.2.0/28", "", ""), []string{"SubnetIsFull", "for 12 IP addresses: 11 are free"}},
		{"addresses that are just enough", roomy, nil, machineTemplate(11, "10.0.2.0/28", "", ""), nil},
		{"an interface that nobody makes", roomy, nil, strings.Replace(machineTemplate(1, wide, "", ""), "copyIndex(), '-nic'))]\"}]", "copyIndex(), '-none'))]\"}]", 1), []string{"InvalidResourceReference", "sh-0-none"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			for form, b := range map[string]string{"as it is": c.body, "nested": nested(t, c.body)} {
				g := machineRig(t, c.change, c.host)
				_, err := g.s.PrepareDeployment(t.Context(), g.request("d1", b))
				if len(c.wants) == 0 {
					if err != nil {
						t.Errorf("%s: %v", form, toJSON(err))
					}
					continue
				}
				var e *arm.Error
				if !errors.As(err, &e) || e.Code != "InvalidTemplateDeployment" {
					t.Fatalf("%s: %v", form, err)
				}
				has(t, e.Details, c.wants...)
				if len(e.Details) != 1 {
					t.Errorf("%s: %d faults: %s", form, len(e.Details), toJSON(e.Details))
				}
				if len(g.api.writes) != 0 {
					t.Errorf("%s: made %v", form, g.api.writes)
				}
			}
		})
	}
}

// TestMachinesThatHaveTheirPlaceAreNotCountedAgain deploys once more what stands and
// fills its host.
func TestMachinesThatHaveTheirPlaceAreNotCountedAgain(t *testing.T) {
	g := machineRig(t, nil, fake.Options{CPUs: 64, MemoryMB: 4 << 10})
	text := machineTemplate(4, "10.0.2.0/24", "", "")
	for i := range 4 {
		id := arm.MustParseID(fmt.Sprintf("%s/providers/Microsoft.Compute/virtualMachines/sh-%d", testGroup, i))
		g.s.machines.note(id, machineState{Step: stepReady, Place: place{Host: "host1", CPUs: 2, MemoryMB: 1024}})
	}
	if _, err := g.s.PrepareDeployment(t.Context(), g.request("again", text)); err != nil {
		t.Errorf("once more: %v", toJSON(err))
	}
	_, err := g.s.PrepareDeployment(t.Context(), g.request("more", machineTemplate(5, "10.0.2.0/24", "", "")))
	var e *arm.Error
	if !errors.As(err, &e) {
		t.Fatalf("one more: %v", err)
	}
	has(t, e.Details, "AllocationFailed", "sh-4")
}

// TestAHypervisorThatDoesNotAnswerHoldsNoTemplateUp: placement waits for it.
func TestAHypervisorThatDoesNotAnswerHoldsNoTemplateUp(t *testing.T) {
	g := machineRig(t, func(o *Options) { o.Hypervisors[0].Driver.(*fake.Driver).Cut() },
		fake.Options{CPUs: 4, MemoryMB: 1024})
	if _, err := g.s.PrepareDeployment(t.Context(), g.request("d1", machineTemplate(5, "10.0.2.0/24", "", ""))); err != nil {
		t.Errorf("refused: %v", toJSON(err))
	}
}

// TestWhatIsNotKnownYetIsLeftToItsStep has an interface that only a running deployment
// knows, and one that a deployment makes whose parameters are not known yet.
func TestWhatIsNotKnownYetIsLeftToItsStep(t *testing.T) {
	g := machineRig(t, nil, fake.Options{})
	text := strings.Replace(machineTemplate(2, "10.0.2.0/24", "", ""), `"properties":{"ipConfigurations"`, `"properties":{"label":"[reference('net').x]","ipConfigurations"`, 1)
	if _, err := g.s.PrepareDeployment(t.Context(), g.request("d1", text)); err != nil {
		t.Errorf("a body that is not known: %v", toJSON(err))
	}
	later := `,{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"later","properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},
		"parameters":{"x":{"value":"[reference('net').x]"}},"template":{"$schema":"s","contentVersion":"1.0.0.0","parameters":{"x":{"type":"string"}},"resources":[]}}}`
	text = strings.Replace(machineTemplate(1, "10.0.2.0/24", "", later), "copyIndex(), '-nic'))]\"}]", "copyIndex(), '-later'))]\"}]", 1)
	if _, err := g.s.PrepareDeployment(t.Context(), g.request("d2", text)); err != nil {
		t.Errorf("a deployment that is not known: %v", toJSON(err))
	}
}
