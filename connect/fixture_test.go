package connect_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/rbac"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/sqlstore"
)

var group = arm.MustParseID("/subscriptions/0b1f/resourceGroups/rg")

const desktopSpace = "Microsoft.DesktopVirtualization"

// leg is a leg that a gateway awaits.
const leg = "0123456789abcdef0123456789abcdef"

// yard is a service on a real store, with hosts and people that behave.
type yard struct {
	t       testing.TB
	db      *sqlstore.DB
	s       *connect.Service
	roles   *rbac.Authorizer
	desktop arm.ResourceID
	pool    arm.ResourceID
	dsn     string

	mu       sync.Mutex // guards all below
	at       time.Time
	sessions map[string][]deskyard.UserSession // by host's object id
	down     map[string]bool
	silent   map[string]bool // hosts that are up and have reported nothing
	dialled  []reverse.DialBack
	dial     func(host string, d reverse.DialBack) (reverse.Dialled, error)
	power    map[string]string // machines' power by name
	ordered  []deskyard.Job
	gone     map[string]bool // people who left
	hosts    []string        // object ids
}

// Now is the yard's clock.
func (y *yard) now() time.Time {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.at
}

func (y *yard) pass(d time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.at = y.at.Add(d)
}

// folder is where the store is: in memory where that is to be had, for what is tested
// here is not the disk, and hundreds of small stores are made.
func folder(t testing.TB) string {
	if _, isBench := t.(*testing.B); isBench {
		return t.TempDir() // benchmarks are about the disk
	}
	dir, err := os.MkdirTemp("/dev/shm", "connect")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // memory; goes with the machine at the latest
	return dir
}

// schema makes an empty schema in PostgreSQL and gives the DSN that leads into it;
// e2e/postgres.sh has everything here run there too.
func schema(t testing.TB, dsn string) string {
	t.Helper()
	name := "t" + strings.ReplaceAll(uuid.NewString(), "-", "")
	do := func(statement string) {
		admin, err := sql.Open("pgx", dsn)
		if err == nil {
			_, err = admin.Exec(statement)
			err = errors.Join(err, admin.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}
	do("create schema " + name)
	t.Cleanup(func() { do("drop schema " + name + " cascade") })
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

func newYard(t testing.TB, hosts int, change ...func(*deskyard.HostPool)) *yard {
	t.Helper()
	y := &yard{t: t, dsn: "sqlite:" + filepath.Join(folder(t), "d.db"), at: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC),
		sessions: map[string][]deskyard.UserSession{}, down: map[string]bool{}, silent: map[string]bool{}, power: map[string]string{}, gone: map[string]bool{},
		pool: group.Provider(desktopSpace, "hostPools", "hp")}
	y.desktop = group.Provider(desktopSpace, "applicationGroups", "dag").Child("desktops", deskyard.SessionDesktop)
	if dsn := os.Getenv("DESKYARD_TEST_POSTGRES"); dsn != "" {
		y.dsn = schema(t, dsn)
	}
	y.open()
	limit := deskyard.Integer(3)
	p := &deskyard.HostPool{HostPoolType: "Pooled", LoadBalancerType: "BreadthFirst", PreferredAppGroupType: "Desktop", MaxSessionLimit: &limit}
	for _, c := range change {
		c(p)
	}
	p.Default(nil)
	y.put(y.pool, p)
	y.put(y.desktop.Parent(), &deskyard.ApplicationGroup{HostPoolARMPath: y.pool.String(), ApplicationGroupType: "Desktop"})
	y.put(y.desktop, deskyard.NewSessionDesktop("d-1"))
	y.put(group.Provider(desktopSpace, "workspaces", "ws"), &deskyard.Workspace{ApplicationGroupReferences: []string{y.desktop.Parent().String()}})
	y.assign(y.desktop.Parent(), "everyone")
	for i := range hosts {
		y.addHost(fmt.Sprintf("h%05d", i))
	}
	return y
}

// open opens the store and the service on it; again, it is a restart.
func (y *yard) open() {
	y.t.Helper()
	if y.db != nil {
		if err := y.db.Close(); err != nil {
			y.t.Fatal(err)
		}
	}
	db, err := sqlstore.Open(context.Background(), sqlstore.Options{DSN: y.dsn, Log: slog.New(slog.DiscardHandler), Now: y.now,
		Changed: func(ids []arm.ResourceID) {
			if y.s != nil {
				y.s.Changed(ids)
			}
		}})
	if err != nil {
		y.t.Fatal(err)
	}
	if y.db == nil {
		y.t.Cleanup(y.close)
	}
	y.db = db
	y.roles = &rbac.Authorizer{Store: db, Now: y.now}
	y.s, err = connect.New(connect.Options{Store: db, Fleet: y, Dialer: y, Access: y.roles, People: people{y}, Machines: machines{y},
		Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)), Now: y.now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		y.t.Fatal(err)
	}
}

// close closes the store; tests that make many yards call it for each.
func (y *yard) close() {
	if err := y.db.Close(); err != nil {
		y.t.Error(err)
	}
}

func (y *yard) write(f func(ctx context.Context, tx deskyard.Tx) error) {
	y.t.Helper()
	if err := y.db.Write(context.Background(), f); err != nil {
		y.t.Fatal(err)
	}
}

// put stores a resource, replacing what is there.
func (y *yard) put(id arm.ResourceID, m deskyard.Model) {
	y.t.Helper()
	properties, err := json.Marshal(m)
	if err != nil {
		y.t.Fatal(err)
	}
	y.write(func(ctx context.Context, tx deskyard.Tx) error {
		old, err := tx.Resource(ctx, id)
		if err != nil && !arm.IsMissing(err) {
			return err
		}
		_, err = tx.PutResource(ctx, deskyard.Resource{ID: id, Properties: properties, Refs: m.Refs(), Version: old.Version})
		return err
	})
}

// assign gives Desktop Virtualization User at a scope.
func (y *yard) assign(scope arm.ResourceID, principal string) {
	y.t.Helper()
	row, err := rbac.Assignment{Name: "a-" + principal + "-" + scope.Name(), Scope: scope, RoleGUID: rbac.DesktopUser, PrincipalID: principal, PrincipalType: "Group"}.Row()
	if err != nil {
		y.t.Fatal(err)
	}
	y.write(func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutResource(ctx, row)
		return err
	})
	y.roles.Changed()
}

