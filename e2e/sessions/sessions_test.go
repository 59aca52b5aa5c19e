//go:build e2e

package sessions

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// live are two people in the middle of their work: ann at FreeRDP, whose typing is
// measured to the pixel, and bob in a small web client.
type live struct {
	*yard
	ann   *desk
	bob   *page
	bobID string // of bob's connection
}

// goOn wants both sessions to carry bytes, both ways, now.
func (l *live) goOn(t *testing.T, when string) {
	t.Helper()
	l.ann.alive(t, when)
	if err := l.bob.step(); err != nil {
		t.Fatalf("%s: the session of bob: %v", when, err)
	}
}

// web opens a session of a person's at the web door of a gateway, as far as the host's
// sign-in.
func (y *yard) web(t *testing.T, name, port string) (p *page, connection string) {
	t.Helper()
	connection, ticket := y.ticketFor(t, name)
	p, err := y.greet(t, port, ticket)
	must(t, err)
	must(t, p.begin())
	must(t, p.step())
	return p, connection
}

// recordOf is a connection's record.
func (y *yard) recordOf(t *testing.T, id string) record {
	t.Helper()
	var r record
	must(t, y.client.Do(t.Context(), http.MethodGet, "/subscriptions/"+y.service.SubscriptionID+"/providers/Microsoft.DesktopVirtualization/connections/"+id, nil, &r))
	return r
}

// awaitRecord waits until a connection's record has a state, and gives the time and the
// words of its failure.
func (y *yard) awaitRecord(t *testing.T, id, state string, within time.Duration) (time.Duration, string) {
	t.Helper()
	begin := time.Now()
	var r record
	err := until(t.Context(), within, func() bool { r = y.recordOf(t, id); return r.Properties.State == state })
	words := ""
	if f := r.Properties.Failure; f != nil {
		words = f.Symbol + ": " + f.Message
	}
	if err != nil {
		t.Fatalf("the record of %s is %s (%s) after %s, not %s", id, r.Properties.State, words, within, state)
	}
	return time.Since(begin), words
}

// last is a person's newest connection.
func (y *yard) last(t *testing.T, name string) record {
	t.Helper()
	all := y.records(t, name)
	if len(all) == 0 {
		t.Fatalf("%s has no connections", name)
	}
	return all[0]
}

func TestSessionsGoOnWhateverFailsAroundThem(t *testing.T) {
	y := open(t)
	l := &live{yard: y, ann: y.sit(t, "ann")}
	y.ready(t, l.ann)
	y.awaitSession(t, "ann", "Active", 15*time.Second)
	l.bob, l.bobID = y.web(t, "bob", edgePort)
	l.goOn(t, "at first")
	for _, c := range []struct {
		name string
		tell func(*live, *testing.T)
	}{
		{"nobody reaches a host's RDP port from outside", (*live).portIsShut},
		{"kill -9 of the service", (*live).serviceKilled},
		{"the disk of the database is full", (*live).diskFull},
		{"kill -9 of the agent", (*live).agentKilled},
		{"packets lost and late", (*live).poorNetwork},
		{"the network is cut and comes back", (*live).cutNetwork},
		{"the network is gone for good", (*live).goneNetwork},
		{"message, disconnect and log off by the API", (*live).obeyed},
		{"kill -9 of the stack", (*live).stackKilled},
		{"a gateway drains", (*live).drained},
		{"kill -9 of a gateway", (*live).gatewayKilled},
		{"the service with its own gateway stops, and is killed", (*live).ownGateway},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.tell(l, t) }) && t.Context().Err() == nil {
			t.Logf("%s failed; what follows may fail with it", c.name)
		}
	}
}

func (l *live) portIsShut(t *testing.T) {
	for _, port := range []string{"3389", "3350"} {
		if c, err := l.people.dial(net.JoinHostPort(hostIP, port)); err == nil {
			_ = c.Close() // it should not be there
			t.Errorf("port %s of the host is open to the network", port)
		} else if !strings.Contains(err.Error(), "refused") {
			t.Errorf("port %s: %v", port, err)
		}
	}
}

