package agentapi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/agent"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/sxs"
)

// eventually polls a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

// machine is a whole session host: its disk, and a real agent when it runs.
type machine struct {
	t      testing.TB
	d      *door
	dir    string
	about  deskyard.Machine
	stack  *desk
	log    *lockedBuffer
	loader *shelf // nil: no boot loader

	mu      sync.Mutex         // guards what follows
	around  agent.Surroundings // as checks were told last
	failing string             // name of a check that fails
	halting bool
	now     func() time.Time

	stop context.CancelFunc
	done chan struct{}
}

// desk is a stack with one session, which keeps the commands that it was given.
type desk struct {
	mu      sync.Mutex // guards what follows
	done    []deskyard.Command
	dialled []sxs.Dial
	news    sxs.News
}

func (s *desk) Status(context.Context) (agent.StackStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return agent.StackStatus{Version: "1.0.0", Listening: true, Encrypted: true, News: s.news, SessionsKnown: true, Sessions: []deskyard.UserSession{
		{ID: 1, Native: "c1", ObjectID: "6f0c1b6e-0000-0000-0000-000000000001", User: "ada", State: "Active"},
	}}, nil
}

func (s *desk) Dial(_ context.Context, d sxs.Dial) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialled = append(s.dialled, d)
	return nil
}

func (s *desk) Do(_ context.Context, c deskyard.Command) error {
	if c.Session != "c1" {
		return errors.New("no session " + c.Session)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, c)
	return nil
}

