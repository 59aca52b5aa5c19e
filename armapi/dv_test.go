package armapi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/rbac"
	"github.com/deskyard/deskyard/sqlstore"
	"github.com/deskyard/deskyard/token"
)

const stableVersion = "2025-10-10"

// hosts is a fleet whose hosts do what they are told.
type hosts struct {
	mu       sync.Mutex // guards what follows
	leases   map[string]deskyard.Lease
	reports  map[string]deskyard.HostReport
	commands []deskyard.Command
	dropped  []string
}

func (f *hosts) Lease(id string) deskyard.Lease {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leases[id]
}

func (f *hosts) Report(id string) (deskyard.HostReport, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.reports[id]
	return r, ok
}

// Metrics is a measurement of every connected host.
func (f *hosts) Metrics(id string) (deskyard.HostMetrics, bool) {
	_, ok := f.Report(id)
	return deskyard.HostMetrics{CPUPercent: 12.5, MemoryTotal: 1 << 30}, ok
}

// Do carries a command out: a session that is logged off is gone from the report.
func (f *hosts) Do(_ context.Context, id string, c deskyard.Command) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	report, ok := f.reports[id]
	if !ok {
		return deskyard.ErrHostUnreachable
	}
	f.commands = append(f.commands, c)
	if c.Verb == "logoff" {
		var left []deskyard.UserSession
		for _, s := range report.Sessions {
			if s.Native != c.Session {
				left = append(left, s)
			}
		}
		report.Sessions = left
		f.reports[id] = report
	}
	return nil
}

// UpdateNow starts the update of a connected host.
func (f *hosts) UpdateNow(id string) (deskyard.UpdateRecord, error) {
	if !f.Lease(id).Connected {
		return deskyard.UpdateRecord{}, deskyard.ErrHostUnreachable
	}
	return deskyard.UpdateRecord{State: "Started", Target: "2.0.0", Attempts: 1}, nil
}

func (f *hosts) Drop(id, _ string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropped = append(f.dropped, id)
	delete(f.leases, id)
	delete(f.reports, id)
}

