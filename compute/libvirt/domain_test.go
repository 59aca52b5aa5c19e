package libvirt

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/compute"
)

var update = flag.Bool("update", false, "write testdata from what is")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got+"\n" != string(want) {
		t.Errorf("%s is now\n%s", path, got)
	}
}

func exampleSpec() compute.Spec {
	return compute.Spec{
		ID: "6a6f1c9e-0000-4000-8000-000000000001", Owner: "install-1", Name: "sh-0", CPUs: 2, MemoryMB: 2048, MinMemMB: 1024,
		Tags:  map[string]string{"team": "R&D"},
		Image: compute.Image{ID: "debian:desktop:12:1", OS: "linux", Firmware: "bios", Kernel: "/images/vmlinuz", Initrd: "/images/initrd", Arguments: "root=/dev/vda1 quiet"},
		Disk:  compute.Disk{SizeGB: 32, Class: "Premium_LRS"},
		NICs: []compute.NIC{{
			MAC: "02:00:00:00:00:01", Address: netip.MustParseAddr("10.0.2.15"),
			Network: compute.Network{ID: "s", Prefix: netip.MustParsePrefix("10.0.2.0/24"), Gateway: netip.MustParseAddr("10.0.2.1")},
		}},
		Seed: compute.Seed{NoCloud: map[string][]byte{"user-data": []byte("hidden-seed")}, Credentials: map[string][]byte{"deskyard.invitation": []byte("hidden-token")}},
	}
}

var examplePaths = paths{
	disk: "/pool/disk.qcow2", seed: "/pool/seed.iso", console: "/pool/console.log", kernel: "/pool/vmlinuz", initrd: "/pool/initrd",
	credentials: map[string]string{"deskyard.invitation": "/pool/credential"},
}

func exampleDriver(t *testing.T, o Options) *Driver {
	t.Helper()
	o.Owner = "install-1"
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestDefinitionOfALinuxMachineWithItsKernel(t *testing.T) {
	s := exampleSpec()
	def, err := newDomain(s, exampleDriver(t, Options{}).metadata(s), examplePaths, "tcg", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := def.text()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "kernel.xml", text)
	if strings.Contains(text, "hidden") {
		t.Error("a secret is in the definition")
	}
}

func TestDefinitionOfATrustedWindowsMachine(t *testing.T) {
	s := exampleSpec()
	s.Image = compute.Image{ID: "windows", OS: "windows", Firmware: "uefi"}
	s.SecureBoot, s.TPM, s.Disk.Class, s.MinMemMB = true, true, "Standard_LRS", 0
	nics := []nic{{Type: "bridge", MAC: macAddress{s.NICs[0].MAC}, Source: &bridge{"br0"}, Model: modelType{"virtio"}, Filter: &filterRef{filterName(s.Owner, s.ID, 0)}, ROM: romBar{"no"}}}
	def, err := newDomain(s, exampleDriver(t, Options{Network: compute.NetworkBridge}).metadata(s), examplePaths, "kvm", nics)
	if err != nil {
		t.Fatal(err)
	}
	text, err := def.text()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "trusted.xml", text)
}

func TestDescriptionKeepsTheMetadata(t *testing.T) {
	s := exampleSpec()
	want := exampleDriver(t, Options{}).metadata(s)
	def, err := newDomain(s, want, examplePaths, "tcg", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := def.text()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseDescription(text)
	if err != nil {
		t.Fatal(err)
	}
	m := got.Metadata.Machine
	if m == nil || m.Owner != want.Owner || m.Name != "sh-0" || m.MinMem != 1024 || len(m.NICs) != 1 || m.NICs[0] != want.NICs[0] || m.Tags[0].Value != "R&D" {
		t.Errorf("of %+v is left %+v", want, m)
	}
	if got.memoryMB() != 2048 || got.diskName() != "disk.qcow2" {
		t.Errorf("memory %d, disk %q", got.memoryMB(), got.diskName())
	}
}

func TestFilterPutsRulesInAzuresOrder(t *testing.T) {
	n := exampleSpec().NICs[0]
	n.Rules = []compute.Rule{
		{Name: "deny", Priority: 4096, Inbound: true},
		{Name: "rdp", Priority: 100, Inbound: true, Allow: true, Protocol: "tcp", Sources: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.9/32")}, DestPorts: []compute.PortRange{{From: 3389, To: 3390}}},
		{Name: "no-dns", Priority: 200, DestPorts: []compute.PortRange{{From: 53, To: 53}}},
		{Name: "ping", Priority: 300, Inbound: true, Allow: true, Protocol: "icmp", DestPorts: []compute.PortRange{{From: 1, To: 2}}},
	}
	f, err := newFilter("dy-test", n)
	if err != nil {
		t.Fatal(err)
	}
	text, err := xml.MarshalIndent(f, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "filter.xml", string(text))
}

func TestFilterRulesHoldInOneDirection(t *testing.T) {
	n := exampleSpec().NICs[0]
	n.Rules = []compute.Rule{{Name: "deny", Priority: 100, Inbound: true, Sources: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}}
	f, err := newFilter("dy-test", n)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Rules {
		for _, m := range []*ipMatch{r.All, r.TCP, r.UDP, r.ICMP} {
			if m != nil && m.State == "" { // libvirt would drop what goes to those sources as well
				t.Errorf("a rule without states holds in both directions: %+v %+v", r, *m)
			}
		}
	}
}

func TestMachinesOfAnotherHostNeedABridgeThatIsThere(t *testing.T) {
	d := exampleDriver(t, Options{URI: "qemu+tls://rack-1/system", Network: compute.NetworkBridge})
	n := exampleSpec().NICs[0]
	if err := d.checkNIC(n); !errors.Is(err, compute.ErrUnsupported) || !strings.Contains(err.Error(), "vmSwitchName") {
		t.Errorf("a virtual network: %v", err)
	}
	n.Network.Bridge = "br0"
	if err := d.checkNIC(n); err != nil {
		t.Errorf("a bridge: %v", err)
	}
	n.Network.VLAN = 7
	if err := d.checkNIC(n); !errors.Is(err, compute.ErrUnsupported) {
		t.Errorf("a VLAN: %v", err)
	}
}

func TestFilterRefusesMoreRulesThanLibvirtTakes(t *testing.T) {
	n := exampleSpec().NICs[0]
	for i := range 70 {
		n.Rules = append(n.Rules, compute.Rule{Priority: i, Sources: make([]netip.Prefix, 0, 100)})
		for j := range 100 {
			n.Rules[i].Sources = append(n.Rules[i].Sources, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j), 0}), 24))
		}
	}
	if _, err := newFilter("dy-test", n); !errors.Is(err, compute.ErrUnsupported) {
		t.Errorf("7,000 rules: %v", err)
	}
}

