//go:build e2e

// Package connect opens a desktop in a browser: the web client in headless Chromium, the
// issuer, the users' door and the gateway as they are, and xrdp on loopback as the session
// host. Which host a user gets, and how its agent dials back, is stood in for here: both
// have tests of their own.
package connect

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/broker"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/feed"
	"github.com/deskyard/deskyard/gateway"
	"github.com/deskyard/deskyard/identity"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/seal"
	"github.com/deskyard/deskyard/sqlstore"
	"github.com/deskyard/deskyard/web"
)

// yard is a service with one session host.
type yard struct {
	url   string
	key   string // SHA-256 of the service's public key, in base64: the browser trusts it
	creds identity.Credentials
	desk  *desk
}

// desk decides and admits as the service would: each user has the one host. It is a
// feed.Connections and a deskyard.Brokerage.
type desk struct {
	host    *host
	gateway string // base URL, as the host reaches it
	id      string // of the host
	key     ed25519.PrivateKey

	mu       sync.Mutex // guards all below
	tickets  map[string]string
	records  map[string]deskyard.Connection
	legs     map[net.Conn]bool
	starting int   // so many wishes are answered as while a host starts
	failing  error // what every wish is answered with, where not nil
	asked    int
	ended    string // why the last connection ended
}

const poolID = "/subscriptions/2f0f1d1a-5b5c-4a47-8d0e-57b5c6f80d7e/resourceGroups/rg/providers/Microsoft.DesktopVirtualization/"

func mustID(t *testing.T, text string) arm.ResourceID {
	t.Helper()
	id, err := arm.ParseID(poolID + text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var resources []connect.Workspace // of every user; made once by open

func open(t *testing.T, h *host) *yard {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	group, pool := mustID(t, "applicationGroups/ag"), mustID(t, "hostPools/pool")
	resources = []connect.Workspace{{ID: mustID(t, "workspaces/work"), ObjectID: uuid.NewString(), Name: "Work", Resources: []connect.Resource{
		{ID: mustID(t, "applicationGroups/ag/desktops/SessionDesktop"), ObjectID: uuid.NewString(), Kind: "Desktop", Name: "Office desktop", Description: "Debian with the office's programs", Group: group, Pool: pool, PoolName: "Pool A"},
		{ID: mustID(t, "applicationGroups/ag2/desktops/SessionDesktop"), ObjectID: uuid.NewString(), Kind: "Desktop", Name: "Studio", Group: group, Pool: pool, PoolName: "Pool B"},
		{ID: mustID(t, "applicationGroups/apps/applications/Terminal"), ObjectID: uuid.NewString(), Kind: "RemoteApp", Name: "Terminal", Group: group, Pool: pool, PoolName: "Pool A",
			Application: connect.Application{Program: "/usr/bin/xterm", Arguments: "-title Alone"}},
		{ID: mustID(t, "applicationGroups/apps/applications/Paint"), ObjectID: uuid.NewString(), Kind: "RemoteApp", Name: "Paint", Group: group, Pool: pool, PoolName: "Pool A",
			Application: connect.Application{Program: `C:\Windows\System32\mspaint.exe`}},
	}}}
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "yard.db")})
	must(err)
	t.Cleanup(func() { _ = db.Close() })
	y := &yard{}
	y.creds, _, err = identity.Bootstrap(t.Context(), db, identity.Foundation{})
	must(err)

	var root http.Handler
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { root.ServeHTTP(w, r) }))
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	must(err)
	y.url = "https://localhost:" + port // a name: browsers bind security keys to no address
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	y.desk = &desk{host: h, gateway: y.url, id: uuid.NewString(), key: key, tickets: map[string]string{}, records: map[string]deskyard.Connection{}, legs: map[net.Conn]bool{}}

	keys, err := identity.OpenKeys(t.TempDir())
	must(err)
	sealer, err := seal.New(bytes.Repeat([]byte{7}, 32))
	must(err)
	people, err := identity.New(t.Context(), identity.Options{Store: db, Seal: sealer, Keys: keys, BaseURLs: []string{y.url}, RequestsPerSecond: 1000, Burst: 1000})
	must(err)
	users, err := feed.New(feed.Options{Connections: y.desk, Accounts: people, PublicURL: y.url, Gateway: y.url, Domain: "yard", TenantID: people.TenantID(), Key: make([]byte, 32)})
	must(err)
	g, err := gateway.New(gateway.Options{Brokerage: y.desk, Name: "gw", URLs: []string{y.url}})
	must(err)
	client, err := web.New(web.Options{})
	must(err)
	root = route(people, users, g, client)
	s.StartTLS()
	key256 := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	y.key = base64.StdEncoding.EncodeToString(key256[:])
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		g.Close(ctx)
		s.CloseClientConnections()
		s.Close()
	})
	return y
}