// serviceKilled: what is not the relay's process does not touch it; an end that comes
// meanwhile is recorded later.
func (l *live) serviceKilled(t *testing.T) {
	must(t, l.service.Kill())
	for range 3 {
		l.goOn(t, "without the service")
	}
	must(t, l.bob.Close())
	if p, err := l.greet(t, edgePort, "x"); err == nil {
		_ = p.Close() // it should not be there
		t.Error("a new client was let in without the service")
	}
	must(t, l.service.Restart(t.Context()))
	took, _ := l.awaitRecord(t, l.bobID, "Completed", 45*time.Second)
	t.Logf("the end that came meanwhile is recorded %.1f s after the restart", took.Seconds())
	t.Logf("the host is Available %.1f s after the restart", l.available(t).Seconds())
	l.awaitSession(t, "ann", "Active", 20*time.Second)
	if r := l.last(t, "ann"); r.Properties.State != "Connected" {
		t.Errorf("the record of ann's session is %s", r.Properties.State)
	}
	took = l.awaitSession(t, "bob", "", 60*time.Second)
	t.Logf("bob's place is given back %.1f s later", took.Seconds())
	l.bob, l.bobID = l.web(t, "bob", edgePort)
	l.goOn(t, "with the service back")
}

// diskFull: nothing can be written, so nothing new begins, and what runs goes on.
func (l *live) diskFull(t *testing.T) {
	l.tokenOf(t, "eve") // who signs in must be written too
	ballast := filepath.Join(l.service.DataFolder(), "ballast")
	f, err := os.Create(ballast)
	must(t, err)
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	for len(block) > 1 { // to the last byte
		block = block[:len(block)/2]
		for _, err = f.Write(block); err == nil; _, err = f.Write(block) {
		}
	}
	must(t, f.Close())
	defer os.Remove(ballast) //nolint:errcheck // below, where it matters
	status, answer := 0, []byte(nil)
	for range 20 { // what the database had allocated may take a few records
		status, answer = l.ask(t, "eve", http.MethodPost, serviceURL+"/connect/v1/connections", map[string]any{"resourceId": l.resource})
		if status >= 500 {
			break
		}
	}
	t.Logf("a new connection is answered %d %s", status, answer)
	if status < 500 {
		t.Errorf("with a full disk a new connection is answered %d", status)
	}
	for range 3 {
		l.goOn(t, "with a full disk")
	}
	must(t, l.bob.Close())
	time.Sleep(3 * time.Second) // the gateway tells in vain
	l.ann.alive(t, "with a full disk, later")
	must(t, os.Remove(ballast))
	took, _ := l.awaitRecord(t, l.bobID, "Completed", 45*time.Second)
	t.Logf("the end is recorded %.1f s after there is room again", took.Seconds())
	l.awaitSession(t, "bob", "", 60*time.Second)
	l.bob, l.bobID = l.web(t, "bob", edgePort)
	l.goOn(t, "with room again")
}

// agentKilled: legs are the stack's, so the agent's end cuts nobody.
func (l *live) agentKilled(t *testing.T) {
	before, err := l.session(t.Context(), "ann")
	must(t, err)
	l.host.sh(t, "kill -9 $(pgrep -x deskyard-agent)")
	l.goOn(t, "without the agent")
	begin := time.Now()
	l.host.await(t, "the boot loader starts the agent again", 30*time.Second, "pgrep -x deskyard-agent")
	l.available(t)
	l.awaitSession(t, "ann", "Active", 20*time.Second)
	t.Logf("the agent is back and the session listed Active within %.1f s", time.Since(begin).Seconds())
	after, err := l.session(t.Context(), "ann")
	must(t, err)
	if before.Name != after.Name {
		t.Errorf("the session was %s and is %s", before.Name, after.Name)
	}
	l.goOn(t, "with the agent back")
}

