//go:build unix

package bootloader

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup gives a child a process group, so that what it starts ends with it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func (p *process) terminate() { signalProcess(p.pid, unix.SIGTERM) }

func (p *process) kill() { signalProcess(-p.pid, unix.SIGKILL) }

// signalProcess signals a process or, with a negative pid, a group. That it has
// ended meanwhile is no error.
func signalProcess(pid int, s syscall.Signal) {
	if pid > 1 || pid < -1 {
		_ = unix.Kill(pid, s)
	}
}

// processTicks reads a process's parent and start time; ok is false when it is gone.
func processTicks(pid int) (parent int, ticks string, ok bool) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, "", false
	}
	// The name in parentheses may hold anything; fields are counted behind it.
	f := strings.Fields(string(b)[strings.LastIndex(string(b), ")")+1:])
	if len(f) < 20 || f[0] == "Z" {
		return 0, "", false
	}
	parent, err = strconv.Atoi(f[1])
	return parent, f[19], err == nil
}

// adopt takes over a child of this very process, started before it re-executed itself.
func adopt(c child, handover bool) (*process, bool) {
	parent, ticks, ok := processTicks(c.PID)
	if !ok || parent != os.Getpid() || ticks != c.Ticks {
		return nil, false
	}
	proc, err := os.FindProcess(c.PID)
	if err != nil {
		return nil, false
	}
	p := &process{component: c.Component, version: c.Version, pid: c.PID, started: c.Started}
	if handover && c.LogFD > 2 {
		unix.CloseOnExec(c.LogFD)
		if unix.SetNonblock(c.LogFD, true) == nil {
			p.log = os.NewFile(uintptr(c.LogFD), "output of "+c.Component)
		}
	}
	p.wait = func() string {
		s, err := proc.Wait()
		if err != nil {
			return err.Error()
		}
		return s.String()
	}
	return p, true
}

// endOrphan ends a process that an earlier boot loader left behind when it was killed.
func endOrphan(c child) bool {
	if _, ticks, ok := processTicks(c.PID); !ok || ticks != c.Ticks {
		return false
	}
	signalProcess(c.PID, unix.SIGTERM)
	return true
}

// keepOutput lets a process's output descriptor live through exec and tells its number.
func (p *process) keepOutput() (int, error) {
	if p.log == nil {
		return 0, nil
	}
	raw, err := p.log.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("hand over output of %s: %w", p.component, err)
	}
	fd := 0
	var inner error
	err = raw.Control(func(d uintptr) {
		fd = int(d)
		_, inner = unix.FcntlInt(d, unix.F_SETFD, 0)
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return 0, fmt.Errorf("hand over output of %s: %w", p.component, err)
	}
	return fd, nil
}

// Exec replaces this process by the program at path, under the same pid. It returns
// only on failure.
func Exec(path string, args []string) error {
	err := unix.Exec(path, append([]string{path}, args...), os.Environ())
	return fmt.Errorf("replace boot loader by %s: %w", path, err)
}
