//go:build e2e

package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deskyard/deskyard/e2e/guest"
	"github.com/deskyard/deskyard/e2e/join"
	"github.com/deskyard/deskyard/e2e/service"
)

func (s *story) boots(ctx context.Context) error {
	start := time.Now()
	var err error
	s.machine, err = guest.Start(ctx, guest.Options{Name: hostName, Image: s.image, Accel: s.accel, Dir: s.dir})
	if err != nil {
		return err
	}
	s.whole.Cleanup(s.machine.Stop)
	if err := s.answers(ctx); err != nil {
		return err
	}
	s.t.Logf("SSH answers after %.1f s", time.Since(start).Seconds())
	out, err := s.machine.Shell().Run(ctx, "ls -d /etc/deskyard /opt/deskyard /var/lib/deskyard 2>/dev/null; true")
	if err != nil {
		return err
	}
	if out != "" {
		return fmt.Errorf("the fresh machine already has %s", strings.TrimSpace(out))
	}
	return nil
}

// answers waits until the machine answers over SSH.
func (s *story) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootFor)
	defer cancel()
	return s.machine.Shell().Wait(ctx)
}

func (s *story) joins(ctx context.Context) error {
	if err := join.Copy(ctx, s.machine.Shell(), s.debs); err != nil {
		return err
	}
	installed := make(chan error, 1)
	go func() { installed <- join.Install(ctx, s.machine.Shell(), s.debs, s.key) }()
	way, err := s.watch(ctx, "Available", joinFor)
	if failure := <-installed; failure != nil {
		return failure
	}
	if err != nil {
		return err
	}
	if way[0].Status != "absent" {
		return fmt.Errorf("the host was %s before the packages were in", way[0].Status)
	}
	// Unavailable may last for less than it takes to look twice; Upgrading follows it.
	if !has(way, "Unavailable") && !has(way, "Upgrading") {
		return fmt.Errorf("a host must not be Available at first contact, seen: %s", service.Way(way))
	}
	return nil
}

// listsComponents asks the boot loader, as an operator at the machine would, and
// checks that the API tells the same agent version.
func (s *story) listsComponents(ctx context.Context) error {
	out, err := s.machine.Shell().Run(ctx, "deskyard-bootloader status")
	if err != nil {
		return err
	}
	s.t.Log("\n" + out)
	for _, component := range []string{"Infrastructure Agent", "Boot Loader", "SxS Network Stack", "Monitoring Agent"} {
		line := lineWith(out, component)
		if !strings.ContainsAny(line, "0123456789") || !strings.Contains(line, "Running") {
			return fmt.Errorf("component %s does not run with a version:\n%s", component, out)
		}
	}
	host, err := s.pool.Host(ctx, hostName)
	if err != nil {
		return err
	}
	if v := host.Properties.AgentVersion; v == "" || !strings.Contains(lineWith(out, "Infrastructure Agent"), v) {
		return fmt.Errorf("the API says agent version %q, the machine %q", v, lineWith(out, "Infrastructure Agent"))
	}
	return nil
}

// lineWith is the line that starts so, "" if there is none.
func lineWith(text, start string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, start) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func (s *story) keyIsGone(ctx context.Context) error {
	found, err := join.KeyLeftBehind(ctx, s.machine.Shell(), s.key)
	if err != nil {
		return err
	}
	if found != "" {
		return fmt.Errorf("the registration key is still in: %s", strings.ReplaceAll(found, "\n", ", "))
	}
	return nil
}

// unavailableInTime watches a host that has just gone silent.
func (s *story) unavailableInTime(ctx context.Context) error {
	_, err := s.watch(ctx, "Unavailable", leaseFor+watchSlack)
	return err
}

func (s *story) survivesKill(ctx context.Context) error {
	// Masked, so that systemd does not start it again at once.
	_, err := s.machine.Shell().Run(ctx, "systemctl mask --quiet --runtime deskyard-bootloader.service && "+
		"systemctl kill --signal=KILL --kill-whom=all deskyard-bootloader.service")
	if err != nil {
		return err
	}
	if err := s.unavailableInTime(ctx); err != nil {
		return err
	}
	_, err = s.machine.Shell().Run(ctx, "systemctl unmask --quiet --runtime deskyard-bootloader.service && systemctl reset-failed; "+
		"systemctl start deskyard-bootloader.service")
	if err != nil {
		return err
	}
	if _, err = s.watch(ctx, "Available", joinFor); err != nil {
		return err
	}
	// The agent alone: the boot loader starts it again.
	if _, err := s.machine.Shell().Run(ctx, "pkill -KILL -x deskyard-agent"); err != nil {
		return err
	}
	return s.availableAndSettled(ctx)
}

// availableAndSettled waits until the host has been Available for longer than its
// lease, so that what follows does not start from a status about to change.
func (s *story) availableAndSettled(ctx context.Context) error {
	deadline := time.Now().Add(joinFor)
	for time.Now().Before(deadline) {
		if _, err := s.watch(ctx, "Available", joinFor); err != nil {
			return err
		}
		quiet, cancel := context.WithTimeout(ctx, leaseFor)
		_, err := s.pool.Watch(quiet, hostName, "Unavailable", nil)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("the host did not stay Available within %s", joinFor)
}

func (s *story) survivesReboot(ctx context.Context) error {
	before, err := s.bootID(ctx)
	if err != nil {
		return err
	}
	// The connection may end before the command does.
	s.machine.Shell().Run(ctx, "systemctl reboot")
	if _, err := s.watch(ctx, "Shutdown", time.Minute); err != nil {
		return err
	}
	start := time.Now()
	if _, err := s.watch(ctx, "Available", bootFor); err != nil {
		return err
	}
	s.t.Logf("Available %.1f s after Shutdown", time.Since(start).Seconds())
	if err := s.answers(ctx); err != nil {
		return err
	}
	after, err := s.bootID(ctx)
	if err != nil {
		return err
	}
	if before == after {
		return errors.New("the machine did not reboot")
	}
	return s.keyIsGone(ctx)
}

func (s *story) bootID(ctx context.Context) (string, error) {
	return s.machine.Shell().Run(ctx, "cat /proc/sys/kernel/random/boot_id")
}

func (s *story) survivesFreeze(ctx context.Context) error {
	if err := s.machine.Freeze(); err != nil {
		return err
	}
	late := s.unavailableInTime(ctx)
	if err := s.machine.Thaw(); err != nil {
		return err
	}
	if late != nil {
		return late
	}
	_, err := s.watch(ctx, "Available", joinFor)
	return err
}

func (s *story) survivesPowerCut(ctx context.Context) error {
	if err := s.machine.PowerCycle(); err != nil {
		return err
	}
	if err := s.unavailableInTime(ctx); err != nil {
		return err
	}
	if _, err := s.watch(ctx, "Available", bootFor); err != nil {
		return err
	}
	return s.answers(ctx)
}

func (s *story) survivesServiceRestart(ctx context.Context) error {
	if err := s.service.Restart(ctx); err != nil {
		return err
	}
	return s.availableAndSettled(ctx)
}

func (s *story) drains(ctx context.Context) error {
	for _, drain := range []bool{true, false} {
		if err := s.pool.Drain(ctx, hostName, drain); err != nil {
			return err
		}
		host, err := s.pool.Host(ctx, hostName)
		if err != nil {
			return err
		}
		if host.Properties.AllowNewSession == drain {
			return fmt.Errorf("drain mode is not %t", drain)
		}
	}
	return nil
}
