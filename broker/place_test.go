package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/broker"
)

func pool(change ...func(*deskyard.HostPool)) *deskyard.HostPool {
	limit := deskyard.Integer(3)
	p := &deskyard.HostPool{HostPoolType: "Pooled", LoadBalancerType: "BreadthFirst", MaxSessionLimit: &limit}
	for _, c := range change {
		c(p)
	}
	return p
}

func depthFirst(p *deskyard.HostPool) { p.LoadBalancerType = "DepthFirst" }
func startsVMs(p *deskyard.HostPool)  { on := true; p.StartVMOnConnect = &on }

func personal(assignment string) func(*deskyard.HostPool) {
	return func(p *deskyard.HostPool) {
		p.HostPoolType, p.LoadBalancerType, p.PersonalDesktopAssignmentType = "Personal", "Persistent", &assignment
	}
}

// host reads "name sessions words…": draining, down, off (shut down and startable),
// shut (shut down and not), NAME= (assigned to NAME).
func host(text string) broker.Host {
	f := strings.Fields(text)
	h := broker.Host{Name: f[0], ObjectID: "id-" + f[0], Status: deskyard.StatusAvailable, AllowNewSession: true}
	if _, err := fmt.Sscan(f[1], &h.Sessions); err != nil {
		panic(err)
	}
	for _, w := range f[2:] {
		switch w {
		case "draining":
			h.AllowNewSession = false
		case "down":
			h.Status, h.StatusReason = deskyard.StatusUnavailable, "The agent has no control link."
		case "off":
			h.Status, h.StatusReason, h.Startable = deskyard.StatusShutdown, "The machine is shut down.", true
		case "shut":
			h.Status, h.StatusReason = deskyard.StatusShutdown, "The machine is shut down."
		default:
			h.AssignedUser = strings.TrimSuffix(w, "=")
		}
	}
	return h
}

func hosts(list ...string) (all []broker.Host) {
	for _, t := range list {
		all = append(all, host(t))
	}
	return all
}

