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
