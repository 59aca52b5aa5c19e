//go:build e2e

package machines

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// facts is what a machine says of itself, one fact a line.
const facts = `echo "host=$(hostname)"
echo "cpus=$(nproc)"
echo "memory=$(awk '/MemTotal/{print int($2/1024)}' /proc/meminfo)"
echo "disk=$(df -m --output=size / | tail -1 | tr -d ' ')"
echo "admin=$(id -u ` + admin + ` >/dev/null 2>&1 && echo yes)"
echo "sudo=$(sudo -l -U ` + admin + ` 2>&1 | grep -c 'ALL')"
echo "password=$(getent shadow ` + admin + ` | cut -d: -f2 | cut -c1-3)"
echo "address=$(ip -4 -o addr show scope global | awk '$2 != "lo" {print $4}' | head -1)"
echo "inbound=$(ss -Hltn | awk '{print $4}' | grep -vE '^(127\.|\[::1\]|169\.254\.)' | tr '\n' ' ')"
echo "uuid=$(cat /sys/class/dmi/id/product_uuid | tr A-Z a-z)"
echo "secureboot=$(dmesg | grep -ci 'secure boot enabled')"
echo "tpm=$(ls /sys/class/tpm 2>/dev/null | head -1)"
imds() { curl -s -H Metadata:true "http://169.254.169.254/metadata/instance/compute/$1?api-version=2021-02-01&format=text"; }
echo "imdsName=$(imds name)"
echo "imdsSize=$(imds vmSize)"
echo "imdsZone=$(imds zone)"
echo "imdsTags=$(imds tags)"
echo "imdsRefuses=$(curl -s -o /dev/null -w '%{http_code}' 'http://169.254.169.254/metadata/instance?api-version=2021-02-01')"
echo "boot=$(systemd-analyze | sed -n 's/.* = //p' | head -1)"
echo "invitation=$(cat /etc/deskyard/invitation.json 2>/dev/null | wc -c)"
`

var factLine = regexp.MustCompile(`(?m)^(\w+)=(.*)$`)

// look asks a machine for its facts.
func (h *house) look(ctx context.Context, t *testing.T, vm string) map[string]string {
	t.Helper()
	said, err := h.inside(ctx, vm, facts)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range factLine.FindAllStringSubmatch(said, -1) {
		found[m[1]] = m[2]
	}
	if len(found) == 0 {
		t.Fatalf("the machine said %q", said)
	}
	return found
}

// machine is what the API shows of one.
type machine struct {
	Zones      []string
	Tags       map[string]string
	Properties struct {
		VMID            string
		HardwareProfile struct{ VMSize string }
		StorageProfile  struct {
			OSDisk struct {
				DiskSizeGB  int
				ManagedDisk struct{ StorageAccountType string }
			}
		}
		SecurityProfile struct{ SecurityType string }
	}
}

// TestEachParameterOfTheWizardHasItsEffect adds a host with everything but security
// settings said, and one with trusted launch.
func TestEachParameterOfTheWizardHasItsEffect(t *testing.T) {
	h := open(t, zones)
	t.Run("on a machine of its own size and disk", h.ordinary)
	t.Run("a script from a web server runs once the machine is there", h.script)
	t.Run("on a machine with trusted launch", h.trusted)
	t.Run("a machine whose QEMU is killed comes back as itself", h.killed)
	t.Run("removed hosts leave nothing", h.removed)
}

func (h *house) ordinary(t *testing.T) {
	ctx := yardtest.Deadline(t, madeFor)
	start := time.Now()
	err := h.add(ctx, t, "wz", "--zone", "1", "--os-disk-size-gb", "8", "--tags", "team=blue", "--tags", "purpose=story", "--boot-diagnostics", "Managed")
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	in := h.look(ctx, t, "wz-0")
	var vm machine
	if err := h.Get(ctx, "Microsoft.Compute/virtualMachines/wz-0", "2024-07-01", &vm); err != nil {
		t.Fatal(err)
	}
	var nic struct {
		Tags       map[string]string
		Properties struct {
			IPConfigurations []struct {
				Properties struct{ PrivateIPAddress string }
			}
		}
	}
	if err := h.Get(ctx, "Microsoft.Network/networkInterfaces/wz-0-nic", "2023-09-01", &nic); err != nil || len(nic.Properties.IPConfigurations) != 1 {
		t.Fatalf("the interface is %+v, %v", nic, err)
	}
	address := nic.Properties.IPConfigurations[0].Properties.PrivateIPAddress
	for _, c := range []struct {
		parameter, where string
		got, want        any
	}{
		{"name prefix", "host name", in["host"], "wz-0"},
		{"size", "processors inside", in["cpus"], "2"},
		{"size", "memory inside is 768 MiB less the kernel's own", between(in["memory"], 640, 768), true},
		{"size", "the machine", vm.Properties.HardwareProfile.VMSize, size},
		{"size", "instance metadata", in["imdsSize"], size},
		{"OS disk size", "file system inside is 8 GiB less its own", between(in["disk"], 7000, 8192), true},
		{"OS disk size", "the machine", vm.Properties.StorageProfile.OSDisk.DiskSizeGB, 8},
		{"OS disk type", "the machine", vm.Properties.StorageProfile.OSDisk.ManagedDisk.StorageAccountType, "StandardSSD_LRS"},
		{"administrator", "account inside", in["admin"], "yes"},
		{"administrator", "may sudo", in["sudo"] != "0" && in["sudo"] != "", true},
		{"administrator", "has a hashed password", in["password"] != "" && in["password"][0] == '$', true},
		{"zone", "the machine", fmt.Sprint(vm.Zones), "[1]"},
		{"zone", "its hypervisor", h.hypervisor(t, vm.Properties.VMID), "here"},
		{"zone", "instance metadata", in["imdsZone"], "1"},
		{"tags", "the machine", vm.Tags["team"] + " " + vm.Tags["purpose"], "blue story"},
		{"tags", "its interface", nic.Tags["team"] + " " + nic.Tags["purpose"], "blue story"},
		{"tags", "instance metadata", in["imdsTags"], "purpose:story;team:blue"},
		{"subnet", "address inside", in["address"], address + "/24"},
		{"no inbound", "listening beyond the loopback", in["inbound"], ""},
		{"machine id", "SMBIOS", in["uuid"], vm.Properties.VMID},
		{"metadata", "the name", in["imdsName"], "wz-0"},
		{"metadata", "asked without the header", in["imdsRefuses"], "400"},
		{"invitation", "is gone", in["invitation"], "0"},
		{"security type", "no secure boot unless asked for", in["secureboot"], "0"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s: %v, want %v", c.parameter, c.where, c.got, c.want)
		}
	}
	h.report(t, "1 guest", took, in["boot"])
	t.Run("boot diagnostics", h.diagnostics)
}