func TestPlaceFollowsTheDocumentedOrder(t *testing.T) {
	for _, c := range []struct {
		name     string
		pool     *deskyard.HostPool
		hosts    []broker.Host
		sessions string // where ann has one
		want     string // host, or symbol of the failure
		start    string // host to start
		rule     string
	}{
		{"breadth-first takes the fewest sessions", pool(), hosts("a 2", "b 1", "c 1"), "", "b", "", "BreadthFirst"},
		{"depth-first takes the most below the limit", pool(depthFirst), hosts("a 1", "b 3", "c 2", "d 2"), "", "c", "", "DepthFirst"},
		{"drained and dead hosts get nothing new", pool(), hosts("a 0 draining", "b 0 down", "c 2"), "", "c", "", "BreadthFirst"},
		{"a session wins over drain mode", pool(), hosts("a 1 draining", "b 0"), "id-a", "a", "", "existing session"},
		{"a session wins over the limit", pool(), hosts("a 3", "b 0"), "id-a", "a", "", "existing session"},
		{"a session on a lost host begins no second one", pool(), hosts("a 1 down", "b 0"), "id-a", broker.SessionHostUnfit, "", "existing session"},
		{"a session ended with its machine", pool(), hosts("a 1 shut", "b 0"), "id-a", "b", "", "BreadthFirst"},
		{"full hosts are refused", pool(), hosts("a 3", "b 3"), "", broker.NoHealthyHost, "", "BreadthFirst"},
		{"a machine is started only when every running one is full", pool(startsVMs), hosts("a 3", "b 0 off"), "", broker.Deallocated, "b", "BreadthFirst"},
		{"no machine is started while one runs", pool(startsVMs), hosts("a 2", "b 0 off"), "", "a", "", "BreadthFirst"},
		{"no machine is started where the pool does not say so", pool(), hosts("b 0 off"), "", broker.NoHealthyHost, "", "BreadthFirst"},
		{"a drained machine is not started", pool(startsVMs), hosts("b 0 off draining"), "", broker.NoHealthyHost, "", "BreadthFirst"},
		{"an empty pool", pool(), nil, "", broker.NoHealthyHost, "", "BreadthFirst"},
		{"a personal desktop is its user's", pool(personal("Direct")), hosts("a 0", "b 0 Ann="), "", "b", "", "assigned"},
		{"direct assignment assigns nothing", pool(personal("Direct")), hosts("a 0", "b 0"), "", broker.NotAssigned, "", "assigned"},
		{"automatic assignment takes a free host", pool(personal("Automatic")), hosts("a 0 bob=", "b 1", "c 0"), "", "c", "", "assign now"},
		{"automatic assignment with none free", pool(personal("Automatic")), hosts("a 0 bob="), "", broker.NoHealthyHost, "", "assign now"},
		{"a personal machine is started for its user", pool(personal("Direct"), startsVMs), hosts("a 0", "b 0 ann= off"), "", broker.Deallocated, "b", "assigned"},
		{"a personal machine that is down", pool(personal("Automatic")), hosts("a 0", "b 0 ann= down"), "", broker.PersonalUnavailable, "", "assigned"},
		{"a free machine is started to be assigned", pool(personal("Automatic"), startsVMs), hosts("a 0 bob=", "b 0 off"), "", broker.Deallocated, "b", "assign now"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := broker.Place(broker.Snapshot{Pool: c.pool, Hosts: c.hosts}, broker.Request{User: "ann", Sessions: strings.Fields(c.sessions)})
			got, start := "", ""
			switch {
			case (r.Host == nil) == (r.Failure == nil):
				t.Fatalf("got host %v and failure %v", r.Host, r.Failure)
			case r.Host != nil:
				got = r.Host.Name
			default:
				got = r.Failure.Symbol
				if !strings.HasSuffix(r.Failure.Message, ".") || r.Failure.Message != r.Decision.Reason {
					t.Errorf("message %q, reason %q", r.Failure.Message, r.Decision.Reason)
				}
			}
			if r.Start != nil {
				start = r.Start.Name
			}
			if got != c.want || start != c.start || r.Decision.Rule != c.rule {
				t.Errorf("got %s, start %q by %q; want %s, %q by %q", got, start, r.Decision.Rule, c.want, c.start, c.rule)
			}
			if r.Session != (c.rule == "existing session" && r.Host != nil) || r.Assign != (c.rule == "assign now" && r.Host != nil) {
				t.Errorf("session %v, assign %v by %s", r.Session, r.Assign, c.rule)
			}
		})
	}
}

func TestTheRecordSaysWhyEachHostWasPassedOver(t *testing.T) {
	r := broker.Place(broker.Snapshot{Pool: pool(), Hosts: hosts("a 0 draining", "b 2", "c 1", "d 1", "e 3", "f 0 down")}, broker.Request{User: "ann"})
	want := []deskyard.Candidate{
		{Host: "c", Sessions: 1},
		{Host: "d", Sessions: 1, Passed: "comes later by name"},
		{Host: "b", Sessions: 2, Passed: "has more sessions"},
		{Host: "a", Passed: "is in drain mode"},
		{Host: "e", Sessions: 3, Passed: "is at the session limit of 3"},
		{Host: "f", Passed: "is Unavailable: The agent has no control link."},
	}
	if d := cmp.Diff(want, r.Decision.Candidates); d != "" {
		t.Error(d)
	}
	if r.Decision.Considered != 6 || r.Decision.Host != "c" {
		t.Errorf("considered %d, took %s", r.Decision.Considered, r.Decision.Host)
	}
}

func TestTheRecordOfALargePoolHoldsTheNearest(t *testing.T) {
	var all []broker.Host
	for i := range 1000 {
		all = append(all, host(fmt.Sprintf("h%04d %d", i, (i*7)%3)))
	}
	r := broker.Place(broker.Snapshot{Pool: pool(), Hosts: all}, broker.Request{User: "ann"})
	if n := len(r.Decision.Candidates); n != deskyard.MaxCandidates || r.Decision.Considered != 1000 {
		t.Fatalf("%d candidates of %d", n, r.Decision.Considered)
	}
	for i, c := range r.Decision.Candidates {
		if want := all[3*i]; c.Host != want.Name {
			t.Fatalf("candidate %d is %s with %d sessions, not %s", i, c.Host, c.Sessions, want.Name)
		}
	}
}
