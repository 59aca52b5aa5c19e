package rbac

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// memory is a store of roles and assignments that counts how often it is listed.
type memory struct {
	deskyard.Reader // what is not overridden here is not used

	mu    sync.Mutex
	rows  []deskyard.Resource
	stamp json.RawMessage
	lists int
	fail  error
}

func (m *memory) Setting(_ context.Context, name string) (json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	if m.stamp == nil || name != stampName {
		return nil, arm.Errorf(arm.Missing, "NotFound", "no setting %s", name)
	}
	return m.stamp, nil
}

func (m *memory) Resources(_ context.Context, q deskyard.ResourceQuery) (deskyard.Page[deskyard.Resource], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page deskyard.Page[deskyard.Resource]
	for _, r := range m.rows {
		if strings.EqualFold(r.ID.Type(), q.Type) {
			page.Items = append(page.Items, r)
		}
	}
	if q.Type == AssignmentType {
		m.lists++
	}
	return page, nil
}

func (m *memory) put(t *testing.T, a Assignment, stamp string) {
	t.Helper()
	row, err := a.Row()
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = append(m.rows, row)
	if stamp != "" {
		m.stamp = json.RawMessage(`"` + stamp + `"`)
	}
}

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestAuthorizerSeesItsOwnWritesAtOnceAndOthersWithinTwoSeconds(t *testing.T) {
	ctx := context.Background()
	store, now := &memory{}, &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	here := &Authorizer{Store: store, Now: now.now}
	there := &Authorizer{Store: store, Now: now.now}
	p := deskyard.Principal{ObjectID: alice, Name: "alice"}
	scope := arm.MustParseID(pool)

	for name, a := range map[string]*Authorizer{"here": here, "there": there} {
		var denied *arm.Error
		if err := a.Allow(ctx, p, poolRead, scope); !errors.As(err, &denied) || denied.Code != "AuthorizationFailed" {
			t.Fatalf("%s, before any assignment: %v, want AuthorizationFailed", name, err)
		}
	}
	store.put(t, given(t, alice, "Reader", group), "1")
	here.Changed()
	if err := here.Allow(ctx, p, poolRead, scope); err != nil {
		t.Errorf("where it was written: %v", err)
	}
	if err := there.Allow(ctx, p, poolRead, scope); err == nil {
		t.Error("another node knew without having looked")
	}
	now.at = now.at.Add(checkEvery)
	if err := there.Allow(ctx, p, poolRead, scope); err != nil {
		t.Errorf("on another node after %v: %v", checkEvery, err)
	}
}

func TestAuthorizerReloadsOnlyWhenTheStampChanged(t *testing.T) {
	ctx := context.Background()
	store, now := &memory{}, &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	a := &Authorizer{Store: store, Now: now.now}
	store.put(t, given(t, alice, "Reader", group), "1")
	for range 10 {
		if err := a.Allow(ctx, deskyard.Principal{ObjectID: alice}, poolRead, arm.MustParseID(pool)); err != nil {
			t.Fatal(err)
		}
		now.at = now.at.Add(checkEvery)
	}
	if store.lists != 1 {
		t.Errorf("assignments were read %d times in 20 seconds without a change, want once", store.lists)
	}
	now.at = now.at.Add(reloadEvery)
	if _, err := a.Index(ctx); err != nil {
		t.Fatal(err)
	}
	if store.lists != 2 {
		t.Errorf("assignments were read %d times after %v, want twice", store.lists, reloadEvery)
	}
}

func TestARemovedResourcesAssignmentsAreForgottenAndOthersRemoveForFree(t *testing.T) {
	ctx := context.Background()
	store := &memory{}
	store.put(t, given(t, alice, "Reader", pool), "1")
	now := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	a := &Authorizer{Store: store, Now: now.now}
	p := deskyard.Principal{ObjectID: alice}
	if err := a.Allow(ctx, p, poolRead, arm.MustParseID(pool)); err != nil {
		t.Fatal(err)
	}
	a.Removed(arm.MustParseID(group + "/providers/Microsoft.DesktopVirtualization/workspaces/ws"))
	if _, err := a.Index(ctx); err != nil || store.lists != 1 {
		t.Errorf("removing a workspace without assignments read them all again (%d times), %v", store.lists, err)
	}
	store.rows = nil // the store removed the pool with its assignment
	a.Removed(arm.MustParseID(pool))
	if err := a.Allow(ctx, p, poolRead, arm.MustParseID(pool)); err == nil {
		t.Error("the removed pool's assignment reaches a new pool of the same name")
	}
}

// stamps is a transaction that keeps the stamp in a memory.
type stamps struct {
	deskyard.Tx // what is not overridden here is not used
	store       *memory
}

func (s stamps) Setting(ctx context.Context, name string) (json.RawMessage, error) {
	return s.store.Setting(ctx, name)
}

func (s stamps) PutSetting(_ context.Context, _ string, doc json.RawMessage) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.stamp = doc
	return nil
}

func TestOwnChangesAreAppliedWithoutReadingEverythingAgain(t *testing.T) {
	ctx := context.Background()
	store, now := &memory{}, &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	a := &Authorizer{Store: store, Now: now.now}
	p, scope := deskyard.Principal{ObjectID: alice}, arm.MustParseID(pool)
	allowed := func() bool {
		t.Helper()
		x, err := a.Index(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return x.Allowed(p, poolRead, scope)
	}
	advance := func() Step {
		t.Helper()
		step, err := Advance(ctx, stamps{store: store})
		if err != nil {
			t.Fatal(err)
		}
		return step
	}
	if allowed() {
		t.Fatal("allowed before any assignment")
	}
	reader := given(t, alice, "Reader", group)
	a.Put(advance(), reader)
	if !allowed() || store.lists != 1 {
		t.Errorf("after Put: allowed %v, read %d times, want true and once", allowed(), store.lists)
	}
	a.Drop(advance(), reader)
	if allowed() || store.lists != 1 {
		t.Errorf("after Drop: allowed %v, read %d times, want false and once", allowed(), store.lists)
	}

	// Another node changed something in between: the store is read, and is right.
	advance()
	step := advance()
	a.Put(step, reader) // but the store does not have it any more
	if allowed() || store.lists != 2 {
		t.Errorf("after a change in between: allowed %v, read %d times, want false and twice", allowed(), store.lists)
	}
}

func TestAuthorizerRefusesWhenTheStoreCannotBeRead(t *testing.T) {
	store := &memory{fail: errors.New("disk on fire")}
	a := &Authorizer{Store: store}
	err := a.Allow(context.Background(), deskyard.Principal{ObjectID: alice}, poolRead, arm.MustParseID(pool))
	var denied *arm.Error
	if err == nil || errors.As(err, &denied) || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("got %v, want the store's error, which is no denial", err)
	}
}

func TestAuthorizerServesManyAtOnce(t *testing.T) {
	store := &memory{}
	store.put(t, given(t, alice, "Reader", group), "1")
	a := &Authorizer{Store: store}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if err := a.Allow(context.Background(), deskyard.Principal{ObjectID: alice}, poolRead, arm.MustParseID(pool)); err != nil {
					t.Error(err)
					return
				}
				a.Changed()
			}
		})
	}
	wg.Wait()
}
