package provision

import (
	"cmp"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// stepOf is the step that an extension becomes, by its publisher and type. Those that
// the service has nothing for are refused when they are asked for, not when they run.
func stepOf(e deskyard.VMExtension, secrets json.RawMessage, hci bool) (deskyard.Step, error) {
	switch strings.ToLower(e.Publisher + "/" + e.Type) {
	case "microsoft.powershell/dsc":
		return dscStep(e, secrets, hci)
	case "microsoft.compute/customscriptextension", "microsoft.azure.extensions/customscript":
		return scriptStep(e, secrets, hci)
	case "microsoft.compute/jsonaddomainextension":
		return deskyard.Step{Kind: deskyard.StepDomain, Settings: e.Settings, Secrets: secrets}, nil
	case "microsoft.azure.activedirectory/aadloginforwindows", "microsoft.azure.activedirectory/aadsshloginforlinux":
		return deskyard.Step{Kind: deskyard.StepDirectory, Settings: e.Settings}, nil
	case "microsoft.azure.monitor/azuremonitorwindowsagent", "microsoft.azure.monitor/azuremonitorlinuxagent":
		return deskyard.Step{Kind: deskyard.StepMonitor}, nil
	}
	return deskyard.Step{}, arm.Errorf(arm.Invalid, "ArtifactNotFound",
		"The VM extension with publisher '%s' and type '%s' could not be found. There are: Microsoft.Powershell/DSC (AddSessionHost), Microsoft.Compute/CustomScriptExtension, Microsoft.Azure.Extensions/CustomScript, Microsoft.Compute/JsonADDomainExtension, Microsoft.Azure.ActiveDirectory/AADLoginForWindows and AADSSHLoginForLinux, Microsoft.Azure.Monitor/AzureMonitorWindowsAgent and AzureMonitorLinuxAgent.",
		e.Publisher, e.Type)
}

// agentStep is what the agent's installation is asked with.
type agentStep struct {
	Kind    string `json:"kind"`
	AADJoin bool   `json:"aadJoin,omitempty"`
	MDM     string `json:"mdmId,omitempty"`
}

type agentStepSecrets struct {
	Token string `json:"registrationInfoToken"`
}

func newAgentStep(token string, hci, directory bool, mdm string) (deskyard.Step, error) {
	if token == "" {
		return deskyard.Step{}, arm.Errorf(arm.Invalid, "InvalidParameter",
			"The extension has no registration key. Generate one for the host pool and pass it as hostpoolToken.").WithTarget("properties.settings")
	}
	kind := "Azure"
	if hci {
		kind = "AzureStackHCI"
	}
	return deskyard.Step{
		Kind: deskyard.StepAgent, Settings: encoded(agentStep{kind, directory, mdm}), Secrets: encoded(agentStepSecrets{token}),
	}, nil
}

// dscStep is for the one configuration of Microsoft's DSC extension that there is a
// counterpart of: AddSessionHost. Its archive of PowerShell is not fetched.
func dscStep(e deskyard.VMExtension, secrets json.RawMessage, hci bool) (deskyard.Step, error) {
	var settings struct {
		Function   string `json:"configurationFunction"`
		Properties struct {
			AADJoin bool   `json:"aadJoin"`
			MDM     string `json:"mdmId"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(e.Settings, &settings); err != nil {
		return deskyard.Step{}, arm.Errorf(arm.Invalid, "InvalidParameter", "The settings of the DSC extension cannot be read.").WithTarget("properties.settings")
	}
	if _, function, _ := strings.Cut(settings.Function, `\`); !strings.EqualFold(function, "AddSessionHost") {
		return deskyard.Step{}, arm.Errorf(arm.Invalid, "NotSupported",
			"The DSC configuration '%s' is not one that the service has a counterpart of; that is Configuration.ps1\\AddSessionHost.", settings.Function).WithTarget("properties.settings.configurationFunction")
	}
	var hidden struct {
		agentStepSecrets                  // where the service moves it to from the open settings
		Properties       agentStepSecrets `json:"properties"` // where a caller hides it
	}
	if err := decodeSecrets(secrets, &hidden); err != nil {
		return deskyard.Step{}, err
	}
	return newAgentStep(cmp.Or(hidden.Token, hidden.Properties.Token), hci, settings.Properties.AADJoin, settings.Properties.MDM)
}

// hciScript finds the arguments of Microsoft's HciCustomScript.ps1 in the command.
var (
	hciScript = regexp.MustCompile(`(?i)HciCustomScript\.ps1`)
	hciToken  = regexp.MustCompile(`(?i)(-RegistrationInfoToken\s+)(\S+)`)
)

// scriptStep is a script of the caller's, or, of Microsoft's template for Azure Stack
// HCI, the script that installs the agent: its counterpart runs instead of it.
func scriptStep(e deskyard.VMExtension, secrets json.RawMessage, hci bool) (deskyard.Step, error) {
	command, err := scriptCommand(e, secrets)
	if err != nil {
		return deskyard.Step{}, err
	}
	if hciScript.MatchString(command) {
		token := ""
		if m := hciToken.FindStringSubmatch(command); m != nil {
			token = m[2]
		}
		return newAgentStep(token, hci, false, "")
	}
	return deskyard.Step{Kind: deskyard.StepScript, Settings: e.Settings, Secrets: secrets}, nil
}

// scriptCommand is the command of a script extension; a hidden one counts before an open one.
func scriptCommand(e deskyard.VMExtension, secrets json.RawMessage) (string, error) {
	var p struct {
		Command string `json:"commandToExecute"`
	}
	for _, part := range []json.RawMessage{e.Settings, secrets} {
		if err := decodeSecrets(part, &p); err != nil {
			return "", err
		}
	}
	return p.Command, nil
}

// rekeyed are an extension's protected settings with another registration key, for an
// extension that installs the agent in either of Microsoft's ways; nil for all others,
// whose settings stay as they are.
func rekeyed(e deskyard.VMExtension, secrets json.RawMessage, token string) (json.RawMessage, error) {
	if strings.EqualFold(e.Type, "DSC") {
		return encoded(map[string]any{"properties": agentStepSecrets{token}}), nil
	}
	if !strings.EqualFold(e.Type, "CustomScriptExtension") && !strings.EqualFold(e.Type, "CustomScript") {
		return nil, nil
	}
	command, err := scriptCommand(e, secrets)
	if err != nil || !hciScript.MatchString(command) {
		return nil, err
	}
	hidden := map[string]json.RawMessage{}
	if err := decodeSecrets(secrets, &hidden); err != nil {
		return nil, err
	}
	if hciToken.MatchString(command) {
		command = hciToken.ReplaceAllString(command, "${1}"+strings.ReplaceAll(token, "$", "$$"))
	} else {
		command += " -RegistrationInfoToken " + token
	}
	hidden["commandToExecute"] = encoded(command)
	return encoded(hidden), nil
}

// decodeSecrets reads members of settings; the error does not repeat them.
func decodeSecrets(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	if json.Unmarshal(raw, into) != nil {
		return arm.Errorf(arm.Invalid, "InvalidParameter", "The extension's settings do not have the form that it takes.").WithTarget("properties.settings")
	}
	return nil
}
