package guest

import (
	"fmt"
	"os"
	"time"
)

// NewRunner runs programs as units of their own where systemd is: the boot loader's
// unit has few rights, and steps change the system.
func NewRunner() Runner {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return programs{}
	}
	return programs{prefix: asUnit}
}

// asUnit runs a program as a unit of systemd's own. The unit does not end with the
// systemd-run that waits for it, nor with the boot loader: systemd itself ends it, with
// all that it started, when its time is over. Without a description systemd takes the
// command's text, whose further lines it then reads as settings of the unit.
func asUnit(left time.Duration) []string {
	return []string{"systemd-run", "--pipe", "--wait", "--collect", "--quiet", "--service-type=exec", "--description=Step of the boot loader",
		fmt.Sprintf("--property=RuntimeMaxSec=%dms", max(left.Milliseconds(), 1)),
		fmt.Sprintf("--property=TimeoutStopSec=%ds", int(endTime.Seconds())), "--"}
}
