package connect_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/reverse"
)

func limited(n deskyard.Integer) func(*deskyard.HostPool) {
	return func(p *deskyard.HostPool) { p.MaxSessionLimit = &n }
}

// TestTenHostsTakeAThousandUsersAsDocumented places 1,000 users one after the other and
// compares each placement with the documented algorithm, written down once more.
func TestTenHostsTakeAThousandUsersAsDocumented(t *testing.T) {
	for _, c := range []struct {
		name  string
		depth bool
	}{{"breadth-first", false}, {"depth-first", true}} {
		t.Run(c.name, func(t *testing.T) {
			change := []func(*deskyard.HostPool){limited(100)}
			if c.depth {
				change = append(change, depthFirst)
			}
			y := newYard(t, 10, change...)
			have := make([]int, 10)
			for u := range 1000 {
				want := -1
				for h, n := range have {
					if n < 100 && (want < 0 || c.depth && n > have[want] || !c.depth && n < have[want]) {
						want = h
					}
				}
				have[want]++
				name := fmt.Sprint("user", u)
				if s := y.mustConnect(name); s.Host != fmt.Sprintf("h%05d", want) {
					t.Fatalf("user %d is on %s, not on host %d", u, s.Host, want)
				}
			}
			_, err := y.connect("one-more")
			wantFailure(t, err, "ConnectionFailedNoHealthyRdshAvailable")
		})
	}
}

// TestAStormOfUsersFillsEveryHostAndNoneOverItsLimit sends 1,000 users at once at room
// for 900; each goes on to sign in, gives up, or meets a host that does not answer.
func TestAStormOfUsersFillsEveryHostAndNoneOverItsLimit(t *testing.T) {
	y := newYard(t, 10, limited(90))
	var wg sync.WaitGroup
	var mu sync.Mutex
	placed := map[string][]string{} // host -> users
	tickets := map[string]string{}
	for u := range 1000 {
		wg.Go(func() {
			name := fmt.Sprint("user", u)
			s, err := y.connect(name)
			if err != nil {
				wantFailure(t, err, "ConnectionFailedNoHealthyRdshAvailable")
				return
			}
			mu.Lock()
			defer mu.Unlock()
			placed[s.Host] = append(placed[s.Host], name)
			tickets[name] = s.Ticket
		})
	}
	wg.Wait()
	for host, users := range placed {
		if len(users) != 90 {
			t.Errorf("%s got %d users", host, len(users))
		}
	}
	if len(placed) != 10 {
		t.Errorf("%d hosts got users", len(placed))
	}
	// A third signs in, a third is refused by its host, a third never shows its ticket.
	n, signedIn := 0, map[string][]string{}
	for i, id := range y.hosts {
		for _, name := range placed[fmt.Sprintf("h%05d", i)] {
			switch n++; n % 3 {
			case 0:
				if _, err := y.admit(tickets[name]); err != nil {
					t.Fatal(err)
				}
				signedIn[id] = append(signedIn[id], name+"@example.org")
			case 1:
				y.dial = func(string, reverse.DialBack) (reverse.Dialled, error) {
					return reverse.Dialled{}, deskyard.ErrHostUnreachable
				}
				_, err := y.admit(tickets[name])
				wantFailure(t, err, connect.ReverseConnect)
				y.dial = nil
			}
		}
		y.report(id, signedIn[id]...)
	}
	y.pass(3 * time.Minute)
	if err := y.s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, id := range y.hosts {
		slices.Sort(signedIn[id])
		want := strings.ReplaceAll(strings.Join(signedIn[id], " Active, ")+" Active", "@example.org", "")
		if got := y.slots(id); got != want {
			t.Errorf("host %s has slots %s\nwant %s", id, got, want)
		}
	}
}

// model is what a run of random events should have left: the sessions there are.
type model struct {
	y        *yard
	tickets  []string
	live     []string // connections that a gateway has
	sessions map[string][]string
}

