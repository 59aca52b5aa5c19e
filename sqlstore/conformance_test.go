package sqlstore_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
	"github.com/deskyard/deskyard/sqlstore"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"
)

// postgresEnv names a database that the suite may make schemas in.
const postgresEnv = "DESKYARD_TEST_POSTGRES"

// start is when the tests' world begins.
var start = time.Date(2026, 11, 22, 10, 11, 12, 345678900, time.UTC)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		writeUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

// onEachEngine runs a test of the contract on SQLite and, where there is one, on
// PostgreSQL.
func onEachEngine(t *testing.T, f func(t *testing.T, db *sqlstore.DB)) {
	t.Run("sqlite", func(t *testing.T) { f(t, openSQLite(t)) })
	t.Run("postgres", func(t *testing.T) {
		f(t, open(t, postgresSchema(t)))
	})
}

func openSQLite(t testing.TB) *sqlstore.DB {
	return open(t, "sqlite:"+filepath.Join(t.TempDir(), "deskyard.db"))
}

func open(t testing.TB, dsn string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// postgresSchema makes an empty schema and gives the DSN that leads into it.
func postgresSchema(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv(postgresEnv)
	if dsn == "" {
		t.Skipf("%s names no database; e2e/postgres.sh starts one and runs this", postgresEnv)
	}
	admin, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	schema := "t" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if _, err := admin.Exec(`create schema ` + schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec(`drop schema ` + schema + ` cascade`); err != nil {
			t.Errorf("drop schema: %v", err)
		}
		if err := admin.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func id(format string, args ...any) arm.ResourceID {
	return arm.MustParseID(fmt.Sprintf(format, args...))
}

const group = "/subscriptions/0b1f/resourceGroups/RG"

func pool(name string) arm.ResourceID {
	return id("%s/providers/Microsoft.DesktopVirtualization/hostPools/%s", group, name)
}

func appGroup(name string) arm.ResourceID {
	return id("%s/providers/Microsoft.DesktopVirtualization/applicationGroups/%s", group, name)
}

// write runs f in a transaction of db and stops the test when it fails.
func write(t testing.TB, db *sqlstore.DB, f func(ctx context.Context, tx deskyard.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// put stores resources and gives them back as stored.
func put(t testing.TB, db *sqlstore.DB, all ...deskyard.Resource) []deskyard.Resource {
	t.Helper()
	stored := make([]deskyard.Resource, len(all))
	write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
		for i, r := range all {
			var err error
			if stored[i], err = tx.PutResource(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
	return stored
}

// wantKind stops the test unless err is an arm.Error of the kind.
func wantKind(t testing.TB, err error, kind arm.Kind) *arm.Error {
	t.Helper()
	var e *arm.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("error %v (%T), want kind %d", err, err, kind)
	}
	return e
}

func same(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("(-want +got)\n%s", d)
	}
}

func names(all []deskyard.Resource) string {
	var b strings.Builder
	for _, r := range all {
		b.WriteString(r.ID.Name() + " ")
	}
	return strings.TrimSpace(b.String())
}

// full is a resource with everything set.
func full() deskyard.Resource {
	tenant, principal := "t", "p"
	return deskyard.Resource{
		ID: pool("HP1"),
		Envelope: arm.Envelope{
			Location: "westeurope", Tags: map[string]string{"Env": "Prod", "cost centre": "<7> & \u00e9\u4e16"}, Kind: "k", ManagedBy: "m",
			Identity: &arm.Identity{Type: "SystemAssigned", TenantID: &tenant, PrincipalID: &principal},
			SKU:      json.RawMessage(`{"name":"s"}`), Plan: json.RawMessage(`{"name":"p"}`),
			SystemData: arm.SystemData{CreatedBy: "a@b", CreatedByType: "User", CreatedAt: start,
				LastModifiedBy: "a@b", LastModifiedByType: "User", LastModifiedAt: start.Add(time.Hour)},
		},
		Properties: json.RawMessage(`{ "friendlyName" : "a \u0000 b <c>", "n": 1.50 }`),
		Refs:       []deskyard.Ref{{Relation: "package", Target: pool("Other")}},
	}
}

func TestAResourceComesBackAsItWasStored(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		want := full()
		stored := put(t, db, want)[0]
		want.Version = 1
		same(t, stored, want)
		got, err := db.Resource(t.Context(), id("%s", strings.ToUpper(want.ID.String())))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
		if got.ID.String() != want.ID.String() {
			t.Fatalf("id %s lost its spelling", got.ID)
		}
		if !bytes.Equal(got.Properties, want.Properties) {
			t.Fatalf("properties %s were rewritten", got.Properties)
		}
	})
}

func TestAMissingRowIsAMissingError(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		for _, name := range []string{"none", "nul\x00", "\xff\xfe", "a'; drop table resources; --", "%", "_"} {
			target := pool(name)
			_, err := db.Resource(ctx, target)
			wantKind(t, err, arm.Missing)
			_, err = db.SessionHost(ctx, target.Child("sessionHosts", name))
			wantKind(t, err, arm.Missing)
			_, err = db.SessionHostByObjectID(ctx, name)
			wantKind(t, err, arm.Missing)
			_, err = db.RegistrationKey(ctx, name)
			wantKind(t, err, arm.Missing)
			_, err = db.Operation(ctx, name)
			wantKind(t, err, arm.Missing)
			_, err = db.Setting(ctx, name)
			wantKind(t, err, arm.Missing)
			write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
				wantKind(t, tx.DeleteResource(ctx, target), arm.Missing)
				wantKind(t, tx.DeleteSessionHost(ctx, target), arm.Missing)
				wantKind(t, tx.UseRegistrationKey(ctx, name), arm.Missing)
				return nil
			})
			for _, list := range []deskyard.ResourceQuery{{Scope: target}, {Type: name}, {TagName: name}, {TagName: "a", TagValue: name}} {
				if p, err := db.Resources(ctx, list); err != nil || len(p.Items) > 0 {
					t.Fatalf("%+v: %v, %v", list, p, err)
				}
			}
			if p, err := db.SessionHosts(ctx, deskyard.HostQuery{Pool: target}); err != nil || len(p.Items) > 0 {
				t.Fatalf("%v, %v", p, err)
			}
			if n, err := db.CountSessionHosts(ctx, target); err != nil || n != 0 {
				t.Fatalf("%v, %v", n, err)
			}
		}
	})
}

func TestAWriteBasedOnAnOldVersionIsRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		first := put(t, db, full())[0]
		second := put(t, db, first)[0]
		if first.Version != 1 || second.Version != 2 {
			t.Fatalf("versions %d, %d", first.Version, second.Version)
		}
		for what, r := range map[string]deskyard.Resource{
			"insert over a row":      full(),
			"update of version 1":    first,
			"update of no row":       {ID: pool("none"), Version: 3},
			"update of a version on": {ID: first.ID, Version: 3},
		} {
			err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
				_, err := tx.PutResource(ctx, r)
				return err
			})
			if e := wantKind(t, err, arm.Precondition); e.Target != r.ID.String() {
				t.Errorf("%s: target %q", what, e.Target)
			}
		}
		got, err := db.Resource(t.Context(), first.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, second)
	})
}

func TestWritersOfOneVersionHaveOneWinner(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		base := put(t, db, full())[0]
		const writers = 20
		errs := make(chan error, writers)
		for range writers {
			go func() {
				errs <- db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
					_, err := tx.PutResource(ctx, base)
					return err
				})
			}()
		}
		won := 0
		for range writers {
			if err := <-errs; err == nil {
				won++
			} else {
				wantKind(t, err, arm.Precondition)
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d writes of the same version succeeded", won, writers)
		}
	})
}

