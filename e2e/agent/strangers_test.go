//go:build e2e

package agent

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/deskyard/deskyard/e2e/guest"
	"github.com/deskyard/deskyard/e2e/join"
	"github.com/deskyard/deskyard/e2e/service"
)

const (
	sessionFor = 40 * time.Second // from a login or log-off until the API tells it
	userName   = "alice"
)

func (s *story) showsSessions(ctx context.Context) error {
	shell := s.machine.Shell()
	_, err := shell.Run(ctx, "id -u "+userName+" >/dev/null 2>&1 || useradd -m -s /bin/bash "+userName+
		"; install -d -m 700 -o "+userName+" /home/"+userName+"/.ssh && echo '"+shell.AuthorizedKey()+"' >/home/"+userName+"/.ssh/authorized_keys"+
		" && chown "+userName+" /home/"+userName+"/.ssh/authorized_keys")
	if err != nil {
		return err
	}
	logout, ended, err := shell.Login(userName)
	if err != nil {
		return err
	}
	defer logout()
	session, err := s.awaitSession(ctx)
	if err != nil {
		return err
	}
	s.t.Logf("session %s of %s is %s", session.ID(), session.Properties.UserPrincipalName, session.Properties.SessionState)
	if err := s.pool.Message(ctx, hostName, session.ID(), "Maintenance", "Save your work"); err != nil {
		return fmt.Errorf("send a message: %w", err)
	}
	// A terminal cannot live on without its client: the host must say so, not pretend.
	err = s.pool.Disconnect(ctx, hostName, session.ID())
	var no *service.APIError
	if !errors.As(err, &no) || no.Status < 400 || no.Status >= 500 {
		return fmt.Errorf("disconnecting an SSH session must be refused with a reason, got: %v", err)
	}
	s.t.Logf("disconnect: %v", no)
	if err := s.pool.LogOff(ctx, hostName, session.ID()); err != nil {
		return fmt.Errorf("log off: %w", err)
	}
	select {
	case <-ended:
	case <-time.After(sessionFor):
		return errors.New("the user was not logged off")
	}
	return s.awaitNoSession(ctx)
}

func (s *story) awaitSession(ctx context.Context) (service.Session, error) {
	var found service.Session
	return found, s.await(ctx, "the session is listed", func(list []service.Session) bool {
		for _, x := range list {
			if strings.HasPrefix(x.Properties.UserPrincipalName, userName) || strings.HasSuffix(x.Properties.ActiveDirectoryUserName, userName) {
				found = x
				return true
			}
		}
		return false
	})
}

func (s *story) awaitNoSession(ctx context.Context) error {
	return s.await(ctx, "the session is gone", func(list []service.Session) bool {
		for _, x := range list {
			if strings.HasPrefix(x.Properties.UserPrincipalName, userName) {
				return false
			}
		}
		return true
	})
}

// await looks at the host's sessions until they are as wanted.
func (s *story) await(ctx context.Context, what string, wanted func([]service.Session) bool) error {
	ctx, cancel := context.WithTimeout(ctx, sessionFor)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := s.pool.Sessions(ctx, hostName)
		if err == nil && wanted(list) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; listed: %+v %v", what, context.Cause(ctx), list, err)
		case <-tick.C:
		}
	}
}

// obeysMicrosoftsClient runs every operation of @azure/arm-desktopvirtualization,
// those on session hosts against the real one.
func (s *story) obeysMicrosoftsClient(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "node", "avd.mjs")
	cmd.Dir = filepath.Join(s.repo, "e2e", "clients", "js")
	cmd.Env = append(os.Environ(), "DESKYARD_SESSION_HOST="+group+"/hp1/"+hostName,
		"DESKYARD_BOOTSTRAP="+s.service.BootstrapFile, "NODE_EXTRA_CA_CERTS="+s.service.CAFile)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run avd.mjs: %w:\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	s.t.Log(lines[len(lines)-1])
	return nil
}

