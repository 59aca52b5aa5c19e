package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/compute"
)

// endFor is how long a process gets to be gone after it was told to.
const endFor = 10 * time.Second

// process returns the pid of the machine's QEMU, 0 when none runs. QEMU holds a lock
// on its pid file from its start to its end, so the answer is the kernel's.
func (m *machine) process() (int, error) {
	return lockHolder(m.path(pidFile))
}

// lockHolder returns who holds a lock on a file, 0 for nobody.
func lockHolder(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the process: %w", err)
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("look for the process: %w", err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}

// reap collects a process that ended and was our child; another's is its parent's.
func reap(pid int) {
	var status syscall.WaitStatus
	// An error says that it is no child of ours, or was collected: both are fine.
	_, _ = syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
}

// ask connects to the monitor for questions and makes sure that it is this machine's.
// ErrNotRunning when no QEMU runs.
func (m *machine) ask(ctx context.Context) (*monitor, error) { return m.connect(ctx, askSocket) }

func (m *machine) connect(ctx context.Context, socket string) (*monitor, error) {
	pid, err := m.process()
	if err != nil {
		return nil, err
	}
	if pid == 0 {
		return nil, compute.ErrNotRunning
	}
	mon, err := dialMonitor(ctx, m.folder, socket)
	if err != nil {
		if now, lookErr := m.process(); lookErr == nil && now == 0 && ctx.Err() == nil {
			return nil, compute.ErrNotRunning // it ended while we knocked
		}
		return nil, err
	}
	var answer struct {
		UUID string `json:"UUID"`
	}
	if err := mon.do("query-uuid", nil, &answer); err != nil {
		mon.close()
		return nil, err
	}
	if answer.UUID != m.id {
		mon.close()
		return nil, fmt.Errorf("the process in its folder is machine %s", answer.UUID)
	}
	return mon, nil
}

// status asks what QEMU does: running, paused, shutdown, guest-panicked, io-error…
func status(mon *monitor) (string, error) {
	var answer struct {
		Status string `json:"status"`
	}
	err := mon.do("query-status", nil, &answer)
	return answer.Status, err
}

// below is the path of a socket in an open folder: through the folder's descriptor,
// since a socket's path ends at 108 bytes.
func below(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
}

// listen makes a socket in the machine's folder for a child to serve. Made here, it can
// be connected to before QEMU is up, and a QEMU that does not come up closes it.
func (m *machine) listen(name string) (*os.File, error) {
	if err := removeFile(m.path(name)); err != nil {
		return nil, fmt.Errorf("make socket %s: %w", name, err)
	}
	dir, err := os.Open(m.folder)
	if err != nil {
		return nil, fmt.Errorf("make socket %s: %w", name, err)
	}
	defer dir.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: below(dir, name), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make socket %s: %w", name, err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close() // File is a duplicate, which the child inherits
	if err := errors.Join(os.Chmod(m.path(name), 0o600), m.give(m.path(name))); err != nil {
		return nil, fmt.Errorf("make socket %s: %w", name, err)
	}
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("make socket %s: %w", name, err)
	}
	return f, nil
}

// spawn starts QEMU in a session of its own and returns once its monitor answers.
func (m *machine) spawn(ctx context.Context, resume bool) error {
	accel, err := m.d.accelerated(ctx)
	if err != nil {
		return err
	}
	var devices []string
	if m.record.Network == compute.NetworkBridge {
		for i, n := range m.record.Spec.NICs {
			device, err := m.d.o.Bridges.Attach(ctx, m.id, i, n)
			if err != nil {
				return err
			}
			devices = append(devices, device)
		}
	}
	args, err := m.arguments(accel, devices, resume)
	if err != nil {
		return err
	}
	if m.record.Spec.TPM {
		if err := m.startTPM(ctx); err != nil {
			return err
		}
	}
	if err := m.trimConsole(); err != nil {
		return err
	}
	return m.launch(ctx, args)
}

// launch runs the process.
func (m *machine) launch(ctx context.Context, args []string) error {
	log, err := os.OpenFile(m.path(logFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make QEMU's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(m.d.binary, args...) // not bound to ctx: it outlives us
	for i, name := range []string{askSocket, waitSocket, eventSocket} {
		socket, err := m.listen(name)
		if err != nil {
			return err
		}
		defer socket.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, socket)
		cmd.Args = append(cmd.Args, "-chardev", fmt.Sprintf("socket,id=monitor%d,fd=%d,server=on,wait=off", i, 3+i), "-mon", fmt.Sprintf("chardev=monitor%d,mode=control", i))
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = m.folder, log, log
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"} // the service's own may hold secrets
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start QEMU: %w", err)
	}
	pid := cmd.Process.Pid
	for _, f := range cmd.ExtraFiles {
		f.Close() // ours only; or its end would not show
	}
	mon, err := dialMonitor(ctx, m.folder, askSocket)
	if err == nil {
		mon.close()
		m.d.watchers.started(m)
		return cmd.Process.Release()
	}
	// We started it and have not waited for it, so the number is still its.
	killed := cmd.Process.Kill()
	_, waited := cmd.Process.Wait()
	if errors.Is(killed, os.ErrProcessDone) {
		killed = nil
	}
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), killed, waited)
	}
	return errors.Join(fmt.Errorf("start QEMU: process %d did not come up: %s", pid, m.lastWords()), killed, waited)
}

