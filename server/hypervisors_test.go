package server

import (
	"strings"
	"testing"
)

func TestHypervisorsAreReadWithTheirDefaults(t *testing.T) {
	list, err := parseHypervisors([]byte(`
hypervisors:
- {name: rack-1, driver: libvirt, uri: "qemu+tls://rack-1/system", locations: [eastus], zone: "1", network: bridge, cpuRatio: 2}
- {name: here, driver: qemu}
- {name: by-socket, driver: libvirt, uri: "qemu:///system", network: bridge, masquerade: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 || list[0].CPURatio != 2 || list[0].Zone != "1" || list[1].Network != "user" {
		t.Errorf("read %+v", list)
	}
}

func TestEveryFaultOfTheHypervisorsFileIsTold(t *testing.T) {
	_, err := parseHypervisors([]byte(`
hypervisors:
- {name: Rack 1, driver: qemu}
- {name: a, driver: vmware, uri: x, zone: "4"}
- {name: a, driver: fake, network: token-ring, cpuRatio: -1}
- {name: b, driver: libvirt, uri: "qemu+tls:///system"}
- {name: c, driver: libvirt, uri: "qemu+tls://rack-1/system", network: bridge, masquerade: true}
- {name: d, driver: qemu, masquerade: true, guest: /opt/guest}
- {name: e, driver: qemu, network: bridge, locations: [eastus]}
- {name: f, driver: libvirt, network: bridge, locations: [EastUS, westus]}
- {name: g, driver: libvirt, network: bridge, locations: [northeurope]}
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`entry 1 ("Rack 1"): name must be`, `driver "vmware"`, `zone "4"`, "uri is for the driver libvirt",
		`entry 3 ("a"): another entry`, `network "token-ring"`, "must not be negative",
		`entry 4 ("b"): read libvirt URI`, `entry 5 ("c"): masquerade`, `entry 6 ("d"): guest is for the driver fake alone`, `entry 6 ("d"): masquerade`,
		`entry 8 ("f"): "e" makes bridges on this machine`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), `entry 9 ("g")`) {
		t.Errorf("bridges of other locations are a fault: %v", err)
	}
	if _, err := parseHypervisors([]byte("hypervisors:\n- {name: a, driver: fake, colour: red}\n")); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("an unknown key gave %v", err)
	}
}

func FuzzParseHypervisors(f *testing.F) {
	f.Add([]byte("hypervisors:\n- {name: a, driver: fake}\n"))
	f.Add([]byte("hypervisors: 3"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseHypervisors(text)
		if err != nil {
			return
		}
		for _, e := range list {
			if e.Name == "" || e.Driver == "" {
				t.Fatalf("accepted %+v", e)
			}
		}
	})
}
