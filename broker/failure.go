package broker

import (
	"fmt"
	"time"

	"github.com/deskyard/deskyard"
)

// Symbols of failures, AVD's own (WVDErrors, CodeSymbolic).
const (
	NoHealthyHost       = "ConnectionFailedNoHealthyRdshAvailable"
	SessionHostUnfit    = "ConnectionFailedUserHasValidSessionButRdshIsUnhealthy"
	NotAssigned         = "ConnectionFailedNoPreAssignedPersonalDesktopForUser"
	PersonalUnavailable = "ConnectionFailedPersonalDesktopFailedToBeStarted"
	Deallocated         = "E_PROXY_ORCHESTRATION_LB_SESSIONHOST_DEALLOCATED"
)

// When to try again: a machine boots within some 45 seconds; a host that lost its link
// is back within seconds of coming up, or needs somebody; a slot is free when somebody
// signs out.
const (
	retryStarting = 15 * time.Second
	retryLost     = 30 * time.Second
	retryFull     = time.Minute
)

func starting(h Host) *deskyard.ConnectionFailure {
	return &deskyard.ConnectionFailure{Symbol: Deallocated, Retry: retryStarting,
		Message: "Your desktop's machine " + h.Name + " is powered off and is being started. This takes a minute or two; the connection goes on by itself."}
}

func sessionOutOfReach(h Host) *deskyard.ConnectionFailure {
	return &deskyard.ConnectionFailure{Symbol: SessionHostUnfit, Retry: retryLost,
		Message: fmt.Sprintf("You have a session on %s, which is %s. Wait until it is back, or ask your administrator to sign you out there.", h.Name, h.Status)}
}

func notAssigned() *deskyard.ConnectionFailure {
	return &deskyard.ConnectionFailure{Symbol: NotAssigned,
		Message: "No resources available. No personal desktop is assigned to you in this host pool: ask your administrator to assign one."}
}

func ownHostUnfit(h Host, why string, starts bool) *deskyard.ConnectionFailure {
	next := "Try again in a while, or ask your administrator."
	if h.Startable && !starts {
		next = "Ask your administrator to start it, or to turn on Start VM on connect for this host pool."
	}
	return &deskyard.ConnectionFailure{Symbol: PersonalUnavailable, Retry: retryLost,
		Message: fmt.Sprintf("Your personal desktop %s %s. %s", h.Name, why, next)}
}

// noHost says why not one host could be taken: what is wrong with most of them decides
// what helps.
func (c *choice) noHost() *deskyard.ConnectionFailure {
	f := &deskyard.ConnectionFailure{Symbol: NoHealthyHost}
	t := c.s.tally()
	switch {
	case t.Hosts == 0:
		f.Message = "No resources available. The host pool has no session hosts: ask your administrator to add some."
	case t.Open > 0 && c.s.Pool.Personal():
		f.Retry = retryFull
		f.Message = fmt.Sprintf("No resources available. None of the %d personal desktops is free. Ask your administrator to add one.", t.Hosts)
	case t.Open > 0:
		f.Retry = retryFull
		f.Message = fmt.Sprintf("No resources available. All %d session hosts that are up have reached their session limit. Try again when somebody has signed out, or ask your administrator to add hosts.", t.Open)
	case t.Off > 0:
		f.Message = fmt.Sprintf("No resources available. %d of %d session hosts are powered off. Ask your administrator to start them, or to turn on Start VM on connect for this host pool.", t.Off, t.Hosts)
	case t.Draining > 0:
		f.Retry = retryFull
		f.Message = fmt.Sprintf("No resources available. %d of %d session hosts are in drain mode and the others are out of service. Ask your administrator.", t.Draining, t.Hosts)
	default:
		f.Retry = retryLost
		f.Message = fmt.Sprintf("No resources available. None of the %d session hosts is in service. Try again in a while, or ask your administrator to look at them.", t.Hosts)
	}
	return f
}
