package connect_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/reverse"
)

// seen has a host say something of a connection.
func (y *yard) seen(host string, s reverse.Seen) {
	y.s.Seen(host, s)
	y.s.Settle(context.Background())
}

// running is a connection of a user that a gateway relays.
func (y *yard) running(name string) string {
	y.t.Helper()
	a, err := y.admit(y.mustConnect(name).Ticket)
	if err != nil {
		y.t.Fatal(err)
	}
	if err := y.s.Connected(context.Background(), a.Connection, nil); err != nil {
		y.t.Fatal(err)
	}
	return a.Connection
}

func (y *yard) end(connection, reason string) {
	y.t.Helper()
	if err := y.s.Ended(context.Background(), deskyard.ConnectionEnd{Connection: connection, Reason: reason, At: y.now()}); err != nil {
		y.t.Fatal(err)
	}
}

func TestAHostsWordExplainsTheEndWhicheverComesFirst(t *testing.T) {
	lost := reverse.Seen{What: reverse.SeenLost, Cause: reverse.CauseRDPServer}
	stack := reverse.Seen{What: reverse.SeenLost, Cause: reverse.CauseStack}
	wrong := reverse.Seen{What: reverse.SeenRefused, Cause: reverse.CauseCredentials, Detail: "Authentication failure"}
	missing := reverse.Seen{What: reverse.SeenNotFound}
	const silent = "error: the session host closed the connection without a word: its RDP server or its stack ended"
	for _, c := range []struct {
		name         string
		seen         []reverse.Seen
		end          string
		symbol       string // "" for none
		says, reason string
	}{
		{"a killed RDP server under a native client", []reverse.Seen{lost}, "host closed", connect.NetworkDisconnect, "RDP server ended without a word on h00000. The session goes on", "error: the session host's RDP server ended without a word"},
		{"a killed stack under a browser", []reverse.Seen{stack}, silent, connect.NetworkDisconnect, "stack (component sxs-stack) ended", "error: the session host's stack (component sxs-stack) ended"},
		{"a stack that is killed after its client left", []reverse.Seen{stack}, "client closed", "", "", "client closed"},
		{"an administrator's wish", []reverse.Seen{lost}, "administrator", connect.NetworkDisconnect, "An administrator disconnected", "administrator"},
		{"a wrong password", []reverse.Seen{wrong}, "client closed", connect.InvalidCredentials, "h00000 did not let you in: the user name or the password is not right (Authentication failure).", "client closed"},
		{"a wrong password that the host ended", []reverse.Seen{wrong}, "host closed", connect.InvalidCredentials, "the password", "host closed"},
		{"a wrong password, and a client that is killed", []reverse.Seen{wrong}, "error: the client's connection was reset", connect.InvalidCredentials, "the password", "error: the client's connection was reset"},
		{"a wrong password and then the right one", []reverse.Seen{wrong, {What: reverse.SeenSignedIn}}, "client closed", "", "", "client closed"},
		{"somebody else's wrong password", []reverse.Seen{{What: reverse.SeenSignedIn}, wrong}, "client closed", "", "", "client closed"},
		{"a program that a desktop has no need of", []reverse.Seen{missing}, "host closed", "", "", "host closed"},
	} {
		for _, order := range []string{"word first", "end first"} {
			t.Run(c.name+", "+order, func(t *testing.T) {
				y := newYard(t, 1)
				id := y.running("ann")
				say := func() {
					for _, s := range c.seen {
						s.Connection = id
						y.seen(y.hosts[0], s)
						y.seen(y.hosts[0], s) // told twice is told once
					}
				}
				if order == "word first" {
					say()
					y.end(id, c.end)
				} else {
					y.end(id, c.end)
					say()
				}
				got := y.connection(id)
				symbol, message := "", ""
				if got.Failure != nil {
					symbol, message = got.Failure.Symbol, got.Failure.Message
				}
				if order == "end first" && len(c.seen) > 1 {
					return // who got in after the end was somebody else
				}
				if symbol != c.symbol || !strings.Contains(message, c.says) || got.EndReason != c.reason || got.State != deskyard.ConnectionCompleted {
					t.Errorf("got %s %q, reason %q, state %s", symbol, message, got.EndReason, got.State)
				}
			})
		}
	}
}

func TestAHostSpeaksOfItsOwnConnectionsOnly(t *testing.T) {
	y := newYard(t, 2)
	id := y.running("ann")
	y.seen(y.hosts[1], reverse.Seen{Connection: id, What: reverse.SeenRefused, Cause: reverse.CauseDisabled})
	y.seen(y.hosts[1], reverse.Seen{Connection: "00000000-0000-4000-8000-000000000000", What: reverse.SeenShell})
	y.end(id, "client closed")
	if f := y.connection(id).Failure; f != nil {
		t.Errorf("another host's word was believed: %v", f)
	}
	if d := y.dialled[0]; d.Connection != id || d.User != "ann@example.org" {
		t.Errorf("the host was told of connection %q of %q", d.Connection, d.User)
	}
}

func TestCheckpointsOfTheHostAreStages(t *testing.T) {
	y := newYard(t, 1)
	id := y.running("ann")
	for range 2 {
		y.seen(y.hosts[0], reverse.Seen{Connection: id, What: reverse.SeenSignedIn, After: time.Second})
		y.seen(y.hosts[0], reverse.Seen{Connection: id, What: reverse.SeenShell, After: 3 * time.Second})
	}
	y.end(id, "client closed")
	took := map[string]time.Duration{}
	for _, s := range y.connection(id).Stages {
		if took[s.Name] != 0 {
			t.Errorf("stage %s twice", s.Name)
		}
		took[s.Name] = s.Took
	}
	if took[deskyard.StageLogon] != time.Second || took[deskyard.StageShell] != 3*time.Second {
		t.Errorf("stages %v", took)
	}
}

// TestEachCauseHasASymbolAndANextStep goes through all that a host may say.
func TestEachCauseHasASymbolAndANextStep(t *testing.T) {
	y := newYard(t, 1, limited(100))
	for cause, symbol := range map[string]string{
		reverse.CauseCredentials: "InvalidCredentials", reverse.CauseExpired: "AccountExpired", reverse.CauseDisabled: "AccountDisabled",
		reverse.CauseLocked: "AccountLockedOut", reverse.CauseOldPassword: "PasswordExpired", reverse.CauseMustChange: "PasswordMustChange",
		reverse.CauseNoRight: "LogonTypeNotGranted", reverse.CauseNotAllowed: "NotAuthorizedForLogon",
		reverse.CauseFull: "SessionHostResourceNotAvailable", reverse.CauseOther: "LogonFailed",
	} {
		seen := reverse.Seen{Connection: y.running(symbol), What: reverse.SeenRefused, Cause: cause, Detail: "as PAM says."}
		if err := seen.Validate(); err != nil {
			t.Error(err)
		}
		y.seen(y.hosts[0], seen)
		y.end(seen.Connection, "client closed")
		f := y.connection(seen.Connection).Failure
		if f == nil || f.Symbol != symbol || f.Code == 0 || !strings.Contains(f.Message, "(as PAM says). ") || !strings.HasSuffix(f.Message, ".") {
			t.Errorf("%s is %+v", cause, f)
		}
	}
}
