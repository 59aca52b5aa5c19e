package agentapi

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

var _ deskyard.Fleet = (*Server)(nil)

// commandTime bounds a command whose caller set no deadline.
const commandTime = 30 * time.Second

// maxCommands bounds the commands under way on one link.
const maxCommands = 64

// registry is the links by host.
type registry struct {
	mu    sync.RWMutex // guards what follows
	live  map[string]*link
	pools map[string]*pool // by key; kept when their links end, they are few
}

func newRegistry() *registry {
	return &registry{live: map[string]*link{}, pools: map[string]*pool{}}
}

// pool is what is known of a host pool; its policy is nil until it was read.
func (r *registry) pool(id arm.ResourceID) *pool {
	key := id.Key()
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pools[key]
	if p == nil {
		p = &pool{id: arm.MustParseID(strings.Clone(id.String()))}
		r.pools[key] = p
	}
	return p
}

func (r *registry) linkedPools() []*pool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Collect(maps.Values(r.pools))
}

// put makes l the link of its host and gives the one it had.
func (r *registry) put(l *link) (older *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	older = r.live[l.host]
	r.live[l.host] = l
	return older
}

// remove takes l away if it is still its host's link.
func (r *registry) remove(l *link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[l.host] != l {
		return false
	}
	delete(r.live, l.host)
	return true
}

func (r *registry) get(host string) *link {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.live[host]
}

func (r *registry) all() []*link {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]*link, 0, len(r.live))
	for _, l := range r.live {
		all = append(all, l)
	}
	return all
}

func (r *registry) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.live)
}

// Lease implements deskyard.Fleet.
func (s *Server) Lease(objectID string) deskyard.Lease {
	l := s.links.get(objectID)
	if l == nil {
		return deskyard.Lease{}
	}
	return deskyard.Lease{
		Connected: true, Heartbeat: time.Unix(0, l.beat.Load()),
		RTT: time.Duration(l.rtt.Load()) * time.Microsecond,
	}
}

// Report implements deskyard.Fleet. Of a host whose link has just ended it gives
// the last report, until that is stored.
func (s *Server) Report(objectID string) (deskyard.HostReport, bool) {
	l := s.links.get(objectID)
	if l == nil {
		return s.ledger.lastWords(objectID)
	}
	l.state.Lock()
	defer l.state.Unlock()
	return l.report, true
}

// OnSessions sets who is told that a host, by its object id, reported other sessions
// than before, or that it stops. Whoever is told returns at once. Call it before the
// service takes requests.
func (s *Server) OnSessions(f func(hostObjectID string)) { s.sessionsChanged = f }

// OnConnections sets who is told what a host, by its object id, saw of a connection. The
// host is proven, and that the connection was brought to it is not. Whoever is told
// returns at once. Call it before the service takes requests.
func (s *Server) OnConnections(f func(hostObjectID string, seen reverse.Seen)) { s.connectionSeen = f }

// seen passes on what a host saw. What is not understood may be of a newer agent: it ends
// no link.
func (s *Server) seen(l *link, m reverse.Message) {
	var seen reverse.Seen
	if err := m.Into(&seen); err != nil {
		s.log.Warn("host's word on a connection not understood", "host", l.id, "err", err)
		return
	}
	if s.connectionSeen != nil {
		s.connectionSeen(l.host, seen)
	}
}

// tellSessions tells whoever asked for it that a host's sessions are not what they were.
func (s *Server) tellSessions(host string, before, after deskyard.HostReport) {
	if s.sessionsChanged == nil || before.SessionsKnown == after.SessionsKnown && before.Stopping == after.Stopping && slices.Equal(before.Sessions, after.Sessions) {
		return
	}
	s.sessionsChanged(host)
}

// Metrics implements deskyard.Fleet.
func (s *Server) Metrics(objectID string) (deskyard.HostMetrics, bool) {
	l := s.links.get(objectID)
	if l == nil {
		return deskyard.HostMetrics{}, false
	}
	l.state.Lock()
	defer l.state.Unlock()
	m := l.metrics
	if m == nil {
		return deskyard.HostMetrics{}, false
	}
	return deskyard.HostMetrics{
		CPUPercent: m.CPUPercent, Load1: m.Load1, MemoryUsed: m.MemoryUsed, MemoryTotal: m.MemoryTotal,
		DiskUsed: m.DiskUsed, DiskTotal: m.DiskTotal, RoundTripSeconds: float64(m.RTTMicros) / 1e6,
	}, true
}

