package provision

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// TestEachExtensionOfMicrosoftsTemplatesBecomesItsStep has the extensions as the
// templates write them, by publisher, type and settings.
func TestEachExtensionOfMicrosoftsTemplatesBecomesItsStep(t *testing.T) {
	for _, c := range []struct {
		publisher, kind   string
		settings, secrets string
		hci               bool
		step              string
		wantSettings      string
		wantSecrets       string
	}{
		{"Microsoft.Powershell", "DSC", `{"configurationFunction":"Configuration.ps1\\AddSessionHost","properties":{"hostPoolName":"hp1","aadJoin":true}}`,
			`{"registrationInfoToken":"key"}`, false, deskyard.StepAgent, `{"kind":"Azure","aadJoin":true}`, `{"registrationInfoToken":"key"}`},
		{"Microsoft.Powershell", "DSC", `{"configurationFunction":"Configuration.ps1\\AddSessionHost","properties":{}}`,
			`{"properties":{"registrationInfoToken":"key"}}`, false, deskyard.StepAgent, `{"kind":"Azure"}`, `{"registrationInfoToken":"key"}`},
		{"Microsoft.Compute", "CustomScriptExtension", `{"fileUris":["https://x/HciCustomScript.ps1"]}`,
			`{"commandToExecute":"powershell -ExecutionPolicy Unrestricted -File HciCustomScript.ps1 -HostPoolName hp1 -RegistrationInfoToken  key -ArtifactUri https://x"}`,
			true, deskyard.StepAgent, `{"kind":"AzureStackHCI"}`, `{"registrationInfoToken":"key"}`},
		{"Microsoft.Compute", "CustomScriptExtension", `{"fileUris":["https://x/s.sh"]}`, `{"commandToExecute":"sh s.sh"}`, false,
			deskyard.StepScript, `{"fileUris":["https://x/s.sh"]}`, `{"commandToExecute":"sh s.sh"}`},
		{"Microsoft.Compute", "JsonADDomainExtension", `{"name":"example.org"}`, `{"password":"p"}`, false, deskyard.StepDomain, `{"name":"example.org"}`, `{"password":"p"}`},
		{"Microsoft.Azure.ActiveDirectory", "AADLoginForWindows", `{"mdmId":""}`, "", false, deskyard.StepDirectory, `{"mdmId":""}`, ""},
		{"Microsoft.Azure.Monitor", "AzureMonitorWindowsAgent", "", "", true, deskyard.StepMonitor, "", ""},
	} {
		t.Run(c.kind+" "+c.step, func(t *testing.T) {
			e := deskyard.VMExtension{Publisher: c.publisher, Type: c.kind, Settings: json.RawMessage(c.settings)}
			s, err := stepOf(e, json.RawMessage(c.secrets), c.hci)
			if err != nil {
				t.Fatal(err)
			}
			if s.Kind != c.step || string(s.Settings) != c.wantSettings || string(s.Secrets) != c.wantSecrets {
				t.Errorf("became %s %s %s", s.Kind, s.Settings, s.Secrets)
			}
		})
	}
}