// lastWords is the end of QEMU's log.
func (m *machine) lastWords() string {
	b, err := tail(m.path(logFile), 4<<10)
	switch text := strings.TrimSpace(string(b)); {
	case err != nil:
		return "its log cannot be read: " + err.Error()
	case text == "":
		return "it said nothing"
	default:
		return lastLine(text)
	}
}

// end takes the power from a machine, whatever it does, and waits until its process
// is gone.
func (m *machine) end(ctx context.Context) error {
	pid, err := m.process()
	if err != nil || pid == 0 {
		return err
	}
	if mon, err := m.ask(ctx); err == nil {
		err = mon.do("quit", nil, nil)
		mon.close()
		if err == nil && m.gone(ctx, pid) == nil {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// It is deaf. The lock says that pid is still QEMU's.
	if pid, err = m.process(); err != nil || pid == 0 {
		return err
	}
	m.d.o.Log.Warn("QEMU killed, since it does not answer", "machine", m.id, "pid", pid)
	if err := kill(pid); err != nil {
		return err
	}
	return m.gone(ctx, pid)
}

func kill(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	return nil
}

// gone waits until a process has ended.
func (m *machine) gone(ctx context.Context, pid int) error {
	return ended(ctx, pid, func() (bool, error) {
		now, err := m.process()
		return now == 0, err
	})
}

// ended waits for a process's end. The kernel tells it by the process's descriptor;
// over is asked in the end, since a descriptor cannot be had of one that is gone.
func ended(ctx context.Context, pid int, over func() (bool, error)) error {
	defer reap(pid)
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		f := os.NewFile(uintptr(fd), "pidfd")
		defer f.Close()
		deadline := time.Now().Add(endFor)
		for {
			ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("wait for process %d: %w", pid, err)
			}
			if ready > 0 {
				break
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("wait for process %d: it has not ended after %s", pid, endFor)
			}
		}
	} else if !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("wait for process %d: %w", pid, err)
	}
	gone, err := over()
	if err == nil && !gone {
		err = fmt.Errorf("wait for process %d: another one took its place", pid)
	}
	return err
}

// stray is a process of ours, by its command line.
type stray struct {
	pid int
	id  string
}

// strays finds QEMU processes that carry an owner.
func (d *Driver) strays(owner string) ([]stray, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var found []stray
	for _, p := range paths {
		line, err := os.ReadFile(p)
		if err != nil {
			continue // it ended
		}
		if id, ok := parseCommandLine(line, owner); ok {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p)))
			if err != nil {
				return nil, err
			}
			found = append(found, stray{pid, id})
		}
	}
	return found, nil
}

// parseCommandLine says which machine of owner's a process runs.
func parseCommandLine(line []byte, owner string) (id string, ok bool) {
	args := bytes.Split(bytes.TrimRight(line, "\x00"), []byte{0})
	if !strings.HasPrefix(filepath.Base(string(args[0])), "qemu-system-") {
		return "", false
	}
	owned := false
	for i := 1; i+1 < len(args); i++ {
		switch value := string(args[i+1]); string(args[i]) {
		case "-uuid":
			id = value
		case "-smbios":
			owned = owned || value == "type=3,manufacturer=Deskyard,asset="+owner
		}
	}
	return id, owned && guid.MatchString(id)
}

// endStrays ends processes of a machine that its folder does not know: what is left
// when somebody deleted the folder of a running machine.
func (d *Driver) endStrays(ctx context.Context, id string) error {
	all, err := d.strays(d.o.Owner)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.id != id || !d.inOurFolder(s.pid) {
			continue
		}
		if err := kill(s.pid); err != nil {
			return err
		}
		if err := ended(ctx, s.pid, func() (bool, error) { return true, nil }); err != nil {
			return err
		}
		d.o.Log.Warn("stray QEMU killed", "machine", id, "pid", s.pid)
	}
	return nil
}

// inOurFolder says whether a process works below this driver's folder: another driver
// of the same owner on this host has its own.
func (d *Driver) inOurFolder(pid int) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && strings.HasPrefix(cwd, d.machines()+"/")
}