func TestURIsThatTrustAnybodyAreRefused(t *testing.T) {
	for uri, wants := range map[string]string{
		"": "", "qemu:///system": "", "qemu+unix:///system?socket=/run/x": "", "qemu+tcp://h:1/system": "", "qemu+tls://h/system?pkipath=/etc/pki": "",
		"qemu+ssh://root@h/system?keyfile=/k": "", "qemu://h/system": "",
		"qemu+tls://h/system?no_verify=1": "trust any host", "qemu+libssh://h/system?known_hosts_verify=auto": "trust any host",
		"xen:///system": "not qemu", "qemu+tcp:///system": "names no host", "qemu+ext:///system?command=x": "names no host", "qemu+ext://h/system": "no transport", "%": "read libvirt URI",
	} {
		_, err := parseURI(uri)
		if (err == nil) != (wants == "") || err != nil && !strings.Contains(err.Error(), wants) {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func TestAHostThatIsDownIsUnreachableAndNotAskedAllTheTime(t *testing.T) {
	now := time.Unix(1, 0)
	d := exampleDriver(t, Options{URI: "qemu+unix:///system?socket=" + filepath.Join(t.TempDir(), "none"), Now: func() time.Time { return now }})
	for range 3 {
		if _, err := d.Observe(t.Context(), exampleSpec().ID); !errors.Is(err, compute.ErrUnreachable) {
			t.Fatalf("error is %v", err)
		}
	}
	if d.hosts.backoff != firstBackoff {
		t.Errorf("the host was dialled within its backoff: it is %s", d.hosts.backoff)
	}
	now = now.Add(time.Second)
	if _, err := d.Observe(t.Context(), exampleSpec().ID); !errors.Is(err, compute.ErrUnreachable) || d.hosts.backoff != 2*firstBackoff {
		t.Errorf("after its backoff: %v, backoff %s", err, d.hosts.backoff)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Observe(over, exampleSpec().ID); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestVolumeNamesTellOwnerAndMachine(t *testing.T) {
	id := exampleSpec().ID
	prefix, machine, ok := parseVolume(machinePrefix("install-1", id) + "disk.qcow2")
	if !ok || prefix != ownerPrefix("install-1") || machine != id {
		t.Errorf("%q, %q, %v", prefix, machine, ok)
	}
	for _, name := range []string{"", "disk.qcow2", ownerPrefix("a") + "image-" + strings.Repeat("0", 64) + ".qcow2", "xx" + machinePrefix("a", id)[2:] + "disk.qcow2"} {
		if _, _, ok := parseVolume(name); ok {
			t.Errorf("%q was taken for a machine's", name)
		}
	}
}

func TestPictureBecomesPNG(t *testing.T) {
	got, err := toPNG([]byte("P6\n2 1\n255\n\x00\x01\x02\xff\xfe\xfd"))
	if err != nil || !bytes.HasPrefix(got, pngMagic) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, bad := range []string{"", "P6\n2 1\n255\nabc", "P6\n-1 1\n255\n", "P6\n99999 99999\n255\n", "P5\n1 1\n255\na", "\x89PNG\r\n\x1a\n"} {
		if _, err := toPNG([]byte(bad)); err == nil {
			t.Errorf("%q is a picture", bad)
		}
	}
}

func FuzzPicture(f *testing.F) {
	f.Add([]byte("P6\n2 1\n255\n\x00\x01\x02\xff\xfe\xfd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parsePPM(b); err == nil && p.Bounds().Dx()*p.Bounds().Dy()*3 > len(b) {
			t.Error("more pixels than bytes")
		}
	})
}

func FuzzDescription(f *testing.F) {
	f.Add(`<domain type="qemu"><metadata><machine xmlns="` + machineNamespace + `" id="x"/></metadata><memory unit="KiB">1024</memory></domain>`)
	f.Fuzz(func(_ *testing.T, text string) {
		if d, err := parseDescription(text); err == nil {
			d.memoryMB()
			d.diskName()
		}
	})
}