// guid is an object id by number.
func guid(kind, n int) string { return fmt.Sprintf("%08d-0000-4000-8000-%012d", kind, n) }

// hostRow is a host as it registers.
func (y *yard) hostRow(name string, n int) deskyard.SessionHost {
	return deskyard.SessionHost{ID: y.pool.Child("sessionHosts", name), ObjectID: guid(1, n), AllowNewSession: true,
		PublicKey: bytes.Repeat([]byte{9}, ed25519.PublicKeySize), Machine: deskyard.Machine{Hostname: name, OS: "linux"},
		ResourceID: group.Provider("Microsoft.Compute", "virtualMachines", name).String()}
}

func (y *yard) addHost(name string) string {
	y.t.Helper()
	h := y.hostRow(name, len(y.hosts))
	y.hosts = append(y.hosts, h.ObjectID)
	y.write(func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutSessionHost(ctx, h)
		return err
	})
	return h.ObjectID
}

func (y *yard) alter(host string, f func(*deskyard.SessionHost)) {
	y.t.Helper()
	y.write(func(ctx context.Context, tx deskyard.Tx) error {
		h, err := tx.SessionHostByObjectID(ctx, host)
		if err != nil {
			return err
		}
		f(&h)
		_, err = tx.PutSessionHost(ctx, h)
		return err
	})
}

// report has a host report these users' sessions.
func (y *yard) report(host string, users ...string) {
	var list []deskyard.UserSession
	for i, u := range users {
		list = append(list, deskyard.UserSession{ID: i + 1, User: u, State: "Active", CreateTime: y.now()})
	}
	y.mu.Lock()
	y.sessions[host] = list
	y.mu.Unlock()
	y.s.SessionsChanged(host)
	y.s.Settle(context.Background())
}

// slots are the slots of a host, as "user state".
func (y *yard) slots(host string) string {
	y.t.Helper()
	all, err := y.db.Slots(context.Background(), deskyard.SlotQuery{Host: host})
	if err != nil {
		y.t.Fatal(err)
	}
	var b []string
	for _, s := range all {
		b = append(b, strings.TrimSuffix(s.User, "@example.org")+" "+s.State)
	}
	return strings.Join(b, ", ")
}

