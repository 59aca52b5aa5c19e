package provision_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute/fake"
)

// BenchmarkFourHundredMachines makes the most machines that one run may have, on
// hosts in memory with guests that come at once: what is left is the service's own
// time and memory.
func BenchmarkFourHundredMachines(b *testing.B) {
	const n = 400
	for b.Loop() {
		x := newSite(b, fake.Options{}, fake.Options{}, fake.Options{}, fake.Options{})
		x.run()
		var ids []arm.ResourceID
		for i := range n {
			ids = append(ids, x.machine(i+1, ""))
		}
		before := memory()
		began := time.Now()
		ops := make([]string, n)
		for i, id := range ids {
			ops[i] = x.submit(id, deskyard.JobPut)
		}
		for _, op := range ops {
			for !x.operation(op).Done() {
				time.Sleep(5 * time.Millisecond)
			}
		}
		took := time.Since(began)
		for _, id := range ids {
			if x.state(id) != "Succeeded" {
				b.Fatalf("%s: %s", id.Name(), x.reason(id))
			}
		}
		if m, _ := x.made(); m != n {
			b.Fatalf("%d machines", m)
		}
		b.ReportMetric(float64(took.Microseconds())/1000/n, "ms/machine")
		b.ReportMetric(float64(memory()-before)/1024/n, "KiB/machine")
		x.halt()
	}
}

func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
