package rbac

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const (
	// checkEvery is how often a node looks whether another node wrote a role or an
	// assignment: it bounds for how long a revoked right may live on elsewhere.
	checkEvery = 2 * time.Second
	// reloadEvery bounds how long an assignment may be remembered that went away
	// without a stamp, with the resource it stood on.
	reloadEvery = time.Minute
	// stampName is the setting that every change of roles and assignments rewrites.
	stampName = "rbac.stamp"
)

// Authorizer answers who may do what from a snapshot of the store. This node's own
// writes are seen at once (Changed), other nodes' within two seconds. It is safe
// for concurrent use.
type Authorizer struct {
	Store deskyard.Reader
	Now   func() time.Time // time.Now when nil

	changed  atomic.Uint64 // counts Changed
	snapshot atomic.Pointer[snapshot]
	loading  sync.Mutex // held by the one caller that looks or loads
}

// snapshot is an Index and how fresh it is.
type snapshot struct {
	index   *Index
	stamp   string
	changed uint64 // of Authorizer, when the load began
	loaded  time.Time
	checked time.Time
}

// Allow is nil when the principal may perform a management action at scope, and
// Denied otherwise; any other error means that the store could not be read.
func (a *Authorizer) Allow(ctx context.Context, p deskyard.Principal, action string, scope arm.ResourceID) error {
	x, err := a.Index(ctx)
	if err != nil {
		return err
	}
	if x.Allowed(p, action, scope) {
		return nil
	}
	return Denied(p, action, scope)
}

// AllowData is Allow for a data action.
func (a *Authorizer) AllowData(ctx context.Context, p deskyard.Principal, action string, scope arm.ResourceID) error {
	x, err := a.Index(ctx)
	if err != nil {
		return err
	}
	if x.AllowedData(p, action, scope) {
		return nil
	}
	return Denied(p, action, scope)
}

// Permissions are the sets of actions that the principal has at scope.
func (a *Authorizer) Permissions(ctx context.Context, p deskyard.Principal, scope arm.ResourceID) ([]Permission, error) {
	x, err := a.Index(ctx)
	if err != nil {
		return nil, err
	}
	return x.Permissions(p, scope), nil
}

// HasAny reports whether the principal has any role at, above or below scope.
func (a *Authorizer) HasAny(ctx context.Context, p deskyard.Principal, scope arm.ResourceID) (bool, error) {
	x, err := a.Index(ctx)
	if err != nil {
		return false, err
	}
	return x.HasAny(p, scope), nil
}

// Removing is called in the transaction that removes a resource: the store takes
// its role assignments along, and what is later created under the same name must
// not inherit them. It tells other nodes; Removed, after the commit, tells this one.
// Most resources carry no assignment and cost nothing here. An assignment that
// another node made within the last two seconds is not known yet, but its stamp has
// this node look again before that time is over.
func (a *Authorizer) Removing(ctx context.Context, tx deskyard.Tx, id arm.ResourceID) error {
	if !a.carries(id) {
		return nil
	}
	return Stamp(ctx, tx)
}

// Removed forgets the assignments of a removed resource.
func (a *Authorizer) Removed(id arm.ResourceID) {
	if a.carries(id) {
		a.Changed()
	}
}

func (a *Authorizer) carries(id arm.ResourceID) bool {
	s := a.snapshot.Load()
	return s == nil || s.index.Carries(id)
}

// Changed makes the next decision read the store again. Whoever committed a change
// of roles or assignments, or removed resources that may carry assignments, calls
// it before answering.
func (a *Authorizer) Changed() { a.changed.Add(1) }

// Index is the newest snapshot, read again from the store when it may be out of date.
func (a *Authorizer) Index(ctx context.Context) (*Index, error) {
	if s := a.snapshot.Load(); a.fresh(s) {
		return s.index, nil
	}
	a.loading.Lock()
	defer a.loading.Unlock()
	old := a.snapshot.Load()
	if a.fresh(old) { // another caller has loaded it meanwhile
		return old.index, nil
	}
	s, err := a.refresh(ctx, old)
	if err != nil {
		return nil, err
	}
	a.snapshot.Store(s)
	return s.index, nil
}

func (a *Authorizer) fresh(s *snapshot) bool {
	return s != nil && s.changed == a.changed.Load() && a.now().Sub(s.checked) < checkEvery
}

func (a *Authorizer) refresh(ctx context.Context, old *snapshot) (*snapshot, error) {
	// The counter and the stamp are read before the rows: a write in between makes
	// this snapshot stale at once instead of being missed.
	s := &snapshot{changed: a.changed.Load(), checked: a.now()}
	var err error
	if s.stamp, err = readStamp(ctx, a.Store); err != nil {
		return nil, err
	}
	if old != nil && old.stamp == s.stamp && old.changed == s.changed && s.checked.Sub(old.loaded) < reloadEvery {
		s.index, s.loaded = old.index, old.loaded
		return s, nil
	}
	if s.index, err = Load(ctx, a.Store); err != nil {
		return nil, err
	}
	s.loaded = s.checked
	return s, nil
}

func (a *Authorizer) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// Load reads every custom role and assignment.
func Load(ctx context.Context, store deskyard.Reader) (*Index, error) {
	rows, err := store.Resources(ctx, deskyard.ResourceQuery{Type: DefinitionType})
	if err != nil {
		return nil, fmt.Errorf("read role definitions: %w", err)
	}
	custom := make([]RoleDefinition, 0, len(rows.Items))
	for _, r := range rows.Items {
		d, err := ParseDefinition(r)
		if err != nil {
			return nil, err
		}
		custom = append(custom, d)
	}
	if rows, err = store.Resources(ctx, deskyard.ResourceQuery{Type: AssignmentType}); err != nil {
		return nil, fmt.Errorf("read role assignments: %w", err)
	}
	assignments := make([]Assignment, 0, len(rows.Items))
	for _, r := range rows.Items {
		a, err := ParseAssignment(r)
		if err != nil {
			return nil, err
		}
		assignments = append(assignments, a)
	}
	return NewIndex(custom, assignments), nil
}
