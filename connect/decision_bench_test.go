package connect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
)

const (
	benchHosts    = 10_000
	benchSessions = 100_000
	benchCallers  = 256
)

// benchYard is a pool of 10,000 hosts with 100,000 sessions, on the disk.
func benchYard(b *testing.B, change ...func(*deskyard.HostPool)) *yard {
	b.Helper()
	y := newYard(b, 0, append([]func(*deskyard.HostPool){limited(16)}, change...)...)
	const batch = 1000
	for first := 0; first < benchHosts; first += batch {
		y.write(func(ctx context.Context, tx deskyard.Tx) error {
			for i := first; i < first+batch; i++ {
				h := y.hostRow(fmt.Sprintf("h%05d", i), i)
				if _, err := tx.PutSessionHost(ctx, h); err != nil {
					return err
				}
				var sessions []deskyard.UserSession
				for u := range benchSessions / benchHosts {
					user := fmt.Sprintf("had%d-%d@example.org", i, u)
					sessions = append(sessions, deskyard.UserSession{ID: u, User: user, State: "Active"})
					if err := tx.PutSlot(ctx, deskyard.Slot{Host: h.ObjectID, User: user, State: deskyard.SlotActive, Since: y.at}); err != nil {
						return err
					}
				}
				y.sessions[h.ObjectID] = sessions
			}
			return nil
		})
	}
	return y
}

// benchRows stores 10,000 documents of the size that the store's own targets are for.
func benchRows(y *yard) []deskyard.Resource {
	rows := make([]deskyard.Resource, 10_000)
	doc := json.RawMessage(`{"x":"` + strings.Repeat("x", 1582) + `"}`)
	y.write(func(ctx context.Context, tx deskyard.Tx) error {
		for i := range rows {
			var err error
			id := group.Provider("Example.Bench", "rows", fmt.Sprintf("r%05d", i))
			if rows[i], err = tx.PutResource(ctx, deskyard.Resource{ID: id, Properties: doc}); err != nil {
				return err
			}
		}
		return nil
	})
	return rows
}

// processor is the processor's time that this process has taken: neighbours change it
// less than the clock.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// together has callers do n things and gives how long all took and each one's time.
func together(n int, do func(i int)) (all time.Duration, each []time.Duration) {
	each = make([]time.Duration, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range benchCallers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				at := time.Now()
				do(i)
				each[i] = time.Since(at)
			}
		})
	}
	wg.Wait()
	return time.Since(begin), each
}

// BenchmarkDecision is target B3: durable decisions a second by 256 callers at once, from
// the right to open the desktop to slot and record on the disk, by the same callers'
// durable upserts of a 1,590-byte document (the store's target S2), in turns in one run.
func BenchmarkDecision(b *testing.B) {
	for _, balance := range []string{"BreadthFirst", "DepthFirst"} {
		b.Run(balance, func(b *testing.B) {
			y := benchYard(b, func(p *deskyard.HostPool) { p.LoadBalancerType = balance })
			y.mustConnect("first") // the view is made once
			rows := benchRows(y)
			var decisions, writes, deciding, writing time.Duration
			var decided, wrote []time.Duration
			const round = 2 * benchCallers
			var user atomic.Int64
			for b.Loop() {
				began := processor(b)
				t, each := together(round, func(int) {
					if _, err := y.connect(fmt.Sprint("new", user.Add(1))); err != nil {
						b.Error(err)
					}
				})
				decisions, decided = decisions+t, append(decided, each...)
				between := processor(b)
				t, each = together(round, func(i int) {
					r := &rows[(int(user.Load())+i)*7919%len(rows)]
					err := y.db.Write(context.Background(), func(ctx context.Context, tx deskyard.Tx) error {
						stored, err := tx.PutResource(ctx, *r)
						*r = stored
						return err
					})
					if err != nil {
						b.Error(err)
					}
				})
				writes, wrote = writes+t, append(wrote, each...)
				deciding, writing = deciding+between-began, writing+processor(b)-between
			}
			slices.Sort(decided)
			slices.Sort(wrote)
			b.ReportMetric(float64(len(decided))/decisions.Seconds(), "decisions/s")
			b.ReportMetric(float64(len(wrote))/writes.Seconds(), "writes/s")
			b.ReportMetric(writes.Seconds()/decisions.Seconds(), "of-write-rate")
			b.ReportMetric(float64(deciding.Nanoseconds())/1000/float64(len(decided)), "cpu-us")
			b.ReportMetric(float64(writing.Nanoseconds())/1000/float64(len(wrote)), "write-cpu-us")
			b.ReportMetric(float64(decided[len(decided)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(wrote[len(wrote)*99/100].Microseconds())/1000, "write-p99-ms")
		})
	}
}
