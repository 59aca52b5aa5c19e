package deskyard

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// VMOS is what a machine is told at its first boot.
type VMOS struct {
	ComputerName  string          `json:"computerName,omitempty"`
	AdminUsername string          `json:"adminUsername,omitempty"`
	AdminPassword Secret          `json:"adminPassword,omitzero"`
	CustomData    Secret          `json:"customData,omitzero"` // base64, at most 64 KiB
	Windows       *VMWindows      `json:"windowsConfiguration,omitempty"`
	Linux         *VMLinux        `json:"linuxConfiguration,omitempty"`
	Secrets       json.RawMessage `json:"secrets,omitempty"` // certificates of a key vault: refused
	AllowExtend   *bool           `json:"allowExtensionOperations,omitempty"`
	RequireSignal *bool           `json:"requireGuestProvisionSignal,omitempty"`
}

// VMWindows are a Windows machine's settings.
type VMWindows struct {
	ProvisionVMAgent       *bool           `json:"provisionVMAgent,omitempty"`
	ProvisionVMConfigAgent *bool           `json:"provisionVMConfigAgent,omitempty"` // Azure Stack HCI
	AutomaticUpdates       *bool           `json:"enableAutomaticUpdates,omitempty"`
	TimeZone               string          `json:"timeZone,omitempty"`
	PatchSettings          json.RawMessage `json:"patchSettings,omitempty"`
	Unattend               json.RawMessage `json:"additionalUnattendContent,omitempty"` // may hold passwords: refused
	WinRM                  json.RawMessage `json:"winRM,omitempty"`
	SSH                    *VMSSH          `json:"ssh,omitempty"`
}

// VMLinux are a Linux machine's settings.
type VMLinux struct {
	NoPassword             *bool           `json:"disablePasswordAuthentication,omitempty"`
	SSH                    *VMSSH          `json:"ssh,omitempty"`
	ProvisionVMAgent       *bool           `json:"provisionVMAgent,omitempty"`
	ProvisionVMConfigAgent *bool           `json:"provisionVMConfigAgent,omitempty"` // Azure Stack HCI
	PatchSettings          json.RawMessage `json:"patchSettings,omitempty"`
	Updates                *bool           `json:"enableVMAgentPlatformUpdates,omitempty"`
}

// VMSSH are the keys that the administrator signs in with.
type VMSSH struct {
	PublicKeys []VMSSHKey `json:"publicKeys,omitempty"`
}

// VMSSHKey is one of them.
type VMSSHKey struct {
	Path    string `json:"path,omitempty"` // /home/USER/.ssh/authorized_keys
	KeyData string `json:"keyData,omitempty"`
}

// maxCustomData is Azure's bound for custom data, in its base64 form.
const maxCustomData = 87380

