package rbac

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Every change of roles or assignments rewrites one small setting, the stamp. A node
// whose snapshot has another stamp than the store reads everything again. A node
// that made the change itself can do better: when its snapshot has the stamp that
// the change found, the change is all that is missing (Put, Drop), and ten thousand
// assignments are not read again for one more.

// Step is a change of the stamp: from what a transaction found to what it left.
type Step struct{ before, after string }

// Advance rewrites the stamp; it belongs in the transaction that makes a change.
func Advance(ctx context.Context, tx deskyard.Tx) (Step, error) {
	before, err := readStamp(ctx, tx)
	if err != nil {
		return Step{}, err
	}
	after, err := json.Marshal(uuid.NewString())
	if err != nil {
		return Step{}, fmt.Errorf("encode the stamp of role assignments: %w", err)
	}
	if err := tx.PutSetting(ctx, stampName, after); err != nil {
		return Step{}, fmt.Errorf("stamp the role assignments as changed: %w", err)
	}
	return Step{before, string(after)}, nil
}

// Stamp is Advance for a change that this node need not hear of by Put or Drop.
func Stamp(ctx context.Context, tx deskyard.Tx) error {
	_, err := Advance(ctx, tx)
	return err
}

// readStamp is "" before the first change.
func readStamp(ctx context.Context, store deskyard.Reader) (string, error) {
	doc, err := store.Setting(ctx, stampName)
	if err != nil && !arm.IsMissing(err) {
		return "", fmt.Errorf("read the stamp of role assignments: %w", err)
	}
	return string(doc), nil
}

// Put tells of an assignment that was committed together with step.
func (a *Authorizer) Put(step Step, put Assignment) {
	a.apply(step, func(x *Index) *Index { return x.with(put) })
}

// Drop tells of an assignment whose removal was committed together with step.
func (a *Authorizer) Drop(step Step, dropped Assignment) {
	a.apply(step, func(x *Index) *Index { return x.without(dropped.ID()) })
}

// apply brings the snapshot over one step. Where another change came in between, or
// nothing was loaded yet, the next decision reads everything.
func (a *Authorizer) apply(step Step, change func(*Index) *Index) {
	a.loading.Lock()
	defer a.loading.Unlock()
	s := a.snapshot.Load()
	if s == nil || s.stamp != step.before || s.changed != a.changed.Load() {
		a.Changed()
		return
	}
	next := *s
	next.index, next.stamp = change(s.index), step.after
	a.snapshot.Store(&next)
}

// with is the index and one assignment more, or one in another version.
func (x *Index) with(a Assignment) *Index {
	if old, ok := x.Assignment(a.ID()); ok {
		x = x.without(old.ID())
	}
	key := a.ID().Key()
	i, _ := slices.BinarySearch(x.keys, key)
	n := &Index{
		roles:       x.roles,
		byPrincipal: maps.Clone(x.byPrincipal),
		assignments: slices.Insert(slices.Clone(x.assignments), i, a),
		keys:        slices.Insert(slices.Clone(x.keys), i, key),
	}
	principal := strings.ToLower(a.PrincipalID)
	g := maps.Clone(n.byPrincipal[principal])
	if g == nil {
		g = make(grants)
	}
	scope := a.Scope.Key()
	g[scope] = append(slices.Clone(g[scope]), x.roles[strings.ToLower(a.RoleGUID)])
	n.byPrincipal[principal] = g
	return n
}

// without is the index without one assignment.
func (x *Index) without(id arm.ResourceID) *Index {
	i, ok := slices.BinarySearch(x.keys, id.Key())
	if !ok {
		return x
	}
	a := x.assignments[i]
	n := &Index{
		roles:       x.roles,
		byPrincipal: maps.Clone(x.byPrincipal),
		assignments: slices.Delete(slices.Clone(x.assignments), i, i+1),
		keys:        slices.Delete(slices.Clone(x.keys), i, i+1),
	}
	principal, scope := strings.ToLower(a.PrincipalID), a.Scope.Key()
	g := maps.Clone(n.byPrincipal[principal])
	at := slices.Index(g[scope], x.roles[strings.ToLower(a.RoleGUID)])
	if left := slices.Delete(slices.Clone(g[scope]), at, at+1); len(left) > 0 {
		g[scope] = left
	} else {
		delete(g, scope)
	}
	if len(g) > 0 {
		n.byPrincipal[principal] = g
	} else {
		delete(n.byPrincipal, principal)
	}
	return n
}
