package qemu

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
)

// TestQEMUDropsToItsUser runs what touches files after QEMU gave up its privileges:
// picture, hibernation and resumption.
func TestQEMUDropsToItsUser(t *testing.T) {
	image := emptyImage(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root, to drop it")
	}
	d, err := New(Options{Folder: t.TempDir(), Owner: computetest.Owner, User: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	d.accel = knownAccelerator(t, d)
	const id = "6a6f1c9e-0000-4000-8000-00000000eeee"
	s := compute.Spec{
		ID: id, Owner: computetest.Owner, Name: "plain", CPUs: 1, MemoryMB: 64, Image: image, TPM: d.firmware.swtpm != "",
		Seed: compute.Seed{NoCloud: map[string][]byte{"meta-data": []byte("i\n")}, Credentials: map[string][]byte{"a": []byte("b")}},
	}
	t.Cleanup(func() {
		if err := d.Remove(context.WithoutCancel(t.Context()), id); err != nil {
			t.Error(err)
		}
	})
	if err := d.Ensure(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	power := func(p compute.Power) {
		t.Helper()
		if err := d.Power(t.Context(), id, p); err != nil {
			t.Fatal(err)
		}
	}
	power(compute.Start)
	m, err := d.open(id)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := m.process()
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(status, fmt.Appendf(nil, "\nUid:\t%d\t%d\t%d\t", d.account.uid, d.account.uid, d.account.uid)) || !bytes.Contains(status, []byte("\nSeccomp:\t2\n")) {
		t.Errorf("QEMU runs as\n%s", status)
	}
	if _, err := d.Screenshot(t.Context(), id); err != nil {
		t.Error(err)
	}
	power(compute.Hibernate)
	power(compute.Start)
	power(compute.PowerOff)
	power(compute.Start)
	caps, err := d.Capabilities(t.Context())
	if err != nil || len(caps.Warnings) > 0 {
		t.Errorf("warnings %v, %v", caps.Warnings, err)
	}
}
