package deskyard

import (
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// Slot is one user's place on a session host, counted against the pool's session
// limit. It is reserved when a connection is decided (AVD's Pending session) and lasts
// as long as the host reports the user's session; one that no session follows is given
// back once it is due.
type Slot struct {
	Host       string    // object id of the host
	User       string    // who holds it, see SlotUser
	Connection string    // the newest connection that took it; "" when the host reported a session of its own
	State      string    // SlotPending | SlotActive
	Since      time.Time // when it was reserved
	// Due is when it is given back unless the host reports the session by then; zero for
	// an active one that nobody is connecting to.
	Due time.Time
}

// States of a slot.
const (
	SlotPending = "Pending" // reserved; the host has not reported the session
	SlotActive  = "Active"  // the host reports the session, connected or not
)

// SlotUser is the form in which slots name a user: names are compared without case.
func SlotUser(userPrincipalName string) string { return strings.ToLower(userPrincipalName) }

// ErrHostFull is answered to a reservation on a host whose every slot is taken.
var ErrHostFull = arm.Errorf(arm.Conflicting, "SessionHostFull",
	"The session host has reached its session limit. Connect to another host of the pool.")

// ErrTicketUsed is answered to the second use of a connection's ticket.
var ErrTicketUsed = arm.Errorf(arm.Conflicting, "TicketUsed",
	"The connection's ticket has been used, or its connection is over. Connect again.")

// SlotQuery selects slots. Exactly one of its fields is set.
type SlotQuery struct {
	Pool  arm.ResourceID // on all hosts of a pool
	Host  string         // on one host, by object id
	DueBy time.Time      // those whose time is over by then
}

// AnyRelayer selects the connections that any gateway relays; none has that name.
const AnyRelayer = "*"

// ConnectionQuery selects records of connections, newest first.
type ConnectionQuery struct {
	User  string         // user principal name, any case; "" for all
	Host  string         // object id; "" for all
	Pool  arm.ResourceID // zero for all
	Since time.Time      // begun at or after; zero for no bound
	Until time.Time      // begun before; zero for no bound
	// Relayer selects what a gateway (or AnyRelayer) relays now, as far as the service
	// knows; "" for all.
	Relayer string
	After   string // continue after this id (exclusive); from a Page's Next
	Limit   int    // rows at most; 0: no bound
}
