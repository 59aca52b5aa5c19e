package broker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/deskyard/deskyard"
)

// reason is why a host is not taken. Decisions over thousands of hosts note these;
// words are made of the few that a record holds.
type reason uint8

const (
	fit reason = iota
	down
	draining
	full
	anothers
	occupied
	lostSession
)

// refusal is why a host's state lets it take no new session.
func refusal(h *Host) reason {
	switch {
	case !h.usable():
		return down
	case !h.AllowNewSession:
		return draining
	}
	return fit
}

func (r reason) text(h *Host, limit int) string {
	state := "is " + h.Status + ": " + cmp.Or(h.StatusReason, "no reason is known")
	switch r {
	case down:
		return state
	case draining:
		return "is in drain mode"
	case full:
		return fmt.Sprintf("is at the session limit of %d", limit)
	case anothers:
		return "is assigned to another user"
	case occupied:
		return "is unassigned and has a session of somebody's"
	case lostSession:
		return "has the user's session and " + state
	}
	return ""
}

// record completes the decision: the chosen host, then those that could have been taken
// in the order in which they would have been, then those passed over.
func (c *choice) record() Result {
	d := &c.result.Decision
	d.Considered, d.Snapshot = c.s.tally().Hosts, c.s.At
	list := make([]int, 0, min(len(c.s.Hosts), deskyard.MaxCandidates))
	if c.result.Host != nil {
		list = append(list, c.chosen)
	}
	list = c.nearest(list)
	for i, why := range c.passed {
		if len(list) == deskyard.MaxCandidates {
			break
		}
		if why != fit {
			list = append(list, i)
		}
	}
	limit := Limit(c.s.Pool)
	d.Candidates = make([]deskyard.Candidate, len(list))
	for n, i := range list {
		h := &c.s.Hosts[i]
		d.Candidates[n] = deskyard.Candidate{Host: h.Name, Sessions: h.Sessions}
		if c.result.Host == nil || i != c.chosen {
			d.Candidates[n].Passed = cmp.Or(c.passed[i].text(h, limit), c.second(h))
		}
	}
	return c.result
}

// nearest adds to list the hosts that could have been taken, best first, as many as a
// record holds. It keeps the best so far sorted: most hosts of a large pool do not get in.
func (c *choice) nearest(list []int) []int {
	first := len(list)
	for i, why := range c.passed {
		if why != fit || c.result.Host != nil && i == c.chosen {
			continue
		}
		if len(list) == deskyard.MaxCandidates {
			if c.order(&c.s.Hosts[list[len(list)-1]], &c.s.Hosts[i]) <= 0 {
				continue
			}
			list = list[:len(list)-1]
		}
		at, _ := slices.BinarySearchFunc(list[first:], i, func(a, b int) int {
			return cmp.Or(c.order(&c.s.Hosts[a], &c.s.Hosts[b]), cmp.Compare(a, b))
		})
		list = slices.Insert(list, first+at, i)
	}
	return list
}

// second is why a host that could take the session did not get it.
func (c *choice) second(h *Host) string {
	chosen := c.result.Host
	switch d := c.result.Decision; {
	case chosen == nil:
		return "was not asked"
	case d.Rule == RuleExisting || d.Rule == RuleAssigned:
		return "is not where the user belongs"
	case c.order(chosen, h) < 0 && d.Rule == "DepthFirst":
		return "has fewer sessions"
	case c.order(chosen, h) < 0 && d.Rule == "BreadthFirst":
		return "has more sessions"
	}
	return "comes later by name"
}
