package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// measureBroker runs the benchmarks of decisions: a durable one of 256 callers at once
// beside the same callers' plain upserts, in turns, and the pick alone beside a scan.
func measureBroker(ctx context.Context, _ *measureRole, s *sheet) error {
	decisions, err := benchmark(ctx, "^BenchmarkDecision$", "30x", "./connect") // 512 decisions each; all must find room
	if err != nil {
		return err
	}
	picks, err := benchmark(ctx, "^Benchmark(Pick|Place)$", "1s", "./broker")
	if err != nil {
		return err
	}
	for _, balance := range []struct{ name, line string }{{"BreadthFirst", "breadth"}, {"DepthFirst", "depth"}} {
		m := decisions["Decision/"+balance.name]
		if m["decisions/s"] == 0 || m["writes/s"] == 0 {
			return fmt.Errorf("read the benchmarks of decisions: %s has no decisions/s or writes/s", balance.name)
		}
		name := "broker." + balance.line
		s.add(name+"_durable.per_s", m["decisions/s"], m["writes/s"], "durable upserts of 1,590 bytes, 256 callers", "B3 >= 0.8")
		s.add(name+"_durable.p99_ms", m["p99-ms"], m["write-p99-ms"], "the same upserts", "")
		pick := func(hosts string) map[string]float64 { return picks["Pick/"+balance.name+"/hosts="+hosts] }
		scan := picks["Place"]["ns/op"]
		if pick("10000")["ns/op"] == 0 || scan == 0 {
			return fmt.Errorf("read the benchmarks of picks: %s or the scan has no ns/op", balance.name)
		}
		s.add(name+"_pick_10000.ns", pick("10000")["ns/op"], scan, "a scan of 10,000 hosts, with its record", "B1 <= 150 ns, B2 <= 0.01")
		s.add(name+"_pick_100000.ns", pick("100000")["ns/op"], pick("100")["ns/op"], "100 hosts", "B1 <= 3")
		s.add(name+"_pick_100000.p99_ns", pick("100000")["p99-ns"], pick("100")["p99-ns"], "100 hosts", "")
	}
	return nil
}

// benchmark runs benchmarks of a package and gives their metrics by name and unit.
func benchmark(ctx context.Context, which, length, pkg string) (map[string]map[string]float64, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", which, "-benchtime", length, pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run the benchmarks %s of %s: %w\n%s", which, pkg, err, out)
	}
	return benchmarkMetrics(out), nil
}
