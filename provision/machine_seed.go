package provision

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
)

// Ways in which an image takes what it is given at first boot.
const (
	provisionOwn         = "deskyard"       // our boot loader is in it and reads systemd credentials
	provisionCloudInit   = "cloud-init"     // NoCloud seed disk
	provisionWindowsInit = "cloudbase-init" // the same disk, read by Windows
	credentialInvitation = "deskyard.invitation"
	credentialNetwork    = "deskyard.network"
)

// seed is what the machine is given at its first boot: its invitation, and where it
// has to know by itself, its address.
func (m *machineRun) seed(image compute.Image, h Hypervisor) (compute.Seed, error) {
	var invitation []byte
	if i := m.secrets.Invitation; i != nil {
		invitation = encoded(i)
	}
	static := m.facts.staticNetwork()
	switch image.Provisioning {
	case provisionOwn, "":
		s := compute.Seed{Credentials: map[string][]byte{}}
		if invitation != nil {
			s.Credentials[credentialInvitation] = invitation
		}
		if static != nil {
			s.Credentials[credentialNetwork] = static
		}
		return s, nil
	case provisionCloudInit, provisionWindowsInit:
		user, err := m.userData(image, invitation)
		if err != nil {
			return compute.Seed{}, err
		}
		files := map[string][]byte{"meta-data": m.metaData(), "user-data": user}
		if static != nil {
			files["network-config"] = static
		}
		return compute.Seed{NoCloud: files}, nil
	}
	return compute.Seed{}, arm.Errorf(arm.Conflicting, "ImageNotSupported",
		"The image '%s' is provisioned by '%s', which the service does not know. Import it with %s, %s or %s.",
		image.ID, image.Provisioning, provisionOwn, provisionCloudInit, provisionWindowsInit)
}

// metaData names the instance. JSON is YAML, and quotes everything.
func (m *machineRun) metaData() []byte {
	return encoded(map[string]string{"instance-id": m.st.MachineID, "local-hostname": m.facts.name, "hostname": m.facts.name})
}

// staticNetwork is a version 1 network configuration for a machine whose addresses
// nobody hands out: an existing segment without DHCP. nil elsewhere.
func (f *machineFacts) staticNetwork() []byte {
	var parts []any
	for i, n := range f.nics {
		if n.subnet.bridge == "" || n.subnet.dhcp || !n.address.IsValid() || !n.subnet.prefix.IsValid() {
			continue
		}
		subnet := map[string]any{"type": "static", "address": n.address.String() + "/" + strconv.Itoa(n.subnet.prefix.Bits())}
		if i == 0 {
			subnet["gateway"] = n.subnet.network().Gateway.String()
		}
		if len(n.subnet.dns) > 0 {
			servers := make([]string, len(n.subnet.dns))
			for k, a := range n.subnet.dns {
				servers[k] = a.String()
			}
			subnet["dns_nameservers"] = servers
		}
		parts = append(parts, map[string]any{"type": "physical", "name": "eth" + strconv.Itoa(i), "mac_address": n.mac, "subnets": []any{subnet}})
	}
	if parts == nil {
		return nil
	}
	return encoded(map[string]any{"version": 1, "config": parts})
}

// userData has the boot loader installed with its invitation, and beside it what the
// caller sent as custom data.
func (m *machineRun) userData(image compute.Image, invitation []byte) ([]byte, error) {
	own, kind := []byte("#cloud-config\n{}\n"), "text/cloud-config"
	var err error
	switch {
	case invitation == nil:
	case image.Provisioning == provisionWindowsInit:
		kind = "text/x-shellscript"
		own, err = windowsInstall(m.secrets.Invitation, invitation)
	default:
		own, err = linuxInstall(m.facts.name, m.secrets.Invitation, invitation)
	}
	if err != nil || m.secrets.CustomData == "" {
		return own, err
	}
	custom, err := base64.StdEncoding.DecodeString(m.secrets.CustomData)
	if err != nil {
		return nil, arm.Errorf(arm.Invalid, "InvalidParameter", "Custom data in OSProfile must be in Base64 encoding and with a maximum length of 87380 characters.").WithTarget("properties.osProfile.customData")
	}
	return multipartOf(part{kind, "deskyard", own}, part{customKind(custom), "custom-data", custom})
}

// part is one document of user data.
type part struct {
	kind, name string
	text       []byte
}

// customKind is what the first line of user data says that it is.
func customKind(text []byte) string {
	switch {
	case bytes.HasPrefix(text, []byte("#cloud-config")):
		return "text/cloud-config"
	case bytes.HasPrefix(text, []byte("#!")), bytes.HasPrefix(text, []byte("#ps1")):
		return "text/x-shellscript"
	}
	return "text/plain"
}

