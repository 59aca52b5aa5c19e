package qemu

import (
	"fmt"
	"testing"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
)

// BenchmarkMachine measures what the driver adds to a machine's own boot: making it,
// starting it until QEMU's monitor answers, looking at it, removing it.
func BenchmarkMachine(b *testing.B) {
	d, err := New(Options{Folder: b.TempDir(), Owner: computetest.Owner})
	if err != nil {
		b.Skip(err)
	}
	if _, err := d.accelerated(b.Context()); err != nil {
		b.Fatal(err)
	}
	image := emptyImage(b)
	n := 0
	next := func() compute.Spec {
		n++
		return compute.Spec{
			ID: fmt.Sprintf("6a6f1c9e-0000-4000-8000-%012x", n), Owner: computetest.Owner, Name: "bench", CPUs: 2, MemoryMB: 512, Image: image,
			Seed: compute.Seed{NoCloud: map[string][]byte{"meta-data": []byte("i\n"), "user-data": []byte("#cloud-config\n")}},
		}
	}
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, verb := range []struct {
		name          string
		before, timed func(compute.Spec)
	}{
		{"ensure", func(compute.Spec) {}, func(s compute.Spec) { must(d.Ensure(b.Context(), s)) }},
		{"start", func(s compute.Spec) { must(d.Ensure(b.Context(), s)) }, func(s compute.Spec) { must(d.Power(b.Context(), s.ID, compute.Start)) }},
		{"observe", func(s compute.Spec) {
			must(d.Ensure(b.Context(), s))
			must(d.Power(b.Context(), s.ID, compute.Start))
		}, func(s compute.Spec) {
			_, err := d.Observe(b.Context(), s.ID)
			must(err)
		}},
		{"remove running", func(s compute.Spec) {
			must(d.Ensure(b.Context(), s))
			must(d.Power(b.Context(), s.ID, compute.Start))
		}, func(s compute.Spec) { must(d.Remove(b.Context(), s.ID)) }},
	} {
		b.Run(verb.name, func(b *testing.B) {
			for range b.N {
				s := next()
				b.StopTimer()
				verb.before(s)
				b.StartTimer()
				verb.timed(s)
				b.StopTimer()
				must(d.Remove(b.Context(), s.ID))
				b.StartTimer()
			}
		})
	}
}
