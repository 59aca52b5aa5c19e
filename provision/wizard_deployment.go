package provision

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard"
)

// The templates of runs: for each host its security group, interface, machine, and
// extensions in the order join, script, agent, so that a host registers as what it
// will be. Hosts depend on nothing of each other's: one that fails holds nobody up.
var (
	//go:embed wizard_template.json
	wizardTemplate []byte
	//go:embed wizard_template_hci.json
	wizardTemplateHCI []byte
)

// runDeployment is the body of the deployment that a run is.
func runDeployment(run deskyard.AddSessionHosts, f runFacts) ([]byte, error) {
	template, values := wizardTemplate, azureParameters(run, f)
	if run.HCI() {
		template, values = wizardTemplateHCI, stackParameters(run, f)
	}
	tags := map[string]string{}
	for k, v := range run.Tags {
		tags[k] = v
	}
	for k, v := range map[string]any{
		"names": f.state.Names, "tags": tags, "adminUsername": run.Admin.User, "adminPassword": run.Admin.Password,
		"hostPoolName": f.poolRow.ID.Name(), "hostPoolToken": f.token, "directory": run.Directory.Directory,
		"domain": run.JoinDomain(), "ouPath": run.Directory.OU, "joinUser": run.Directory.JoinUPN, "joinPassword": run.Directory.JoinPassword,
	} {
		values[k] = v
	}
	parameters := map[string]any{}
	for k, v := range values {
		parameters[k] = map[string]any{"value": v}
	}
	template, err := withDefaults(template, values)
	if err != nil {
		return nil, fmt.Errorf("write the deployment of %s: %w", f.deployment, err)
	}
	b, err := json.Marshal(map[string]any{"tags": tags, "properties": map[string]any{
		"mode": modeIncremental, "template": json.RawMessage(template), "parameters": parameters,
	}})
	if err != nil {
		return nil, fmt.Errorf("write the deployment of %s: %w", f.deployment, err)
	}
	return b, nil
}

// withDefaults writes a run's values into its template, but for the secret ones: who
// exports it to deploy it again after a failure need give only those, and what was wrong.
func withDefaults(template []byte, values map[string]any) ([]byte, error) {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(template, &whole); err != nil {
		return nil, err
	}
	var parameters map[string]map[string]any
	if err := json.Unmarshal(whole["parameters"], &parameters); err != nil {
		return nil, err
	}
	for name, p := range parameters {
		if p["type"] == "securestring" {
			continue
		}
		text, err := json.Marshal(values[name])
		if err != nil {
			return nil, err
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			return nil, err
		}
		p["defaultValue"] = literal(v)
	}
	var err error
	if whole["parameters"], err = json.Marshal(parameters); err != nil {
		return nil, err
	}
	return json.Marshal(whole)
}

// literal keeps a template from taking what people wrote for its own expressions.
func literal(v any) any {
	switch v := v.(type) {
	case string:
		if len(v) > 1 && strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
			return "[" + v
		}
	case []any:
		for i := range v {
			v[i] = literal(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = literal(v[k])
		}
	}
	return v
}

// azureParameters are those of a run of Azure virtual machines.
func azureParameters(run deskyard.AddSessionHosts, f runFacts) map[string]any {
	m, n := run.Machines, run.Network
	disk := map[string]any{"createOption": "FromImage", "deleteOption": "Delete", "managedDisk": map[string]any{"storageAccountType": or(m.DiskType, "Premium_LRS")}}
	if m.ConfidentialDisk {
		disk["managedDisk"].(map[string]any)["securityProfile"] = map[string]any{"securityEncryptionType": "DiskWithVMGuestState"}
	}
	if m.DiskGB > 0 {
		disk["diskSizeGB"] = m.DiskGB
	}
	zones := m.Zones
	if zones == nil {
		zones = []string{}
	}
	script := scriptFor(run.Script.URL, f.image.OS)
	license := ""
	if f.image.OS == "windows" {
		license = "Windows_Client"
	}
	enrolment := map[string]any{}
	if run.Directory.Intune {
		enrolment["mdmId"] = "0000000a-0000-0000-c000-000000000000" // Intune's, as the portal sends it
	}
	set, nsg := "", ""
	if strings.EqualFold(m.Availability, "AvailabilitySet") {
		set = f.set.String()
	}
	if !f.nsg.IsZero() {
		nsg = f.nsg.String()
	}
	return map[string]any{
		"location": f.Location, "subnetId": f.subnet.String(), "vmSize": m.Size, "imageReference": imageParameter(m.Image), "osDisk": disk,
		"securityProfile": securityParameter(m), "availabilitySetId": set, "zones": zones,
		"hibernate": m.Hibernate, "diagnostics": diagnosticsParameter(m), "licenseType": license, "enrolment": enrolment,
		"securityGroup": canonicalGroup(n.SecurityGroup), "securityGroupId": nsg, "securityRules": inboundRules(n.InboundPorts),
		"scriptUrl": run.Script.URL, "scriptCommand": script.command, "scriptType": script.typ, "scriptPublisher": script.publisher, "scriptVersion": script.version,
	}
}