// refusesClone starts a second machine from a copy of the first one's disk. The
// original must stay in service.
func (s *story) refusesClone(ctx context.Context) error {
	if _, err := s.machine.Shell().Run(ctx, "sync"); err != nil {
		return err
	}
	copied, err := s.machine.CopyDisk(ctx)
	if err != nil {
		return err
	}
	clone, err := guest.Start(ctx, guest.Options{Name: "clone", Image: s.image, Accel: s.accel, Dir: s.dir, CloneOf: copied, LoginOf: s.machine})
	if err != nil {
		return err
	}
	defer clone.Stop()
	ctx, cancel := context.WithTimeout(ctx, bootFor)
	defer cancel()
	if err := clone.Shell().Wait(ctx); err != nil {
		return err
	}
	if err := s.awaitRefusal(ctx, clone); err != nil {
		return err
	}
	host, err := s.pool.Host(ctx, hostName)
	if err != nil {
		return err
	}
	if host.Properties.Status != "Available" {
		return fmt.Errorf("the original is %s while its clone runs", host)
	}
	hosts, err := s.pool.Hosts(ctx)
	if err != nil {
		return err
	}
	if len(hosts) != 1 {
		return fmt.Errorf("the pool has %d hosts, not 1", len(hosts))
	}
	return nil
}

// awaitRefusal waits until the clone's own log says why it may not in.
func (s *story) awaitRefusal(ctx context.Context, clone *guest.Machine) error {
	for {
		out, err := clone.Shell().Run(ctx, "journalctl --no-pager -b -u deskyard-bootloader.service | grep -i -E 'CloneDetected' | tail -n 1")
		if err == nil {
			s.t.Logf("the clone's log: %s", strings.TrimSpace(out))
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the clone was not refused with a reason: %w; its console ends:\n%s", context.Cause(ctx), clone.SerialLog())
		case <-time.After(time.Second):
		}
	}
}

// refusesKeys registers with keys that must not let anybody in.
func (s *story) refusesKeys(ctx context.Context) error {
	other := s.client.Pool(group, "hp2")
	if err := other.Create(ctx); err != nil {
		return err
	}
	foreign, err := other.Key(ctx)
	if err != nil {
		return err
	}
	if err := other.Delete(ctx); err != nil {
		return err
	}
	grafted, err := graft(s.key, foreign)
	if err != nil {
		return err
	}
	// The control: the same call with a good key is let in.
	fresh, err := s.pool.Key(ctx)
	if err != nil {
		return err
	}
	if status, body, err := s.client.Register(ctx, fresh); err != nil || status != http.StatusOK {
		return fmt.Errorf("a good key was answered with %d %s %v", status, body, err)
	}
	if err := s.pool.DeleteHost(ctx, "stranger", true); err != nil {
		return err
	}
	for name, key := range map[string]string{
		"the key of a deleted pool":                   foreign,
		"one pool's claims under another's signature": grafted,
		"a key with its signature cut off":            s.key[:strings.LastIndexByte(s.key, '.')+1],
	} {
		status, body, err := s.client.Register(ctx, key)
		if err != nil {
			return err
		}
		// Refused for the key, not for anything else.
		if status < 400 || status >= 500 || strings.Contains(body, "INVALID_PROOF") {
			return fmt.Errorf("%s was answered with %d %s", name, status, body)
		}
		s.t.Logf("%s: %d %s", name, status, body)
	}
	return nil
}

// graft puts the claims of one key under the signature of another.
func graft(claims, signature string) (string, error) {
	a, b := strings.Split(claims, "."), strings.Split(signature, ".")
	if len(a) != 3 || len(b) != 3 {
		return "", errors.New("a registration key is not a JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(a[1])
	if err != nil || !json.Valid(raw) {
		return "", fmt.Errorf("the claims of a registration key are not JSON: %w", err)
	}
	return a[0] + "." + a[1] + "." + b[2], nil
}

// deletesHost removes the host: its agent must not bring it back by itself, and must
// with a key.
func (s *story) deletesHost(ctx context.Context) error {
	if err := s.pool.DeleteHost(ctx, hostName, true); err != nil {
		return err
	}
	quiet, cancel := context.WithTimeout(ctx, 2*leaseFor)
	way, err := s.pool.Watch(quiet, hostName, "Available", nil)
	cancel()
	if err == nil {
		return fmt.Errorf("the deleted host came back by itself: %s", service.Way(way))
	}
	if _, err := s.pool.Host(ctx, hostName); !service.IsStatus(err, http.StatusNotFound) {
		return fmt.Errorf("the deleted host is still there: %v", err)
	}
	key, err := s.pool.Key(ctx)
	if err != nil {
		return err
	}
	if err := join.Install(ctx, s.machine.Shell(), s.debs, key); err != nil {
		return err
	}
	_, err = s.watch(ctx, "Available", joinFor)
	return err
}
