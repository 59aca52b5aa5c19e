package qemu

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
	"github.com/deskyard/deskyard/compute/media"
)

// subnet is what the tests' interfaces are in.
var subnet = compute.Network{ID: "subnet", Prefix: netip.MustParsePrefix("10.80.0.0/24"), Gateway: netip.MustParseAddr("10.80.0.1")}

// emptyImage is a disk that boots nothing.
func emptyImage(t testing.TB) compute.Image {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("QEMU is not installed (apt-get install qemu-system-x86 qemu-utils)")
	}
	path := filepath.Join(t.TempDir(), "base.qcow2")
	if out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", path, "1G").CombinedOutput(); err != nil {
		t.Fatalf("make an image: %v: %s", err, out)
	}
	return compute.Image{ID: "empty", Path: path, Format: "qcow2", VirtualBytes: 1 << 30, OS: "linux", Firmware: "bios", Provisioning: "deskyard"}
}

func TestDriverKeepsTheContract(t *testing.T) {
	computetest.Run(t, computetest.Options{
		New: func(t *testing.T, h computetest.Host) compute.Driver {
			d, err := New(Options{Folder: h.Folder, Owner: computetest.Owner, Log: h.Log, Grace: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			d.accel = knownAccelerator(t, d)
			return d
		},
		Image:   emptyImage(t),
		Network: subnet,
		Kill: func(t *testing.T, d compute.Driver, _ computetest.Host, id string) {
			signal(t, d.(*Driver), id, syscall.SIGKILL)
			m := &machine{d: d.(*Driver), id: id, folder: filepath.Join(d.(*Driver).machines(), id)}
			for deadline := time.Now().Add(10 * time.Second); ; {
				pid, err := m.process()
				if err != nil || time.Now().After(deadline) {
					t.Fatalf("the killed process still is %d, %v", pid, err)
				}
				if pid == 0 {
					return
				}
			}
		},
		Cut: func(t *testing.T, d compute.Driver, _ computetest.Host, id string) func() {
			signal(t, d.(*Driver), id, syscall.SIGSTOP)
			return func() { signal(t, d.(*Driver), id, syscall.SIGCONT) }
		},
	})
}

// probed is the accelerator of this host: one probe for all tests.
var probed *accelerator

func knownAccelerator(t *testing.T, d *Driver) *accelerator {
	t.Helper()
	if probed == nil {
		a, err := d.accelerated(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		probed = &a
		t.Logf("%s %s", a.name, a.reason)
	}
	return probed
}

func signal(t *testing.T, d *Driver, id string, s syscall.Signal) {
	t.Helper()
	m, err := d.open(id)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := m.process()
	if err != nil || pid == 0 {
		t.Fatalf("the machine has process %d, %v", pid, err)
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

func TestProbeRunsUnderEmulation(t *testing.T) {
	emptyImage(t) // skips without QEMU
	dir := t.TempDir()
	rom := media.ProbeROM()
	path := filepath.Join(dir, "rom")
	if err := os.WriteFile(path, rom, 0o600); err != nil {
		t.Fatal(err)
	}
	if passes, said := runProbe(t.Context(), "qemu-system-x86_64", "tcg", path); !passes {
		t.Errorf("the probe guest did not run: %s", said)
	}
	rom[0] = 0xf4 // a guest that halts at once
	if err := os.WriteFile(path, rom, 0o600); err != nil {
		t.Fatal(err)
	}
	if passes, said := runProbe(t.Context(), "qemu-system-x86_64", "tcg", path); passes || said == "" {
		t.Errorf("a guest that halts passed as one that runs (%q)", said)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, o := range map[string]Options{
		"relative folder": {Folder: "machines", Owner: "o"},
		"comma":           {Folder: "/tmp/a,b", Owner: "o"},
		"no owner":        {Folder: "/tmp/x"},
		"owner's comma":   {Folder: "/tmp/x", Owner: "a,b"},
		"no bridges":      {Folder: "/tmp/x", Owner: "o", Network: compute.NetworkBridge},
		"odd network":     {Folder: "/tmp/x", Owner: "o", Network: "wifi"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestUserNetworkRefusesToDenyOutbound(t *testing.T) {
	rules := []compute.Rule{{Name: "DenyInternet", Priority: 100}}
	if err := refuseDenials(rules); !errors.Is(err, compute.ErrUnsupported) {
		t.Errorf("error is %v", err)
	}
	rules[0].Inbound = true
	if err := refuseDenials(rules); err != nil {
		t.Errorf("inbound is denied there anyway: %v", err)
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, s := range []string{
		`{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}`,
		`{"return": {}}`, `{"return": []}`, `{"error": {"class": "GenericError", "desc": "x"}}`,
		`{"timestamp": {"seconds": 1}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}`, `{}`, `[]`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parseMessage(line)
		if err == nil && m.QMP == nil && m.Return == nil && m.Error == nil && m.Event == "" {
			t.Errorf("%q is accepted as nothing", line)
		}
	})
}

func FuzzParseCommandLine(f *testing.F) {
	f.Add([]byte("/usr/bin/qemu-system-x86_64\x00-uuid\x006a6f1c9e-0000-4000-8000-000000000001\x00-smbios\x00type=3,manufacturer=Deskyard,asset=o\x00"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, line []byte) {
		if id, ok := parseCommandLine(line, "o"); ok && !guid.MatchString(id) {
			t.Errorf("id %q", id)
		}
	})
}

func TestInventoryFindsAProcessWhoseFolderIsGone(t *testing.T) {
	image := emptyImage(t)
	d, err := New(Options{Folder: filepath.Join(t.TempDir(), strings.Repeat("long", 30)), Owner: computetest.Owner})
	if err != nil {
		t.Fatal(err)
	}
	d.accel = knownAccelerator(t, d)
	const id = "6a6f1c9e-0000-4000-8000-00000000aaaa"
	s := compute.Spec{ID: id, Owner: computetest.Owner, Name: "stray", CPUs: 1, MemoryMB: 64, Image: image}
	if err := d.Ensure(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := d.Power(t.Context(), id, compute.Start); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(d.machines(), id)); err != nil {
		t.Fatal(err)
	}
	items, err := d.Inventory(t.Context(), computetest.Owner)
	if err != nil || len(items) != 1 || items[0].MachineID != id || items[0].Kind != "machine" {
		t.Errorf("items %+v, %v", items, err)
	}
	if err := d.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if items, err := d.Inventory(t.Context(), computetest.Owner); err != nil || len(items) != 0 {
		t.Errorf("left: %+v, %v", items, err)
	}
}

func TestRemovalThatWasCutOffIsFoundAndFinished(t *testing.T) {
	emptyImage(t)
	d, err := New(Options{Folder: filepath.Join(t.TempDir(), strings.Repeat("long", 30)), Owner: computetest.Owner})
	if err != nil {
		t.Fatal(err)
	}
	const gone, begun = "6a6f1c9e-0000-4000-8000-00000000bbbb", "6a6f1c9e-0000-4000-8000-00000000cccc"
	for _, dir := range []string{gone, draftPrefix + begun + "-123"} {
		if err := os.MkdirAll(filepath.Join(d.machines(), dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	items, err := d.Inventory(t.Context(), computetest.Owner)
	if err != nil || len(items) != 2 {
		t.Fatalf("items %+v, %v", items, err)
	}
	for _, i := range items {
		if err := d.Remove(t.Context(), i.MachineID); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(d.machines())
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestConsoleKeepsTheLastMiB(t *testing.T) {
	image := emptyImage(t)
	d, err := New(Options{Folder: filepath.Join(t.TempDir(), strings.Repeat("long", 30)), Owner: computetest.Owner})
	if err != nil {
		t.Fatal(err)
	}
	const id = "6a6f1c9e-0000-4000-8000-00000000dddd"
	if err := d.Ensure(t.Context(), compute.Spec{ID: id, Owner: computetest.Owner, Name: "loud", CPUs: 1, MemoryMB: 64, Image: image}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(d.machines(), id, consoleFile)
	for _, last := range []string{"first", "second", "third"} {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err == nil {
			_, err = f.WriteString(strings.Repeat("x", maxConsole) + last)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			text, err := d.Console(t.Context(), id)
			if err != nil || len(text) != maxConsole || !strings.HasSuffix(string(text), last) {
				t.Errorf("%d bytes, not ending with %s, %v", len(text), last, err)
			}
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxConsole {
		t.Errorf("the log has %d bytes, %v", info.Size(), err)
	}
}

func TestRunningMachineWhoseTPMEndedSaysSo(t *testing.T) {
	image := emptyImage(t)
	d, err := New(Options{Folder: t.TempDir(), Owner: computetest.Owner})
	if err != nil {
		t.Fatal(err)
	}
	if d.firmware.swtpm == "" {
		t.Skip("needs swtpm (apt-get install swtpm swtpm-tools)")
	}
	d.accel = knownAccelerator(t, d)
	const id = "6a6f1c9e-0000-4000-8000-00000000ffff"
	t.Cleanup(func() {
		if err := d.Remove(context.WithoutCancel(t.Context()), id); err != nil {
			t.Error(err)
		}
	})
	if err := d.Ensure(t.Context(), compute.Spec{ID: id, Owner: computetest.Owner, Name: "tpm", CPUs: 1, MemoryMB: 64, Image: image, TPM: true}); err != nil {
		t.Fatal(err)
	}
	if err := d.Power(t.Context(), id, compute.Start); err != nil {
		t.Fatal(err)
	}
	if o, err := d.Observe(t.Context(), id); err != nil || o.State != compute.Running || o.Reason != "" {
		t.Fatalf("%s %q, %v", o.State, o.Reason, err)
	}
	m, err := d.open(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.endTPM(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o, err := d.Observe(t.Context(), id); err != nil || o.State != compute.Running || o.Reason == "" {
		t.Errorf("%s %q, %v", o.State, o.Reason, err)
	}
	for _, p := range []compute.Power{compute.PowerOff, compute.Start} {
		if err := d.Power(t.Context(), id, p); err != nil {
			t.Fatal(err)
		}
	}
	if o, err := d.Observe(t.Context(), id); err != nil || o.State != compute.Running || o.Reason != "" {
		t.Errorf("after a start: %s %q, %v", o.State, o.Reason, err)
	}
}
