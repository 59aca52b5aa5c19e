package deskyard

import (
	"fmt"

	"github.com/deskyard/deskyard/arm"
)

var (
	updateTypes = []string{"Default", "Scheduled"}
	daysOfWeek  = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
)

// MaxMaintenanceWindows is how many windows a pool may have (scheduled-agent-updates article).
const MaxMaintenanceWindows = 2

// AgentUpdate says when the components of a pool's hosts may be updated: at any
// time ("Default"), or in one or two windows of two hours a week ("Scheduled").
type AgentUpdate struct {
	Type                      string              `json:"type"`
	UseSessionHostLocalTime   bool                `json:"useSessionHostLocalTime"`
	MaintenanceWindowTimeZone *string             `json:"maintenanceWindowTimeZone"` // Windows name
	MaintenanceWindows        []MaintenanceWindow `json:"maintenanceWindows"`
}

// MaintenanceWindow is the start of a window of two hours.
type MaintenanceWindow struct {
	Hour      *Integer `json:"hour"`
	DayOfWeek string   `json:"dayOfWeek"`
}

func (u *AgentUpdate) setDefaults() {
	if u.Type == "" {
		u.Type = "Default"
	}
	u.Type = canonical(u.Type, updateTypes)
	u.MaintenanceWindowTimeZone = canonicalZone(u.MaintenanceWindowTimeZone)
	for i := range u.MaintenanceWindows {
		u.MaintenanceWindows[i].DayOfWeek = canonical(u.MaintenanceWindows[i].DayOfWeek, daysOfWeek)
	}
}

func (u *AgentUpdate) validate(at string, v *arm.Violations) {
	inEnum(v, at+".type", u.Type, updateTypes)
	if n := len(u.MaintenanceWindows); n > MaxMaintenanceWindows {
		v.Add(at+".maintenanceWindows", "A host pool has at most %d maintenance windows; %d were given.", MaxMaintenanceWindows, n)
	}
	seen := map[string]bool{}
	for i, w := range u.MaintenanceWindows {
		here := fmt.Sprintf("%s.maintenanceWindows[%d]", at, i)
		inEnum(v, here+".dayOfWeek", w.DayOfWeek, daysOfWeek)
		if w.Hour == nil {
			v.Add(here+".hour", "The property 'hour' is required: 0 to 23.")
			continue
		}
		between(v, here+".hour", w.Hour, 0, 23)
		key := fmt.Sprint(w.DayOfWeek, *w.Hour)
		if seen[key] {
			v.Add(here, "The maintenance window %s at %d o'clock is given twice.", w.DayOfWeek, *w.Hour)
		}
		seen[key] = true
	}
	if u.MaintenanceWindowTimeZone != nil {
		knownZone(v, at+".maintenanceWindowTimeZone", *u.MaintenanceWindowTimeZone)
	}
	if u.Type != "Scheduled" {
		return
	}
	if len(u.MaintenanceWindows) == 0 {
		v.Add(at+".maintenanceWindows", "Scheduled updates need one or two maintenance windows.")
	}
	if !u.UseSessionHostLocalTime && u.MaintenanceWindowTimeZone == nil {
		v.Add(at+".maintenanceWindowTimeZone", "Scheduled updates need maintenanceWindowTimeZone, or useSessionHostLocalTime true.")
	}
}