// report writes the ratio that issue 3 wants at most 1.15. systemd's own time stands
// for the bare boot: from the kernel's start until everything is up.
func (h *house) report(t *testing.T, what string, took time.Duration, boot string) {
	t.Helper()
	var minutes, seconds float64
	if _, err := fmt.Sscanf(boot, "%fmin %fs", &minutes, &seconds); err != nil {
		minutes = 0
		if _, err := fmt.Sscanf(boot, "%fs", &seconds); err != nil {
			t.Errorf("read systemd's time %q: %v", boot, err)
			return
		}
	}
	bare := minutes*60 + seconds
	t.Logf("%s: %.1f s from request to Available, %.1f s of boot inside: ratio %.2f", what, took.Seconds(), bare, took.Seconds()/bare)
}

// diagnostics asks for console and screenshot as az does.
func (h *house) diagnostics(t *testing.T) {
	ctx := yardtest.Deadline(t, time.Minute)
	var uris struct{ ConsoleScreenshotBlobURI, SerialConsoleLogBlobURI string }
	if err := h.Client.Do(ctx, "POST", h.ID("Microsoft.Compute/virtualMachines/wz-0/retrieveBootDiagnosticsData")+"?api-version=2024-07-01", nil, &uris); err != nil {
		t.Fatal(err)
	}
	if uris.SerialConsoleLogBlobURI == "" || uris.ConsoleScreenshotBlobURI == "" {
		t.Errorf("boot diagnostics are %+v", uris)
	}
}

func between(text string, low, high int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= low && n <= high
}

// trusted boots by signed firmware, with a TPM.
func (h *house) trusted(t *testing.T) {
	ctx := yardtest.Deadline(t, madeFor)
	start := time.Now()
	if err := h.add(ctx, t, "tl", "--zone", "2", "--security-type", "TrustedLaunch"); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	in := h.look(ctx, t, "tl-0")
	if in["secureboot"] == "0" || in["tpm"] != "tpm0" {
		t.Errorf("inside a machine with trusted launch: secure boot %q, TPM %q", in["secureboot"], in["tpm"])
	}
	var vm machine
	if err := h.Get(ctx, "Microsoft.Compute/virtualMachines/tl-0", "2024-07-01", &vm); err != nil || vm.Properties.SecurityProfile.SecurityType != "TrustedLaunch" {
		t.Errorf("its security type is %q, %v", vm.Properties.SecurityProfile.SecurityType, err)
	}
	if at := h.hypervisor(t, vm.Properties.VMID); at != "there" {
		t.Errorf("the machine of zone 2 is on %q", at)
	}
	h.report(t, "1 guest, trusted launch, beside another", took, in["boot"])
}

// removed removes all hosts and looks for what is left.
func (h *house) removed(t *testing.T) {
	ctx := yardtest.Deadline(t, 5*time.Minute)
	h.remove(ctx, t, "wz-0", "tl-0")
	h.noOrphans(ctx, t)
}

// remove removes hosts, of which nothing may be left.
func (h *house) remove(ctx context.Context, t *testing.T, hosts ...string) {
	t.Helper()
	for _, host := range hosts {
		var vm machine
		if err := h.Get(ctx, "Microsoft.Compute/virtualMachines/"+host, "2024-07-01", &vm); err != nil {
			t.Error(err)
			continue
		}
		if err := h.Remove(ctx, yard.Pool, host); err != nil {
			t.Fatal(err)
		}
		if left, err := h.Leftovers(ctx, yard.Pool, host, vm.Properties.VMID); err != nil || len(left) > 0 {
			t.Errorf("of %s is left: %v, %v", host, left, err)
		}
	}
}

func (h *house) noOrphans(ctx context.Context, t *testing.T) {
	t.Helper()
	var list []json.RawMessage
	list, err := h.Orphans(ctx)
	if err != nil || len(list) > 0 {
		t.Errorf("orphans: %s, %v", list, err)
	}
}
