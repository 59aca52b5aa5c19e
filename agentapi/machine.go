package agentapi

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// maxHostName is the API's bound on a session host's name.
const maxHostName = 48

// dnsName is the alphabet of host names; they become part of a resource id.
var dnsName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*$`)

// plain is what ids and versions of a machine may hold.
var plain = regexp.MustCompile(`^[\x20-\x7e]{0,128}$`)

// decodeMachine reads and validates what a machine says of itself.
func decodeMachine(b []byte) (deskyard.Machine, error) {
	var m deskyard.Machine
	if err := json.Unmarshal(b, &m); err != nil {
		return m, arm.Errorf(arm.Invalid, "INVALID_FORM", "The machine's description cannot be read: %v.", err)
	}
	var v arm.Violations
	if !dnsName.MatchString(m.Hostname) || len(m.Hostname) > 255 {
		v.Add("machine.hostname", "The host name %.70q is not a DNS name. Rename the machine.", m.Hostname)
	}
	if m.FQDN != "" && (!dnsName.MatchString(m.FQDN) || len(m.FQDN) > 255) {
		v.Add("machine.fqdn", "The name %.70q is not a DNS name. Rename the machine.", m.FQDN)
	}
	if m.MachineID == "" {
		v.Add("machine.machineId", "The machine has no machine id. Run systemd-machine-id-setup on it.")
	}
	if !slices.Contains([]string{"linux", "windows"}, m.OS) {
		v.Add("machine.os", "The operating system %.20q is not linux or windows.", m.OS)
	}
	if !slices.Contains([]string{"amd64", "arm64"}, m.Arch) {
		v.Add("machine.arch", "The architecture %.20q is not amd64 or arm64.", m.Arch)
	}
	if !slices.Contains([]string{"", "Azure", "AzureStackHCI"}, m.Kind) {
		v.Add("machine.kind", "The substrate %.40q is not Azure or AzureStackHCI.", m.Kind)
	}
	for name, s := range map[string]string{"machineId": m.MachineID, "smbiosId": m.SMBIOSID, "bootId": m.BootID, "osVersion": m.OSVersion, "identity": m.Identity} {
		if !plain.MatchString(s) {
			v.Add("machine."+name, "The property is not at most 128 printable ASCII characters.")
		}
	}
	return m, v.Err()
}

// hostName is the name that a machine has in its pool: the full one when it is
// joined to a domain, as in AVD.
func hostName(m deskyard.Machine) (string, error) {
	name := m.Hostname
	if strings.HasPrefix(m.Identity, "ad:") && m.FQDN != "" {
		name = m.FQDN
	}
	if len(name) > maxHostName {
		return "", arm.Errorf(arm.Invalid, "INVALID_HOST_NAME",
			"The name %q has %d characters; a session host's name has at most %d. Rename the machine.", name, len(name), maxHostName)
	}
	return name, nil
}

// sameSMBIOS reports whether two machines can be the same hardware: an id that
// either side does not know tells nothing.
func sameSMBIOS(a, b deskyard.Machine) bool {
	return a.SMBIOSID == "" || b.SMBIOSID == "" || strings.EqualFold(a.SMBIOSID, b.SMBIOSID)
}

// sameMachine reports whether two descriptions name one installation on one
// machine, with certainty.
func sameMachine(a, b deskyard.Machine) bool {
	return a.MachineID == b.MachineID && strings.EqualFold(a.SMBIOSID, b.SMBIOSID)
}