// TestNoSlotOutlivesItsConnectionAndSession drives random users, gateways and hosts, lets
// all come to rest and compares the slots with the sessions that there are.
func TestNoSlotOutlivesItsConnectionAndSession(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		y := newYard(t, 3, limited(4))
		defer y.close()
		m := &model{y: y, sessions: map[string][]string{}}
		ctx := context.Background()
		for range rapid.IntRange(1, 40).Draw(rt, "events") {
			m.step(rt)
		}
		for _, c := range m.live {
			if err := y.s.Ended(ctx, deskyard.ConnectionEnd{Connection: c, Reason: "gateway stopping", At: y.now()}); err != nil {
				rt.Fatal(err)
			}
		}
		for range 3 { // whatever is pending ends within minutes
			y.pass(2 * time.Minute)
			if err := y.s.Sweep(ctx); err != nil {
				rt.Fatal(err)
			}
		}
		for _, h := range y.hosts {
			var want []string
			for _, u := range m.sessions[h] {
				want = append(want, u+" Active")
			}
			slices.Sort(want)
			if got := y.slots(h); got != strings.Join(want, ", ") {
				rt.Fatalf("host %s has slots %q, its sessions are %q", h, got, want)
			}
		}
	})
}

// step is one event of the world.
func (m *model) step(rt *rapid.T) {
	y, ctx := m.y, context.Background()
	name := fmt.Sprint("u", rapid.IntRange(0, 9).Draw(rt, "user"))
	host := y.hosts[rapid.IntRange(0, 2).Draw(rt, "host")]
	switch rapid.IntRange(0, 9).Draw(rt, "event") {
	case 0, 1, 2:
		before := map[string]string{}
		for i, h := range y.hosts {
			before[fmt.Sprintf("h%05d", i)] = y.slots(h)
		}
		s, err := y.connect(name)
		if err != nil {
			return
		}
		m.tickets = append(m.tickets, s.Ticket)
		// Who had no place there took one of those that were left.
		if was := before[s.Host]; !strings.Contains(was, name+" ") && strings.Count(was, ",") >= 3 {
			rt.Fatalf("%s was placed on %s, which had %s", name, s.Host, was)
		}
	case 3, 4:
		if len(m.tickets) == 0 {
			return
		}
		i := rapid.IntRange(0, len(m.tickets)-1).Draw(rt, "ticket")
		if rapid.Bool().Draw(rt, "answers") {
			y.dial = nil
		} else {
			y.dial = func(string, reverse.DialBack) (reverse.Dialled, error) {
				return reverse.Dialled{}, deskyard.ErrHostUnreachable
			}
		}
		a, err := y.admit(m.tickets[i])
		m.tickets = slices.Delete(m.tickets, i, i+1)
		if err != nil {
			return
		}
		m.live = append(m.live, a.Connection)
		if rapid.Bool().Draw(rt, "connected") {
			if err := y.s.Connected(ctx, a.Connection, nil); err != nil {
				rt.Fatal(err)
			}
		}
	case 5, 6: // somebody signs in, through a connection or without one
		if !slices.Contains(m.sessions[host], name) {
			m.sessions[host] = append(m.sessions[host], name)
			m.report(host)
		}
	case 7:
		m.sessions[host] = slices.DeleteFunc(m.sessions[host], func(u string) bool { return u == name })
		m.report(host)
	case 8:
		if len(m.live) == 0 {
			return
		}
		i := rapid.IntRange(0, len(m.live)-1).Draw(rt, "live")
		if err := y.s.Ended(ctx, deskyard.ConnectionEnd{Connection: m.live[i], Reason: "client closed", At: y.now()}); err != nil {
			rt.Fatal(err)
		}
		m.live = slices.Delete(m.live, i, i+1)
	case 9:
		y.pass(time.Duration(rapid.IntRange(1, 200).Draw(rt, "seconds")) * time.Second)
		if err := y.s.Sweep(ctx); err != nil {
			rt.Fatal(err)
		}
	}
}

func (m *model) report(host string) {
	var users []string
	for _, u := range m.sessions[host] {
		users = append(users, u+"@example.org")
	}
	m.y.report(host, users...)
}