func route(people *identity.Service, users *feed.Door, g *gateway.Gateway, client http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch p := r.URL.Path; {
		case gateway.Owns(p):
			g.Handler().ServeHTTP(w, r)
		case feed.Owns(p):
			users.Handler().ServeHTTP(w, r)
		case web.Owns(p):
			client.ServeHTTP(w, r)
		default:
			people.Handler().ServeHTTP(w, r)
		}
	})
}

// Resources implements feed.Connections.
func (d *desk) Resources(context.Context, deskyard.Principal) ([]connect.Workspace, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var away *net.OpError
	if errors.As(d.failing, &away) {
		return nil, d.failing
	}
	return resources, nil
}

// Connect implements feed.Connections.
func (d *desk) Connect(_ context.Context, p deskyard.Principal, id arm.ResourceID, ask connect.Ask) (connect.Started, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	s := connect.Started{Connection: uuid.NewString()}
	c := deskyard.Connection{ID: s.Connection, UserID: p.ObjectID, User: p.Name, Resource: id, State: deskyard.ConnectionStarted, Client: ask.Client}
	if d.starting > 0 {
		d.starting--
		c.State, c.Failure = deskyard.ConnectionFailed, &deskyard.ConnectionFailure{Code: -2146233088, Symbol: broker.NoHealthyHost, Retry: 3 * time.Second,
			Message: "The machines of the pool are powered off; one of them starts now."}
		d.records[c.ID] = c
		return s, c.Failure
	}
	if d.failing != nil {
		return s, d.failing
	}
	d.records[c.ID] = c
	s.Ticket, s.Expires, s.Host = rand.Text(), time.Now().Add(30*time.Second), "sh-0"
	d.tickets[s.Ticket] = c.ID
	return s, nil
}

// Explain implements feed.Connections.
func (d *desk) Explain(_ context.Context, id string) (deskyard.Connection, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.records[id], nil
}

// FileTicket implements feed.Connections.
func (d *desk) FileTicket(deskyard.Principal, arm.ResourceID) (string, time.Time) {
	return rand.Text(), time.Now().Add(10 * time.Minute)
}

// Admit implements deskyard.Brokerage.
func (d *desk) Admit(ctx context.Context, r deskyard.AdmitRequest) (deskyard.Admission, error) {
	d.mu.Lock()
	id, ok := d.tickets[r.Ticket]
	delete(d.tickets, r.Ticket)
	d.mu.Unlock()
	if !ok {
		return deskyard.Admission{}, &deskyard.ConnectionFailure{Symbol: connect.TicketInvalid, Message: "The ticket was used."}
	}
	if err := d.dialBack(ctx, r.Leg); err != nil {
		return deskyard.Admission{}, fmt.Errorf("dial back: %w", err)
	}
	application := ""
	for _, r := range resources[0].Resources {
		if r.ID.Equal(d.record(id).Resource) {
			application = r.Application.Shell()
		}
	}
	return deskyard.Admission{
		Connection: id, Application: application, HostID: d.id, HostName: "sh-0", HostKey: d.key.Public().(ed25519.PublicKey), User: "e2e", Certificate: sha256.Sum256(d.host.certificate),
		SignOn: &deskyard.SignOn{Account: d.host.user, Password: d.host.password}, Redirect: deskyard.Redirection{Clipboard: true},
	}, nil
}