// multipartOf puts documents into the one that cloud-init and cloudbase-init both read.
func multipartOf(parts ...part) ([]byte, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, p := range parts {
		section, err := w.CreatePart(textproto.MIMEHeader{
			"Content-Type":              {p.kind},
			"MIME-Version":              {"1.0"},
			"Content-Transfer-Encoding": {"base64"},
			"Content-Disposition":       {fmt.Sprintf("attachment; filename=%q", p.name)},
		})
		if err == nil {
			_, err = section.Write([]byte(folded(base64.StdEncoding.EncodeToString(p.text))))
		}
		if err != nil {
			return nil, fmt.Errorf("put user data together: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("put user data together: %w", err)
	}
	head := fmt.Sprintf("Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\n\n", w.Boundary())
	return append([]byte(head), body.Bytes()...), nil
}

// folded breaks base64 into the lines that MIME asks for.
func folded(text string) string {
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	return b.String() + text
}

// reachable is the address that a guest without our boot loader fetches it from.
func reachable(i *deskyard.Invitation) (string, error) {
	if len(i.URLs) == 0 {
		return "", arm.Errorf(arm.Conflicting, "OSProvisioningInternalError", "The service has no address that guests can reach. Start it with --agent-url.")
	}
	return strings.TrimRight(i.URLs[0], "/"), nil
}

// linuxInstall fetches the boot loader's package from the service, whose CA it pins,
// and leaves it its invitation. The package's service does the rest.
func linuxInstall(name string, i *deskyard.Invitation, invitation []byte) ([]byte, error) {
	at, err := reachable(i)
	if err != nil {
		return nil, err
	}
	script := `set -eu
arch=$(uname -m); case $arch in aarch64) arch=arm64;; *) arch=amd64;; esac
if command -v dpkg >/dev/null; then format=deb; else format=rpm; fi
for try in 1 2 3 4 5 6 7 8 9 10; do
  if curl -fsS --cacert /etc/deskyard/ca.pem -o /run/deskyard-bootloader "` + at + `/downloads/bootloader?os=linux&arch=$arch&format=$format"; then break; fi
  sleep 6
done
if [ $format = deb ]; then DEBIAN_FRONTEND=noninteractive dpkg -i /run/deskyard-bootloader; else rpm -U /run/deskyard-bootloader; fi
rm -f /run/deskyard-bootloader
systemctl enable --now deskyard-bootloader
`
	file := func(path, mode, text string) map[string]string {
		return map[string]string{"path": path, "owner": "root:root", "permissions": mode, "content": text}
	}
	config := map[string]any{
		"hostname": name, "preserve_hostname": false,
		"write_files": []any{
			file("/etc/deskyard/invitation.json", "0600", string(invitation)),
			file("/etc/deskyard/ca.pem", "0644", i.CAPem),
			file("/run/deskyard-install.sh", "0700", script),
		},
		"runcmd": []any{[]string{"sh", "/run/deskyard-install.sh"}},
	}
	b, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("write cloud-config: %w", err)
	}
	return append([]byte("#cloud-config\n"), b...), nil
}

// windowsInstall does the same for cloudbase-init. The invitation is readable by the
// system and administrators alone; a message of the package is not believed, the
// service's start is.
func windowsInstall(i *deskyard.Invitation, invitation []byte) ([]byte, error) {
	at, err := reachable(i)
	if err != nil {
		return nil, err
	}
	text := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
	return []byte(`#ps1_sysnative
$ErrorActionPreference = 'Stop'
$folder = Join-Path $env:ProgramData 'Deskyard'
New-Item -ItemType Directory -Force -Path $folder | Out-Null
icacls $folder /inheritance:r /grant:r '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
[IO.File]::WriteAllBytes("$folder\invitation.json", [Convert]::FromBase64String('` + text(invitation) + `'))
[IO.File]::WriteAllBytes("$folder\ca.cer", [Convert]::FromBase64String('` + text([]byte(i.CAPem)) + `'))
Import-Certificate -FilePath "$folder\ca.cer" -CertStoreLocation Cert:\LocalMachine\Root | Out-Null
$msi = "$folder\bootloader.msi"
foreach ($try in 1..10) {
  try { Invoke-WebRequest -UseBasicParsing -Uri '` + at + `/downloads/bootloader?os=windows&arch=amd64&format=msi' -OutFile $msi; break } catch { Start-Sleep -Seconds 6 }
}
$p = Start-Process msiexec.exe -Wait -PassThru -ArgumentList '/i', $msi, '/quiet', '/norestart'
if ($p.ExitCode -notin 0, 3010) { throw "msiexec ended with $($p.ExitCode)" }
Remove-Item $msi
`), nil
}
