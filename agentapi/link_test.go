package agentapi

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/sqlstore"
)

// The promise is 15 seconds from the moment that a machine dies.
func TestALinkThatFallsSilentEndsWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		s := &Server{log: slog.New(slog.DiscardHandler), now: time.Now, links: newRegistry(), ledger: newLedger(nil, slog.Default(), nil)}
		l := newLink(reverse.ServiceFrames(here), deskyard.SessionHost{ObjectID: "host-1"}, anyPool(), "e1", time.Now())
		s.links.put(l)
		var wg sync.WaitGroup
		wg.Go(func() { s.serve(l) })
		agent := reverse.AgentFrames(there, nil)
		wg.Go(func() { io.Copy(io.Discard, there) })
		for range 3 {
			time.Sleep(deskyard.HeartbeatEvery)
			if err := agent.Write(ws.OpPing, reverse.Beat(1500)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if lease := s.Lease("host-1"); !lease.Alive(time.Now()) || lease.RTT != 1500*time.Microsecond {
			t.Fatalf("lease with heartbeats: %+v", lease)
		}
		time.Sleep(deskyard.LeaseFor - time.Millisecond)
		synctest.Wait()
		if !s.Lease("host-1").Alive(time.Now()) {
			t.Error("the lease ended early")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if s.Lease("host-1").Connected {
			t.Error("the link outlived its lease")
		}
		wg.Wait()
	})
}

// refusing is a store whose writes fail at first.
type refusing struct {
	deskyard.Store
	mu    sync.Mutex // guards fails, tries
	fails int
	tries int
}

func (r *refusing) Write(ctx context.Context, f func(context.Context, deskyard.Tx) error) error {
	r.mu.Lock()
	r.tries++
	fail := r.fails > 0
	r.fails--
	r.mu.Unlock()
	if fail {
		return arm.Errorf(arm.Unavailable, "ServiceUnavailable", "no disk")
	}
	return r.Store.Write(ctx, f)
}

func TestTheLedgerGathersChangesAndOutlivesAFailedWrite(t *testing.T) {
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "s.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	id := arm.MustParseID(poolPath + "hp/sessionHosts/vm-1")
	err = db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutSessionHost(ctx, deskyard.SessionHost{ID: id, ObjectID: "host-1"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	store := &refusing{Store: db, fails: 1}
	g := newLedger(store, slog.New(slog.DiscardHandler), newCounts(nil, func() int { return 0 }))
	for i := range 50 {
		g.note("host-1", func(h *deskyard.SessionHost) { h.FriendlyName += string(rune('a' + i%26)) })
	}
	g.note("gone", func(*deskyard.SessionHost) { t.Error("a change of a host that does not exist") })
	if err := g.flush(t.Context()); err == nil {
		t.Fatal("the first write did not fail")
	}
	g.note("host-1", func(h *deskyard.SessionHost) { h.FriendlyName += "!" })
	if err := g.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := db.SessionHost(t.Context(), id)
	if err != nil || len(h.FriendlyName) != 51 || h.FriendlyName[0] != 'a' || h.FriendlyName[50] != '!' {
		t.Fatalf("stored %q, %v", h.FriendlyName, err)
	}
	if h.Version != 2 || store.tries != 2 {
		t.Errorf("%d writes of the host in %d transactions", h.Version-1, store.tries)
	}
}

// fixed is a catalogue with one answer.
type fixed []bootloader.Desired

func (f fixed) Desired(context.Context, string, string, bool) ([]bootloader.Desired, error) {
	return f, nil
}

func TestAHostThatLacksComponentsIsUpgradingUntilItHasThem(t *testing.T) {
	d := openDoor(t, func(o *Options) { o.Components = fixed(wish) })
	_, tok := d.key(d.pool("hp", nil), deskyard.KeyLimits{})
	m := d.machine("vm-1")
	m.loader = &shelf{has: map[string]string{"agent": "2.0.0"}}
	m.giveKey(tok)
	m.boot()
	m.wantStatus(deskyard.StatusUpgrading)
	m.loader.finish()
	m.wantStatus(deskyard.StatusAvailable)
	id := m.state().HostID
	eventually(t, "the success is stored", func() bool { return d.host(id).Update.State == updateSucceeded })
	if u := d.host(id).Update; u.Target != "2.0.0" {
		t.Errorf("update record %+v", u)
	}
}

// shelf is a boot loader that installs when the test says so.
type shelf struct {
	mu      sync.Mutex // guards what follows
	has     map[string]string
	desired []bootloader.Desired
	may     bool
}

func (s *shelf) SetDesired(_ context.Context, d []bootloader.Desired) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.desired = d
	return nil
}

func (s *shelf) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.may = true
}

func (s *shelf) Status(context.Context) (bootloader.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.desired {
		if s.may {
			s.has[d.Component] = d.Version
		}
	}
	var st bootloader.Status
	for _, name := range []string{"agent", "sxs-stack"} {
		if v, ok := s.has[name]; ok {
			st.Components = append(st.Components, bootloader.Component{Name: name, Version: v, State: bootloader.Running})
		}
	}
	return st, nil
}

func FuzzReport(f *testing.F) {
	good, _ := json.Marshal(deskyard.HostReport{AgentVersion: "1", Checks: []deskyard.HealthCheck{{Name: deskyard.CheckURLs, Result: deskyard.CheckFailed}}})
	f.Add(good)
	f.Add([]byte(`{"checks":null,"sessions":[{"id":1}],"tzOffset":-99999999}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := &Server{log: slog.New(slog.DiscardHandler), now: time.Now, links: newRegistry(), ledger: newLedger(nil, slog.Default(), nil)}
		l := newLink(reverse.ServiceFrames(nil), deskyard.SessionHost{ID: arm.MustParseID(poolPath + "hp/sessionHosts/h"), ObjectID: "h"}, anyPool(), "e", time.Now())
		s.links.put(l)
		if s.report(l, reverse.Message{Type: reverse.TypeReport, Body: body}) != nil {
			return
		}
		if r, ok := s.Report("h"); !ok || len(r.Checks) > maxChecks {
			t.Fatalf("accepted %d checks", len(r.Checks))
		}
	})
}

func FuzzDecodeMachine(f *testing.F) {
	good, _ := json.Marshal(newGuest("vm-1").machine)
	f.Add(good)
	f.Add([]byte(`{"hostname":"a/../b","machineId":"x","os":"linux","arch":"amd64"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMachine(b)
		if err != nil {
			return
		}
		name, err := hostName(m)
		if err != nil {
			return
		}
		id := arm.MustParseID(poolPath+"hp").Child("sessionHosts", name)
		if back, err := arm.ParseID(id.String()); err != nil || !back.Equal(id) {
			t.Fatalf("the name %q makes an id that does not parse back: %v", name, err)
		}
	})
}

// anyPool is a pool that updates at any time.
func anyPool() *pool {
	p := &pool{}
	p.policy.Store(&updatePolicy{})
	return p
}
