package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/broker"
)

func TestTheIndexPicksWhatPlaceWouldAfterAnyChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pool()
		if rapid.Bool().Draw(t, "depth") {
			depthFirst(p)
		}
		if rapid.Bool().Draw(t, "starts") {
			startsVMs(p)
		}
		all := map[string]broker.Host{}
		x := broker.NewIndex(p, nil)
		name := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("h%03d", rapid.IntRange(0, 150).Draw(t, "host")) })
		for range rapid.IntRange(1, 80).Draw(t, "changes") {
			n := name.Draw(t, "name")
			switch rapid.IntRange(0, 9).Draw(t, "change") {
			case 0:
				delete(all, n)
				x.Drop(n)
			case 1, 2, 3:
				by := rapid.IntRange(-2, 2).Draw(t, "by")
				if h, ok := all[n]; ok {
					h.Sessions = max(h.Sessions+by, 0)
					all[n] = h
					x.Add(x.Find(n), by)
				}
			default:
				text := fmt.Sprintf("%s %d %s", n, rapid.IntRange(0, 4).Draw(t, "sessions"), rapid.SampledFrom([]string{"", "draining", "down", "off"}).Draw(t, "state"))
				all[n] = host(text)
				x.Put(all[n])
			}
			agree(t, p, all, x)
		}
	})
}

// agree compares the index with Place over all hosts: for a user without a session, and
// for one with a session on a host.
func agree(t *rapid.T, p *deskyard.HostPool, all map[string]broker.Host, x *broker.Index) {
	var list []broker.Host
	for _, h := range all {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b broker.Host) int { return strings.Compare(a.Name, b.Name) })
	snapshot := broker.Snapshot{Pool: p, Hosts: list}
	want := broker.Place(snapshot, broker.Request{User: "ann"})
	switch got := x.Pick(); {
	case (got != nil) != (want.Host != nil):
		t.Fatalf("the index found %v, Place %v", got, want.Host)
	case got != nil && got.Host != *want.Host:
		t.Fatalf("the index picked %v, Place %v", got.Host, *want.Host)
	}
	const nearby = 4
	got := x.Place(broker.Request{User: "ann"}, nil, nearby, snapshot.At)
	if n := len(got.Decision.Candidates); n >= nearby && takers(want.Decision.Candidates) >= nearby {
		want.Decision.Candidates = want.Decision.Candidates[:n] // it names the nearest only
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("the index decides otherwise than Place: %s", d)
	}
	if len(list) == 0 {
		return
	}
	h := list[len(list)/2]
	r := broker.Request{User: "ann", Sessions: []string{h.ObjectID}}
	want, got = broker.Place(snapshot, r), x.Place(r, []string{h.Name}, nearby, snapshot.At)
	want.Decision.Candidates, got.Decision.Candidates = nil, nil
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("with a session on %v the index decides otherwise than Place: %s", h, d)
	}
}

// takers are how many of the candidates could have taken the session.
func takers(list []deskyard.Candidate) (n int) {
	for _, c := range list {
		switch c.Passed {
		case "", "has more sessions", "has fewer sessions", "comes later by name":
			n++
		}
	}
	return n
}

func TestNoHostGoesOverItsLimitWhateverTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pool()
		if rapid.Bool().Draw(t, "depth") {
			depthFirst(p)
		}
		n := rapid.IntRange(1, 20).Draw(t, "hosts")
		var list []broker.Host
		for i := range n {
			list = append(list, host(fmt.Sprintf("h%03d 0", i)))
		}
		x := broker.NewIndex(p, list)
		placed := map[string]int{}
		for range n*broker.Limit(p) + 5 {
			h := x.Pick()
			if h == nil {
				break
			}
			placed[h.Name]++
			x.Add(h, 1)
		}
		for name, sessions := range placed {
			if sessions != broker.Limit(p) {
				t.Fatalf("%s got %d sessions", name, sessions)
			}
		}
		if len(placed) != n {
			t.Fatalf("%d of %d hosts got sessions", len(placed), n)
		}
	})
}

// large is a pool of n hosts with 7 or 8 sessions each, of 16.
func large(n int, change ...func(*deskyard.HostPool)) (*deskyard.HostPool, []broker.Host) {
	p := pool(change...)
	limit := deskyard.Integer(16)
	p.MaxSessionLimit = &limit
	all := make([]broker.Host, n)
	for i := range all {
		all[i] = host(fmt.Sprintf("h%06d %d", i, 7+i%2))
	}
	return p, all
}

// BenchmarkPick picks a host, places a session there and ends one elsewhere.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		for _, balance := range []string{"BreadthFirst", "DepthFirst"} {
			b.Run(fmt.Sprintf("%s/hosts=%d", balance, n), func(b *testing.B) {
				p, all := large(n, func(p *deskyard.HostPool) { p.LoadBalancerType = balance })
				x := broker.NewIndex(p, all)
				slots := make([]*broker.Slot, n)
				for i, h := range all {
					slots[i] = x.Find(h.Name)
				}
				var mu sync.Mutex
				b.ResetTimer()
				for i := range b.N {
					mu.Lock()
					h := x.Pick()
					x.Add(h, 1)
					mu.Unlock()
					mu.Lock()
					x.Add(slots[(i*7919)%n], -1)
					mu.Unlock()
				}
				b.StopTimer()
				b.ReportMetric(float64(slowest(x, slots, 99).Nanoseconds()), "p99-ns")
			})
		}
	}
}

// slowest is the time, the clock's own in it, that a percentage of picks with their
// placing stay below; between two a session ends elsewhere.
func slowest(x *broker.Index, slots []*broker.Slot, percent int) time.Duration {
	took := make([]time.Duration, 50_000)
	for i := range took {
		began := time.Now()
		h := x.Pick()
		x.Add(h, 1)
		took[i] = time.Since(began)
		x.Add(slots[(i*7919)%len(slots)], -1)
	}
	slices.Sort(took)
	return took[len(took)*percent/100]
}

// BenchmarkPlace decides by a scan, with the record that explains it.
func BenchmarkPlace(b *testing.B) {
	p, all := large(10_000)
	for range b.N {
		if r := broker.Place(broker.Snapshot{Pool: p, Hosts: all}, broker.Request{User: "ann"}); r.Host == nil {
			b.Fatal(r.Failure)
		}
	}
}

// BenchmarkRefuse refuses a user at a pool of 10,000 full hosts, with the record that
// explains it: by a scan, and by the index.
func BenchmarkRefuse(b *testing.B) {
	p, all := large(10_000)
	for i := range all {
		all[i].Sessions = broker.Limit(p)
	}
	r := broker.Request{User: "ann"}
	refuse := func(name string, place func() broker.Result) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if r := place(); r.Failure == nil {
					b.Fatal(r.Host)
				}
			}
		})
	}
	refuse("scan", func() broker.Result { return broker.Place(broker.Snapshot{Pool: p, Hosts: all}, r) })
	x := broker.NewIndex(p, all)
	refuse("index", func() broker.Result { return x.Place(r, nil, 16, time.Time{}) })
}
