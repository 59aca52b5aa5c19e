package armapi

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// statuses are what a host's history says, newest first.
func (d *desk) statuses(host arm.ResourceID) string {
	d.t.Helper()
	var words []string
	for _, v := range d.must(200, "GET", host.String()+"/statusHistory?api-version="+stableVersion, "")["value"].([]any) {
		s := v.(map[string]any)
		reason, _ := s["statusReason"].(string)
		reason, _, _ = strings.Cut(reason, ":")
		words = append(words, strings.TrimSpace(fmt.Sprint(s["status"], " ", reason)))
	}
	return strings.Join(words, ", ")
}

func TestChangesOfStatusAreKept(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	h := d.host("hp1", "sh-0", true)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { d.server.KeepStatuses(ctx); close(ended) }()
	defer func() { cancel(); <-ended }()
	touch := func(change func(*deskyard.HostReport)) {
		d.fleet.mu.Lock()
		r := d.fleet.reports[h.ObjectID]
		change(&r)
		d.fleet.reports[h.ObjectID] = r
		d.fleet.mu.Unlock()
		d.server.Changed([]arm.ResourceID{h.ID})
	}
	await := func(want string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			d.server.Changed([]arm.ResourceID{h.ID}) // again: the keeper may not have begun
			got := d.statuses(h.ID)
			if got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%q, not %q", got, want)
			}
		}
	}
	failing := func(name string) func(*deskyard.HostReport) {
		return func(r *deskyard.HostReport) {
			r.Checks = []deskyard.HealthCheck{{Name: name, Result: deskyard.CheckFailed, Message: "It does.", At: d.now()}}
		}
	}
	touch(func(*deskyard.HostReport) {})
	await("Available")
	touch(func(r *deskyard.HostReport) { r.AgentVersion = "9.9.9" }) // changes no status
	d.pass(time.Second)
	touch(failing(deskyard.CheckSxSListener))
	await("Unavailable SxSStackListenerCheck, Available")
	d.pass(time.Second)
	touch(failing(deskyard.CheckURLs))
	await("NeedsAssistance UrlsAccessibleCheck, Unavailable SxSStackListenerCheck, Available")
	if r := d.send("guest", "GET", h.ID.String()+"/statusHistory?api-version="+stableVersion, ""); r.status != 403 {
		t.Errorf("to a stranger: %d %s", r.status, r.raw)
	}
}
