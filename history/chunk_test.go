package history

import (
	"math"
	"strings"
	"testing"
	"time"
)

var began = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func minuteChunk(t testing.TB, places map[int][]float64) Chunk {
	t.Helper()
	c := Chunk{Kind: Hosts, Key: "h", Step: Minute, Since: began}
	for place, values := range places {
		steps, err := pack(Hosts, values)
		if err != nil {
			t.Fatal(err)
		}
		c.Points += record(place, steps)
	}
	return c
}

func TestPointsComeBackInOrderAndWithinAStep(t *testing.T) {
	want := []float64{12.34, 56.78, 99.99, 3.21, 4, 5, 123.4}
	points, err := minuteChunk(t, map[int][]float64{59: want, 0: want, 7: {-1, math.NaN(), math.Inf(1), 0, 70000, 0, 0}}).Decode()
	if err != nil || len(points) != 3 {
		t.Fatalf("%d points, %v", len(points), err)
	}
	for i, at := range []int{0, 7, 59} {
		if got := points[i].At.Sub(began); got != time.Duration(at)*time.Minute {
			t.Errorf("point %d is at %s", i, got)
		}
	}
	for i, v := range points[2].Mean {
		if math.Abs(v-want[i]) > 0.5/hostSeries[i].scale {
			t.Errorf("%s: %v, not %v", hostSeries[i].Name, v, want[i])
		}
	}
	if odd := points[1].Mean; odd[0] != 0 || odd[1] != 0 || odd[2] != 655.35 || odd[4] != 65535 {
		t.Errorf("values out of range became %v", odd)
	}
	if _, err := pack(Hosts, want[:3]); err == nil {
		t.Error("three values were taken for seven")
	}
}

func TestOfTwoPointsForOneInstantTheLaterIsTaken(t *testing.T) {
	a, b := minuteChunk(t, map[int][]float64{3: {1, 0, 0, 0, 0, 0, 0}}), minuteChunk(t, map[int][]float64{3: {2, 0, 0, 0, 0, 0, 0}})
	a.Points += b.Points
	points, err := a.Decode()
	if err != nil || len(points) != 1 || points[0].Mean[0] != 2 {
		t.Errorf("%+v, %v", points, err)
	}
}

func TestAnHourIsItsMeanLeastAndGreatest(t *testing.T) {
	day, ok, err := hourOf(minuteChunk(t, map[int][]float64{0: {10, 0, 0, 0, 1, 0, 0}, 30: {20, 0, 0, 0, 3, 0, 0}, 31: {60, 0, 0, 0, 2, 0, 0}}))
	if err != nil || !ok || day.Since != began.Truncate(24*time.Hour) {
		t.Fatalf("%+v, %v, %v", day, ok, err)
	}
	points, err := day.Decode()
	if err != nil || len(points) != 1 || points[0].At != began {
		t.Fatalf("%+v, %v", points, err)
	}
	if p := points[0]; p.Mean[0] != 30 || p.Lo[0] != 10 || p.Hi[0] != 60 || p.Mean[4] != 2 || p.Lo[4] != 1 || p.Hi[4] != 3 {
		t.Errorf("%+v", p)
	}
	if _, ok, err := hourOf(Chunk{Kind: Hosts, Step: Minute, Since: began}); ok || err != nil {
		t.Errorf("an hour of nothing: %v, %v", ok, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(minuteChunk(f, map[int][]float64{0: make([]float64, 7), 1: {1, 2, 3, 4, 5, 6, 7}}).Points, true, true)
	f.Add(strings.Repeat("A", 44), false, false)
	f.Fuzz(func(t *testing.T, points string, hosts, minutes bool) {
		c := Chunk{Kind: Pools, Step: Hour, Since: began, Points: points}
		if hosts {
			c.Kind = Hosts
		}
		if minutes {
			c.Step = Minute
		}
		found, err := c.Decode()
		if err == nil && len(found)*encoding.EncodedLen(c.Kind.recordBytes(c.Step)) > len(points) {
			t.Errorf("%d points in %d characters", len(found), len(points))
		}
		for i := 1; i < len(found); i++ {
			if !found[i-1].At.Before(found[i].At) {
				t.Errorf("%s stands before %s", found[i-1].At, found[i].At)
			}
		}
	})
}
