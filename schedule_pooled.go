package deskyard

import (
	"encoding/json"
	"fmt"

	"github.com/deskyard/deskyard/arm"
)

var (
	balancings    = []string{"BreadthFirst", "DepthFirst"}
	stopHostsWhen = []string{"ZeroSessions", "ZeroActiveSessions"}
)

// ClockTime is a time of day, in the plan's time zone.
type ClockTime struct {
	Hour   Integer `json:"hour"`
	Minute Integer `json:"minute"`
}

// UnmarshalJSON reads {"hour","minute"}, and the timestamp that API versions up to
// 2021-07-12 have in its place, of which only the time of day counts.
func (t *ClockTime) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var at arm.Time
		if err := at.UnmarshalJSON(b); err != nil {
			return err
		}
		*t = ClockTime{Hour: Integer(at.Hour()), Minute: Integer(at.Minute())}
		return nil
	}
	type plain ClockTime
	return json.Unmarshal(b, (*plain)(t))
}

// PooledSchedule is the settable properties of a schedule for pooled host pools.
// The days of a plan's schedules do not overlap; a phase lasts until the next begins.
type PooledSchedule struct {
	DaysOfWeek                     []string   `json:"daysOfWeek"`
	RampUpStartTime                *ClockTime `json:"rampUpStartTime"`
	RampUpLoadBalancingAlgorithm   *string    `json:"rampUpLoadBalancingAlgorithm"`
	RampUpMinimumHostsPct          *Integer   `json:"rampUpMinimumHostsPct"`
	RampUpCapacityThresholdPct     *Integer   `json:"rampUpCapacityThresholdPct"`
	PeakStartTime                  *ClockTime `json:"peakStartTime"`
	PeakLoadBalancingAlgorithm     *string    `json:"peakLoadBalancingAlgorithm"`
	RampDownStartTime              *ClockTime `json:"rampDownStartTime"`
	RampDownLoadBalancingAlgorithm *string    `json:"rampDownLoadBalancingAlgorithm"`
	RampDownMinimumHostsPct        *Integer   `json:"rampDownMinimumHostsPct"`
	RampDownCapacityThresholdPct   *Integer   `json:"rampDownCapacityThresholdPct"`
	RampDownForceLogoffUsers       *bool      `json:"rampDownForceLogoffUsers"`
	RampDownWaitTimeMinutes        *Integer   `json:"rampDownWaitTimeMinutes"`
	RampDownNotificationMessage    *string    `json:"rampDownNotificationMessage"`
	RampDownStopHostsWhen          *string    `json:"rampDownStopHostsWhen"`
	OffPeakStartTime               *ClockTime `json:"offPeakStartTime"`
	OffPeakLoadBalancingAlgorithm  *string    `json:"offPeakLoadBalancingAlgorithm"`
}

// Default fills in what the service was recorded to fill in for ramp-down.
func (s *PooledSchedule) Default(Model) {
	canonicalDays(s.DaysOfWeek)
	for _, a := range []**string{&s.RampUpLoadBalancingAlgorithm, &s.PeakLoadBalancingAlgorithm,
		&s.RampDownLoadBalancingAlgorithm, &s.OffPeakLoadBalancingAlgorithm} {
		*a = canonicalOrNull(*a, balancings)
	}
	s.RampDownStopHostsWhen = canonicalOrNull(s.RampDownStopHostsWhen, stopHostsWhen)
	if s.RampDownStopHostsWhen == nil {
		s.RampDownStopHostsWhen = ptr("ZeroSessions")
	}
	if s.RampDownMinimumHostsPct == nil {
		s.RampDownMinimumHostsPct = new(Integer)
	}
	if s.RampDownWaitTimeMinutes == nil {
		s.RampDownWaitTimeMinutes = new(Integer)
	}
	if s.RampDownForceLogoffUsers == nil {
		s.RampDownForceLogoffUsers = new(bool)
	}
	if s.RampDownNotificationMessage == nil {
		s.RampDownNotificationMessage = new(string)
	}
}

