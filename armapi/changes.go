package armapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Bounds of the feed of changes.
const (
	changesKept   = 8192                   // remembered, over all callers; older ones are "all"
	changesTold   = 1000                   // told in one answer; more are "all"
	changesWait   = 25 * time.Second       // that a caller waits for one, below any proxy's patience
	changesGather = 250 * time.Millisecond // from a change until callers are woken: a burst wakes them once
)

// change is one write that the store reported.
type change struct {
	id  arm.ResourceID
	key string
}

// changeFeed remembers what was written last, and wakes those who wait for it. All
// callers share one ring and one channel: a waiting one costs its request and nothing
// per write but a look at what is new.
type changeFeed struct {
	epoch string // of this process: a cursor of another one is too old

	mu     sync.Mutex // guards what follows
	ring   []change   // the change with number n stands at n % changesKept
	next   uint64     // number of the next change
	wake   chan struct{}
	due    bool // wake is about to be closed
	closed bool
}

func newChangeFeed() *changeFeed {
	id := newID()
	return &changeFeed{epoch: id[:8], wake: make(chan struct{})}
}

// add remembers writes. It returns at once, whoever waits.
func (f *changeFeed) add(ids []arm.ResourceID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		c := change{id, id.Key()}
		if len(f.ring) < changesKept {
			f.ring = append(f.ring, c)
		} else {
			f.ring[f.next%changesKept] = c
		}
		f.next++
	}
	if len(ids) > 0 && !f.due && !f.closed {
		f.due = true
		time.AfterFunc(changesGather, f.rouse)
	}
}

// rouse wakes everybody who waits.
func (f *changeFeed) rouse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due = false
	if !f.closed {
		close(f.wake)
		f.wake = make(chan struct{})
	}
}

// close has nobody wait any more.
func (f *changeFeed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.wake)
	}
}

// isClosed reports whether the feed has ended.
func (f *changeFeed) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// since gives the changes below a scope, all when it is empty, from number n on, each resource once, the
// number behind the last, and what is closed when there may be more. gone says that
// some are not remembered.
func (f *changeFeed) since(n uint64, scope string) (found []change, next uint64, wake <-chan struct{}, gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > f.next || f.next-n > uint64(len(f.ring)) {
		return nil, f.next, f.wake, true
	}
	seen := map[string]bool{}
	for ; n < f.next; n++ {
		c := f.ring[n%changesKept]
		if !seen[c.key] && (scope == "" || c.key == scope || strings.HasPrefix(c.key, scope+"/")) {
			seen[c.key] = true
			found = append(found, c)
		}
	}
	return found, f.next, f.wake, false
}

// cursor is a place in the feed for clients, who hand it back as it is.
func (f *changeFeed) cursor(n uint64) string { return f.epoch + "." + strconv.FormatUint(n, 10) }

// place reads a cursor; ok is false for one of another process, and for anything else.
func (f *changeFeed) place(cursor string) (n uint64, ok bool) {
	epoch, number, _ := strings.Cut(cursor, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	return n, err == nil && epoch == f.epoch
}

// Changed tells those who wait for changes what the store has written. It returns at
// once and may be called from any goroutine.
func (s *Server) Changed(ids []arm.ResourceID) { s.changes.add(ids) }

// HangUp answers everybody who waits for changes, so that the service can stop.
func (s *Server) HangUp() { s.changes.close() }

// changesDoor is the feed of a subscription. Its handler asks for the right to read
// each resource that it tells of.
func (s *Server) changesDoor() Door {
	return Door{Method: http.MethodGet, Path: "/subscriptions/{subscription}/providers/" + desktopNamespace + "/changes",
		Versions: desktopVersions, Handle: s.listChanges}
}

// changesAction is the same of a host pool and what stands below it.
func (s *Server) changesAction() Action {
	return Action{Method: http.MethodGet, Path: "changes", Permission: desktopAction("hostPools/read"), Handle: s.listChanges}
}

// changesBody answers the feed.
type changesBody struct {
	Cursor  string        `json:"cursor"`  // for the next request
	All     bool          `json:"all"`     // too much has changed, or nobody knows what: read everything anew
	Changes []changedBody `json:"changes"` // written or deleted; nothing when All
}

type changedBody struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// listChanges waits up to 25 seconds for a change after the cursor ?since= that the
// caller may read, and tells what has changed until then. Without a cursor, or with one
// that is too old, it answers at once.
func (s *Server) listChanges(ctx context.Context, q *Request) (Response, error) {
	if q.Type != nil {
		if _, err := q.Load(ctx, s.store); err != nil {
			return Response{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, changesWait)
	defer cancel()
	n, ok := s.changes.place(q.Query("since"))
	for {
		found, next, wake, gone := s.changes.since(n, q.ID.Key())
		if !ok || gone {
			return s.changesAnswer(changesBody{Cursor: s.changes.cursor(next), All: true})
		}
		told, err := s.readable(ctx, q.Principal, found)
		if err != nil && ctx.Err() == nil {
			return Response{}, err
		}
		if err == nil {
			n = next
		}
		switch {
		case len(told) > changesTold:
			return s.changesAnswer(changesBody{Cursor: s.changes.cursor(n), All: true})
		case len(told) > 0, ctx.Err() != nil, s.changes.over():
			return s.changesAnswer(changesBody{Cursor: s.changes.cursor(n), Changes: told})
		}
		select {
		case <-wake:
		case <-ctx.Done():
		}
	}
}

func (s *Server) changesAnswer(b changesBody) (Response, error) {
	if b.Changes == nil {
		b.Changes = []changedBody{}
	}
	h := http.Header{}
	h.Set("Cache-Control", "no-store")
	return Response{Body: b, Header: h}, nil
}

// over reports whether the service stops.
func (f *changeFeed) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// readable are those of the changes that the caller may read.
func (s *Server) readable(ctx context.Context, p deskyard.Principal, found []change) ([]changedBody, error) {
	var told []changedBody
	for _, c := range found {
		row := s.rowOf(c.id)
		if row == nil {
			continue // the service's own rows
		}
		switch err := s.access.Allow(ctx, p, row.permission("read"), c.id); {
		case err == nil:
			told = append(told, changedBody{ID: row.WireID(c.id), Type: row.WireType()})
		case refusalOf(err).status != http.StatusForbidden:
			return nil, err
		}
	}
	return told, nil
}
