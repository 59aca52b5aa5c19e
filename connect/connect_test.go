package connect_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/broker"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/reverse"
)

func depthFirst(p *deskyard.HostPool) { p.LoadBalancerType = "DepthFirst" }
func startsVMs(p *deskyard.HostPool)  { on := true; p.StartVMOnConnect = &on }
func personal(p *deskyard.HostPool) {
	automatic := "Automatic"
	p.HostPoolType, p.LoadBalancerType, p.PersonalDesktopAssignmentType = "Personal", "Persistent", &automatic
}

// wantFailure is the refusal with a symbol.
func wantFailure(t testing.TB, err error, symbol string) *deskyard.ConnectionFailure {
	t.Helper()
	var f *deskyard.ConnectionFailure
	if !errors.As(err, &f) || f.Symbol != symbol {
		t.Fatalf("got %v, want %s", err, symbol)
	}
	if f.Code == 0 || !strings.HasSuffix(f.Message, ".") {
		t.Errorf("code %d, message %q", f.Code, f.Message)
	}
	return f
}

func TestAUserIsBroughtToADesktopAndTheRecordTellsHow(t *testing.T) {
	y := newYard(t, 3)
	started := y.mustConnect("ann")
	if started.Host != "h00000" || started.Resource.Name != deskyard.SessionDesktop {
		t.Fatalf("started %+v", started)
	}
	if got := y.slots(y.hosts[0]); got != "ann Pending" {
		t.Fatalf("slots: %s", got)
	}
	a, err := y.admit(started.Ticket)
	if err != nil {
		t.Fatal(err)
	}
	grant := y.dialled[0].Grant
	if a.SignOn == nil || a.SignOn.Account != "acc" || grant == nil || sha256.Sum256([]byte(a.SignOn.Password)) != [32]byte(grant.Secret) || len(a.SignOn.Password) < 43 {
		t.Fatalf("sign-on %v for grant %+v", a.SignOn, grant)
	}
	if strings.Contains(fmt.Sprint(a), a.SignOn.Password) {
		t.Error("an admission prints its password")
	}
	if a.HostID != y.hosts[0] || a.User != "ann@example.org" || a.Certificate[0] != 0xab || len(a.HostKey) != 32 {
		t.Fatalf("admission %+v", a)
	}
	ctx := t.Context()
	stages := []deskyard.ConnectionStage{{Name: "negotiate", Took: time.Second}}
	for range 2 { // a gateway may say it twice
		if err := y.s.Connected(ctx, a.Connection, stages); err != nil {
			t.Fatal(err)
		}
	}
	y.report(y.hosts[0], "ann@example.org")
	if got := y.slots(y.hosts[0]); got != "ann Active" {
		t.Fatalf("slots: %s", got)
	}
	end := deskyard.ConnectionEnd{Connection: a.Connection, Reason: "client closed", Traffic: deskyard.Traffic{FromHost: 5}, At: y.now()}
	for range 2 {
		if err := y.s.Ended(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	c := y.connection(started.Connection)
	if c.State != deskyard.ConnectionCompleted || c.Failure != nil || c.Traffic.FromHost != 5 || c.Gateway != "gw" || c.Client.Address != "192.0.2.1" {
		t.Fatalf("record %+v", c)
	}
	var names []string
	for _, s := range c.Stages {
		names = append(names, s.Name)
	}
	if d := cmp.Diff([]string{"decide", "reverse-connect", "negotiate"}, names); d != "" {
		t.Error(d)
	}
	if c.Decision.Considered != 3 || len(c.Decision.Candidates) != 3 || c.Decision.Candidates[1].Passed == "" {
		t.Errorf("decision %+v", c.Decision)
	}
	// The session stays, disconnected; the user comes back to it.
	if again := y.mustConnect("ann"); again.Host != started.Host || y.connection(again.Connection).Decision.Rule != broker.RuleExisting {
		t.Errorf("came back to %s", again.Host)
	}
}

func TestATicketWorksOnceAndForItsTimeAndConnectionOnly(t *testing.T) {
	y := newYard(t, 2)
	used := y.mustConnect("ann").Ticket
	if _, err := y.admit(used); err != nil {
		t.Fatal(err)
	}
	_, err := y.admit(used)
	wantFailure(t, err, connect.TicketInvalid)

	late := y.mustConnect("bob").Ticket
	y.pass(31 * time.Second)
	_, err = y.admit(late)
	wantFailure(t, err, connect.TicketInvalid)

	fresh := y.mustConnect("cid").Ticket
	text, proof, _ := strings.Cut(fresh, ".")
	other, otherProof, _ := strings.Cut(y.mustConnect("dan").Ticket, ".")
	for _, forged := range []string{"", ".", fresh + "A", text + "." + otherProof, other + "." + proof, text, strings.Repeat("A", 5000), text[:len(text)-2] + "." + proof} {
		_, err = y.admit(forged)
		wantFailure(t, err, connect.TicketInvalid)
	}
	y.open() // a restart does not forget what was used, nor what was not
	_, err = y.admit(used)
	wantFailure(t, err, connect.TicketInvalid)
	if _, err := y.admit(fresh); err != nil {
		t.Fatal(err)
	}
}

func TestATicketShownTwiceAtOnceAdmitsOnce(t *testing.T) {
	y := newYard(t, 1)
	ticket := y.mustConnect("ann").Ticket
	var wg sync.WaitGroup
	admitted := make(chan bool, 10)
	for range cap(admitted) {
		wg.Go(func() {
			if _, err := y.admit(ticket); err == nil {
				admitted <- true
			}
		})
	}
	wg.Wait()
	if len(admitted) != 1 {
		t.Fatalf("%d admissions", len(admitted))
	}
}

func TestAUserWithoutTheRightGetsNothing(t *testing.T) {
	y := newYard(t, 1)
	stranger := user("eve")
	stranger.Groups = nil
	ctx := t.Context()
	started, err := y.s.Connect(ctx, stranger, y.desktop, connect.Ask{Door: deskyard.DoorWeb})
	wantFailure(t, err, connect.NotAuthorized)
	if c := y.connection(started.Connection); c.State != deskyard.ConnectionFailed || c.Failure.Symbol != connect.NotAuthorized {
		t.Errorf("record %+v", c)
	}
	_, err = y.s.Connect(ctx, user("ann"), y.desktop.Parent().Child("desktops", "other"), connect.Ask{})
	wantFailure(t, err, connect.NotAuthorized)
	_, err = y.s.Connect(ctx, user("ann"), y.pool, connect.Ask{})
	wantFailure(t, err, connect.NotAuthorized)
	if w, err := y.s.Resources(ctx, stranger); err != nil || len(w) != 0 {
		t.Errorf("a stranger sees %v, %v", w, err)
	}
	// A person who left the directory holds a ticket for half a minute and cannot use it.
	ticket := y.mustConnect("ann").Ticket
	y.mu.Lock()
	y.gone["ann"] = true
	y.mu.Unlock()
	_, err = y.admit(ticket)
	wantFailure(t, err, connect.NotAuthorized)
}

func TestAFileTicketIsDecidedAnewEachTimeItIsUsed(t *testing.T) {
	y := newYard(t, 2)
	ticket, expires := y.s.FileTicket(user("ann"), y.desktop)
	first, err := y.admit(ticket)
	if err != nil {
		t.Fatal(err)
	}
	second, err := y.admit(ticket)
	if err != nil {
		t.Fatal(err)
	}
	if first.Connection == second.Connection || first.HostID != second.HostID {
		t.Errorf("connections %s, %s on hosts %s, %s", first.Connection, second.Connection, first.HostID, second.HostID)
	}
	y.mu.Lock()
	y.gone["ann"] = true
	y.mu.Unlock()
	_, err = y.admit(ticket)
	wantFailure(t, err, connect.NotAuthorized)
	y.pass(expires.Sub(y.now()))
	_, err = y.admit(ticket)
	wantFailure(t, err, connect.TicketInvalid)
}

func TestAPersonalDesktopIsAssignedToItsFirstUserForGood(t *testing.T) {
	y := newYard(t, 3, personal)
	var wg sync.WaitGroup
	got := make([]string, 3)
	for i := range got {
		wg.Go(func() {
			s, err := y.connect(fmt.Sprint("user", i))
			if err != nil {
				t.Error(err)
			}
			got[i] = s.Host
		})
	}
	wg.Wait()
	if got[0] == got[1] || got[1] == got[2] || got[0] == got[2] {
		t.Fatalf("two users have one desktop: %v", got)
	}
	_, err := y.connect("late")
	wantFailure(t, err, broker.NoHealthyHost)
	y.open()
	for i := range got {
		h, err := y.db.SessionHost(t.Context(), y.pool.Child("sessionHosts", got[i]))
		if err != nil || h.AssignedUser != fmt.Sprintf("user%d@example.org", i) {
			t.Errorf("%s is assigned to %q, %v", got[i], h.AssignedUser, err)
		}
		if s := y.mustConnect(fmt.Sprint("user", i)); s.Host != got[i] {
			t.Errorf("user%d came to %s, not %s", i, s.Host, got[i])
		}
	}
}

func TestAChangedHostIsSeenByTheNextDecision(t *testing.T) {
	y := newYard(t, 2)
	if s := y.mustConnect("ann"); s.Host != "h00000" {
		t.Fatal(s.Host)
	}
	y.alter(y.hosts[1], func(h *deskyard.SessionHost) { h.AllowNewSession = false })
	if s := y.mustConnect("bob"); s.Host != "h00000" {
		t.Errorf("a draining host was given bob: %s", s.Host)
	}
	y.alter(y.hosts[1], func(h *deskyard.SessionHost) { h.AllowNewSession = true })
	if s := y.mustConnect("cid"); s.Host != "h00001" {
		t.Errorf("cid is on %s", s.Host)
	}
	y.addHost("a-new")
	if s := y.mustConnect("dan"); s.Host != "a-new" {
		t.Errorf("dan is on %s", s.Host)
	}
	y.mu.Lock()
	y.down[y.hosts[2]] = true // it dies without a word
	y.mu.Unlock()
	if s := y.mustConnect("eve"); s.Host != "h00001" {
		t.Errorf("eve is on %s", s.Host)
	}
	_, err := y.connect("dan")
	wantFailure(t, err, broker.SessionHostUnfit)
	y.write(func(ctx context.Context, tx deskyard.Tx) error {
		return tx.DeleteSessionHost(ctx, y.pool.Child("sessionHosts", "a-new"))
	})
	if s := y.mustConnect("dan"); s.Host != "h00000" && s.Host != "h00001" {
		t.Errorf("dan is on %s", s.Host)
	}
	depth := deskyard.Integer(5)
	p := &deskyard.HostPool{HostPoolType: "Pooled", LoadBalancerType: "DepthFirst", MaxSessionLimit: &depth}
	y.put(y.pool, p)
	s1, s2 := y.mustConnect("f1"), y.mustConnect("f2")
	if s1.Host != s2.Host {
		t.Errorf("depth-first gave %s and %s", s1.Host, s2.Host)
	}
}

func TestAHostThatDoesNotDialBackCostsNoPlace(t *testing.T) {
	y := newYard(t, 1)
	started := y.mustConnect("ann")
	y.dial = func(string, reverse.DialBack) (reverse.Dialled, error) {
		return reverse.Dialled{}, errors.New("no route")
	}
	_, err := y.admit(started.Ticket)
	f := wantFailure(t, err, connect.ReverseConnect)
	if f.Code != 24 || f.Retry == 0 {
		t.Errorf("failure %+v", f)
	}
	if c := y.connection(started.Connection); c.State != deskyard.ConnectionFailed || c.Failure.Symbol != connect.ReverseConnect {
		t.Errorf("record %+v", c)
	}
	if got := y.slots(y.hosts[0]); got != "" {
		t.Errorf("slots: %s", got)
	}
}

func TestAPoweredOffMachineIsStartedOnce(t *testing.T) {
	y := newYard(t, 2, startsVMs)
	for i, id := range y.hosts {
		y.down[id] = true
		y.power[fmt.Sprintf("h%05d", i)] = "deallocated"
	}
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			_, err := y.connect(fmt.Sprint("u", i))
			var f *deskyard.ConnectionFailure
			if !errors.As(err, &f) || f.Symbol != broker.Deallocated || f.Retry == 0 {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if len(y.ordered) != 1 || y.ordered[0].Verb != deskyard.JobStart || y.ordered[0].ID.Name() != "h00000" {
		t.Fatalf("ordered %+v", y.ordered)
	}
	y.power["h00000"] = "running" // it boots
	y.pass(15 * time.Second)
	_, err := y.connect("u0")
	wantFailure(t, err, broker.Deallocated)
	y.pass(15 * time.Second)
	y.mu.Lock()
	delete(y.down, y.hosts[0])
	y.silent[y.hosts[0]] = true // its agent is there, and has not said yet that all is well
	y.mu.Unlock()
	_, err = y.connect("u0")
	wantFailure(t, err, broker.Deallocated)
	y.pass(2 * time.Second)
	y.mu.Lock()
	delete(y.silent, y.hosts[0])
	y.mu.Unlock()
	if s := y.mustConnect("u0"); s.Host != "h00000" || len(y.ordered) != 1 {
		t.Errorf("on %s after %d starts", s.Host, len(y.ordered))
	}
}

func TestAPoolClosedToClientsTakesNone(t *testing.T) {
	y := newYard(t, 1, func(p *deskyard.HostPool) { only := "EnabledForSessionHostsOnly"; p.PublicNetworkAccess = &only })
	_, err := y.connect("ann")
	wantFailure(t, err, connect.NetworkAccess)
}

func TestWhatOthersSayIsStoredWithinBounds(t *testing.T) {
	y := newYard(t, 1)
	long := strings.Repeat("ä", 5000)
	started, err := y.s.Connect(t.Context(), user("ann"), y.desktop, connect.Ask{Door: deskyard.DoorWeb, Client: deskyard.ClientInfo{Name: long, Type: long}})
	if err != nil {
		t.Fatal(err)
	}
	if err := y.s.Ended(t.Context(), deskyard.ConnectionEnd{Connection: started.Connection, Reason: long, Stages: make([]deskyard.ConnectionStage, 9999)}); err != nil {
		t.Fatal(err)
	}
	c := y.connection(started.Connection)
	if len(c.Client.Name) > 256 || !strings.HasPrefix(long, c.Client.Name) || len(c.Failure.Message) > 400 || len(c.Stages) > 40 || !c.Ended.Equal(y.now()) {
		t.Errorf("stored %d, %d, %d", len(c.Client.Name), len(c.Failure.Message), len(c.Stages))
	}
}

// stopped are relays that note what they were told to end.
type stopped []string

func (s *stopped) Disconnect(connection, reason string) bool {
	*s = append(*s, connection+" "+reason)
	return true
}

func TestReleasingAPlaceEndsItsRelay(t *testing.T) {
	y := newYard(t, 1)
	var relays stopped
	y.s.Use(&relays)
	a, err := y.admit(y.mustConnect("ann").Ticket)
	if err != nil {
		t.Fatal(err)
	}
	if err := y.s.Connected(t.Context(), a.Connection, nil); err != nil {
		t.Fatal(err)
	}
	y.pass(4 * time.Minute) // at the host's sign-in page
	if err := y.s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := y.slots(y.hosts[0]); got != "ann Pending" {
		t.Fatalf("slots while the user signs in: %s", got)
	}
	if err := y.s.Release(t.Context(), y.hosts[0], "ANN@example.org"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(stopped{a.Connection + " administrator"}, relays); d != "" || y.slots(y.hosts[0]) != "" {
		t.Errorf("%s; slots %s", d, y.slots(y.hosts[0]))
	}
}

func TestANativeClientWaitsForItsMachine(t *testing.T) {
	y := newYard(t, 1, startsVMs)
	y.s.PollEvery(time.Millisecond)
	y.down[y.hosts[0]], y.power["h00000"] = true, "deallocated"
	ticket, _ := y.s.FileTicket(user("ann"), y.desktop)
	admitted := make(chan error, 1)
	go func() {
		_, err := y.admit(ticket)
		admitted <- err
	}()
	for started := false; !started; {
		select {
		case err := <-admitted:
			t.Fatalf("it did not wait: %v", err)
		case <-time.After(time.Millisecond):
		}
		y.mu.Lock()
		started = len(y.ordered) > 0
		y.mu.Unlock()
	}
	y.mu.Lock()
	delete(y.down, y.hosts[0]) // it is up
	y.mu.Unlock()
	if err := <-admitted; err != nil {
		t.Fatal(err)
	}
	page, err := y.s.Connections(t.Context(), deskyard.ConnectionQuery{User: "ann@example.org"})
	if err != nil || len(page.Items) != 2 {
		t.Errorf("%d records of one wait, %v", len(page.Items), err)
	}
}

func TestATicketMustAgreeWithItsConnection(t *testing.T) {
	y := newYard(t, 2)
	started := y.mustConnect("ann")
	ann, bob := user("ann").ObjectID, user("bob").ObjectID
	exp := y.now().Unix() + 30
	for name, ticket := range map[string]string{
		"another's":         fmt.Sprintf(`{"for":"connection","user":%q,"connection":%q,"host":%q,"exp":%d}`, bob, started.Connection, y.hosts[0], exp),
		"to another host":   fmt.Sprintf(`{"for":"connection","user":%q,"connection":%q,"host":%q,"exp":%d}`, ann, started.Connection, y.hosts[1], exp),
		"of no connection":  fmt.Sprintf(`{"for":"connection","user":%q,"connection":"none","host":%q,"exp":%d}`, ann, y.hosts[0], exp),
		"for nothing":       fmt.Sprintf(`{"for":"","user":%q,"exp":%d}`, ann, exp),
		"to no resource":    fmt.Sprintf(`{"for":"file","user":%q,"resource":"","exp":%d}`, ann, exp),
		"without an expiry": fmt.Sprintf(`{"for":"connection","user":%q,"connection":%q,"host":%q}`, ann, started.Connection, y.hosts[0]),
	} {
		if _, err := y.admit(y.s.Ticket(ticket)); err == nil {
			t.Errorf("a ticket %s was taken", name)
		} else if f := new(deskyard.ConnectionFailure); !errors.As(err, &f) || f.Symbol != connect.TicketInvalid {
			t.Errorf("a ticket %s: %v", name, err)
		}
	}
	// None of these burnt the true one.
	if _, err := y.admit(y.s.Ticket(fmt.Sprintf(`{"for":"connection","user":%q,"connection":%q,"host":%q,"exp":%d}`, ann, started.Connection, y.hosts[0], exp))); err != nil {
		t.Fatal(err)
	}
}

// TestALargePoolRefusesOnWhatItsHostsAreLike fills a pool beyond what is looked at whole
// for each refusal.
func TestALargePoolRefusesOnWhatItsHostsAreLike(t *testing.T) {
	y := newYard(t, 600, limited(1))
	y.mu.Lock()
	for _, h := range y.hosts {
		y.down[h] = true
	}
	y.mu.Unlock()
	_, err := y.connect("ann")
	if f := wantFailure(t, err, broker.NoHealthyHost); !strings.Contains(f.Message, "None of the 600 session hosts is in service") {
		t.Error(f.Message)
	}
	y.mu.Lock()
	delete(y.down, y.hosts[599]) // it is heard again, and nobody tells
	y.mu.Unlock()
	y.pass(time.Second)
	if s := y.mustConnect("ann"); s.Host != "h00599" {
		t.Errorf("ann is on %s", s.Host)
	}
	s, err := y.connect("bob")
	if f := wantFailure(t, err, broker.NoHealthyHost); !strings.Contains(f.Message, "All 1 session hosts that are up have reached their session limit") {
		t.Error(f.Message)
	}
	if d := y.connection(s.Connection).Decision; d.Considered != 600 || len(d.Candidates) != deskyard.MaxCandidates {
		t.Errorf("the record names %d of %d hosts", len(d.Candidates), d.Considered)
	}
	y.mu.Lock()
	delete(y.down, y.hosts[7])
	y.mu.Unlock()
	y.alter(y.hosts[7], func(h *deskyard.SessionHost) { h.Report.Checks = nil }) // its report is stored: seen at once
	if s := y.mustConnect("bob"); s.Host != "h00007" {
		t.Errorf("bob is on %s", s.Host)
	}
	y.mu.Lock()
	y.down[y.hosts[7]] = true // it dies without a word
	y.mu.Unlock()
	_, err = y.connect("bob")
	wantFailure(t, err, broker.SessionHostUnfit)
}
