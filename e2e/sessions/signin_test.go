//go:build e2e

package sessions

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// awaitWord waits until a record's failure is as the host tells it.
func (y *yard) awaitWord(t *testing.T, id, symbol, says string, within time.Duration) record {
	t.Helper()
	var r record
	err := until(t.Context(), within, func() bool {
		r = y.recordOf(t, id)
		f := r.Properties.Failure
		return f != nil && f.Symbol == symbol && strings.Contains(f.Message, says)
	})
	if err != nil {
		t.Logf("the stack:\n%s", y.host.sh(t, "journalctl --no-pager -o cat | grep -E 'sxs-stack|deskyard-sxs' | tail -n 20; tail -n 20 /var/log/xrdp-sesman.log"))
		t.Fatalf("the record of %s ends %q with %+v, not %s %q", id, r.Properties.EndReason, r.Properties.Failure, symbol, says)
	}
	return r
}

// stages are the checkpoints of a record, in milliseconds.
func (r record) stages() map[string]float64 {
	all := map[string]float64{}
	for _, s := range r.Properties.Stages {
		all[s.Name] = s.Milliseconds
	}
	return all
}

// TestTheHostSaysWhoWasNotLetInAndWhatEnded has a native client's RDP end at the host, where
// nobody but the host can tell what became of it.
func TestTheHostSaysWhoWasNotLetInAndWhatEnded(t *testing.T) {
	y := open(t)
	for _, c := range []struct {
		name, user, password, prepare, mend, symbol, says string
	}{
		{"a wrong password", "eve", "not-hers", "true", "true", "InvalidCredentials", "user name or the password"},
		{"an account that has expired", "eve", "", "chage -E 1 eve", "chage -E -1 eve", "AccountExpired", "has expired"},
		{"a password that must be changed", "bob", "", "chage -d 0 bob", "chage -d 2026-01-01 -M 99999 bob", "PasswordMustChange", "must be changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			password := c.password
			if password == "" {
				password = y.users[c.user].password
			}
			y.host.sh(t, c.prepare)
			const refusals = "grep -c AUTHFAIL /var/log/xrdp-sesman.log || true"
			before := y.host.sh(t, refusals)
			d := y.sitWith(t, c.user, password)
			y.host.await(t, "the host refuses "+c.user, 40*time.Second, "test \"$("+refusals+")\" != \""+before+"\"")
			d.client.end(t, syscall.SIGTERM, 5*time.Second)
			y.host.sh(t, c.mend)
			r := y.awaitWord(t, y.last(t, c.user).Name, c.symbol, c.says, 15*time.Second)
			t.Logf("%s: %s (%s)", r.Properties.Failure.Symbol, r.Properties.Failure.Message, r.Properties.EndReason)
		})
	}
	t.Run("checkpoints", func(t *testing.T) {
		d := y.sit(t, "ann")
		y.ready(t, d)
		id := y.last(t, "ann").Name
		must(t, until(t.Context(), 15*time.Second, func() bool { return y.recordOf(t, id).stages()["ShellReady"] > 0 }))
		all := y.recordOf(t, id).stages()
		t.Logf("stages, ms: %v", all)
		if all["logon"] <= 0 || all["ShellReady"] < all["logon"] {
			t.Errorf("the desktop was up before its user was in: %v", all)
		}
		d.client.end(t, syscall.SIGTERM, 5*time.Second)
		y.awaitRecord(t, id, "Completed", 15*time.Second)
		if r := y.recordOf(t, id); r.Properties.Failure != nil {
			t.Errorf("a client that left: %+v", r.Properties)
		}
	})
	t.Run("kill -9 of the RDP server", func(t *testing.T) {
		before := y.last(t, "ann").Name
		d := y.sit(t, "ann")
		id := ""
		must(t, until(t.Context(), 30*time.Second, func() bool {
			r := y.last(t, "ann")
			id = r.Name
			return id != before && y.recordOf(t, id).stages()["ShellReady"] > 0
		}))
		y.host.sh(t, "kill -9 $(pgrep -x xrdp -P $(cat /run/xrdp/xrdp.pid))") // the child that has the connection
		r := y.awaitWord(t, id, "UnexpectedNetworkDisconnect", "RDP server ended without a word", 15*time.Second)
		t.Log(r.Properties.EndReason)
		d.client.end(t, syscall.SIGTERM, 5*time.Second)
		y.awaitSession(t, "ann", "Disconnected", 20*time.Second)
	})
}
