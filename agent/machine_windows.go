package agent

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/deskyard/deskyard"
)

// DescribeMachine says which machine this is. It has been compiled, and not been
// run on Windows. The SMBIOS id is left out: it needs GetSystemFirmwareTable.
func DescribeMachine(context.Context) (deskyard.Machine, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return deskyard.Machine{}, fmt.Errorf("ask for the host name: %w", err)
	}
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Cryptography`, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return deskyard.Machine{}, fmt.Errorf("read the machine's GUID: %w", err)
	}
	defer k.Close()
	id, _, err := k.GetStringValue("MachineGuid")
	if err != nil {
		return deskyard.Machine{}, fmt.Errorf("read the machine's GUID: %w", err)
	}
	v := windows.RtlGetVersion()
	m := deskyard.Machine{
		Hostname: shortName(hostname), MachineID: id, OS: runtime.GOOS, Arch: runtime.GOARCH,
		OSVersion: fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber),
	}
	realm, err := joinedDomain()
	if err != nil {
		return m, fmt.Errorf("ask for the machine's domain: %w", err)
	}
	if realm != "" {
		m.Identity = "ad:" + strings.ToUpper(realm)
		m.FQDN = fullName(hostname)
	}
	return m, nil
}

func ptr(p *uint16) *byte { return (*byte)(unsafe.Pointer(p)) }