// poorNetwork: 100 ms more from the client to the gateway and back, 20 ms more between
// the host and the gateway, and one or two packets of a hundred lost on each way.
func (l *live) poorNetwork(t *testing.T) {
	good := l.ann.echo(t, 30)
	l.people.wire.set(quality{delay: 50 * time.Millisecond, loss: 0.01})
	l.host.wire.set(quality{delay: 10 * time.Millisecond, loss: 0.02})
	poor := l.ann.echo(t, 60)
	begin := time.Now()
	must(t, l.bob.step())
	t.Logf("a question of bob's and the host's answer take %d ms", time.Since(begin).Milliseconds())
	again, id := l.web(t, "eve", edgePort) // one can also begin
	t.Logf("eve is connected within %d ms, sign-in and all", time.Since(begin).Milliseconds())
	must(t, again.Close())
	l.awaitRecord(t, id, "Completed", 20*time.Second)
	l.people.wire.set(quality{})
	l.host.wire.set(quality{})
	t.Logf("echo of a key: median %d ms, 90 of 100 below %d ms; over the poor network median %d ms, 90 of 100 below %d ms, the worst %d ms",
		good[len(good)/2].Milliseconds(), good[len(good)*9/10].Milliseconds(), poor[len(poor)/2].Milliseconds(), poor[len(poor)*9/10].Milliseconds(), poor[len(poor)-1].Milliseconds())
	if poor[len(poor)/2] > good[len(good)/2]+250*time.Millisecond {
		t.Errorf("over a network that is 120 ms slower there and back, the median echo takes %s", poor[len(poor)/2])
	}
	l.goOn(t, "over a good network again")
}

// cutNetwork: TCP bridges a cut. FreeRDP 2 gives up by itself when nothing it sent is
// acknowledged for nine seconds, so this one is shorter; the gateway waits for a minute.
func (l *live) cutNetwork(t *testing.T) {
	for _, p := range []*place{l.people, l.host.place} {
		p.wire.set(quality{cut: true})
		time.Sleep(5 * time.Second)
		p.wire.set(quality{})
		l.goOn(t, "after 5 s without the network of the "+p.name)
	}
}

// goneNetwork: one that does not come back ends what it carried, in bounded time, though
// nobody says anything on it; the desktop stays.
func (l *live) goneNetwork(t *testing.T) {
	id := l.last(t, "ann").Name
	l.people.wire.set(quality{cut: true})
	for _, one := range []string{id, l.bobID} {
		took, words := l.awaitRecord(t, one, "Completed", 90*time.Second)
		t.Logf("%.1f s later: %s", took.Seconds(), words)
		if !strings.Contains(words, "network to the client is cut") {
			t.Errorf("the record says %q", words)
		}
	}
	l.awaitSession(t, "ann", "Disconnected", 20*time.Second)
	l.people.wire.set(quality{})
	l.ann.client.end(t, syscall.SIGTERM, 5*time.Second)
	l.again(t)
}

// obeyed: what an administrator asks arrives within a second.
func (l *live) obeyed(t *testing.T) {
	l.available(t)
	l.awaitSession(t, "ann", "Active", 20*time.Second)
	s, err := l.session(t.Context(), "ann")
	must(t, err)
	begin := time.Now()
	must(t, l.pool.Message(t.Context(), hostName, s.ID(), "Yard", "maintenance at noon"))
	l.host.await(t, "the message on the desktop", 5*time.Second, "pgrep -u ann 'zenity|xmessage|kdialog|notify-send'")
	t.Logf("a message is on the desktop after %d ms", time.Since(begin).Milliseconds())
	within(t, "a message", time.Since(begin))
	l.host.sh(t, "pkill -u ann 'zenity|xmessage|kdialog|notify-send'")

	l.ordered(t, "disconnect", func() error { return l.pool.Disconnect(t.Context(), hostName, s.ID()) })
	took := l.awaitSession(t, "ann", "Disconnected", 10*time.Second)
	t.Logf("and the session is listed Disconnected %d ms later", took.Milliseconds())

	l.ann = l.sit(t, "ann")
	l.ready(t, l.ann)
	l.awaitSession(t, "ann", "Active", 15*time.Second)
	back, err := l.session(t.Context(), "ann")
	must(t, err)
	if back.Name != s.Name {
		t.Errorf("ann came back to %s, not to %s", back.Name, s.Name)
	}
	l.ordered(t, "log off", func() error { return l.pool.LogOff(t.Context(), hostName, s.ID()) })
	took = l.awaitSession(t, "ann", "", 40*time.Second) // her place may be kept for 15 s
	t.Logf("and the session is listed no more %d ms later", took.Milliseconds())
	l.ann = l.sit(t, "ann")
	l.ready(t, l.ann)
	l.awaitSession(t, "ann", "Active", 15*time.Second)
}

