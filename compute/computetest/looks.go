package computetest

import (
	"bytes"
	"image/png"
	"net/netip"
	"strings"

	"github.com/deskyard/deskyard/compute"
)

func interfaces(f *fixture) {
	s := f.running()
	o := f.observe(s)
	if len(o.NICs) != 1 || !strings.EqualFold(o.NICs[0].MAC, s.NICs[0].MAC) {
		f.Fatalf("the machine's interfaces are %+v, not %s", o.NICs, s.NICs[0].MAC)
	}
	if o.NICs[0].Address.IsValid() && o.NICs[0].Address != s.NICs[0].Address {
		f.Errorf("the interface has %s, not %s", o.NICs[0].Address, s.NICs[0].Address)
	}
}

// filter sets rules that every network must take: what they let through is tested
// with packets elsewhere.
func filter(f *fixture) {
	s := f.ensure(f.spec())
	rules := []compute.Rule{{
		Name: "AllowRDP", Priority: 100, Inbound: true, Allow: true, Protocol: "tcp",
		Sources: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, DestPorts: []compute.PortRange{{From: 3389, To: 3389}},
	}}
	f.must(f.d.Filter(f.ctx(), s.ID, 0, rules))
	f.power(s, compute.Start)
	f.must(f.d.Filter(f.ctx(), s.ID, 0, nil))
	f.must(f.d.Filter(f.ctx(), s.ID, 0, rules))
	f.reopen()
	f.must(f.d.Filter(f.ctx(), s.ID, 0, rules))
	f.state(s, compute.Running)
	if err := f.d.Filter(f.ctx(), s.ID, 1, rules); err == nil {
		f.Error("an interface was filtered that the machine does not have")
	}
}

func balloon(f *fixture) {
	s := f.spec()
	s.MinMemMB = 64
	f.ensure(s)
	f.wants(f.d.Balloon(f.ctx(), s.ID, 96), compute.ErrNotRunning, "Balloon of a machine that is off")
	f.power(s, compute.Start)
	f.must(f.d.Balloon(f.ctx(), s.ID, 96))
	for _, mib := range []int{0, s.MinMemMB - 1, s.MemoryMB + 1} {
		if err := f.d.Balloon(f.ctx(), s.ID, mib); err == nil {
			f.Errorf("a machine of %d to %d MiB was asked for %d", s.MinMemMB, s.MemoryMB, mib)
		}
	}
	static := f.running()
	f.wants(f.d.Balloon(f.ctx(), static.ID, 96), compute.ErrUnsupported, "Balloon of a machine with static memory")
}

func console(f *fixture) {
	s := f.ensure(f.spec())
	for range 2 {
		text, err := f.d.Console(f.ctx(), s.ID)
		f.must(err)
		if len(text) > 1<<20 {
			f.Errorf("the console has %d bytes", len(text))
		}
		f.power(s, compute.Start)
	}
}

func screenshot(f *fixture) {
	s := f.ensure(f.spec())
	_, err := f.d.Screenshot(f.ctx(), s.ID)
	f.wants(err, compute.ErrNotRunning, "Screenshot of a machine that is off")
	f.power(s, compute.Start)
	picture, err := f.d.Screenshot(f.ctx(), s.ID)
	f.must(err)
	config, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil || config.Width < 64 || config.Height < 64 {
		f.Errorf("no picture: %d bytes, %+v, %v", len(picture), config, err)
	}
}

func inventory(f *fixture) {
	s := f.spec()
	s.Seed.NoCloud = map[string][]byte{"meta-data": []byte("instance-id: i\n"), "user-data": []byte("#cloud-config\n")}
	f.ensure(s)
	other := f.spec()
	other.Owner = "deskyard-other"
	f.ensure(other)
	f.reopen()
	kinds := f.of(s.ID)
	if kinds["machine"] != 1 || kinds["disk"] != 1 || kinds["seed"] != 1 {
		f.Errorf("the inventory has %v of a machine with a seed", kinds)
	}
	for _, i := range f.items(Owner) {
		if i.MachineID == other.ID {
			f.Errorf("the inventory claims another owner's %s %s", i.Kind, i.Where)
		}
		if i.MachineID == s.ID && (i.Where == "" || i.Kind == "machine" && i.Name != s.Name) {
			f.Errorf("the inventory says too little: %+v", i)
		}
	}
	if len(f.items("nobody")) > 0 {
		f.Error("nobody owns something")
	}
	if len(f.items("deskyard-other")) == 0 {
		f.Error("the other owner's machine is not found")
	}
}
