package bootloader

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// ownGroup gives a child a process group that a break event can be sent to.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// terminate sends a break event, which Go programs see as an interrupt. A process
// without a console does not get it and is ended after the grace.
func (p *process) terminate() {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(p.pid))
}

func (p *process) kill() {
	if proc, err := os.FindProcess(p.pid); err == nil {
		_ = proc.Kill()
		_ = proc.Release()
	}
}

// processTicks reads a process's start time; Windows keeps no parent that could be trusted.
func processTicks(pid int) (parent int, ticks string, ok bool) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return 0, "", false
	}
	defer windows.CloseHandle(h)
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(h, &created, &exited, &kernel, &user) != nil || exited.Nanoseconds() > created.Nanoseconds() {
		return 0, "", false
	}
	return 0, strconv.FormatInt(time.Unix(0, created.Nanoseconds()).UnixNano(), 10), true
}

// adopt is never possible: there is no exec that keeps children.
func adopt(child, bool) (*process, bool) { return nil, false }

func endOrphan(c child) bool {
	if _, ticks, ok := processTicks(c.PID); !ok || ticks != c.Ticks {
		return false
	}
	(&process{pid: c.PID}).kill()
	return true
}

func (p *process) keepOutput() (int, error) { return 0, nil }

// Exec cannot replace a process here: the service ends, and the service manager's
// recovery action starts the new program.
func Exec(string, []string) error {
	return errors.New("replace boot loader: Windows has no exec; the service manager restarts the service")
}
