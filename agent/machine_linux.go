package agent

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
)

// azureAssetTag is the chassis asset tag of every Azure VM.
const azureAssetTag = "7783-7084-3265-9085-8269-3286-77"

// DescribeMachine says which machine this is.
func DescribeMachine(context.Context) (deskyard.Machine, error) { return describe("/") }

// describe reads the machine's description from the files below root.
func describe(root string) (deskyard.Machine, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return deskyard.Machine{}, fmt.Errorf("ask for the host name: %w", err)
	}
	m := deskyard.Machine{
		Hostname: shortName(hostname), MachineID: readFirst(root, "etc/machine-id"),
		SMBIOSID: smbiosID(root), BootID: readFirst(root, "proc/sys/kernel/random/boot_id"),
		OS: runtime.GOOS, Arch: runtime.GOARCH, OSVersion: settings(root, "etc/os-release")[""]["pretty_name"],
		Kind: substrate(root),
	}
	if m.MachineID == "" {
		m.MachineID = readFirst(root, "var/lib/dbus/machine-id")
	}
	if m.OSVersion == "" {
		m.OSVersion = "Linux " + readFirst(root, "proc/sys/kernel/osrelease")
	}
	if d := findDirectory(root); d.realm != "" {
		m.Identity = "ad:" + d.realm
		m.FQDN = fullName(hostname)
		if m.FQDN == "" { // the directory knows the host below its own domain
			m.FQDN = m.Hostname + "." + strings.ToLower(d.realm)
		}
	}
	if tenant := readFirst(root, "etc/deskyard/tenant"); tenant != "" && m.Identity == "" {
		m.Identity = "entra:" + tenant
	}
	return m, nil
}

// smbiosID is the system's UUID; values that firmware vendors fill in for all
// their boards tell nothing.
func smbiosID(root string) string {
	id := strings.ToLower(readFirst(root, "sys/class/dmi/id/product_uuid"))
	junk := []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "03000200-0400-0500-0006-000700080009"}
	if slices.Contains(junk, id) {
		return ""
	}
	return id
}

// substrate tells what the machine runs on: the file /etc/deskyard/substrate when
// there is one (Azure or AzureStackHCI), else what the firmware shows. Azure Local's
// VMs show Hyper-V as any other does, so those need the file.
func substrate(root string) string {
	if s := readFirst(root, "etc/deskyard/substrate"); s == "Azure" || s == "AzureStackHCI" {
		return s
	}
	if readFirst(root, "sys/class/dmi/id/chassis_asset_tag") == azureAssetTag {
		return "Azure"
	}
	return ""
}

// directory is what the machine is joined to.
type directory struct {
	realm string // upper case; "" when not joined
	by    string // sssd | winbind
}

// findDirectory finds the domain that the machine is joined to from SSSD's or
// Samba's configuration.
func findDirectory(root string) directory {
	sssd := settings(root, "etc/sssd/sssd.conf")
	for _, name := range strings.FieldsFunc(sssd["sssd"]["domains"], func(r rune) bool { return r == ',' || r == ' ' }) {
		d := sssd["domain/"+strings.ToLower(name)]
		provider := d["id_provider"]
		if provider != "ad" && provider != "ipa" {
			continue
		}
		realm := d["krb5_realm"]
		if realm == "" {
			realm = d[provider+"_domain"]
		}
		if realm == "" {
			realm = name
		}
		return directory{strings.ToUpper(realm), "sssd"}
	}
	if smb := settings(root, "etc/samba/smb.conf")["global"]; strings.EqualFold(smb["security"], "ads") && smb["realm"] != "" {
		return directory{strings.ToUpper(smb["realm"]), "winbind"}
	}
	return directory{}
}
