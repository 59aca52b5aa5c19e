package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
)

// Host is a session host as a decision sees it.
type Host struct {
	Sessions int // reserved, active and disconnected ones; first, see Slot
	ObjectID string
	Name     string

	Status          string // see deskyard.SessionHost.Status
	StatusReason    string
	AllowNewSession bool
	AssignedUser    string // user principal name; "" when unassigned
	Startable       bool   // powered off, and the service can start its machine
}

// usable reports whether the host's state lets it take sessions.
func (h *Host) usable() bool { return deskyard.Usable(h.Status) }

// Snapshot is a host pool at one moment.
type Snapshot struct {
	Pool  *deskyard.HostPool
	Hosts []Host // by name: among equals the first is taken
	At    time.Time
	Of    *Tally // of the whole pool, where Hosts are some of it; nil: they are all
}

// Tally counts the hosts of a pool by state: what a refusal says of them.
type Tally struct {
	Hosts    int
	Off      int // powered off; the service can start them
	Draining int // up, in drain mode
	Open     int // up, and not: full, or occupied, where nobody can be placed
}

// count adds a host, or takes one away with -1.
func (t *Tally) count(h *Host, by int) {
	t.Hosts += by
	switch {
	case h.Startable:
		t.Off += by
	case !h.usable():
	case !h.AllowNewSession:
		t.Draining += by
	default:
		t.Open += by
	}
}

// tally is of the whole pool.
func (s *Snapshot) tally() Tally {
	if s.Of != nil {
		return *s.Of
	}
	var t Tally
	for i := range s.Hosts {
		t.count(&s.Hosts[i], 1)
	}
	return t
}

// Request is who asks, and the hosts on which that user has a session or a slot
// reserved, by object id.
type Request struct {
	User     string
	Sessions []string
}

func (r Request) has(h *Host) bool { return slices.Contains(r.Sessions, h.ObjectID) }

// Result is a decision. Exactly one of Host and Failure is set.
type Result struct {
	Host    *Host
	Assign  bool  // the host becomes this user's
	Session bool  // the user has a session there already: no slot is taken
	Start   *Host // with Failure: a host that would do once it is started
	Failure *deskyard.ConnectionFailure
	// Decision is the record: the rule, and every host with why it was passed over.
	Decision deskyard.Decision
}

// Rules, as records name them.
const (
	RuleExisting = "existing session"
	RuleAssigned = "assigned"
	RuleAssign   = "assign now"
)

// Place decides where r's user goes.
func Place(s Snapshot, r Request) Result {
	c := &choice{s: s, r: r, order: ordering(s.Pool), passed: make([]reason, len(s.Hosts))}
	switch {
	case c.existing():
	case s.Pool.Personal():
		c.personal()
	default:
		c.pooled()
	}
	return c.record()
}

// choice is a decision being made.
type choice struct {
	s      Snapshot
	r      Request
	order  func(a, b *Host) int
	passed []reason // by index; fit for hosts that could be taken
	chosen int      // index of the host taken, valid with result.Host
	result Result
}

func (c *choice) take(i int, rule, why string) {
	h := c.s.Hosts[i]
	c.chosen, c.result.Host = i, &h
	c.result.Decision.Rule, c.result.Decision.Host, c.result.Decision.Reason = rule, h.Name, why
}

func (c *choice) fail(rule string, f *deskyard.ConnectionFailure) {
	c.result.Failure = f
	c.result.Decision.Rule, c.result.Decision.Reason = rule, f.Message
}

// existing looks for a session of the user's. A session of a machine that was shut down
// is gone with it; of one that is merely out of reach it may well live.
func (c *choice) existing() bool {
	lost := -1
	if len(c.r.Sessions) == 0 {
		return false
	}
	for i := range c.s.Hosts {
		h := &c.s.Hosts[i]
		switch {
		case !c.r.has(h) || h.Status == deskyard.StatusShutdown:
		case h.usable():
			c.take(i, RuleExisting, "The user has a session on "+h.Name+".")
			c.result.Session = true
			return true
		case lost < 0:
			lost = i
		}
	}
	if lost < 0 {
		return false
	}
	c.passed[lost] = lostSession
	c.fail(RuleExisting, sessionOutOfReach(c.s.Hosts[lost]))
	return true
}

