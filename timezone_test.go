package deskyard

import (
	"testing"
	"time"
	_ "time/tzdata" // the machine that tests may have no zones
)

func TestEveryWindowsZoneIsAZone(t *testing.T) {
	if len(windowsZones) < 139 {
		t.Errorf("%d zones", len(windowsZones))
	}
	for windows := range windowsZones {
		if _, err := LoadZone(windows); err != nil {
			t.Errorf("%s: %v", windows, err)
		}
	}
}

func TestWindowsZonesAreTheZonesTheyMean(t *testing.T) {
	summer := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for windows, want := range map[string]string{
		"Central Standard Time": "2026-07-01T07:00:00-05:00", "alaskan standard time": "2026-07-01T04:00:00-08:00",
		"W. Europe Standard Time": "2026-07-01T14:00:00+02:00", "India Standard Time": "2026-07-01T17:30:00+05:30", "UTC": "2026-07-01T12:00:00Z",
	} {
		zone, err := LoadZone(windows)
		if err != nil {
			t.Fatal(err)
		}
		if got := summer.In(zone).Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, want %s", windows, got, want)
		}
	}
	if _, err := LoadZone("Middle Earth Standard Time"); err == nil {
		t.Error("a zone that does not exist was loaded")
	}
}
