//go:build e2e

package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/deskyard/deskyard/e2e/service"
)

// desktopFor is the time from an RDP client's start until its session is listed: PAM,
// the display server and a desktop start, under emulation on a busy machine.
const desktopFor = 2 * time.Minute

const rdpUser = "bob"

// showsDesktops has FreeRDP open a desktop on the host, through its loopback
// listener, and follows the session through the API.
func (s *story) showsDesktops(ctx context.Context) error {
	shell := s.machine.Shell()
	password := rand.Text()
	if _, err := shell.Run(ctx, "useradd -m -s /bin/bash "+rdpUser+" && echo '"+rdpUser+":"+password+"' | chpasswd"); err != nil {
		return err
	}
	local, stop, err := shell.Forward(ctx, "127.0.0.1:3389")
	if err != nil {
		return err
	}
	defer stop()

	client, err := openDesktop(ctx, local, password)
	if err != nil {
		return err
	}
	defer client.end()
	first, err := s.awaitDesktop(ctx, "Active", client)
	if err != nil {
		return err
	}
	s.t.Logf("desktop session %s of %s is Active", first.ID(), rdpUser)
	if err := s.pool.Disconnect(ctx, hostName, first.ID()); err != nil {
		return fmt.Errorf("disconnect: %w", err)
	}
	if err := client.ended(ctx); err != nil {
		return err
	}
	if _, err := s.awaitDesktop(ctx, "Disconnected", nil); err != nil {
		return err
	}
	s.t.Log("its client was cut off, and it lives on, Disconnected")

	again, err := openDesktop(ctx, local, password)
	if err != nil {
		return err
	}
	defer again.end()
	second, err := s.awaitDesktop(ctx, "Active", again)
	if err != nil {
		return err
	}
	if second.ID() != first.ID() {
		return fmt.Errorf("the user came back to session %s, not to %s", second.ID(), first.ID())
	}
	if err := s.pool.LogOff(ctx, hostName, second.ID()); err != nil {
		return fmt.Errorf("log off: %w", err)
	}
	return s.await(ctx, "the desktop session is gone", func(list []service.Session) bool { return desktopOf(list) == nil })
}

func desktopOf(list []service.Session) *service.Session {
	for i := range list {
		if list[i].Properties.UserPrincipalName == rdpUser {
			return &list[i]
		}
	}
	return nil
}

// awaitDesktop waits for the user's session in a state; client, if any, must not end
// meanwhile.
func (s *story) awaitDesktop(ctx context.Context, state string, client *desktop) (service.Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, desktopFor, errors.New("not in time"))
	defer cancel()
	var found service.Session
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := s.pool.Sessions(ctx, hostName)
		if d := desktopOf(list); err == nil && d != nil && d.Properties.SessionState == state {
			return *d, nil
		}
		var gone <-chan struct{}
		if client != nil {
			gone = client.done
		}
		select {
		case <-gone:
			return found, fmt.Errorf("wait for a session that is %s: the RDP client ended: %s", state, client.said())
		case <-ctx.Done():
			return found, fmt.Errorf("wait for a session that is %s: %w; listed: %+v %v", state, context.Cause(ctx), list, err)
		case <-tick.C:
		}
	}
}

// desktop is a running RDP client.
type desktop struct {
	cmd  *exec.Cmd
	out  strings.Builder
	done chan struct{}
	err  error // how it ended; read after done
}

func openDesktop(ctx context.Context, addr, password string) (*desktop, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	d := &desktop{done: make(chan struct{})}
	d.cmd = exec.CommandContext(ctx, "xvfb-run", "-a", "xfreerdp", "/v:"+host, "/port:"+port, "/u:"+rdpUser, "/p:"+password, "/cert:ignore", "/size:1024x720", "/log-level:WARN")
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	d.cmd.WaitDelay = 5 * time.Second
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // xvfb-run has a display server and the client below it
	d.cmd.Cancel = func() error { return syscall.Kill(-d.cmd.Process.Pid, syscall.SIGTERM) }
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the RDP client: %w", err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

func (d *desktop) ended(ctx context.Context) error {
	select {
	case <-d.done:
		return nil
	case <-time.After(sessionFor):
		return errors.New("the RDP client of a disconnected session is still connected")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *desktop) end() {
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	<-d.done
}

// said is the end of what the client printed; call it after done.
func (d *desktop) said() string {
	s := strings.TrimSpace(d.out.String())
	return s[max(0, len(s)-800):]
}
