package broker

import (
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
)

// Index keeps the hosts of one pooled host pool so that the one for a new session is
// found in constant time, however many there are: hosts that can take a session stand in
// a set for each number of sessions, sets in the order of names. It is not safe for
// concurrent use: its owner has a lock. What a refusal says is counted as hosts change, so
// that it costs no more.
type Index struct {
	pool    *deskyard.HostPool
	limit   int // of sessions
	depth   bool
	hosts   map[string]*Slot // by name in lower case
	order   []*Slot          // by name; an ordinal is a place in it
	buckets []set            // by number of sessions; below the limit only
	filled  set              // numbers whose bucket is not empty
	passed  set              // ordinals of hosts that can take none
	asleep  set              // of those that could be started for a user
	tally   Tally
}

// Slot is a host's place in an Index. What each decision reads of it stands first, with
// the count of sessions that its Host begins with: in a pool of 100,000 hosts a decision
// costs as much as the lines of memory that it touches.
type Slot struct {
	ordinal int
	fit     bool // the host's state lets it take a session; Sessions aside
	Host
}

// NewIndex makes the index of a pool with these hosts.
func NewIndex(p *deskyard.HostPool, hosts []Host) *Index {
	x := &Index{pool: p, limit: Limit(p), depth: p.LoadBalancerType == "DepthFirst", hosts: make(map[string]*Slot, len(hosts))}
	slots := make([]Slot, len(hosts)) // side by side
	for i, h := range hosts {
		slots[i] = Slot{Host: h, fit: refusal(&h) == fit}
		x.hosts[strings.ToLower(h.Name)] = &slots[i]
	}
	x.rebuild()
	return x
}

