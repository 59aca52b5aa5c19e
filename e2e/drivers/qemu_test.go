//go:build e2e

package drivers

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
	"github.com/deskyard/deskyard/compute/qemu"
)

// subnet is what the machines' interfaces are in.
var subnet = compute.Network{ID: "drivers", Prefix: netip.MustParsePrefix("10.91.0.0/24"), Gateway: netip.MustParseAddr("10.91.0.1")}

// testImage builds the test guest once.
func testImage(t *testing.T) Image {
	t.Helper()
	if dir := os.Getenv(inside); dir != "" {
		return Image{Dir: dir}
	}
	if built.Dir != "" {
		return built
	}
	out, err := exec.CommandContext(t.Context(), "../../images/debian-host/build").Output()
	if err != nil {
		t.Fatalf("build the Debian image that the test guest's kernel is of: %v", err)
	}
	start := time.Now()
	built, err = Build(t.Context(), "../..", strings.TrimSpace(string(out)), imageDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("test guest built in %.1f s", time.Since(start).Seconds())
	return built
}

var (
	built    Image
	imageDir string // gone after the tests
)

func TestMain(m *testing.M) {
	var err error
	if imageDir, err = os.MkdirTemp("", "dyimg"); err != nil {
		panic(err)
	}
	if err := os.Chmod(imageDir, 0o755); err != nil { // other users' hypervisors read it
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(imageDir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func openQEMU(t *testing.T, h computetest.Host) compute.Driver {
	t.Helper()
	d, err := qemu.New(qemu.Options{Folder: h.Folder, Owner: computetest.Owner, Log: h.Log})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestQEMUBootsGuests(t *testing.T) {
	computetest.RunBooted(t, computetest.Options{New: openQEMU, Image: testImage(t).Compute(), Network: subnet})
}

func TestQEMUShowsTheDisksClassInside(t *testing.T) {
	dir, err := os.MkdirTemp("", "dycls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := openQEMU(t, computetest.Host{Folder: dir})
	ctx := context.WithoutCancel(t.Context())
	for class, rotational := range map[string]string{"Standard_LRS": "1", "Premium_LRS": "0"} {
		s := compute.Spec{ID: uuid.NewString(), Owner: computetest.Owner, Name: "disk", CPUs: 2, MemoryMB: 256, Image: testImage(t).Compute(), Disk: compute.Disk{SizeGB: 3, Class: class}}
		s.Image.Bus = "scsi"
		t.Cleanup(func() {
			if err := d.Remove(ctx, s.ID); err != nil {
				t.Error(err)
			}
		})
		if err := d.Ensure(ctx, s); err != nil {
			t.Fatal(err)
		}
		if err := d.Power(ctx, s.ID, compute.Start); err != nil {
			t.Fatal(err)
		}
		report := awaitLine(t, d, s.ID, `"guest":"report"`)
		for _, want := range []string{`"disk":"sda"`, `"diskBytes":3221225472`, `"rotational":"` + rotational + `"`} {
			if !strings.Contains(report, want) {
				t.Errorf("%s: the guest does not say %s: %s", class, want, report)
			}
		}
		if err := d.Power(ctx, s.ID, compute.PowerOff); err != nil {
			t.Fatal(err)
		}
	}
}
