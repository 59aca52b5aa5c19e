package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// measureStore runs the store's own benchmarks, which interleave with their
// baselines, and shows their metrics as figures.
func measureStore(ctx context.Context, _ *measureRole, s *sheet) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(DurableWrite|GroupCommit|List|HostList)$", "-benchtime", "3s", "./sqlstore")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("run the store's benchmarks: %w\n%s", err, out)
	}
	of := benchmarkMetrics(out)
	for _, f := range []struct {
		bench, ours, baseline string // metrics
		name, against, target string
	}{
		{"DurableWrite", "writes/s", "fsyncs/s", "store.upsert_durable.per_s", "the disk's own fsync of 4 KB", "S1 >= 0.55"},
		{"GroupCommit", "writes/s", "normal-writes/s", "store.upsert_256_callers.per_s", "synchronous=NORMAL", "S2 >= 0.85"},
		{"List", "list-ms", "scan-ms", "store.list_10000_resources.cpu_ms", "bare row scan", "S3 <= 1.4"},
		{"HostList", "list-ms", "scan-ms", "store.list_10000_hosts.cpu_ms", "bare row scan", ""},
	} {
		m := of[f.bench]
		if m[f.ours] == 0 || m[f.baseline] == 0 {
			return fmt.Errorf("read the store's benchmarks: %s reports no %s or %s:\n%s", f.bench, f.ours, f.baseline, out)
		}
		s.add(f.name, m[f.ours], m[f.baseline], f.against, f.target)
	}
	list := of["List"]
	s.add("store.list_10000_resources_codec.cpu_ms", list["list-ms"], list["list-ms"]/list["of-decode-encode"], "scan, decode and encode", "S3 <= 0.25")
	return nil
}

// benchmarkMetrics reads what `go test -bench` prints: metric values by benchmark
// and unit.
func benchmarkMetrics(out []byte) map[string]map[string]float64 {
	all := map[string]map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(words[0], "Benchmark"), "-")
		metrics := map[string]float64{}
		for i := 2; i+1 < len(words); i += 2 {
			if v, err := strconv.ParseFloat(words[i], 64); err == nil {
				metrics[words[i+1]] = v
			}
		}
		all[name] = metrics
	}
	return all
}
