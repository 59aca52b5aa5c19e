package sqlstore_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/sqlstore"
	"github.com/prometheus/client_golang/prometheus"
)

func TestTheDatabaseIsForItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data with ? # % & = +")
	path := filepath.Join(dir, "deskyard.db")
	db := open(t, "sqlite:"+path)
	put(t, db, full())
	for name, want := range map[string]fs.FileMode{dir: 0o700 | fs.ModeDir, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %s, want %s", name, info.Mode(), want)
		}
	}
}

func TestADatabaseOpensAgainWithWhatItHeld(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "deskyard.db")
	first := open(t, dsn)
	want := put(t, first, full())[0]
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, dsn).Resource(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
}

func TestADSNIsRefusedWithoutRepeatingIt(t *testing.T) {
	for _, dsn := range []string{"", "mysql://u:secret@h/d", "sqlite:", "sqlite::memory:", "postgres://u:secret@h:port/d", "/path/secret.db"} {
		_, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

func TestANewerDatabaseIsRefusedUntouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deskyard.db")
	if err := open(t, "sqlite:"+path).Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, path, `insert into goose_db_version (version_id, is_applied) values (9999, 1)`)
	_, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + path})
	if !errors.Is(err, sqlstore.ErrNewerSchema) || !strings.Contains(err.Error(), "9999") {
		t.Fatalf("error %v", err)
	}
}

func TestABackupIsTheDatabaseAtOneMoment(t *testing.T) {
	dir := t.TempDir()
	db := open(t, "sqlite:"+filepath.Join(dir, "deskyard.db"))
	want := put(t, db, full())[0]
	path := filepath.Join(dir, "it's a backup.db")
	if err := db.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	put(t, db, located(pool("later"), nil))
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if err := db.Backup(t.Context(), path); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("a backup was overwritten: %v", err)
	}
	if err := db.Backup(t.Context(), filepath.Join(dir, "none", "b.db")); err == nil {
		t.Fatal("a backup into no directory succeeded")
	}
	restored := open(t, "sqlite:"+path)
	got, err := restored.Resource(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
	if p, err := restored.Resources(t.Context(), deskyard.ResourceQuery{Type: poolType}); err != nil || len(p.Items) != 1 {
		t.Fatalf("%s, %v", names(p.Items), err)
	}
	put(t, restored, located(pool("on"), nil))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".partial") {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

func TestABackupBesideTheServiceLeavesTheSchemaAlone(t *testing.T) {
	dir := t.TempDir()
	dsn := "sqlite:" + filepath.Join(dir, "deskyard.db")
	db := open(t, dsn)
	want := put(t, db, full())[0]
	execute(t, filepath.Join(dir, "deskyard.db"), `insert into goose_db_version (version_id, is_applied) values (9999, 1)`)
	must(t, sqlstore.Backup(t.Context(), dsn, filepath.Join(dir, "b.db"))) // Open would refuse it
	put(t, db, want)
	_, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(dir, "b.db")})
	if !errors.Is(err, sqlstore.ErrNewerSchema) {
		t.Fatalf("error %v", err)
	}
	if err := sqlstore.Backup(t.Context(), "sqlite:"+filepath.Join(dir, "none.db"), filepath.Join(dir, "c.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("error %v of a backup of no database", err)
	}
	if err := sqlstore.Backup(t.Context(), "postgres://h/d", filepath.Join(dir, "c.db")); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("error %v", err)
	}
}

func TestTheStoreCountsItsCommits(t *testing.T) {
	counts := prometheus.NewRegistry()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "deskyard.db")
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn, Metrics: counts})
	must(t, err)
	defer db.Close()
	for range 3 {
		must(t, db.Check(t.Context()))
	}
	families, err := counts.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "deskyard_store_batch_writes" {
			if n := f.GetMetric()[0].GetHistogram().GetSampleCount(); n != 3 {
				t.Fatalf("%d commits counted", n)
			}
			return
		}
	}
	t.Fatal("no commits counted")
}