// desk is the management API with real tokens, roles and store, and a fleet.
type desk struct {
	t       *testing.T
	url     string
	store   deskyard.Store
	fleet   *hosts
	minter  *token.Minter
	connect *connect.Service
	server  *Server
	unix    atomic.Int64 // the service's clock, in seconds: it stands still until pass
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	var changed atomic.Value // func([]arm.ResourceID)
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "desk.db"), Log: quiet,
		Changed: func(ids []arm.ResourceID) {
			if tell, ok := changed.Load().(func([]arm.ResourceID)); ok {
				tell(ids)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{
		t: t, store: db,
		fleet: &hosts{leases: map[string]deskyard.Lease{}, reports: map[string]deskyard.HostReport{}},
		minter: &token.Minter{Key: key, BrokerURIs: []string{"https://desk.example/"}, CAPin: "pin", TenantID: testTenant,
			Geography: "Local"},
	}
	d.unix.Store(time.Now().Unix())
	staff := people{
		"owner":    {ObjectID: personID(1), Name: "owner@example.com", Kind: "User", TenantID: testTenant},
		"reader":   {ObjectID: personID(2), Name: "reader@example.com", Kind: "User"},
		"operator": {ObjectID: personID(3), Name: "operator@example.com", Kind: "User"},
		"guest":    {ObjectID: personID(9), Name: "guest@example.com", Kind: "User"},
	}
	d.connect = d.connections(staff)
	s, err := New(Options{
		Store: db, Auth: staff, Access: &rbac.Authorizer{Store: db}, Log: quiet, Fleet: d.fleet, Tokens: d.minter, Connections: d.connect, History: db, Updates: d.fleet,
		Tenant: Tenant{ID: testTenant, Name: "Example"}, Subscriptions: []Subscription{{ID: testSub, Name: "Desks"}},
		Now: d.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	d.server = s
	changed.Store(func(ids []arm.ResourceID) {
		d.connect.Changed(ids)
		s.Changed(ids)
	})
	web := httptest.NewServer(s.Handler())
	t.Cleanup(web.Close)
	d.url = web.URL
	d.grant(1, rbac.Owner)
	d.grant(2, "acdd72a7-3385-48ef-bd42-f606fba81ae7") // Reader
	d.grant(3, "2ad6aaab-ead9-4eaa-8ac5-da422f562408") // Desktop Virtualization Session Host Operator
	d.must(http.StatusCreated, "PUT", rgScope+"?api-version=2021-04-01", `{"location":"centralus"}`)
	return d
}

// now is the service's time.
func (d *desk) now() time.Time { return time.Unix(d.unix.Load(), 0).UTC() }

// pass lets time go by.
func (d *desk) pass(t time.Duration) { d.unix.Add(int64(t / time.Second)) }

// grant gives a person a role on the subscription.
func (d *desk) grant(person int, role string) {
	d.t.Helper()
	d.tx(func(ctx context.Context, tx deskyard.Tx) error {
		a := rbac.Assignment{Name: guid(person), Scope: arm.ResourceID{Subscription: testSub}, RoleGUID: role, PrincipalID: personID(person), PrincipalType: "User"}
		row, err := a.Row()
		if err == nil {
			_, err = tx.PutResource(ctx, row)
		}
		return err
	})
}

func (d *desk) tx(f func(context.Context, deskyard.Tx) error) {
	d.t.Helper()
	if err := d.store.Write(d.t.Context(), f); err != nil {
		d.t.Fatal(err)
	}
}

// reply is an answer taken apart.
type reply struct {
	status int
	header http.Header
	raw    []byte
	doc    map[string]any
}

func (d *desk) send(who, method, path, body string) reply {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+who)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	r := reply{status: resp.StatusCode, header: resp.Header}
	if r.raw, err = io.ReadAll(resp.Body); err != nil {
		d.t.Fatal(err)
	}
	if len(bytes.TrimSpace(r.raw)) > 0 {
		if err := json.Unmarshal(r.raw, &r.doc); err != nil {
			d.t.Fatalf("%s %s answered no JSON: %s", method, path, r.raw)
		}
	}
	return r
}

// must sends a request of the owner and returns the body's properties, or the body
// where it has none.
func (d *desk) must(status int, method, path, body string) map[string]any {
	d.t.Helper()
	r := d.send("owner", method, path, body)
	if r.status != status {
		d.t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.status, status, r.raw)
	}
	if p, ok := r.doc["properties"].(map[string]any); ok {
		return p
	}
	return r.doc
}

// refused expects an error with a code and a text in its message.
func (d *desk) refused(status int, code, text, method, path, body string) {
	d.t.Helper()
	r := d.send("owner", method, path, body)
	e, _ := r.doc["error"].(map[string]any)
	message, _ := e["message"].(string)
	if r.status != status || e["code"] != code || !strings.Contains(message, text) {
		d.t.Errorf("%s %s %s\n got %d %s\nwant %d %s with %q", method, path, body, r.status, r.raw, status, code, text)
	}
}

// dv is the path of a resource in the test's group, with the stable version.
func dv(path string) string { return dvAt(path, stableVersion) }

func dvAt(path, version string) string {
	joint := "?"
	if strings.Contains(path, "?") {
		joint = "&"
	}
	return rgScope + "/providers/" + desktopNamespace + "/" + path + joint + "api-version=" + version
}

func poolBody(properties string) string {
	if properties == "" {
		properties = `"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"`
	}
	return `{"location":"centralus","properties":{` + properties + `}}`
}

const personalPool = `"hostPoolType":"Personal","loadBalancerType":"Persistent","preferredAppGroupType":"Desktop"`

func (d *desk) pool(name, properties string) map[string]any {
	d.t.Helper()
	return d.must(http.StatusCreated, "PUT", dv("hostPools/"+name), poolBody(properties))
}

func appGroupBody(pool, kind string) string {
	return fmt.Sprintf(`{"location":"centralus","properties":{"hostPoolArmPath":"%s/providers/%s/hostPools/%s","applicationGroupType":%q}}`,
		rgScope, desktopNamespace, pool, kind)
}

func poolID(name string) arm.ResourceID {
	return arm.MustParseID(rgScope).Provider(desktopNamespace, "hostPools", name)
}

// host registers a session host with a pool, as the agent door would; live ones
// have a link.
func (d *desk) host(pool, name string, live bool, sessions ...deskyard.UserSession) deskyard.SessionHost {
	d.t.Helper()
	p := d.must(http.StatusOK, "GET", dv("hostPools/"+pool), "")
	h := deskyard.SessionHost{
		ID: poolID(pool).Child("sessionHosts", name), ObjectID: newID(), Pool: p["objectId"].(string), AllowNewSession: true,
		Machine:      deskyard.Machine{Hostname: name, FQDN: name + ".corp.example", MachineID: "m-" + name, SMBIOSID: newID(), OS: "linux", OSVersion: "Debian 12"},
		RegisteredAt: d.now(), LastSeen: d.now(), EverOnline: true, StatusAt: d.now(),
		Report: deskyard.HostReport{At: d.now(), AgentVersion: "1.0.0", SxSVersion: "1.0", OSVersion: "Debian 12", SessionsKnown: true, Sessions: sessions,
			Checks: []deskyard.HealthCheck{{Name: deskyard.CheckSxSListener, Result: deskyard.CheckSucceeded, At: d.now()}}},
	}
	d.tx(func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		h, err = tx.PutSessionHost(ctx, h)
		return err
	})
	if live {
		d.fleet.mu.Lock()
		d.fleet.leases[h.ObjectID] = deskyard.Lease{Connected: true, Heartbeat: d.now()}
		d.fleet.reports[h.ObjectID] = h.Report
		d.fleet.mu.Unlock()
	}
	return h
}

func session(id int, user string) deskyard.UserSession {
	return deskyard.UserSession{ID: id, Native: fmt.Sprintf("c%d", id), ObjectID: newID(), User: user, Account: "CORP\\" + strings.Split(user, "@")[0],
		State: "Active", ApplicationType: "Desktop", CreateTime: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
}