// dialBack brings the host's RDP listener to the gateway, as an agent does.
func (d *desk) dialBack(ctx context.Context, leg string) error {
	var dialer net.Dialer
	listener, err := dialer.DialContext(ctx, "tcp", d.host.address)
	if err != nil {
		return err
	}
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", d.gateway[len("https://"):])
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	proof := base64.StdEncoding.EncodeToString(ed25519.Sign(d.key, reverse.LegProof(d.id, leg)))
	_, err = fmt.Fprintf(conn, "GET %s%s HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n%s: %s\r\n\r\n",
		reverse.LegPath, leg, reverse.LegProtocol, reverse.LegHeader, proof, reverse.LegHost, d.id)
	if err != nil {
		return errors.Join(err, conn.Close(), listener.Close())
	}
	if err := readHead(conn); err != nil {
		return errors.Join(err, conn.Close(), listener.Close())
	}
	d.mu.Lock()
	d.legs[conn] = true
	d.mu.Unlock()
	go splice(conn, listener) // ends with either end; both end with the test's server and host
	return nil
}

// readHead reads the answer's head, byte by byte: what follows is RDP.
func readHead(conn net.Conn) error {
	var head []byte
	for one := make([]byte, 1); len(head) < 4096; head = append(head, one[0]) {
		if n := len(head); n > 4 && string(head[n-4:]) == "\r\n\r\n" {
			if string(head[:12]) != "HTTP/1.1 101" {
				return fmt.Errorf("the gateway answers %q", head)
			}
			return nil
		}
		if _, err := io.ReadFull(conn, one); err != nil {
			return err
		}
	}
	return errors.New("the gateway's answer has no end")
}

func splice(a, b net.Conn) {
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(way[0], way[1]) // however it ends, it ends
			done <- struct{}{}
		}()
	}
	<-done
	_, _ = a.Close(), b.Close()
	<-done
}

// cut ends all legs at once, as a lost network does.
func (d *desk) cut() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.legs {
		_ = c.Close()
		delete(d.legs, c)
		n++
	}
	return n
}

// Connected implements deskyard.Brokerage.
func (d *desk) Connected(_ context.Context, id string, _ []deskyard.ConnectionStage) error {
	return d.change(id, func(c *deskyard.Connection) { c.State = deskyard.ConnectionConnected })
}

// Ended implements deskyard.Brokerage. A leg that was cut is a failure, as in package connect.
func (d *desk) Ended(_ context.Context, e deskyard.ConnectionEnd) error {
	d.mu.Lock()
	d.ended = e.Reason
	d.mu.Unlock()
	return d.change(e.Connection, func(c *deskyard.Connection) {
		c.State, c.Ended, c.Traffic = deskyard.ConnectionCompleted, e.At, e.Traffic
		if e.Reason != "client closed" {
			c.Failure = &deskyard.ConnectionFailure{Symbol: connect.NetworkDisconnect, Code: 14, Message: "The connection broke: " + e.Reason, Retry: time.Second}
		}
	})
}

// fail has every wish answered with err, or with a desktop again where it is nil.
func (d *desk) fail(err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = err
	return true
}

func (d *desk) record(id string) deskyard.Connection {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.records[id]
}

func (d *desk) change(id string, f func(*deskyard.Connection)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.records[id]
	f(&c)
	d.records[id] = c
	return nil
}

func randomName() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return "dy" + hex.EncodeToString(b)
}

// Relaying implements deskyard.Brokerage.
func (d *desk) Relaying(context.Context, deskyard.RelayReport) error { return nil }