// personal finds the user's own host, or makes one the user's.
func (c *choice) personal() {
	mine := -1
	for i := range c.s.Hosts {
		h := &c.s.Hosts[i]
		if !strings.EqualFold(h.AssignedUser, c.r.User) {
			continue
		}
		if c.passed[i] = refusal(h); c.passed[i] == fit {
			c.take(i, RuleAssigned, h.Name+" is assigned to the user.")
			return
		}
		if mine < 0 || h.Startable && !c.s.Hosts[mine].Startable {
			mine = i
		}
	}
	switch t := c.s.Pool.PersonalDesktopAssignmentType; {
	case mine >= 0:
		c.unavailable(mine)
	case t == nil || *t != "Automatic":
		c.fail(RuleAssigned, notAssigned())
	default:
		c.assign()
	}
}

// assign takes the first free host: unassigned, and without anybody's session.
func (c *choice) assign() {
	start := -1
	for i := range c.s.Hosts {
		h := &c.s.Hosts[i]
		switch why := refusal(h); {
		case h.AssignedUser != "":
			c.passed[i] = anothers
		case h.Sessions > 0:
			c.passed[i] = occupied
		case why == fit:
			c.take(i, RuleAssign, h.Name+" is the first free host; it becomes the user's.")
			c.result.Assign = true
			return
		default:
			c.passed[i] = why
			start = startable(start, i, h)
		}
	}
	c.nobody(RuleAssign, start)
}

// pooled balances.
func (c *choice) pooled() {
	best, start := -1, -1
	limit := Limit(c.s.Pool)
	for i := range c.s.Hosts {
		h := &c.s.Hosts[i]
		why := refusal(h)
		if why == fit && h.Sessions >= limit {
			why = full
		}
		if c.passed[i] = why; why != fit {
			start = startable(start, i, h)
			continue
		}
		if best < 0 || c.order(h, &c.s.Hosts[best]) < 0 {
			best = i
		}
	}
	if best < 0 {
		c.nobody(c.s.Pool.LoadBalancerType, start)
		return
	}
	h := c.s.Hosts[best]
	c.take(best, c.s.Pool.LoadBalancerType, fmt.Sprintf("%s has the %s sessions of those that can take one: %d.",
		h.Name, map[bool]string{true: "most", false: "fewest"}[c.s.Pool.LoadBalancerType == "DepthFirst"], h.Sessions))
}

// startable is the host to start: the first that is powered off and not draining.
func startable(already, i int, h *Host) int {
	if already < 0 && wakes(h) {
		return i
	}
	return already
}

// wakes reports whether the host could be started for a user.
func wakes(h *Host) bool { return h.Startable && h.AllowNewSession }

// unavailable ends with the user's own host being unfit.
func (c *choice) unavailable(i int) {
	h := c.s.Hosts[i]
	if wakes(&h) && c.starts() {
		c.result.Start = &h
		c.fail(RuleAssigned, starting(h))
		return
	}
	c.fail(RuleAssigned, ownHostUnfit(h, c.passed[i].text(&h, 0), c.starts()))
}

// nobody ends with no host at all; start is one that could be started, or -1.
func (c *choice) nobody(rule string, start int) {
	if start >= 0 && c.starts() {
		h := c.s.Hosts[start]
		c.result.Start = &h
		c.fail(rule, starting(h))
		return
	}
	c.fail(rule, c.noHost())
}

func (c *choice) starts() bool {
	on := c.s.Pool.StartVMOnConnect
	return on != nil && *on
}

// Limit is how many sessions a host of the pool takes.
func Limit(p *deskyard.HostPool) int {
	if p.MaxSessionLimit == nil {
		return deskyard.MaxSessionLimit
	}
	return int(*p.MaxSessionLimit)
}

// ordering ranks hosts that can take a session, the one to take first.
func ordering(p *deskyard.HostPool) func(a, b *Host) int {
	if p.LoadBalancerType == "DepthFirst" {
		return func(a, b *Host) int { return cmp.Compare(b.Sessions, a.Sessions) }
	}
	return func(a, b *Host) int { return cmp.Compare(a.Sessions, b.Sessions) }
}