// ordered gives an order that ends ann's connection, and measures until the gateway has
// carried it out; FreeRDP takes as long again to go.
func (l *live) ordered(t *testing.T, what string, order func() error) {
	t.Helper()
	const relayed = "deskyard_gateway_sessions"
	before, begin := l.metric(t, relayed), time.Now()
	must(t, order())
	answered := time.Since(begin)
	must(t, until(t.Context(), 10*time.Second, func() bool { return l.metric(t, relayed) < before }))
	took := time.Since(begin)
	must(t, until(t.Context(), 10*time.Second, l.ann.ended))
	t.Logf("%s: answered after %d ms, the relay ended after %d ms, the client after %d ms", what, answered.Milliseconds(), took.Milliseconds(), time.Since(begin).Milliseconds())
	within(t, what, took)
}

// within wants an administrator's wish to have come true in a second.
func within(t *testing.T, what string, took time.Duration) {
	t.Helper()
	if took > time.Second {
		t.Errorf("%s took %s, not a second", what, took)
	}
}

// stackKilled: what the stack carries ends with it, and that is said; the desktops stay,
// and a native client returns to its own by itself.
func (l *live) stackKilled(t *testing.T) {
	id := l.last(t, "ann").Name
	keys := l.host.sh(t, "cat /home/ann/keys")
	begin := time.Now()
	l.host.sh(t, "kill -9 $(pgrep -x deskyard-sxs)")
	took, words := l.awaitRecord(t, id, "Completed", 10*time.Second)
	t.Logf("the record says so after %d ms: %s", took.Milliseconds(), words)
	l.awaitRecord(t, l.bobID, "Completed", 10*time.Second)
	l.host.await(t, "the boot loader starts the stack again", 30*time.Second, "pgrep -x deskyard-sxs")
	for _, id := range []string{id, l.bobID} {
		told := l.awaitWord(t, id, "UnexpectedNetworkDisconnect", "stack (component sxs-stack) ended", 20*time.Second)
		t.Logf("by the host's word after %.1f s: %s", time.Since(begin).Seconds(), told.Properties.EndReason)
	}
	must(t, until(t.Context(), 20*time.Second, func() bool { r := l.last(t, "ann"); return r.Name != id && r.Properties.State == "Connected" }))
	t.Logf("ann's client was back by itself after %.1f s", time.Since(begin).Seconds())
	l.available(t)
	l.awaitSession(t, "ann", "Active", 20*time.Second)
	l.ann.client.end(t, syscall.SIGTERM, 5*time.Second) // its new window has not the keyboard of the test
	l.awaitSession(t, "ann", "Disconnected", 20*time.Second)
	l.again(t)
	if now := l.host.sh(t, "cat /home/ann/keys"); now < keys && len(now) <= len(keys) {
		t.Errorf("ann's program counted %s keys and now %s: it is another desktop", keys, now)
	}
}

// again has both connect anew.
func (l *live) again(t *testing.T) {
	t.Helper()
	l.ann = l.sit(t, "ann")
	l.ready(t, l.ann)
	l.awaitSession(t, "ann", "Active", 15*time.Second)
	_ = l.bob.Close() // the other side may have ended it
	l.bob, l.bobID = l.web(t, "bob", edgePort)
	l.goOn(t, "connected again")
}

// gaveUp waits until FreeRDP has tried often enough to return: 20 times, twice a second.
func (l *live) gaveUp(t *testing.T) {
	t.Helper()
	must(t, until(t.Context(), 40*time.Second, l.ann.ended))
}