func TestServersThatStartTogetherShareOneDatabase(t *testing.T) {
	for engine, dsn := range map[string]func(t testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "deskyard.db") },
		"postgres": postgresSchema,
	} {
		t.Run(engine, func(t *testing.T) {
			dsn, errs := dsn(t), make(chan error)
			const servers = 4
			for i := range servers {
				go func() {
					db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn, Log: slog.New(slog.DiscardHandler)})
					if err == nil {
						err = errors.Join(db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
							_, err := tx.PutResource(ctx, located(pool(fmt.Sprint(i)), nil))
							return err
						}), db.Close())
					}
					errs <- err
				}()
			}
			for range servers {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			p, err := open(t, dsn).Resources(t.Context(), deskyard.ResourceQuery{Type: poolType})
			if err != nil || len(p.Items) != servers {
				t.Fatalf("%s, %v", names(p.Items), err)
			}
		})
	}
}

func TestProbeAsksTheDatabaseAndMakesNone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "deskyard.db")
	if err := sqlstore.Probe(t.Context(), "sqlite:"+path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("error %v of no database", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("a database was made")
	}
	put(t, open(t, "sqlite:"+path), full())
	must(t, sqlstore.Probe(t.Context(), "sqlite:"+path))
	bad := filepath.Join(dir, "bad.db")
	must(t, os.WriteFile(bad, []byte(strings.Repeat("this is no database ", 100)), 0o600))
	if err := sqlstore.Probe(t.Context(), "sqlite:"+bad); err == nil {
		t.Fatal("a file that is no database answered")
	}
}

func TestProbeAsksPostgreSQL(t *testing.T) {
	must(t, sqlstore.Probe(t.Context(), postgresSchema(t)))
}

// TestRowsOfTheFirstReleaseAreStillRead keeps the stored form: a field that gets
// another name would come back empty.
func TestRowsOfTheFirstReleaseAreStillRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deskyard.db")
	if err := open(t, "sqlite:"+path).Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := os.ReadFile(filepath.Join("testdata", "first_release.sql"))
	if err != nil {
		t.Fatal(err)
	}
	execute(t, path, string(rows))
	db := open(t, "sqlite:"+path)
	ctx := t.Context()

	wantResource, wantHost, wantKey := full(), host("hp1", 1), key("k1", "HP1")
	wantResource.Version, wantHost.Version, wantKey.Pool = 3, 4, "pool-hp1"
	same(t, found(db.Resource(ctx, wantResource.ID))(t), wantResource)
	same(t, found(db.SessionHost(ctx, wantHost.ID))(t), wantHost)
	same(t, found(db.RegistrationKey(ctx, "k1"))(t), wantKey)
	same(t, found(db.Operation(ctx, "op1"))(t), operation())
	same(t, found(db.AuditEvents(ctx, deskyard.AuditQuery{}))(t).Items, []deskyard.AuditEvent{event()})
	same(t, found(db.Setting(ctx, "s"))(t), json.RawMessage(`{"a":1}`))
	same(t, found(db.User(ctx, "user-001"))(t), person(1))
	same(t, found(db.ServicePrincipal(ctx, "sp-1"))(t), application(1))
	same(t, found(db.Grant(ctx, "refresh", "hash1"))(t), grant(1))
	same(t, found(db.Tenant(ctx))(t).DisplayName, "T")
}

func execute(t testing.TB, path, text string) {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = raw.ExecContext(context.WithoutCancel(t.Context()), text)
	if err := errors.Join(err, raw.Close()); err != nil {
		t.Fatal(err)
	}
}

func operation() deskyard.Operation {
	return deskyard.Operation{ID: "op1", Scope: pool("HP1"), Status: "Failed", Started: start, Ended: start.Add(time.Second), Percent: 50,
		Error: deskyard.ErrKeyExhausted.WithTarget("t"), Result: json.RawMessage(`{"a":1}`), Location: "/x"}
}

func event() deskyard.AuditEvent {
	return deskyard.AuditEvent{ID: "e1", At: start, Caller: "c", CallerID: "i", CallerType: "User", Address: "::1", Action: "a", Scope: "/s",
		Status: 403, Code: "x", Correlation: "r", Detail: "d"}
}
