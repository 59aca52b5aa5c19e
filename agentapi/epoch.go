package agentapi

import (
	"time"

	"github.com/deskyard/deskyard"
)

// cloneMemory is how long after a host was last seen another SMBIOS id with its
// key still counts as a copy. After that the machine may have been moved.
const cloneMemory = 4 * time.Hour

// verdict is what an epoch says of who presents it.
type verdict int

const (
	current  verdict = iota // the host itself
	restored                // the host, from a snapshot
	moved                   // the host's disk, in another machine
	clone                   // a copy, while the original lives
)

// judgeEpoch tells a host that comes back from a copy of its disk. The caller has
// checked the signature, so whoever asks has the host's key. alive says whether
// the host has a link at now.
func judgeEpoch(h deskyard.SessionHost, epoch string, m deskyard.Machine, alive bool, now time.Time) verdict {
	fresh := epoch == h.Epoch || h.NextEpoch != "" && epoch == h.NextEpoch
	switch {
	case !sameSMBIOS(h.Machine, m):
		if alive || now.Sub(h.LastSeen) < cloneMemory {
			return clone
		}
		return moved
	case fresh:
		return current
	case alive:
		return clone
	}
	return restored
}