// Validate notes every fault that can be seen without the plan's other schedules.
func (s *PooledSchedule) Validate(_ Model, v *arm.Violations) { s.validateAt("properties", v) }

func (s *PooledSchedule) validateAt(at string, v *arm.Violations) {
	validateDays(v, at+".daysOfWeek", s.DaysOfWeek)
	validatePhases(v, at, s.RampUpStartTime, s.PeakStartTime, s.RampDownStartTime, s.OffPeakStartTime)
	inEnumOrNull(v, at+".rampUpLoadBalancingAlgorithm", s.RampUpLoadBalancingAlgorithm, balancings)
	inEnumOrNull(v, at+".peakLoadBalancingAlgorithm", s.PeakLoadBalancingAlgorithm, balancings)
	inEnumOrNull(v, at+".rampDownLoadBalancingAlgorithm", s.RampDownLoadBalancingAlgorithm, balancings)
	inEnumOrNull(v, at+".offPeakLoadBalancingAlgorithm", s.OffPeakLoadBalancingAlgorithm, balancings)
	inEnumOrNull(v, at+".rampDownStopHostsWhen", s.RampDownStopHostsWhen, stopHostsWhen)
	between(v, at+".rampUpMinimumHostsPct", s.RampUpMinimumHostsPct, 0, 100)
	between(v, at+".rampUpCapacityThresholdPct", s.RampUpCapacityThresholdPct, 1, 100)
	between(v, at+".rampDownMinimumHostsPct", s.RampDownMinimumHostsPct, 0, 100)
	between(v, at+".rampDownCapacityThresholdPct", s.RampDownCapacityThresholdPct, 1, 100)
	between(v, at+".rampDownWaitTimeMinutes", s.RampDownWaitTimeMinutes, 0, 24*60)
	notLonger(v, at+".rampDownNotificationMessage", s.RampDownNotificationMessage, maxDescription)
}

// Refs is empty: a schedule belongs to its plan by its id.
func (s *PooledSchedule) Refs() []Ref { return nil }

// CommonDay is a day that is in both lists, "" when there is none.
func CommonDay(a, b []string) string {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return x
			}
		}
	}
	return ""
}

func canonicalDays(days []string) {
	for i := range days {
		days[i] = canonical(days[i], daysOfWeek)
	}
}

func validateDays(v *arm.Violations, at string, days []string) {
	if len(days) == 0 {
		v.Add(at, "The property 'daysOfWeek' is required: at least one day.")
	}
	seen := map[string]bool{}
	for i, d := range days {
		inEnum(v, fmt.Sprintf("%s[%d]", at, i), d, daysOfWeek)
		if seen[d] {
			v.Add(at, "The day '%s' is given twice.", d)
		}
		seen[d] = true
	}
}

// validatePhases: each start time ends the phase before it, so the four must
// follow each other within one turn of the clock.
func validatePhases(v *arm.Violations, at string, rampUp, peak, rampDown, offPeak *ClockTime) {
	names := []string{"rampUpStartTime", "peakStartTime", "rampDownStartTime", "offPeakStartTime"}
	var since []int
	for i, t := range []*ClockTime{rampUp, peak, rampDown, offPeak} {
		here := at + "." + names[i]
		if t == nil {
			v.Add(here, "The property '%s' is required.", names[i])
			continue
		}
		if t.Hour < 0 || t.Hour > 23 || t.Minute < 0 || t.Minute > 59 {
			v.Add(here, "The time %d:%02d of '%s' is not a time of day: hour 0 to 23, minute 0 to 59.", t.Hour, t.Minute, names[i])
			continue
		}
		since = append(since, int(t.Hour)*60+int(t.Minute))
	}
	if len(since) < len(names) {
		return
	}
	const day = 24 * 60
	for i := 1; i < len(since); i++ {
		this, before := (since[i]-since[0]+day)%day, (since[i-1]-since[0]+day)%day
		if this <= before {
			v.Add(at+"."+names[i], "The property '%s' must lie after '%s'.", names[i], names[i-1])
		}
	}
}
