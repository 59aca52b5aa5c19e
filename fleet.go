package deskyard

import (
	"context"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

// Fleet is the live side of session hosts: who is connected now, and commands to
// those who are. The agent door implements it; the management API calls it.
type Fleet interface {
	// Lease is the state of a host's control link; the zero Lease when it has none.
	Lease(objectID string) Lease
	// Report is the newest report of a connected host, or of one whose link has just
	// ended, where it is fresher than the stored one.
	Report(objectID string) (HostReport, bool)
	// Metrics is the last measurement of a connected host's monitoring agent.
	Metrics(objectID string) (HostMetrics, bool)
	// Do sends a command and waits for the host's answer, until ctx ends.
	// ErrHostUnreachable when there is no link.
	Do(ctx context.Context, objectID string, c Command) error
	// Drop closes the host's link at once, with a reason that the agent logs;
	// a host that was removed or revoked must not go on reporting.
	Drop(objectID, reason string)
}

// Dialer has a connected host dial back to a gateway.
type Dialer interface {
	// Dial returns once the host's leg stands at the gateway, or with the host's reason
	// why not; ErrHostUnreachable when there is no link.
	Dial(ctx context.Context, objectID string, d reverse.DialBack) (reverse.Dialled, error)
}

// Updater updates the components of connected hosts.
type Updater interface {
	// UpdateNow starts a host's update where one is pending or has failed, whatever the
	// pool's windows say, and gives the host's record then. ErrHostUnreachable when there is
	// no link.
	UpdateNow(objectID string) (UpdateRecord, error)
}

// HostMetrics is a measurement of a host.
type HostMetrics struct {
	CPUPercent       float64 `json:"cpuPercent"` // of all processors, over the last interval
	Load1            float64 `json:"load1"`
	MemoryUsed       uint64  `json:"memoryUsedBytes"`
	MemoryTotal      uint64  `json:"memoryTotalBytes"`
	DiskUsed         uint64  `json:"diskUsedBytes"` // of the system's file system
	DiskTotal        uint64  `json:"diskTotalBytes"`
	RoundTripSeconds float64 `json:"roundTripSeconds"` // of the control link
}

// Command is what the service asks of a host.
type Command struct {
	Verb    string `json:"verb"`              // disconnect | logoff | message | check
	Session string `json:"session,omitempty"` // native session handle
	Force   bool   `json:"force,omitempty"`
	Title   string `json:"title,omitempty"`
	Body    string `json:"body,omitempty"`
}

// ErrHostUnreachable is answered when a command is for a host without a link.
var ErrHostUnreachable = arm.Errorf(arm.Conflicting, "SessionHostUnreachable",
	"The session host has no control link to the service. Start the machine, or use force to drop the record.")
