package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestMetricsAreReadFromTheOutputOfGoTest(t *testing.T) {
	out := "goos: linux\nBenchmarkDurableWrite-2   \t  100\t 1234 ns/op\t 2604 fsyncs/s\t 0.61 of-fsync-rate\t 1588 writes/s\nPASS\nok x 1s\n"
	got := benchmarkMetrics([]byte(out))["DurableWrite"]
	for unit, want := range map[string]float64{"ns/op": 1234, "fsyncs/s": 2604, "of-fsync-rate": 0.61, "writes/s": 1588} {
		if got[unit] != want {
			t.Errorf("%s is %v, want %v", unit, got[unit], want)
		}
	}
}

func TestAFigureIsWrittenWithItsRatio(t *testing.T) {
	var s sheet
	s.add("store.x.per_s", 30, 60, "a baseline", "S1 >= 0.55")
	s.add("agents.y.bytes", 7, 0, "nothing", "")
	file := filepath.Join(t.TempDir(), "new", "bench.json")
	if err := s.write(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []figure
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Ratio != 0.5 || got[1].Ratio != 0 || got[0].Target != "S1 >= 0.55" {
		t.Errorf("written: %s", b)
	}
}

func TestAProcessHasMemoryAndTime(t *testing.T) {
	for name, of := range map[string]func(int) (float64, error){"VmRSS": rssOf, "VmHWM": peakOf} {
		if kb, err := of(os.Getpid()); err != nil || kb < 100 {
			t.Errorf("%s of this process: %v KB, %v", name, kb, err)
		}
	}
	if _, err := cpuOf(os.Getpid()); err != nil {
		t.Error(err)
	}
	if _, err := procValue(os.Getpid(), "status", "VmNothing"); err == nil {
		t.Error("a line that is not there was read")
	}
}
