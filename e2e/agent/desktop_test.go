//go:build e2e

package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/deskyard/deskyard/e2e/desktop"
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

	as := desktop.Options{Address: local, User: rdpUser, Password: password}
	client, err := desktop.Open(ctx, as)
	if err != nil {
		return err
	}
	defer client.End()
	first, err := s.awaitDesktop(ctx, "Active", client)
	if err != nil {
		return err
	}
	s.t.Logf("desktop session %s of %s is Active", first.ID(), rdpUser)
	if err := s.pool.Disconnect(ctx, hostName, first.ID()); err != nil {
		return fmt.Errorf("disconnect: %w", err)
	}
	if err := client.AwaitEnd(ctx, sessionFor); err != nil {
		return err
	}
	if _, err := s.awaitDesktop(ctx, "Disconnected", nil); err != nil {
		return err
	}
	s.t.Log("its client was cut off, and it lives on, Disconnected")

	again, err := desktop.Open(ctx, as)
	if err != nil {
		return err
	}
	defer again.End()
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
func (s *story) awaitDesktop(ctx context.Context, state string, client *desktop.Client) (service.Session, error) {
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
			gone = client.Done()
		}
		select {
		case <-gone:
			return found, fmt.Errorf("wait for a session that is %s: the RDP client ended: %s", state, client.Said())
		case <-ctx.Done():
			return found, fmt.Errorf("wait for a session that is %s: %w; listed: %+v %v", state, context.Cause(ctx), list, err)
		case <-tick.C:
		}
	}
}
