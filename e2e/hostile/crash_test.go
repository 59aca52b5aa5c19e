//go:build e2e

package hostile

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/e2e/service"
)

// Of 1,000 writes by 32 writers the service is killed in the midst.
const (
	crashWrites  = 1000
	crashWriters = 32
	killAfter    = 400 // acknowledged writes
)

// crash is what the writers know.
type crash struct {
	mu    sync.Mutex
	acked map[string]int // by pool, the highest number that was acknowledged
	sent  map[string]int // by pool, the highest number that was sent
	count atomic.Int64   // acknowledged
	kill  chan struct{}  // closed when it is time
}

func TestAKillDuringWritesLosesNoAcknowledgedWriteAndShowsNoHalfOne(t *testing.T) {
	h := open(t)
	h.token(t, h.ClientID, h.ClientSecret)
	c := &crash{acked: map[string]int{}, sent: map[string]int{}, kill: make(chan struct{})}
	var writers sync.WaitGroup
	for w := range crashWriters {
		writers.Go(func() { c.write(t, h, w) })
	}
	ended := make(chan struct{})
	go func() { writers.Wait(); close(ended) }()
	select {
	case <-c.kill:
	case <-ended:
		t.Fatalf("the writers ended with %d writes acknowledged", c.count.Load())
	}
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	acked := c.count.Load()
	if acked >= crashWrites {
		t.Fatalf("all %d writes were done before the kill", acked)
	}
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole := c.check(t, h)
	t.Logf("%d of %d writes acknowledged before the kill, %d pools whole after it", acked, crashWrites, whole)
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	c.checkAudit(t, h)
}

// write writes pools of one writer until the service is gone; each pool twice, so
// that inserts and replacements are both under way.
func (c *crash) write(t *testing.T, h *house, writer int) {
	for i := range crashWrites / crashWriters {
		name, n := fmt.Sprintf("w%02d-%03d", writer, i/2), i%2+1
		c.mu.Lock()
		c.sent[name] = n
		c.mu.Unlock()
		body := fmt.Sprintf(`{"location":"local","tags":{"n":"%[1]d"},"properties":{"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst",
			"preferredAppGroupType":"Desktop","friendlyName":"write %[1]d","description":"write %[1]d"}}`, n)
		req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), "PUT", h.Endpoint+h.pool(name)+"?api-version="+desktops, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+h.token(t, h.ClientID, h.ClientSecret))
		r, err := exchange(h.http, req)
		if err != nil {
			return // the service is gone
		}
		if r.status != http.StatusOK && r.status != http.StatusCreated {
			t.Errorf("PUT %s answers %d: %.300s", name, r.status, r.body)
			return
		}
		c.mu.Lock()
		c.acked[name] = n
		c.mu.Unlock()
		if c.count.Add(1) == killAfter {
			close(c.kill)
		}
	}
}

// check compares each pool that was ever sent with what is there now.
func (c *crash) check(t *testing.T, h *house) (whole int) {
	for name, sent := range c.sent {
		r := h.call(t, "GET", h.pool(name)+"?api-version="+desktops, nil)
		if r.status == http.StatusNotFound {
			if c.acked[name] > 0 {
				t.Errorf("%s was acknowledged and is lost", name)
			}
			continue
		}
		var p struct {
			Tags       struct{ N string }
			Properties struct{ FriendlyName, Description string }
		}
		r.into(t, &p)
		var n int
		if _, err := fmt.Sscanf(p.Properties.FriendlyName, "write %d", &n); err != nil || p.Properties.Description != p.Properties.FriendlyName || p.Tags.N != fmt.Sprint(n) {
			t.Errorf("%s is half written: %.400s", name, r.body)
		}
		if n < c.acked[name] || n > sent {
			t.Errorf("%s has write %d; %d was acknowledged and %d sent", name, n, c.acked[name], sent)
		}
		whole++
	}
	return whole
}

// checkAudit wants exactly one line of the audit log for each write that is there:
// a resource without its line, or a line without its write, is half a write.
func (c *crash) checkAudit(t *testing.T, h *house) {
	db, err := service.OpenStore(t.Context(), service.Database(h.dir))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lines := map[string]int64{}
	for q := (deskyard.AuditQuery{Action: "Microsoft.DesktopVirtualization/hostpools/write", Limit: 500}); ; {
		page, err := db.AuditEvents(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			if e.Status < 300 {
				lines[e.Scope[strings.LastIndexByte(e.Scope, '/')+1:]]++
			}
		}
		if page.Next == "" {
			break
		}
		q.After = page.Next
	}
	pools, err := db.Resources(t.Context(), deskyard.ResourceQuery{Type: "Microsoft.DesktopVirtualization/hostPools"})
	if err != nil {
		t.Fatal(err)
	}
	if len(pools.Items) == 0 {
		t.Fatal("no pools are left")
	}
	for _, p := range pools.Items {
		if n := lines[p.ID.Name()]; n != p.Version {
			t.Errorf("%s was written %d times and has %d lines in the audit log", p.ID.Name(), p.Version, n)
		}
		delete(lines, p.ID.Name())
	}
	for name := range lines {
		t.Errorf("the audit log has a write of %s, which is not there", name)
	}
}
