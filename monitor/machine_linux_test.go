package monitor

import (
	"io"
	"strings"
	"testing"
)

func FuzzReadProc(f *testing.F) {
	f.Add("cpu  1 2 3 4 5 6 7 8 0 0\n")
	f.Add("MemTotal: 100 kB\nMemAvailable: 50 kB\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, read := range []func(io.Reader, *reading) error{readCPU, readMemory, readLoad, readUptime} {
			var r reading
			if err := read(strings.NewReader(s), &r); err == nil && r.cpuBusy > r.cpuTotal && r.cpuBusy > 0 && !strings.Contains(s, "-") {
				t.Fatalf("%q: busy longer than there was time: %+v", s, r)
			}
		}
	})
}