// computerName is what a host may be called: the rules of Windows and of DNS in one.
var computerName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`)

// secrets takes the secrets out as the JSON that a job seals.
func (o *VMOS) secrets() json.RawMessage {
	out := map[string]string{}
	if p := o.AdminPassword.Reveal(); p != "" {
		out["adminPassword"] = p
	}
	if c := o.CustomData.Reveal(); c != "" {
		out["customData"] = c
	}
	if len(out) == 0 {
		return nil
	}
	raw, err := json.Marshal(out)
	if err != nil {
		panic(fmt.Sprintf("encode two texts: %v", err)) // cannot fail
	}
	return raw
}

// setDefaults keeps what an update leaves out; old is nil on create.
func (o *VMOS) setDefaults(old *VMOS) {
	if !given(o.Secrets) {
		o.Secrets = nil
	}
	if old == nil || old == o {
		return
	}
	if o.ComputerName == "" {
		o.ComputerName = old.ComputerName
	}
	if o.AdminUsername == "" {
		o.AdminUsername = old.AdminUsername
	}
	if o.Windows == nil {
		o.Windows = old.Windows
	}
	if o.Linux == nil {
		o.Linux = old.Linux
	}
}

// passwordAllowed reports whether the administrator may sign in with a password.
func (o *VMOS) passwordAllowed() bool { return o.Linux == nil || !isTrue(o.Linux.NoPassword) }

func (m *VirtualMachine) validateOS(old *VirtualMachine, v *arm.Violations) {
	const at = "properties.osProfile"
	if m.OSProfile == nil {
		if old == nil {
			v.Add(at, "Required parameter 'osProfile' is missing (null).")
		}
		return
	}
	create := old == nil || old.OSProfile == nil
	m.OSProfile.validate(at, create, v)
	if !create {
		fixed(v, "osProfile.computerName", old.OSProfile.ComputerName, m.OSProfile.ComputerName)
		fixed(v, "osProfile.adminUsername", old.OSProfile.AdminUsername, m.OSProfile.AdminUsername)
	}
}

func (o *VMOS) validate(at string, create bool, v *arm.Violations) {
	if o.ComputerName != "" {
		o.validateName(at, v)
	}
	if len(o.CustomData.Reveal()) > maxCustomData {
		v.Add(at+".customData", "Custom data must not be longer than %d characters of base64.", maxCustomData)
	} else if _, err := base64.StdEncoding.DecodeString(o.CustomData.Reveal()); err != nil {
		v.Add(at+".customData", "Custom data in OSProfile must be in Base64 encoding.")
	}
	if o.Windows != nil && o.Linux != nil {
		v.Add(at, "A machine has a windowsConfiguration or a linuxConfiguration, not both.")
	}
	refused := map[string]json.RawMessage{at + ".secrets": o.Secrets}
	if o.Windows != nil {
		refused[at+".windowsConfiguration.additionalUnattendContent"] = o.Windows.Unattend
		refused[at+".windowsConfiguration.winRM"] = o.Windows.WinRM
	}
	unsupported(v, "run a custom script extension in its stead.", refused)
	o.Secrets = nil
	if o.Windows != nil {
		o.Windows.Unattend, o.Windows.WinRM = nil, nil
	}
	if !create {
		return
	}
	CheckAdminUser(v, at+".adminUsername", o.AdminUsername)
	password := o.AdminPassword.Reveal()
	switch {
	case password != "":
		CheckAdminPassword(v, at+".adminPassword", password, minAdminPassword)
	case o.passwordAllowed():
		v.Add(at+".adminPassword", "Authentication using either SSH or by user name and password must be enabled: the property adminPassword is required unless linuxConfiguration.disablePasswordAuthentication is true.")
	case o.Linux.SSH == nil || len(o.Linux.SSH.PublicKeys) == 0:
		v.Add(at+".linuxConfiguration.ssh.publicKeys", "Without a password an SSH public key is required.")
	}
	o.validateKeys(at, v)
}

func (o *VMOS) validateName(at string, v *arm.Violations) {
	// That Windows takes 15 only is the rule of whoever makes the machine: the image
	// says which system it is.
	if n := len(o.ComputerName); n > 64 {
		v.Add(at+".computerName", "Computer name cannot be more than 64 characters long; '%s' has %d.", o.ComputerName, n)
	}
	if !computerName.MatchString(strings.ReplaceAll(o.ComputerName, ".", "")) || strings.Trim(o.ComputerName, "0123456789") == "" {
		v.Add(at+".computerName", "Computer name '%s' must consist of letters, digits and hyphens, not begin or end with a hyphen, and not be all digits.", o.ComputerName)
	}
}

// sshKey is the form of a line of authorized_keys that holds one key.
var sshKey = regexp.MustCompile(`^(ssh-rsa|ssh-ed25519|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/=]+( [^\r\n]*)?$`)

func (o *VMOS) validateKeys(at string, v *arm.Violations) {
	if o.Linux == nil || o.Linux.SSH == nil {
		return
	}
	for i, k := range o.Linux.SSH.PublicKeys {
		where := fmt.Sprintf("%s.linuxConfiguration.ssh.publicKeys[%d]", at, i)
		if !sshKey.MatchString(strings.TrimSpace(k.KeyData)) {
			v.Add(where+".keyData", "The value of keyData is not an SSH public key of type rsa, ed25519 or ecdsa.")
		}
		if want := "/home/" + o.AdminUsername + "/.ssh/authorized_keys"; k.Path != "" && k.Path != want {
			v.Add(where+".path", "Destination path for SSH public keys is currently limited to its default value %s.", want)
		}
	}
}
