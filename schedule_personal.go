package deskyard

import "github.com/deskyard/deskyard/arm"

var (
	sessionActions = []string{"None", "Deallocate", "Hibernate"}
	startOnConnect = []string{"Enable", "Disable"}
	startupHosts   = []string{"None", "WithAssignedUser", "All"}
)

// maxPersonalWait is the longest wait before a personal host is stopped, in
// minutes (autoscale-create-assign-scaling-plan article).
const maxPersonalWait = 360

// PersonalSchedule is the settable properties of a schedule for personal host pools.
type PersonalSchedule struct {
	DaysOfWeek           []string   `json:"daysOfWeek"`
	RampUpStartTime      *ClockTime `json:"rampUpStartTime"`
	RampUpAutoStartHosts *string    `json:"rampUpAutoStartHosts"`
	RampUpPhase
	PeakStartTime *ClockTime `json:"peakStartTime"`
	PeakPhase
	RampDownStartTime *ClockTime `json:"rampDownStartTime"`
	RampDownPhase
	OffPeakStartTime *ClockTime `json:"offPeakStartTime"`
	OffPeakPhase
}

// RampUpPhase is what a personal schedule does from rampUpStartTime on.
type RampUpPhase struct {
	StartVM     *string  `json:"rampUpStartVMOnConnect"`
	Disconnect  *string  `json:"rampUpActionOnDisconnect"`
	DisconnectN *Integer `json:"rampUpMinutesToWaitOnDisconnect"`
	Logoff      *string  `json:"rampUpActionOnLogoff"`
	LogoffN     *Integer `json:"rampUpMinutesToWaitOnLogoff"`
}

// PeakPhase is what a personal schedule does from peakStartTime on.
type PeakPhase struct {
	StartVM     *string  `json:"peakStartVMOnConnect"`
	Disconnect  *string  `json:"peakActionOnDisconnect"`
	DisconnectN *Integer `json:"peakMinutesToWaitOnDisconnect"`
	Logoff      *string  `json:"peakActionOnLogoff"`
	LogoffN     *Integer `json:"peakMinutesToWaitOnLogoff"`
}

// RampDownPhase is what a personal schedule does from rampDownStartTime on.
type RampDownPhase struct {
	StartVM     *string  `json:"rampDownStartVMOnConnect"`
	Disconnect  *string  `json:"rampDownActionOnDisconnect"`
	DisconnectN *Integer `json:"rampDownMinutesToWaitOnDisconnect"`
	Logoff      *string  `json:"rampDownActionOnLogoff"`
	LogoffN     *Integer `json:"rampDownMinutesToWaitOnLogoff"`
}

// OffPeakPhase is what a personal schedule does from offPeakStartTime on.
type OffPeakPhase struct {
	StartVM     *string  `json:"offPeakStartVMOnConnect"`
	Disconnect  *string  `json:"offPeakActionOnDisconnect"`
	DisconnectN *Integer `json:"offPeakMinutesToWaitOnDisconnect"`
	Logoff      *string  `json:"offPeakActionOnLogoff"`
	LogoffN     *Integer `json:"offPeakMinutesToWaitOnLogoff"`
}

// phase is one of the four, by its fields, so that a rule is written once.
type phase struct {
	prefix                      string
	startVM, disconnect, logoff **string
	disconnectN, logoffN        **Integer
}

func (s *PersonalSchedule) phases() []phase {
	u, p, d, o := &s.RampUpPhase, &s.PeakPhase, &s.RampDownPhase, &s.OffPeakPhase
	return []phase{
		{"rampUp", &u.StartVM, &u.Disconnect, &u.Logoff, &u.DisconnectN, &u.LogoffN},
		{"peak", &p.StartVM, &p.Disconnect, &p.Logoff, &p.DisconnectN, &p.LogoffN},
		{"rampDown", &d.StartVM, &d.Disconnect, &d.Logoff, &d.DisconnectN, &d.LogoffN},
		{"offPeak", &o.StartVM, &o.Disconnect, &o.Logoff, &o.DisconnectN, &o.LogoffN},
	}
}

// Default starts machines on connect and does nothing else in a phase of which
// the body says nothing.
func (s *PersonalSchedule) Default(Model) {
	canonicalDays(s.DaysOfWeek)
	s.RampUpAutoStartHosts = enumOr("None", s.RampUpAutoStartHosts, startupHosts)
	for _, p := range s.phases() {
		*p.startVM = enumOr("Enable", *p.startVM, startOnConnect)
		*p.disconnect = enumOr("None", *p.disconnect, sessionActions)
		*p.logoff = enumOr("None", *p.logoff, sessionActions)
		for _, n := range []**Integer{p.disconnectN, p.logoffN} {
			if *n == nil {
				*n = new(Integer)
			}
		}
	}
}

// Validate notes every fault that can be seen without the plan's other schedules.
func (s *PersonalSchedule) Validate(_ Model, v *arm.Violations) {
	const at = "properties."
	validateDays(v, at+"daysOfWeek", s.DaysOfWeek)
	validatePhases(v, "properties", s.RampUpStartTime, s.PeakStartTime, s.RampDownStartTime, s.OffPeakStartTime)
	inEnumOrNull(v, at+"rampUpAutoStartHosts", s.RampUpAutoStartHosts, startupHosts)
	for _, p := range s.phases() {
		inEnumOrNull(v, at+p.prefix+"StartVMOnConnect", *p.startVM, startOnConnect)
		inEnumOrNull(v, at+p.prefix+"ActionOnDisconnect", *p.disconnect, sessionActions)
		inEnumOrNull(v, at+p.prefix+"ActionOnLogoff", *p.logoff, sessionActions)
		between(v, at+p.prefix+"MinutesToWaitOnDisconnect", *p.disconnectN, 0, maxPersonalWait)
		between(v, at+p.prefix+"MinutesToWaitOnLogoff", *p.logoffN, 0, maxPersonalWait)
	}
}

// Refs is empty: a schedule belongs to its plan by its id.
func (s *PersonalSchedule) Refs() []Ref { return nil }

func enumOr(fallback string, value *string, allowed []string) *string {
	if c := canonicalOrNull(value, allowed); c != nil {
		return c
	}
	return &fallback
}