type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (d *door) machine(name string) *machine {
	return &machine{t: d.t, d: d, dir: d.t.TempDir(), about: newGuest(name).machine, stack: &desk{}, log: &lockedBuffer{}, now: time.Now}
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) giveKey(tok string) {
	m.t.Helper()
	if err := os.WriteFile(m.path("key"), []byte(tok+"\n"), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) state() agent.State {
	m.t.Helper()
	st, err := agent.ReadState(m.path("agent.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	return st
}

func (m *machine) setFailing(check string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = check
}

// boot starts the machine's agent.
func (m *machine) boot() {
	m.t.Helper()
	look := func(name string) func(context.Context, agent.Surroundings) agent.Finding {
		return func(_ context.Context, s agent.Surroundings) agent.Finding {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.around = s
			return agent.Finding{Failed: m.failing == name, Message: "as the test wants"}
		}
	}
	o := agent.Options{
		StateFile: m.path("agent.json"), KeyFile: m.path("key"), StatusFile: m.path("status.json"), Version: "1.0.0",
		Machine:  func(context.Context) (deskyard.Machine, error) { return m.about, nil },
		Checks:   []agent.Check{{Name: deskyard.CheckSxSListener, Look: look(deskyard.CheckSxSListener)}, {Name: deskyard.CheckURLs, Look: look(deskyard.CheckURLs)}},
		Stack:    m.stack,
		Stopping: func(context.Context) bool { m.mu.Lock(); defer m.mu.Unlock(); return m.halting },
		Log:      slog.New(slog.NewTextHandler(io.MultiWriter(m.log, logTo{m.t}), nil)), Now: m.now,
	}
	if m.loader != nil {
		o.Loader = m.loader
	}
	a, err := agent.New(o)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop, m.done = cancel, make(chan struct{})
	go func() {
		defer close(m.done)
		if err := a.Run(ctx); err != nil {
			m.t.Errorf("agent: %v", err)
		}
	}()
	done := m.done
	m.t.Cleanup(func() { cancel(); <-done })
}

// halt ends the agent: with the whole machine, or alone.
func (m *machine) halt(wholeMachine bool) {
	m.mu.Lock()
	m.halting = wholeMachine
	m.mu.Unlock()
	m.stop()
	<-m.done
}

// status is what the management API would say of the machine's host.
func (m *machine) status() string {
	id := m.state().HostID
	if id == "" {
		return "not registered"
	}
	h := m.d.host(id)
	if r, ok := m.d.Report(id); ok {
		h.Report = r
	}
	s, _ := h.Status(m.d.Lease(id), m.d.clock.now())
	return s
}

func (m *machine) wantStatus(want string) {
	m.t.Helper()
	eventually(m.t, "status "+want, func() bool { return m.status() == want })
}

func (m *machine) wantLog(text string) {
	m.t.Helper()
	eventually(m.t, "the agent logs "+text, func() bool { return strings.Contains(m.log.String(), text) })
}

// join gives a machine that is Available in a new pool.
func join(d *door, name string) *machine {
	d.t.Helper()
	_, tok := d.key(d.pool("hp-"+name, nil), deskyard.KeyLimits{})
	m := d.machine(name)
	m.giveKey(tok)
	m.boot()
	m.wantStatus(deskyard.StatusAvailable)
	return m
}

func TestAMachineGoesFromAKeyToAvailableAndErasesTheKey(t *testing.T) {
	d := openDoor(t)
	m := join(d, "vm-1")
	if _, err := os.Stat(m.path("key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key is still there: %v", err)
	}
	st, err := os.Stat(m.path("agent.json"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("state file: %v, %v", st.Mode(), err)
	}
	id := m.state().HostID
	eventually(t, "the report is stored", func() bool { h := d.host(id); return h.EverOnline && len(h.Report.Sessions) == 1 && h.Epoch != "" })
	s, err := agent.ReadStatus(m.path("status.json"))
	if err != nil || s.State != agent.StateLinked || s.Host != d.host(id).ID.String() {
		t.Errorf("status file: %+v, %v", s, err)
	}
	eventually(t, "a heartbeat brings a round trip", func() bool { return d.Lease(id).RTT > 0 || d.Lease(id).Connected })

	m.halt(false)
	m.wantStatus(deskyard.StatusUnavailable)
	m.boot() // without a key
	m.wantStatus(deskyard.StatusAvailable)
}

func TestChecksDecideTheStatus(t *testing.T) {
	d := openDoor(t)
	m := join(d, "vm-1")
	id := m.state().HostID
	m.setFailing(deskyard.CheckSxSListener)
	if err := d.Do(t.Context(), id, deskyard.Command{Verb: "check"}); err != nil {
		t.Fatal(err)
	}
	m.wantStatus(deskyard.StatusUnavailable)
	m.setFailing(deskyard.CheckURLs)
	if err := d.Do(t.Context(), id, deskyard.Command{Verb: "check"}); err != nil {
		t.Fatal(err)
	}
	m.wantStatus(deskyard.StatusNeedsAssistance)
}

func TestAShutdownSaysShutdown(t *testing.T) {
	d := openDoor(t)
	m := join(d, "vm-1")
	m.halt(true)
	m.wantStatus(deskyard.StatusShutdown)
	m.boot()
	m.wantStatus(deskyard.StatusAvailable)
}

func TestCommandsReachTheSessionAndTheirErrorsComeBack(t *testing.T) {
	d := openDoor(t)
	m := join(d, "vm-1")
	id := m.state().HostID
	if err := d.Do(t.Context(), id, deskyard.Command{Verb: "message", Session: "c1", Title: "Hi", Body: "there"}); err != nil {
		t.Fatal(err)
	}
	if len(m.stack.done) != 1 || m.stack.done[0].Body != "there" {
		t.Fatalf("the stack was told %+v", m.stack.done)
	}
	var e *arm.Error
	if err := d.Do(t.Context(), id, deskyard.Command{Verb: "logoff", Session: "c9"}); !errors.As(err, &e) || e.Code != "SessionHostCommandFailed" || !strings.Contains(e.Message, "no session c9") {
		t.Errorf("a command for a session that is not there: %v", err)
	}
	if err := d.Do(t.Context(), id, deskyard.Command{Verb: "fly"}); !errors.As(err, &e) || e.Code != "SessionHostCommandFailed" {
		t.Errorf("an unknown command: %v", err)
	}
	if err := d.Do(t.Context(), uuid.NewString(), deskyard.Command{Verb: "check"}); !errors.Is(err, deskyard.ErrHostUnreachable) {
		t.Errorf("a host without a link: %v", err)
	}
}

func TestADialIsSignedByTheHostForItsStack(t *testing.T) {
	d := openDoor(t)
	m := join(d, "vm-1")
	id := m.state().HostID
	order := reverse.DialBack{Leg: strings.Repeat("ab", 16), URLs: []string{"https://gw.test"},
		Grant: &reverse.Grant{User: "ann@desk.test", Object: uuid.NewString(), Secret: make([]byte, 32), Seconds: 60}}
	dialled, err := d.Dial(t.Context(), id, order)
	if err != nil {
		t.Fatal(err)
	}
	if dialled.Account != "" || !strings.Contains(dialled.SignOn, "one-time") {
		t.Errorf("a machine without our sign-on answers %+v", dialled)
	}
	h, err := d.db.SessionHostByObjectID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	got := m.stack.dialled[0]
	if got.ID != order.Leg || got.Host != id || got.URLs[0] != "https://gw.test" || !ed25519.Verify(h.PublicKey, reverse.LegProof(id, order.Leg), got.Proof) {
		t.Errorf("the stack was told %+v", got)
	}
	order.Leg = "x"
	if _, err := d.Dial(t.Context(), id, order); err == nil || len(m.stack.dialled) != 1 {
		t.Errorf("an order of no form was carried out: %v", err)
	}
}

// What the stack saw of connections reaches the service, also that a stack was killed,
// which only the agent can tell; and checks hear of the gateway that clients are sent to.
func TestWhatBecameOfConnectionsIsToldOverTheLink(t *testing.T) {
	const elsewhere = "https://gw.example:8443"
	d := openDoor(t, func(o *Options) { o.GatewayURIs = []string{elsewhere} })
	told := make(chan string, 8)
	d.OnConnections(func(host string, s reverse.Seen) {
		told <- host + " " + s.Connection[35:] + " " + s.What + " " + s.Cause
	})
	connection := func(n string) string { return "00000000-0000-4000-8000-00000000000" + n }
	_, tok := d.key(d.pool("hp-vm-1", nil), deskyard.KeyLimits{})
	m := d.machine("vm-1")
	m.stack.news = sxs.News{Stack: "1", Open: []string{connection("1"), connection("2")}, Events: []sxs.Event{
		{Number: 1, Seen: reverse.Seen{Connection: connection("2"), What: reverse.SeenSignedIn}}, {Number: 2, Seen: reverse.Seen{Connection: connection("3"), What: sxs.SeenClosed}}}}
	m.giveKey(tok)
	m.boot()
	m.wantStatus(deskyard.StatusAvailable)
	id := m.state().HostID
	if got, want := <-told, id+" 2 signedIn "; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	m.stack.mu.Lock()
	m.stack.news = sxs.News{Stack: "2", Open: []string{connection("2")}}
	m.stack.mu.Unlock()
	if got, want := <-told, id+" 1 lost the stack"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Equal(m.around.Gateways, []string{elsewhere}) {
		t.Errorf("checks were told of the gateways %q", m.around.Gateways)
	}
}

// A machine that loses power says nothing and closes nothing.
func TestASilentMachineIsUnavailableWithinFifteenSeconds(t *testing.T) {
	d := openDoor(t)
	cable := plugIn(t, d.http.Listener.Addr().String())
	d.minter.BrokerURIs = []string{"https://" + cable.addr}
	d.o.BrokerURIs = d.minter.BrokerURIs
	m := join(d, "vm-1")
	id := m.state().HostID
	cable.pull()
	beat := d.Lease(id).Heartbeat
	d.clock.advance(time.Until(beat) + deskyard.LeaseFor + time.Second)
	if d.clock.now().Sub(beat) > 15*time.Second {
		t.Fatal("the test waits longer than the promise")
	}
	if s := m.status(); s != deskyard.StatusUnavailable {
		t.Fatalf("15 s after its last heartbeat the host is %s", s)
	}
}

// cable forwards connections until it is pulled; then nothing passes and nothing is closed.
type cable struct {
	addr   string
	pulled chan struct{}
}

func (c *cable) pull() { close(c.pulled) }

func plugIn(t *testing.T, to string) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{addr: l.Addr().String(), pulled: make(chan struct{})}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	forward := func(dst, src net.Conn) {
		b := make([]byte, 32<<10)
		for {
			n, err := src.Read(b)
			select {
			case <-c.pulled:
				return
			default:
			}
			if n > 0 {
				if _, werr := dst.Write(b[:n]); werr != nil {
					err = werr
				}
			}
			if err != nil {
				dst.Close()
				return
			}
		}
	}
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			wg.Go(func() { forward(out, in) })
			wg.Go(func() { forward(in, out) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, x := range conns {
			x.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return c
}

func TestARemovedHostAndARevokedOneAreRefused(t *testing.T) {
	d := openDoor(t)
	m := join(d, "vm-1")
	id := m.state().HostID
	edit := func(f func(context.Context, deskyard.Tx, deskyard.SessionHost) error) {
		t.Helper()
		err := d.db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
			h, err := tx.SessionHostByObjectID(ctx, id)
			if err != nil {
				return err
			}
			return f(ctx, tx, h)
		})
		if err != nil {
			t.Fatal(err)
		}
		d.Drop(id, "test")
		m.halt(false)
		m.boot()
	}
	edit(func(ctx context.Context, tx deskyard.Tx, h deskyard.SessionHost) error {
		h.RevokedAt, h.RevokedReason = time.Now(), "lost laptop"
		_, err := tx.PutSessionHost(ctx, h)
		return err
	})
	m.wantLog("HostRevoked")
	m.wantStatus(deskyard.StatusUnavailable)
	edit(func(ctx context.Context, tx deskyard.Tx, h deskyard.SessionHost) error {
		return tx.DeleteSessionHost(ctx, h.ID)
	})
	m.wantLog("HostUnknown")
}

func TestARemovedHostComesBackWithANewKey(t *testing.T) {
	d := openDoor(t)
	m := join(d, "vm-1")
	h := d.host(m.state().HostID)
	if err := d.db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteSessionHost(ctx, h.ID) }); err != nil {
		t.Fatal(err)
	}
	d.Drop(h.ObjectID, "removed")
	pool, err := d.db.Resource(t.Context(), h.ID.Parent())
	if err != nil {
		t.Fatal(err)
	}
	_, tok := d.key(pool, deskyard.KeyLimits{})
	m.giveKey(tok)
	eventually(t, "a new record", func() bool { return m.state().HostID != h.ObjectID })
	m.wantStatus(deskyard.StatusAvailable)
}

func TestACopyOfADiskIsRefusedWhileTheOriginalLives(t *testing.T) {
	d := openDoor(t)
	m := join(d, "vm-1")
	id := m.state().HostID
	eventually(t, "the epoch is confirmed", func() bool { return d.host(id).NextEpoch == "" })
	copied := d.machine("vm-1")
	copied.about = m.about
	copied.about.SMBIOSID = uuid.NewString()
	disk, err := os.ReadFile(m.path("agent.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied.path("agent.json"), disk, 0o600); err != nil {
		t.Fatal(err)
	}
	copied.boot()
	copied.wantLog(reverse.RefusedClone)
	if h := d.host(id); !strings.Contains(h.Refused, copied.about.SMBIOSID) {
		t.Errorf("the record says %q", h.Refused)
	}
	if !slices.ContainsFunc(d.audited(linkAction), func(e deskyard.AuditEvent) bool { return e.Code == reverse.RefusedClone }) {
		t.Error("not audited")
	}
	m.wantStatus(deskyard.StatusAvailable)
}

func TestARestoredSnapshotIsAdmittedAndAudited(t *testing.T) {
	d := openDoor(t)
	m := join(d, "vm-1")
	disk, err := os.ReadFile(m.path("agent.json"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // two links later the snapshot's epoch has passed
		m.halt(false)
		before := m.state().Epoch
		m.boot()
		eventually(t, "a new epoch", func() bool { return m.state().Epoch != before })
	}
	m.halt(false)
	if err := os.WriteFile(m.path("agent.json"), disk, 0o600); err != nil {
		t.Fatal(err)
	}
	m.boot()
	eventually(t, "an audit line", func() bool {
		return slices.ContainsFunc(d.audited(linkAction), func(e deskyard.AuditEvent) bool { return strings.Contains(e.Detail, "snapshot") && e.Status == 200 })
	})
	m.wantStatus(deskyard.StatusAvailable)
}

func TestAClockTenYearsOffStillLinks(t *testing.T) {
	for _, years := range []int{-10, 10} {
		d := openDoor(t)
		m := d.machine("vm-1")
		m.now = func() time.Time { return time.Now().AddDate(years, 0, 0) }
		_, tok := d.key(d.pool("hp", nil), deskyard.KeyLimits{})
		m.giveKey(tok)
		m.boot()
		m.wantStatus(deskyard.StatusAvailable)
	}
}

func TestAnAgentRefusesAServiceWithAnotherCA(t *testing.T) {
	d, other := openDoor(t), openDoor(t)
	d.minter.BrokerURIs = []string{other.http.URL}
	_, tok := d.key(d.pool("hp", nil), deskyard.KeyLimits{})
	m := d.machine("vm-1")
	m.giveKey(tok)
	m.boot()
	m.wantLog(reverse.ErrWrongCA.Error())
	m.wantLog(d.minter.CAPin)
	m.wantLog(other.minter.CAPin)
	if _, err := os.Stat(m.path("key")); err != nil {
		t.Errorf("the key was erased though nobody took it: %v", err)
	}
}

func TestAnExpiredKeyIsNamedByTheAgent(t *testing.T) {
	d := openDoor(t)
	_, tok := d.key(d.pool("hp", nil), deskyard.KeyLimits{})
	d.clock.advance(3 * time.Hour)
	m := d.machine("vm-1")
	m.now = d.clock.now
	m.giveKey(tok)
	m.boot()
	m.wantLog("registration key expired by this machine's clock")
	m.wantLog("EXPIRED_REGISTRATION_TOKEN")
	s, err := agent.ReadStatus(m.path("status.json"))
	if err != nil || s.Registered || !strings.Contains(s.Why, "EXPIRED_REGISTRATION_TOKEN") {
		t.Errorf("status: %+v, %v", s, err)
	}
}

func TestAStoppingServiceTellsItsAgentsWhenToReturn(t *testing.T) {
	d := openDoor(t)
	m := join(d, "vm-1")
	if err := d.Server.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.wantLog("The service is stopping.")
	if h := d.host(m.state().HostID); h.LastSeen.IsZero() || time.Since(h.LastSeen) > time.Minute {
		t.Errorf("last seen %v", h.LastSeen)
	}
}