// drained: on SIGTERM a gateway takes nobody new, and those that it has get their time.
func (l *live) drained(t *testing.T) {
	id := l.last(t, "ann").Name
	begin := time.Now()
	must(t, l.edge.cmd.Process.Signal(syscall.SIGTERM))
	must(t, until(t.Context(), 2*time.Second, func() bool {
		c, err := l.people.dial(net.JoinHostPort(houseIP, edgePort))
		if err == nil {
			_ = c.Close() // only to see
		}
		return err != nil
	}))
	t.Logf("no new connections %d ms after SIGTERM", time.Since(begin).Milliseconds())
	for time.Since(begin) < 6*time.Second { // of 8
		l.goOn(t, fmt.Sprintf("%.1f s into the drain", time.Since(begin).Seconds()))
		time.Sleep(time.Second)
	}
	must(t, l.bob.conn.SetDeadline(time.Now().Add(20*time.Second)))
	said, err := l.bob.message()
	t.Logf("the web client is told %x, %v", said, err)
	if err != io.EOF || len(said) < 2 {
		t.Errorf("the web client's end is %v with %x, not a close frame with its code", err, said)
	}
	<-l.edge.done
	t.Logf("the gateway ended after %.1f s: %v", time.Since(begin).Seconds(), l.edge.err)
	if l.edge.err != nil || time.Since(begin) > 15*time.Second {
		t.Errorf("it ended with %v", l.edge.err)
	}
	l.gaveUp(t)
	for _, one := range []string{id, l.bobID} {
		_, words := l.awaitRecord(t, one, "Completed", 5*time.Second)
		if !strings.Contains(words, "edge-1 was stopped") {
			t.Errorf("the record says %q", words)
		}
	}
	l.awaitSession(t, "ann", "Disconnected", 15*time.Second)
	l.edge.start(t)
	l.edgeUp(t)
	l.again(t)
}

// edgeUp waits until the gateway answers.
func (l *live) edgeUp(t *testing.T) {
	t.Helper()
	must(t, until(t.Context(), 10*time.Second, func() bool {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, edgeURL+"/readyz", nil)
		must(t, err)
		status, _, err := l.send(t, q)
		return err == nil && status == http.StatusOK
	}))
}

// gatewayKilled: its sessions are cut, the desktops stay, and no record lasts.
func (l *live) gatewayKilled(t *testing.T) {
	id := l.last(t, "ann").Name
	l.edge.end(t, syscall.SIGKILL, 5*time.Second)
	l.gaveUp(t)
	took := l.awaitSession(t, "ann", "Disconnected", 15*time.Second)
	t.Logf("the host has the session Disconnected after %.1f s", took.Seconds())
	l.edge.start(t)
	for _, one := range []string{id, l.bobID} {
		took, words := l.awaitRecord(t, one, "Completed", 10*time.Second)
		t.Logf("%.1f s after the gateway is back: %s", took.Seconds(), words)
		if !strings.Contains(words, "edge-1 was restarted") {
			t.Errorf("the record says %q", words)
		}
	}
	l.edgeUp(t)
	l.again(t)
}

// ownGateway: sessions of the service's own gateway end with it, and their records say so.
func (l *live) ownGateway(t *testing.T) {
	for _, kill := range []bool{false, true} {
		eve, id := l.web(t, "eve", servicePort)
		if kill {
			must(t, l.service.Kill())
		} else {
			begin := time.Now()
			must(t, l.service.Stop())
			t.Logf("the service stopped within %.1f s", time.Since(begin).Seconds())
		}
		must(t, l.service.Restart(t.Context()))
		took, words := l.awaitRecord(t, id, "Completed", 10*time.Second)
		t.Logf("killed %t: after %.1f s its record says %s", kill, took.Seconds(), words)
		if words == "" {
			t.Error("the record calls it the user's wish")
		}
		must(t, eve.Close())
		l.goOn(t, "through another gateway")
		l.available(t)
		l.awaitSession(t, "eve", "", 60*time.Second)
	}
	for _, name := range []string{"ann", "bob", "eve"} {
		open := slices.DeleteFunc(l.records(t, name), func(r record) bool { return r.Properties.State != "Connected" && r.Properties.State != "Started" })
		if want := map[string]int{"ann": 1, "bob": 1}[name]; len(open) != want {
			t.Errorf("%s has %d open connections, not %d: %+v", name, len(open), want, open)
		}
	}
}
