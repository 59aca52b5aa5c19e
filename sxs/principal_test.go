package sxs

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// directoryOf answers with what it has, and counts how often it is asked.
type directoryOf struct {
	names map[string]string
	down  bool
	asked int
}

func (d *directoryOf) ask(_ context.Context, account string) (string, error) {
	d.asked++
	if d.down {
		return "", errors.New("no answer")
	}
	return d.names[account], nil
}

func TestTheDirectorysNameIsAskedOnceAndRememberedForAWhile(t *testing.T) {
	d := &directoryOf{names: map[string]string{"alice": "alice.liddell@people.example"}}
	now := time.Unix(1_800_000_000, 0)
	p := &principals{ask: d.ask, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	for range 3 {
		if got := p.of(t.Context(), "alice", "alice@corp.example"); got != "alice.liddell@people.example" {
			t.Fatalf("alice is %s", got)
		}
	}
	if d.asked != 1 {
		t.Errorf("asked %d times", d.asked)
	}
	d.names["alice"] = "alice.hargreaves@people.example"
	now = now.Add(namesLast)
	if got := p.of(t.Context(), "alice", "alice@corp.example"); got != "alice.hargreaves@people.example" {
		t.Errorf("after a renaming she is %s", got)
	}
	now = now.Add(2*namesLast + time.Second)
	p.of(t.Context(), "bob", "bob@corp.example")
	if _, there := p.known["alice"]; there {
		t.Error("who has not been here for long is remembered")
	}
}

func TestADirectoryThatDoesNotAnswerLeavesTheNameThatWas(t *testing.T) {
	d := &directoryOf{names: map[string]string{"alice": "alice.liddell@people.example"}, down: true}
	now := time.Unix(1_800_000_000, 0)
	p := &principals{ask: d.ask, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	for _, c := range []struct {
		after time.Duration
		down  bool
		want  string
		asked int
	}{
		{0, true, "alice@corp.example", 1},
		{askAgainFor - time.Second, false, "alice@corp.example", 1},
		{time.Second, false, "alice.liddell@people.example", 2},
		{namesLast, true, "alice.liddell@people.example", 3},
	} {
		now, d.down = now.Add(c.after), c.down
		if got := p.of(t.Context(), "alice", "alice@corp.example"); got != c.want || d.asked != c.asked {
			t.Errorf("after %s she is %s (asked %d times), want %s (%d)", c.after, got, d.asked, c.want, c.asked)
		}
	}
}
