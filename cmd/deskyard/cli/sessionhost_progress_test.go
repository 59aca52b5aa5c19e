package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
)

func TestProgressTellsEachStageOnceWhereThereIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	table := newProgressTable(&out)
	run := deskyard.RunProgress{Hosts: []deskyard.HostProgress{{Name: "sh-0", Stage: "Booting", Seconds: 2}, {Name: "sh-1", Stage: "Queued"}}}
	table.update(run)
	table.update(run)
	run.Hosts[0].Stage, run.Hosts[0].Seconds = "Available", 31
	table.update(run)
	want := "   2.0 s  sh-0: Booting\n   0.0 s  sh-1: Queued\n  31.0 s  sh-0: Available\n"
	if out.String() != want {
		t.Errorf("told\n%s\nwant\n%s", out.String(), want)
	}
}

func TestProgressOnATerminalIsDrawnOverAndNeverWiderThanIt(t *testing.T) {
	var out bytes.Buffer
	table := &progressTable{out: &out, width: 60}
	run := deskyard.RunProgress{Hosts: []deskyard.HostProgress{{Name: "sh-0", Stage: "Booting", Percent: 50, Detail: strings.Repeat("long ", 40)}}}
	table.update(run)
	if first := out.String(); strings.Contains(first, "\x1b[") || !strings.Contains(first, "[##########..........]") {
		t.Errorf("the first picture:\n%s", first)
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n >= 60 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	out.Reset()
	table.update(run)
	if !strings.HasPrefix(out.String(), "\x1b[2A\x1b[J") {
		t.Errorf("the second picture does not go over the first: %q", out.String())
	}
}

func TestProgressOfALargeRunShowsThoseUnderWay(t *testing.T) {
	var out bytes.Buffer
	table := &progressTable{out: &out, width: 80}
	var run deskyard.RunProgress
	for range 400 {
		run.Hosts = append(run.Hosts, deskyard.HostProgress{Name: "q", Stage: "Queued"}, deskyard.HostProgress{Name: "b", Stage: "Booting"})
	}
	table.update(run)
	if table.drawn > maxLive+1 || strings.Contains(out.String(), "Queued") {
		t.Errorf("%d lines drawn", table.drawn)
	}
}

func TestAnImageIsNamedByFourPartsOrAnID(t *testing.T) {
	for text, want := range map[string]deskyard.ImageReference{
		"Deskyard:debian-12:desktop:1.2": {Publisher: "Deskyard", Offer: "debian-12", SKU: "desktop", Version: "1.2"},
		"Deskyard:debian-12:desktop":     {Publisher: "Deskyard", Offer: "debian-12", SKU: "desktop", Version: "latest"},
		"/subscriptions/s/x":             {ID: "/subscriptions/s/x"},
	} {
		if got, err := imageReference(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if _, err := imageReference("debian"); err == nil {
		t.Error("one word was taken for an image")
	}
}
