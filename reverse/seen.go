package reverse

import (
	"errors"
	"fmt"
	"time"
)

// TypeSeen is the message in which a host tells what it saw of a connection, its body a
// Seen. A host repeats one that it is not sure to have told.
const TypeSeen = "seen"

// What a host sees of a connection. What follows SignedIn and Shell is said once for
// each; Refused as often as somebody is refused.
const (
	SeenRefused  = "refused"  // the host let nobody in; Cause says why
	SeenSignedIn = "signedIn" // the user has a session, a new one or the one of before
	SeenShell    = "shell"    // the first program of the session runs: its desktop, or the application
	SeenNotFound = "notFound" // the session ended, for the program that it was to start is not there
	SeenLost     = "lost"     // the connection broke on the host: Cause is what ended
)

// Causes of SeenRefused, and of SeenLost.
const (
	CauseCredentials = "credentials"        // user name or password
	CauseExpired     = "account expired"    //
	CauseDisabled    = "account disabled"   //
	CauseLocked      = "account locked"     //
	CauseOldPassword = "password expired"   //
	CauseMustChange  = "password to change" // before anything else
	CauseNoRight     = "not granted"        // to sign in by Remote Desktop
	CauseNotAllowed  = "not allowed"        // to sign in at this host, or now
	CauseFull        = "no resources"       // of the host's own
	CauseOther       = "other"              // Detail has the host's words
	CauseRDPServer   = "the RDP server"     // ended without a word
	CauseStack       = "the stack"          // ended with all its connections
)

// Seen is one thing that a host saw.
type Seen struct {
	Connection string        `json:"connection"` // as its DialBack had it
	What       string        `json:"what"`
	Cause      string        `json:"cause,omitempty"`
	Detail     string        `json:"detail,omitempty"` // the host's words, for administrators
	After      time.Duration `json:"after,omitempty"`  // since the leg stood; nanoseconds
}

var causes = map[string][]string{
	SeenRefused:  {CauseCredentials, CauseExpired, CauseDisabled, CauseLocked, CauseOldPassword, CauseMustChange, CauseNoRight, CauseNotAllowed, CauseFull, CauseOther},
	SeenLost:     {CauseRDPServer, CauseStack},
	SeenSignedIn: {""}, SeenShell: {""}, SeenNotFound: {""},
}

// Validate reports what is wrong with what a host says it saw.
func (s Seen) Validate() error {
	if !guestID(s.Connection) {
		return errors.New("seen: the connection is not a GUID")
	}
	known := false
	for _, cause := range causes[s.What] {
		known = known || cause == s.Cause
	}
	if !known {
		return fmt.Errorf("seen: %.40q because of %.40q is not known", s.What, s.Cause)
	}
	if s.After < 0 {
		return errors.New("seen: it was before the connection")
	}
	return bounded("seen", "detail", s.Detail, 0, 500)
}
