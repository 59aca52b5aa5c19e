package connect_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkRefusal refuses users at a pool of 10,000 hosts that all are full: what one
// refusal takes beside its record on the disk (a rehearsal of it), and what 256 users at
// once are told per second, records included.
func BenchmarkRefusal(b *testing.B) {
	y := benchYard(b, limited(benchSessions/benchHosts))
	_, err := y.connect("first") // the view is made once
	wantFailure(b, err, "ConnectionFailedNoHealthyRdshAvailable")
	b.Run("alone", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			o, err := y.s.WhatIf(context.Background(), fmt.Sprint("new", i, "@example.org"), y.pool)
			if err != nil || len(o) != 1 || o[0].Failure == nil || o[0].Decision.Considered != benchHosts {
				b.Fatalf("got %v, %v", o, err)
			}
		}
	})
	b.Run("together", func(b *testing.B) {
		var took time.Duration
		var all []time.Duration
		var n atomic.Int64
		for b.Loop() {
			t, each := together(benchCallers, func(int) {
				if _, err := y.connect(fmt.Sprint("more", n.Add(1))); err == nil {
					b.Error("a full pool took somebody")
				}
			})
			took, all = took+t, append(all, each...)
		}
		slices.Sort(all)
		b.ReportMetric(float64(len(all))/took.Seconds(), "refusals/s")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	})
}