// TestEveryExtensionThatInstallsTheAgentGetsTheNewKey looks at the step that comes of
// the settings with another key, and that those of other extensions stay.
func TestEveryExtensionThatInstallsTheAgentGetsTheNewKey(t *testing.T) {
	const hci = `powershell -File HciCustomScript.ps1 -HostPoolName hp1 -RegistrationInfoToken old$1 -ArtifactUri https://x`
	for _, c := range []struct{ publisher, kind, settings, secrets, want string }{
		{"Microsoft.Powershell", "DSC", `{"configurationFunction":"Configuration.ps1\\AddSessionHost"}`, `{"registrationInfoToken":"old$1"}`, deskyard.StepAgent},
		{"Microsoft.Compute", "CustomScriptExtension", `{}`, `{"commandToExecute":"` + hci + `","storageAccountKey":"kept"}`, deskyard.StepAgent},
		{"Microsoft.Compute", "CustomScriptExtension", `{"commandToExecute":"` + hci + `"}`, "", deskyard.StepAgent},
		{"Microsoft.Compute", "CustomScriptExtension", `{}`, `{"commandToExecute":"powershell -File HciCustomScript.ps1"}`, deskyard.StepAgent},
		{"Microsoft.Compute", "CustomScriptExtension", `{}`, `{"commandToExecute":"sh s.sh -RegistrationInfoToken old$1"}`, ""},
		{"Microsoft.Compute", "JsonADDomainExtension", `{}`, `{"password":"p"}`, ""},
	} {
		e := deskyard.VMExtension{Publisher: c.publisher, Type: c.kind, Settings: json.RawMessage(c.settings)}
		secrets, err := rekeyed(e, json.RawMessage(c.secrets), "new$1")
		if err != nil || c.want == "" {
			if err != nil || secrets != nil {
				t.Errorf("%s %s: %s, %v", c.kind, c.secrets, secrets, err)
			}
			continue
		}
		s, err := stepOf(e, secrets, true)
		if err != nil || s.Kind != c.want || string(s.Secrets) != `{"registrationInfoToken":"new$1"}` {
			t.Errorf("%s %s: %s %s, %v", c.kind, c.secrets, s.Kind, s.Secrets, err)
		}
		if strings.Contains(c.secrets, "kept") && (!strings.Contains(string(secrets), "kept") || !strings.Contains(string(secrets), "-ArtifactUri https://x")) {
			t.Errorf("lost of %s: %s", c.secrets, secrets)
		}
	}
	if _, err := rekeyed(deskyard.VMExtension{Type: "CustomScript"}, json.RawMessage(`["p"]`), "new"); err == nil {
		t.Error("settings that cannot be read are taken")
	}
}

func TestAnExtensionThatThereIsNoStepForIsRefusedByName(t *testing.T) {
	for name, e := range map[string]deskyard.VMExtension{
		"another publisher":     {Publisher: "Contoso", Type: "Thing"},
		"another configuration": {Publisher: "Microsoft.Powershell", Type: "DSC", Settings: json.RawMessage(`{"configurationFunction":"x.ps1\\InstallIIS"}`)},
		"no key":                {Publisher: "Microsoft.Powershell", Type: "DSC", Settings: json.RawMessage(`{"configurationFunction":"Configuration.ps1\\AddSessionHost"}`)},
	} {
		_, err := stepOf(e, nil, false)
		var refused *arm.Error
		if !errors.As(err, &refused) || refused.Kind != arm.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestARegistrationKeyAmongOpenSettingsIsTakenOutOfTheRow has the extension as
// Microsoft's gallery template sends it: with the key where everybody could read it.
func TestARegistrationKeyAmongOpenSettingsIsTakenOutOfTheRow(t *testing.T) {
	body := `{"publisher":"Microsoft.Powershell","type":"DSC","settings":{"configurationFunction":"Configuration.ps1\\AddSessionHost",
		"properties":{"hostPoolName":"hp1","registrationInfoToken":"the-key"}},"protectedSettings":{"other":1}}`
	var e deskyard.VMExtension
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	secrets := e.Secrets()
	row, err := json.Marshal(&e)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(row), "the-key") || !strings.Contains(string(row), "hp1") {
		t.Errorf("the row: %s", row)
	}
	var sealed map[string]any
	if err := json.Unmarshal(secrets, &sealed); err != nil || sealed["registrationInfoToken"] != "the-key" || sealed["other"] == nil {
		t.Errorf("what is sealed: %v, %v", sealed, err)
	}
}

func FuzzStepOf(f *testing.F) {
	f.Add("Microsoft.Powershell", "DSC", []byte(`{"configurationFunction":"Configuration.ps1\\AddSessionHost","properties":{"aadJoin":true}}`), []byte(`{"registrationInfoToken":"k"}`))
	f.Add("Microsoft.Compute", "CustomScriptExtension", []byte(`{}`), []byte(`{"commandToExecute":"HciCustomScript.ps1 -RegistrationInfoToken k"}`))
	f.Fuzz(func(t *testing.T, publisher, kind string, settings, secrets []byte) {
		s, err := stepOf(deskyard.VMExtension{Publisher: publisher, Type: kind, Settings: settings}, secrets, false)
		if err == nil && s.Kind == "" {
			t.Fatal("a step of no kind")
		}
	})
}
