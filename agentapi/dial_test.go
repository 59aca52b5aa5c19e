package agentapi

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

func TestAHostIsToldWhereToDialAndItsAnswerComesBack(t *testing.T) {
	here, there := net.Pipe()
	s := &Server{log: slog.New(slog.DiscardHandler), now: time.Now, links: newRegistry(), counts: newCounts(nil, func() int { return 0 }),
		ledger: newLedger(nil, slog.Default(), nil)}
	l := newLink(reverse.ServiceFrames(here), deskyard.SessionHost{ObjectID: "host-1"}, anyPool(), "e1", time.Now())
	s.links.put(l)
	order := reverse.DialBack{Leg: strings.Repeat("0a", 16), URLs: []string{"https://gw.example"}}
	answers := []reverse.Result{{Dialled: &reverse.Dialled{Account: "ann"}}, {Error: "no route to host"}, {}}
	var told []map[string]any
	var wg sync.WaitGroup
	defer wg.Wait()
	defer there.Close()
	wg.Go(func() {
		for _, a := range answers {
			text, err := wsutil.ReadServerText(there)
			var m reverse.Message
			if err == nil {
				err = json.Unmarshal(text, &m)
			}
			var body map[string]any
			if err == nil {
				err = json.Unmarshal(m.Body, &body)
			}
			if err != nil {
				t.Errorf("read the command: %v", err)
				return
			}
			told = append(told, body)
			l.answer(m.ID, a)
		}
		_, _ = io.Copy(io.Discard, there) // until the test closes it
	})
	got, err := s.Dial(t.Context(), "host-1", order)
	if err != nil || got.Account != "ann" {
		t.Fatalf("%+v, %v", got, err)
	}
	var e *arm.Error
	if _, err = s.Dial(t.Context(), "host-1", order); !errors.As(err, &e) || !strings.Contains(e.Message, "no route to host") {
		t.Errorf("the host's reason: %v", err)
	}
	if _, err = s.Dial(t.Context(), "host-1", order); !errors.As(err, &e) || !strings.Contains(e.Message, "too old") {
		t.Errorf("an agent that knows no legs: %v", err)
	}
	if told[0]["verb"] != "dial" || told[0]["leg"] != order.Leg || told[0]["grant"] != nil {
		t.Errorf("told %v", told[0])
	}
	if _, err = s.Dial(t.Context(), "host-2", order); !errors.Is(err, deskyard.ErrHostUnreachable) {
		t.Errorf("a host without a link: %v", err)
	}
	if _, err = s.Dial(t.Context(), "host-1", reverse.DialBack{Leg: "x"}); err == nil {
		t.Error("an ill-formed leg was sent")
	}
}
