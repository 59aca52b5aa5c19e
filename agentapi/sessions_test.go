package agentapi

import (
	"encoding/json"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

func TestChangedSessionsAreToldAndNothingElseIs(t *testing.T) {
	s := &Server{log: slog.New(slog.DiscardHandler), now: time.Now, links: newRegistry(), ledger: newLedger(nil, slog.Default(), nil)}
	l := newLink(reverse.ServiceFrames(nil), deskyard.SessionHost{ID: arm.MustParseID(poolPath + "hp/sessionHosts/h"), ObjectID: "host-1"}, anyPool(), "e", time.Now())
	s.links.put(l)
	var told []string
	s.OnSessions(func(host string) { told = append(told, host) })
	ann := deskyard.UserSession{ID: 1, User: "ann@example.org", State: "Active"}
	gone := ann
	gone.State = "Disconnected"
	for i, c := range []struct {
		report deskyard.HostReport
		tells  bool
	}{
		{deskyard.HostReport{}, false},
		{deskyard.HostReport{SessionsKnown: true}, true},
		{deskyard.HostReport{SessionsKnown: true, Sessions: []deskyard.UserSession{ann}}, true},
		{deskyard.HostReport{SessionsKnown: true, Sessions: []deskyard.UserSession{ann}, AgentVersion: "2"}, false},
		{deskyard.HostReport{SessionsKnown: true, Sessions: []deskyard.UserSession{gone}, AgentVersion: "2"}, true},
	} {
		told = nil
		body, err := json.Marshal(c.report)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.report(l, reverse.Message{Type: reverse.TypeReport, Body: body}); err != nil {
			t.Fatal(err)
		}
		if slices.Equal(told, []string{"host-1"}) != c.tells {
			t.Errorf("report %d told %v", i, told)
		}
	}
	told = nil
	if s.stopping(l); !slices.Equal(told, []string{"host-1"}) {
		t.Errorf("a machine that stops told %v", told)
	}
}

func TestAHostsWordOnAConnectionIsPassedOnWithItsName(t *testing.T) {
	s := &Server{log: slog.New(slog.DiscardHandler), now: time.Now, links: newRegistry(), ledger: newLedger(nil, slog.Default(), nil)}
	l := newLink(reverse.ServiceFrames(nil), deskyard.SessionHost{ID: arm.MustParseID(poolPath + "hp/sessionHosts/h"), ObjectID: "host-1"}, anyPool(), "e", time.Now())
	var told []string
	s.OnConnections(func(host string, seen reverse.Seen) { told = append(told, host+" "+seen.What) })
	const connection = "00000000-0000-4000-8000-000000000001"
	for body, passed := range map[string]bool{
		`{"connection":"` + connection + `","what":"shell"}`:                         true,
		`{"connection":"` + connection + `","what":"refused","cause":"credentials"}`: true,
		`{"connection":"` + connection + `","what":"refused","cause":"the moon"}`:    false,
		`{"connection":"` + connection + `","what":"seen by a newer agent"}`:         false,
		`{"connection":"x","what":"shell"}`:                                          false,
	} {
		told = nil
		if err := s.receive(l, reverse.Message{Type: reverse.TypeSeen, Body: json.RawMessage(body)}); err != nil {
			t.Errorf("%s ends the link: %v", body, err)
		}
		if (len(told) == 1) != passed || passed && told[0][:7] != "host-1 " {
			t.Errorf("%s told %q", body, told)
		}
	}
}