// rebuild gives every host its ordinal anew; hosts come and go rarely.
func (x *Index) rebuild() {
	x.buckets, x.filled, x.passed, x.asleep, x.tally = nil, nil, nil, nil, Tally{}
	x.order = slices.AppendSeq(x.order[:0], maps.Values(x.hosts))
	slices.SortFunc(x.order, func(a, b *Slot) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	for i, s := range x.order {
		s.ordinal = i
		x.enter(s)
		x.note(s)
	}
}

// Put adds a host, or replaces what is known of it.
func (x *Index) Put(h Host) {
	s := x.Find(h.Name)
	if s == nil {
		x.hosts[strings.ToLower(h.Name)] = &Slot{Host: h, fit: refusal(&h) == fit}
		x.rebuild()
		return
	}
	x.leave(s)
	x.tally.count(&s.Host, -1)
	s.Host, s.fit = h, refusal(&h) == fit
	x.enter(s)
	x.note(s)
}

// note counts a host's state, its sessions aside.
func (x *Index) note(s *Slot) {
	x.tally.count(&s.Host, 1)
	x.asleep.remove(s.ordinal)
	if wakes(&s.Host) {
		x.asleep.add(s.ordinal)
	}
}

// Drop forgets a host.
func (x *Index) Drop(name string) {
	if x.Find(name) != nil {
		delete(x.hosts, strings.ToLower(name))
		x.rebuild()
	}
}

// Find is the place of the host of that name, nil where there is none.
func (x *Index) Find(name string) *Slot { return x.hosts[strings.ToLower(name)] }

// Pick is where a new session goes; nil where no host can take one.
func (x *Index) Pick() *Slot {
	n := x.filled.first()
	if x.depth {
		n = x.filled.last()
	}
	if n < 0 {
		return nil
	}
	return x.order[x.buckets[n].first()]
}

// nearest are the ordinals of up to n hosts that can take a new session, in the order in
// which they would be picked were the first ones gone.
func (x *Index) nearest(n int) []int {
	list := make([]int, 0, n)
	for i := range x.buckets {
		if x.depth {
			i = len(x.buckets) - 1 - i
		}
		for at := x.buckets[i].next(0); at >= 0; at = x.buckets[i].next(at + 1) {
			if len(list) == n {
				return list
			}
			list = append(list, at)
		}
	}
	return list
}

// Place decides where r's user goes as Place over all hosts would, and looks at few: at
// those named in held, where the user has sessions; at the nearest that can take a
// session, as many as nearby; where there are fewer, at the first of the others, until a
// record is full; and at the first that could be started, where none can take it.
func (x *Index) Place(r Request, held []string, nearby int, at time.Time) Result {
	var few []int
	for _, name := range held {
		if s := x.Find(name); s != nil {
			few = append(few, s.ordinal)
		}
	}
	near := x.nearest(nearby)
	few = append(few, near...)
	if len(near) < nearby {
		for i := x.passed.next(0); i >= 0 && len(few) < deskyard.MaxCandidates; i = x.passed.next(i + 1) {
			few = append(few, i)
		}
	}
	if first := x.asleep.first(); first >= 0 && len(near) == 0 {
		few = append(few, first)
	}
	slices.Sort(few)
	few = slices.Compact(few)
	hosts := make([]Host, len(few))
	for i, n := range few {
		hosts[i] = x.order[n].Host
	}
	return Place(Snapshot{Pool: x.pool, Hosts: hosts, At: at, Of: &x.tally}, r)
}

// Add counts the sessions of a host up or down.
func (x *Index) Add(s *Slot, sessions int) {
	x.leave(s)
	s.Sessions = max(s.Sessions+sessions, 0)
	x.enter(s)
}

// takes reports whether a new session may go to the host.
func (x *Index) takes(s *Slot) bool {
	return s.fit && s.Sessions < x.limit
}

func (x *Index) enter(s *Slot) {
	if !x.takes(s) {
		x.passed.add(s.ordinal)
		return
	}
	for len(x.buckets) <= s.Sessions {
		x.buckets = append(x.buckets, nil)
	}
	x.buckets[s.Sessions].add(s.ordinal)
	x.filled.add(s.Sessions)
}

func (x *Index) leave(s *Slot) {
	if !x.takes(s) {
		x.passed.remove(s.ordinal)
		return
	}
	x.buckets[s.Sessions].remove(s.ordinal)
	if x.buckets[s.Sessions].first() < 0 {
		x.filled.remove(s.Sessions)
	}
}

// set is a set of small numbers, in levels: a bit of a level says whether the word of 64
// below it has any. Three levels hold 262,144.
type set [][]uint64

func (s *set) add(n int) {
	for level := 0; ; level++ {
		if level == len(*s) {
			*s = append(*s, nil)
		}
		words := &(*s)[level]
		for len(*words) <= n/64 {
			*words = append(*words, 0)
		}
		(*words)[n/64] |= 1 << (n % 64)
		if level == len(*s)-1 && len(*words) > 1 {
			s.summarise()
		}
		if level == len(*s)-1 {
			return
		}
		n /= 64
	}
}

// summarise puts a level above the highest.
func (s *set) summarise() {
	below := (*s)[len(*s)-1]
	above := make([]uint64, (len(below)+63)/64)
	for i, w := range below {
		if w != 0 {
			above[i/64] |= 1 << (i % 64)
		}
	}
	*s = append(*s, above)
}

func (s set) remove(n int) {
	for level := range s {
		if n/64 >= len(s[level]) {
			return
		}
		s[level][n/64] &^= 1 << (n % 64)
		if s[level][n/64] != 0 {
			return
		}
		n /= 64
	}
}

// first is the least member, -1 in an empty set.
func (s set) first() int {
	return s.descend(func(w uint64) int { return bits.TrailingZeros64(w) })
}

// last is the greatest member, -1 in an empty set.
func (s set) last() int {
	return s.descend(func(w uint64) int { return 63 - bits.LeadingZeros64(w) })
}

// next is the least member that is n or greater, -1 where there is none.
func (s set) next(n int) int {
	for level := range s {
		if i := n / 64; i < len(s[level]) {
			if w := s[level][i] >> (n % 64); w != 0 {
				n += bits.TrailingZeros64(w)
				for ; level > 0; level-- {
					n = n*64 + bits.TrailingZeros64(s[level-1][n])
				}
				return n
			}
		}
		n = n/64 + 1
	}
	return -1
}

func (s set) descend(pick func(uint64) int) int {
	n := 0
	for level := len(s) - 1; level >= 0; level-- {
		if n >= len(s[level]) || s[level][n] == 0 {
			return -1
		}
		n = n*64 + pick(s[level][n])
	}
	if len(s) == 0 {
		return -1
	}
	return n
}