// known are names by object id.
var known sync.Map

// user is a person of the directory, a member of everyone.
func user(name string) deskyard.Principal {
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String()
	known.Store(id, name)
	return deskyard.Principal{ObjectID: id, Name: name + "@example.org", Kind: "User", Groups: []string{"everyone"}}
}

func (y *yard) connect(name string) (connect.Started, error) {
	return y.s.Connect(context.Background(), user(name), y.desktop, connect.Ask{Door: deskyard.DoorWeb})
}

func (y *yard) mustConnect(name string) connect.Started {
	y.t.Helper()
	s, err := y.connect(name)
	if err != nil {
		y.t.Fatalf("%s: %v", name, err)
	}
	return s
}

func (y *yard) admit(ticket string) (deskyard.Admission, error) {
	return y.s.Admit(context.Background(), deskyard.AdmitRequest{Ticket: ticket, Door: deskyard.DoorWeb, Leg: leg, Gateway: "gw", URLs: []string{"https://gw"}, Client: deskyard.ClientInfo{Address: "192.0.2.1"}})
}

func (y *yard) connection(id string) deskyard.Connection {
	y.t.Helper()
	c, err := y.s.Explain(context.Background(), id)
	if err != nil {
		y.t.Fatal(err)
	}
	return c
}

// The yard is the fleet, and the dialer.

func (y *yard) Lease(id string) deskyard.Lease {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.down[id] {
		return deskyard.Lease{}
	}
	return deskyard.Lease{Connected: true, Heartbeat: y.at}
}

func (y *yard) Report(id string) (deskyard.HostReport, bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.silent[id] {
		return deskyard.HostReport{}, true
	}
	return deskyard.HostReport{SessionsKnown: !y.down[id], Sessions: y.sessions[id], ListenerCertificate: strings.Repeat("ab", 32),
		Checks: []deskyard.HealthCheck{{Name: deskyard.CheckSxSListener, Result: deskyard.CheckSucceeded}}}, true
}

func (y *yard) Metrics(string) (deskyard.HostMetrics, bool) { return deskyard.HostMetrics{}, false }
func (y *yard) Drop(string, string)                         {}
func (y *yard) Do(context.Context, string, deskyard.Command) error {
	return deskyard.ErrHostUnreachable
}

func (y *yard) Dial(_ context.Context, host string, d reverse.DialBack) (reverse.Dialled, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.down[host] {
		return reverse.Dialled{}, deskyard.ErrHostUnreachable
	}
	if err := d.Validate(); err != nil {
		return reverse.Dialled{}, err
	}
	y.dialled = append(y.dialled, d)
	if y.dial != nil {
		return y.dial(host, d)
	}
	if d.Grant == nil {
		return reverse.Dialled{}, nil
	}
	return reverse.Dialled{Account: "acc"}, nil
}

// people are whoever user makes.
type people struct{ y *yard }

func (p people) Principal(_ context.Context, id string) (deskyard.Principal, error) {
	name, byID := known.Load(id)
	if !byID {
		name = strings.TrimSuffix(id, "@example.org")
	}
	p.y.mu.Lock()
	defer p.y.mu.Unlock()
	if p.y.gone[name.(string)] {
		return deskyard.Principal{}, arm.Errorf(arm.Missing, "UserNotFound", "There is no user '%s'.", id)
	}
	return user(name.(string)), nil
}

// machines are powered as the yard says, by name; unnamed ones run.
type machines struct{ y *yard }

func (m machines) Live(_ context.Context, ids ...arm.ResourceID) map[string]deskyard.MachineLive {
	m.y.mu.Lock()
	defer m.y.mu.Unlock()
	live := map[string]deskyard.MachineLive{}
	for _, id := range ids {
		p := m.y.power[id.Name()]
		if p == "" {
			p = "running"
		}
		live[id.Key()] = deskyard.MachineLive{Power: p}
	}
	return live
}

func (m machines) Submit(_ context.Context, _ deskyard.Tx, j deskyard.Job) (deskyard.Operation, error) {
	m.y.mu.Lock()
	defer m.y.mu.Unlock()
	m.y.ordered = append(m.y.ordered, j)
	return deskyard.Operation{ID: "op"}, nil
}

func (m machines) Wake(string, arm.ResourceID) {}