// stackParameters are those of a run of Azure Stack HCI machines.
func stackParameters(run deskyard.AddSessionHosts, f runFacts) map[string]any {
	m := run.Machines
	hardware := map[string]any{"vmSize": "Custom", "processors": m.CPUs, "memoryMB": m.MemoryMB}
	if strings.EqualFold(m.MemoryType, "Dynamic") {
		hardware["dynamicMemoryConfig"] = map[string]any{"minimumMemoryMB": m.MinimumMB, "maximumMemoryMB": m.MaximumMB, "targetMemoryBuffer": m.BufferPercent}
	}
	return map[string]any{
		"location": f.Location, "customLocationId": f.custom.String(), "logicalNetworkId": f.subnet.String(),
		"imageReference": imageParameter(m.Image), "hardwareProfile": hardware,
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func canonicalGroup(mode string) string {
	for _, m := range []string{"Basic", "Advanced"} {
		if strings.EqualFold(m, mode) {
			return m
		}
	}
	return "None"
}

func imageParameter(r deskyard.ImageReference) map[string]any {
	if r.ID != "" {
		return map[string]any{"id": r.ID}
	}
	return map[string]any{"publisher": r.Publisher, "offer": r.Offer, "sku": r.SKU, "version": or(r.Version, "latest")}
}

// securityParameter is the security profile; empty for the type Standard.
func securityParameter(m deskyard.AddMachines) map[string]any {
	on := func(b *bool) bool { return b == nil || *b }
	typ := ""
	for _, t := range []string{"TrustedLaunch", "ConfidentialVM"} {
		if strings.EqualFold(t, m.SecurityType) {
			typ = t
		}
	}
	if typ == "" {
		return map[string]any{}
	}
	return map[string]any{"securityType": typ, "uefiSettings": map[string]any{"secureBootEnabled": on(m.SecureBoot), "vTpmEnabled": on(m.VTPM)}}
}

func diagnosticsParameter(m deskyard.AddMachines) map[string]any {
	switch m.BootDiagnostics {
	case "Disabled":
		return map[string]any{"enabled": false}
	case "Custom":
		return map[string]any{"enabled": true, "storageUri": m.DiagnosticsAccount}
	}
	return map[string]any{"enabled": true}
}

// inboundRules open the ports that somebody confirmed; Azure's defaults behind them
// close the rest.
func inboundRules(ports []int) []any {
	rules := []any{}
	for i, p := range ports {
		rules = append(rules, map[string]any{"name": "Port_" + strconv.Itoa(p), "properties": map[string]any{
			"priority": 300 + 10*i, "direction": "Inbound", "access": "Allow", "protocol": "*",
			"sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": strconv.Itoa(p),
		}})
	}
	return rules
}

// runScript is how a script is run by an extension.
type runScript struct{ publisher, typ, version, command string }

func scriptFor(url, os string) runScript {
	name := scriptName(url)
	if os == "windows" {
		return runScript{"Microsoft.Compute", "CustomScriptExtension", "1.10", "powershell -ExecutionPolicy Unrestricted -File " + name}
	}
	return runScript{"Microsoft.Azure.Extensions", "CustomScript", "2.1", "sh ./" + name}
}
