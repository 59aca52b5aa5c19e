package history

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Bucket is what a series was like over one interval.
type Bucket struct {
	At           time.Time // its start
	Mean, Lo, Hi float64
	Empty        bool // nothing was measured in it
}

// finest is how old what is kept by the minute may be.
func finest(now, since time.Time, grain time.Duration) Step {
	if grain < time.Hour || since.After(now.Add(-MinutesFor)) {
		return Minute
	}
	return Hour
}

// Read is the history of one subject from since to until, in buckets of grain that begin at
// since; series are indexes, and the answer is by them. Minutes are kept for a day, so that
// of what is older only grains of an hour and more find something.
func Read(ctx context.Context, store Store, now time.Time, k Kind, key string, series []int, since, until time.Time, grain time.Duration) ([][]Bucket, error) {
	step := finest(now, since, grain)
	chunks, err := store.Points(ctx, k, key, step, since.UTC().Truncate(step.length()), until)
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", key, err)
	}
	n := int((until.Sub(since) + grain - 1) / grain)
	all, counts := make([][]Bucket, len(series)), make([]int, n)
	for i := range all {
		all[i] = make([]Bucket, n)
		for b := range all[i] {
			all[i][b] = Bucket{At: since.Add(time.Duration(b) * grain), Lo: math.Inf(1), Hi: math.Inf(-1), Empty: true}
		}
	}
	for _, c := range chunks {
		points, err := c.Decode()
		if err != nil {
			return nil, err
		}
		for _, p := range points {
			if p.At.Before(since) || !p.At.Before(until) {
				continue
			}
			b := int(p.At.Sub(since) / grain)
			counts[b]++
			for i, of := range series {
				all[i][b].add(p.Mean[of], p.Lo[of], p.Hi[of], counts[b])
			}
		}
	}
	return all, nil
}

// add takes one more point, the n-th, into the bucket.
func (b *Bucket) add(mean, lo, hi float64, n int) {
	b.Empty = false
	b.Mean += (mean - b.Mean) / float64(n)
	b.Lo, b.Hi = min(b.Lo, lo), max(b.Hi, hi)
}