func TestAFailedWriteLeavesNothingBehind(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		refusal := errors.New("the rule says no")
		err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
			if _, err := tx.PutResource(ctx, full()); err != nil {
				return err
			}
			if _, err := tx.Resource(ctx, full().ID); err != nil {
				t.Errorf("the transaction does not see its own write: %v", err)
			}
			return refusal
		})
		if err != refusal {
			t.Fatalf("error %v, want the closure's own", err)
		}
		_, err = db.Resource(t.Context(), full().ID)
		wantKind(t, err, arm.Missing)
		if p, err := db.Resources(t.Context(), deskyard.ResourceQuery{TagName: "env"}); err != nil || len(p.Items) > 0 {
			t.Fatalf("%v, %v", p, err)
		}
	})
}

func TestTextThatCannotBeStoredIsRefusedByName(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		for _, r := range []deskyard.Resource{
			{ID: pool("a\x00")}, {ID: pool("\xff")}, {}, {ID: pool("a"), Properties: json.RawMessage("\"\xff\"")},
		} {
			err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
				_, err := tx.PutResource(ctx, r)
				return err
			})
			wantKind(t, err, arm.Invalid)
		}
	})
}

// noise is text that no index can compress.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[r.IntN(64)]
	}
	return string(b)
}

func TestTextTooLongForAnIndexIsRefusedOrClipped(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		long := noise(4000)
		for _, r := range []deskyard.Resource{
			{ID: pool(long)}, located(pool("a"), map[string]string{"t": long}), located(pool("a"), map[string]string{long: ""}),
			located(pool("a"), nil, deskyard.Ref{Relation: "r", Target: pool(long)}),
		} {
			wantKind(t, db.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
				_, err := tx.PutResource(ctx, r)
				return err
			}), arm.Invalid)
		}
		h := host("p", 1)
		h.ID = pool("p").Child("sessionHosts", long)
		_, err := putHost(t, db, h)
		wantKind(t, err, arm.Invalid)
		wantKind(t, db.CreateUser(ctx, directory.User{ObjectID: "o", UPN: long}), arm.Invalid)

		// What Azure allows at most, and what must be kept whatever it is.
		put(t, db, located(pool(noise(64)), map[string]string{noise(512): noise(256)}))
		must(t, db.CreateGroup(ctx, directory.Group{ObjectID: "g", DisplayName: long}))
		same(t, found(db.Groups(ctx, directory.Query{}))(t).Items, []directory.Group{{ObjectID: "g", DisplayName: long}})
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
			return tx.AppendAudit(ctx, deskyard.AuditEvent{ID: "1", At: start, Scope: pool(long).String(), Caller: long, CallerID: long, Action: long})
		})
		p := found(db.AuditEvents(ctx, deskyard.AuditQuery{Scope: id("%s", group)}))(t)
		if len(p.Items) != 1 || p.Items[0].Caller != long || p.Items[0].Scope != pool(long).String() {
			t.Fatalf("%d events", len(p.Items))
		}
	})
}

func TestAClosureRunsInOneTransactionAtATime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		err := db.Write(t.Context(), func(ctx context.Context, _ deskyard.Tx) error {
			return db.Write(ctx, func(context.Context, deskyard.Tx) error { return nil })
		})
		if !errors.Is(err, sqlstore.ErrNestedWrite) {
			t.Fatalf("error %v", err)
		}
	})
}

func TestCheckWritesAndFailsOnceClosed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		for range 2 {
			if err := db.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		wantKind(t, db.Check(t.Context()), arm.Unavailable)
		if _, err := db.Resource(t.Context(), pool("a")); err == nil {
			t.Fatal("a closed store answered a read")
		}
	})
}

func TestAPanicReachesItsCallerAndRollsBack(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		func() {
			defer func() {
				if v := recover(); v != "boom" {
					t.Fatalf("recovered %v", v)
				}
			}()
			db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
				if _, err := tx.PutResource(ctx, full()); err != nil {
					t.Error(err)
				}
				panic("boom")
			})
		}()
		_, err := db.Resource(t.Context(), full().ID)
		wantKind(t, err, arm.Missing)
		put(t, db, full())
	})
}
