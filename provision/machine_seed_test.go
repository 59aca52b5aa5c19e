package provision

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/compute"
)

func seedRun() *machineRun {
	m := &machineRun{st: machineState{MachineID: "6a6f1c9e-0000-4000-8000-000000000001"}}
	m.facts.name = "sh-1"
	m.secrets.Invitation = &deskyard.Invitation{MachineID: m.st.MachineID, Token: "tok", URLs: []string{"https://10.0.2.2:8443/"}, CAPem: "-----BEGIN CERTIFICATE-----\n"}
	return m
}

func TestOwnImageIsGivenItsInvitationAndNothingElse(t *testing.T) {
	m := seedRun()
	s, err := m.seed(compute.Image{Provisioning: "deskyard"}, Hypervisor{})
	if err != nil || len(s.NoCloud) != 0 || len(s.Credentials) != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	var i deskyard.Invitation
	if err := json.Unmarshal(s.Credentials["deskyard.invitation"], &i); err != nil || i.Token != "tok" {
		t.Errorf("invitation %+v, %v", i, err)
	}
}

func TestSegmentWithoutDHCPGivesTheMachineItsAddress(t *testing.T) {
	m := seedRun()
	m.facts.nics = []nicFacts{{mac: "02:00:00:00:00:01", address: netip.MustParseAddr("192.168.7.20"),
		subnet: subnetFacts{bridge: "br0", prefix: netip.MustParsePrefix("192.168.7.0/24"), dns: []netip.Addr{netip.MustParseAddr("192.168.7.2")}}}}
	s, err := m.seed(compute.Image{Provisioning: "cloud-init", OS: "linux"}, Hypervisor{})
	text := string(s.NoCloud["network-config"])
	for _, want := range []string{`"address":"192.168.7.20/24"`, `"gateway":"192.168.7.1"`, `"dns_nameservers":["192.168.7.2"]`, `"mac_address":"02:00:00:00:00:01"`} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s: %s, %v", want, text, err)
		}
	}
	m.facts.nics[0].subnet.dhcp = true
	if s, err := m.seed(compute.Image{Provisioning: "cloud-init"}, Hypervisor{}); err != nil || s.NoCloud["network-config"] != nil {
		t.Errorf("a segment with DHCP is configured by hand: %v", err)
	}
}

func TestCustomDataStandsBesideTheInstallation(t *testing.T) {
	m := seedRun()
	m.secrets.CustomData = base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\necho mine\n"))
	for provisioning, want := range map[string]string{"cloud-init": "/etc/deskyard/invitation.json", "cloudbase-init": "msiexec.exe"} {
		s, err := m.seed(compute.Image{Provisioning: provisioning}, Hypervisor{})
		if err != nil {
			t.Fatal(err)
		}
		message, err := mail.ReadMessage(strings.NewReader(string(s.NoCloud["user-data"])))
		if err != nil {
			t.Fatal(err)
		}
		_, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		var parts []string
		for r := multipart.NewReader(message.Body, params["boundary"]); ; {
			p, err := r.NextPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, string(text))
		}
		if len(parts) != 2 || !strings.Contains(parts[0], want) || parts[1] != "#!/bin/sh\necho mine\n" {
			t.Errorf("%s: %q", provisioning, parts)
		}
	}
}

func TestUnknownProvisioningIsRefusedWithThoseThatAreKnown(t *testing.T) {
	if _, err := seedRun().seed(compute.Image{ID: "x", Provisioning: "ignition"}, Hypervisor{}); err == nil || !strings.Contains(err.Error(), "cloud-init") {
		t.Errorf("told %v", err)
	}
}

func TestConsoleTailHasNoControlCharactersAndABound(t *testing.T) {
	got := lastLines([]byte("one\n\n\x1b[31mtwo\x07\r\nthree\nfour\nfive\n\n"))
	if got != "[31mtwo | three | four | five" {
		t.Errorf("%q", got)
	}
	if got := lastLines([]byte(strings.Repeat("ü", 5000))); len(got) > consoleBytes+8 {
		t.Errorf("%d bytes", len(got))
	}
}
