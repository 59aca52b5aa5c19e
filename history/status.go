package history

import "time"

// StatusesFor is how long changes of status are kept, and StatusesKept how many of a host:
// one that flaps does not push out the others.
const (
	StatusesFor  = 30 * 24 * time.Hour
	StatusesKept = 200
)

// Status is one change of a session host's status.
type Status struct {
	Key    string // the host's
	At     time.Time
	Status string
	Reason string // why it is not Available, with the failing check's name; "" when it is
}