// Drop implements deskyard.Fleet.
func (s *Server) Drop(objectID, reason string) {
	if l := s.links.get(objectID); l != nil {
		l.bye(reason, retrySoon)
		s.leave(l, reason)
	}
}

// Do implements deskyard.Fleet. Without a deadline of ctx's it waits half a minute.
func (s *Server) Do(ctx context.Context, objectID string, c deskyard.Command) error {
	_, err := s.command(ctx, objectID, c.Verb, c)
	return err
}

// dial is the command that has a host dial back.
type dial struct {
	Verb string `json:"verb"`
	reverse.DialBack
}

// Dial implements deskyard.Dialer.
func (s *Server) Dial(ctx context.Context, objectID string, d reverse.DialBack) (reverse.Dialled, error) {
	if err := d.Validate(); err != nil {
		return reverse.Dialled{}, err
	}
	r, err := s.command(ctx, objectID, reverse.VerbDial, dial{reverse.VerbDial, d})
	if err != nil {
		return reverse.Dialled{}, err
	}
	if r.Dialled == nil {
		return reverse.Dialled{}, arm.Errorf(arm.Conflicting, "SessionHostCommandFailed", "The session host's agent is too old to dial back. Update it.")
	}
	return *r.Dialled, nil
}

var _ deskyard.Dialer = (*Server)(nil)

// command sends a command and waits for its result.
func (s *Server) command(ctx context.Context, objectID, verb string, body any) (reverse.Result, error) {
	l := s.links.get(objectID)
	if l == nil || !s.Lease(objectID).Alive(s.now()) {
		return reverse.Result{}, deskyard.ErrHostUnreachable
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	id, result, err := l.expect()
	if err != nil {
		return reverse.Result{}, err
	}
	defer l.forget(id)
	if err := l.Send(reverse.TypeCommand, id, body); err != nil {
		s.counts.commanded(verb, "unreachable")
		return reverse.Result{}, deskyard.ErrHostUnreachable
	}
	select {
	case r, open := <-result:
		switch {
		case !open:
			s.counts.commanded(verb, "unreachable")
			return reverse.Result{}, deskyard.ErrHostUnreachable
		case r.Error != "":
			s.counts.commanded(verb, "failed")
			return reverse.Result{}, arm.Errorf(arm.Conflicting, "SessionHostCommandFailed", "The session host could not %s: %s", verb, r.Error)
		}
		s.counts.commanded(verb, "ok")
		return r, nil
	case <-ctx.Done():
		s.counts.commanded(verb, "timeout")
		return reverse.Result{}, arm.Errorf(arm.Unavailable, "SessionHostTimeout", "The session host did not answer the command %s in time. Try again.", verb)
	}
}

// expect reserves an id for a command and the channel of its result, which is
// closed when the link ends first.
func (l *link) expect() (string, <-chan reverse.Result, error) {
	l.state.Lock()
	defer l.state.Unlock()
	if l.closed {
		return "", nil, deskyard.ErrHostUnreachable
	}
	if len(l.waiting) >= maxCommands {
		return "", nil, arm.Errorf(arm.Throttled, "TooManyRequests", "The session host has %d commands under way. Wait for some to end.", maxCommands)
	}
	if l.waiting == nil {
		l.waiting = map[string]chan reverse.Result{}
	}
	l.seq++
	id := strconv.FormatUint(l.seq, 10)
	c := make(chan reverse.Result, 1)
	l.waiting[id] = c
	return id, c, nil
}

func (l *link) forget(id string) {
	l.state.Lock()
	defer l.state.Unlock()
	delete(l.waiting, id)
}

// answer hands a result to who waits for it; a late one is dropped.
func (l *link) answer(id string, r reverse.Result) {
	l.state.Lock()
	defer l.state.Unlock()
	if c := l.waiting[id]; c != nil {
		c <- r // has room for one, and gets one
		delete(l.waiting, id)
	}
}
