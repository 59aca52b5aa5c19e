package connect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/connect"
)

func TestWhatAGatewayHasNoMoreIsEndedWithTheReason(t *testing.T) {
	y := newYard(t, 3)
	stand := func(user string) string {
		a, err := y.admit(y.mustConnect(user).Ticket)
		if err != nil {
			t.Fatal(err)
		}
		if err := y.s.Connected(t.Context(), a.Connection, nil); err != nil {
			t.Fatal(err)
		}
		return a.Connection
	}
	report := func(gateway string, fresh bool, live ...string) {
		if err := y.s.Relaying(t.Context(), deskyard.RelayReport{Gateway: gateway, Fresh: fresh, Connections: live}); err != nil {
			t.Fatal(err)
		}
	}
	ann, bob := stand("ann"), stand("bob")
	report("another", true)
	report("gw", false, strings.ToUpper(ann)) // bob's may have come since the list was made
	for _, id := range []string{ann, bob} {
		if c := y.connection(id); c.State != deskyard.ConnectionConnected {
			t.Fatalf("record %+v", c)
		}
	}
	y.pass(3 * time.Minute)
	report("gw", false, ann)
	if c := y.connection(ann); c.State != deskyard.ConnectionConnected {
		t.Errorf("what the gateway has: %+v", c)
	}
	c := y.connection(bob)
	if c.State != deskyard.ConnectionCompleted || c.Ended.IsZero() || c.Failure == nil || c.Failure.Symbol != connect.NetworkDisconnect || !strings.Contains(c.Failure.Message, "gw was restarted") {
		t.Errorf("what it has no more: %+v %+v", c, c.Failure)
	}
	young := stand("eve")
	report("gw", true)
	for _, id := range []string{ann, young} {
		if c := y.connection(id); c.State != deskyard.ConnectionCompleted {
			t.Errorf("after a restart: %+v", c)
		}
	}
}

func TestAnEndThatSomebodyElseWishedForSaysWhose(t *testing.T) {
	y := newYard(t, 1)
	for reason, words := range map[string]string{"gateway stopping": "gw was stopped", "administrator": "administrator disconnected", "idle": "Nothing crossed", "client closed": ""} {
		a, err := y.admit(y.mustConnect("ann").Ticket)
		if err != nil {
			t.Fatal(err)
		}
		// The service was away when the session began: only its end is heard.
		end := deskyard.ConnectionEnd{Connection: a.Connection, Reason: reason, At: y.now(), Stages: []deskyard.ConnectionStage{{Name: deskyard.StageReady, Took: time.Second}}}
		if err := y.s.Ended(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		c := y.connection(a.Connection)
		if c.State != deskyard.ConnectionCompleted || (c.Failure == nil) != (words == "") || c.Failure != nil && !strings.Contains(c.Failure.Message, words) {
			t.Errorf("%s: %s %+v", reason, c.State, c.Failure)
		}
	}
}

func TestWhatAGatewayRelayedThatNeverComesBackIsEndedByTheHostsWord(t *testing.T) {
	y := newYard(t, 1)
	a, err := y.admit(y.mustConnect("ann").Ticket)
	if err != nil {
		t.Fatal(err)
	}
	if err := y.s.Connected(t.Context(), a.Connection, nil); err != nil {
		t.Fatal(err)
	}
	sweep := func(d time.Duration) deskyard.Connection {
		t.Helper()
		y.pass(d)
		if err := y.s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		return y.connection(a.Connection)
	}
	y.report(y.hosts[0], "ann@example.org")
	sweep(0)
	for range 3 { // the gateway may be cut off from the service alone
		if c := sweep(2 * time.Minute); c.State != deskyard.ConnectionConnected {
			t.Fatalf("with a client on the host: %+v", c)
		}
	}
	y.report(y.hosts[0])
	if err := y.s.Relaying(t.Context(), deskyard.RelayReport{Gateway: "gw", Connections: []string{a.Connection}}); err != nil {
		t.Fatal(err)
	}
	if c := sweep(2 * time.Minute); c.State != deskyard.ConnectionConnected {
		t.Fatalf("of a gateway that was heard of: %+v", c)
	}
	if c := sweep(2 * time.Minute); c.State != deskyard.ConnectionCompleted || !strings.Contains(c.EndReason, "gw is not heard of") {
		t.Errorf("of one that is silent: %+v", c)
	}
}

func TestAPlaceGoesWithTheSessionOfAConnectionThatIsOver(t *testing.T) {
	y := newYard(t, 1)
	through := func() string {
		a, err := y.admit(y.mustConnect("ann").Ticket)
		if err != nil {
			t.Fatal(err)
		}
		if err := y.s.Connected(t.Context(), a.Connection, nil); err != nil {
			t.Fatal(err)
		}
		return a.Connection
	}
	through()
	y.report(y.hosts[0], "ann@example.org")
	again := through() // which keeps her place though the session should end meanwhile
	if err := y.s.Ended(t.Context(), deskyard.ConnectionEnd{Connection: again, Reason: "host closed", At: y.now()}); err != nil {
		t.Fatal(err)
	}
	y.report(y.hosts[0]) // logged off
	if got := y.slots(y.hosts[0]); got != "" {
		t.Errorf("slots: %s", got)
	}
}
