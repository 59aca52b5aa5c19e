package sqlstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/sqlstore"
)

// host makes a session host of a pool, with a report as a real one has.
func host(poolName string, n int) deskyard.SessionHost {
	name := fmt.Sprintf("host%05d", n)
	return deskyard.SessionHost{
		ID: pool(poolName).Child("sessionHosts", name), ObjectID: fmt.Sprintf("0000A000-0000-0000-0000-%012d", n),
		Pool: "11111111-0000-0000-0000-000000000000", AllowNewSession: true, AssignedUser: "u@example.org", FriendlyName: "f",
		Machine:   deskyard.Machine{Hostname: name, FQDN: name + ".example.org", MachineID: "m", SMBIOSID: "s", BootID: "b", OS: "linux", Arch: "amd64", OSVersion: "12", Kind: "Azure", Identity: "ad:X"},
		PublicKey: []byte{1, 2, 250, 255}, Epoch: "e1", NextEpoch: "e2", EnrolledBy: "k", RegisteredAt: start, RevokedAt: start.Add(time.Hour), RevokedReason: "lost",
		Refused: "clone", RefusedAt: start, ResourceID: "/subscriptions/x", VirtualMachineID: "vm",
		Report: deskyard.HostReport{At: start, AgentVersion: "1.2.3", SxSVersion: "1", OSVersion: "12", SessionsKnown: true, TimeZoneOffset: 3600,
			Checks:     []deskyard.HealthCheck{{Name: deskyard.CheckURLs, Result: deskyard.CheckSucceeded, Code: 0, At: start}, {Name: deskyard.CheckSxSListener, Result: deskyard.CheckFailed, Message: "m", Code: 7, At: start}},
			Sessions:   []deskyard.UserSession{{ID: 3, Native: "c1", ObjectID: "o", User: "u@example.org", Account: "u", State: "Active", ApplicationType: "Desktop", CreateTime: start, ClientAddress: "10.0.0.1"}},
			Components: []deskyard.Component{{Name: "agent", Version: "1.2.3", Kept: []string{"1.2.2"}, State: "Running", Attempts: 1}}},
		LastSeen: start, EverOnline: true, StatusAt: start,
		Update: deskyard.UpdateRecord{State: "Succeeded", At: start, Target: "1.2.3", Attempts: 1},
	}
}

func key(keyID, poolName string) deskyard.RegistrationKey {
	return deskyard.RegistrationKey{ID: keyID, PoolID: pool(poolName), Pool: "Pool-" + poolName, CreatedAt: start, CreatedBy: "a@b",
		ExpiresAt: start.Add(time.Hour), Limits: deskyard.KeyLimits{SourceCIDR: "10.0.0.0/8", NamePattern: "h*", SingleHost: "h1"}}
}

func putHost(t testing.TB, db *sqlstore.DB, h deskyard.SessionHost) (deskyard.SessionHost, error) {
	t.Helper()
	var stored deskyard.SessionHost
	err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		stored, err = tx.PutSessionHost(ctx, h)
		return err
	})
	return stored, err
}

func TestASessionHostComesBackAsItWasStored(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		want := host("P", 1)
		stored, err := putHost(t, db, want)
		if err != nil {
			t.Fatal(err)
		}
		want.Version = 1
		same(t, stored, want)
		for _, read := range []func() (deskyard.SessionHost, error){
			func() (deskyard.SessionHost, error) {
				return db.SessionHost(t.Context(), pool("p").Child("SESSIONHOSTS", "HOST00001"))
			},
			func() (deskyard.SessionHost, error) {
				return db.SessionHostByObjectID(t.Context(), "0000a000-0000-0000-0000-000000000001")
			},
		} {
			got, err := read()
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, want)
		}
	})
}

func TestASessionHostHasOneVersionAndOneObjectID(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		h, err := putHost(t, db, host("p", 1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = putHost(t, db, host("p", 1))
		wantKind(t, err, arm.Precondition)
		h2, err := putHost(t, db, h)
		if err != nil || h2.Version != 2 {
			t.Fatalf("version %d, %v", h2.Version, err)
		}
		_, err = putHost(t, db, h)
		wantKind(t, err, arm.Precondition)
		twin := host("p", 2)
		twin.ObjectID = h.ObjectID
		_, err = putHost(t, db, twin)
		wantKind(t, err, arm.Conflicting)
		other, err := putHost(t, db, host("p", 3))
		if err != nil {
			t.Fatal(err)
		}
		other.ObjectID = h.ObjectID
		_, err = putHost(t, db, other)
		wantKind(t, err, arm.Conflicting)
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteSessionHost(ctx, h.ID) })
		_, err = putHost(t, db, twin)
		if err != nil {
			t.Fatalf("the object id of a removed host is not free: %v", err)
		}
	})
}

func TestARegistrationKeyComesBackAndItsUsesNeverFall(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		k := key("ABCD", "p")
		putKey := func(k deskyard.RegistrationKey) {
			t.Helper()
			write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutRegistrationKey(ctx, k) })
		}
		putKey(k)
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.UseRegistrationKey(ctx, "abcd") })
		k.RevokedAt = start.Add(time.Minute)
		putKey(k) // from a copy that knows of no use
		got, err := db.RegistrationKey(t.Context(), "AbCd")
		if err != nil {
			t.Fatal(err)
		}
		k.ID, k.Pool, k.Uses = "abcd", "pool-p", 1
		same(t, got, k)
	})
}

func TestKeysAreListedNewestFirst(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
			for i, n := range []string{"b", "a", "c"} {
				k := key(n, "p")
				k.CreatedAt = start.Add(time.Duration(i) * time.Second)
				if err := tx.PutRegistrationKey(ctx, k); err != nil {
					return err
				}
			}
			return tx.PutRegistrationKey(ctx, key("other", "q"))
		})
		all, err := db.RegistrationKeys(t.Context(), "POOL-P")
		if err != nil || len(all) != 3 || all[0].ID+all[1].ID+all[2].ID != "cab" {
			t.Fatalf("%v, %v", all, err)
		}
	})
}

func TestAKeyIsUsedNoMoreOftenThanItAllows(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		const callers, limit = 50, 7
		k := key("k", "p")
		k.Limits.MaxUses = limit
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutRegistrationKey(ctx, k) })
		errs := make(chan error, callers)
		for range callers {
			go func() {
				errs <- db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return tx.UseRegistrationKey(ctx, "k") })
			}()
		}
		used := 0
		for range callers {
			switch err := <-errs; {
			case err == nil:
				used++
			case !errors.Is(err, deskyard.ErrKeyExhausted):
				t.Error(err)
			}
		}
		got, err := db.RegistrationKey(t.Context(), "k")
		if err != nil || used != limit || got.Uses != limit {
			t.Fatalf("%d callers got through, %d uses counted, %v; want %d", used, got.Uses, err, limit)
		}
	})
}

func TestAnOperationKeepsItsErrorAndItsEnd(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		o := deskyard.Operation{ID: "OP-1", Scope: pool("p"), Status: "Running", Started: start, Percent: 50, Location: "/x"}
		putOperation := func() {
			t.Helper()
			write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutOperation(ctx, o) })
		}
		putOperation()
		o.Status, o.Ended, o.Result = "Failed", start.Add(time.Second), json.RawMessage(`{"a":1}`)
		o.Error = arm.Errorf(arm.Conflicting, "C", "m").WithTarget("t")
		o.Error.Details = []arm.Error{{Code: "D", Message: "n"}}
		putOperation()
		got, err := db.Operation(t.Context(), "op-1")
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, o)
	})
}

func TestSettingsAreReplacedByName(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		for _, doc := range []string{`{"a": 1}`, `[2]`} {
			write(t, db, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutSetting(ctx, "s", json.RawMessage(doc)) })
			if got, err := db.Setting(t.Context(), "s"); err != nil || string(got) != doc {
				t.Fatalf("%s, %v; want %s", got, err, doc)
			}
		}
		err := db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return tx.PutSetting(ctx, "s", json.RawMessage(`{`)) })
		if err == nil {
			t.Fatal("a document that is not JSON was stored")
		}
	})
}

func TestTheAuditLogIsReadNewestFirstByWhoWhatAndWhere(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
			for i, e := range []deskyard.AuditEvent{
				{ID: "1", Scope: group + "/providers/NS/t/a", Caller: "Ann@x", CallerID: "ID-A", Action: "NS/t/write"},
				{ID: "2", Scope: group + "/providers/NS/t/a/", Caller: "ben@x", CallerID: "id-b", Action: "NS/t/delete", Status: 403, Code: "AuthorizationFailed"},
				{ID: "3", Scope: group + "/providers/NS/t/ab", Caller: "ann@x", CallerID: "id-a", Action: "NS/t/write"},
				{ID: "4", Scope: "/", Caller: "nul\x00 \xff", Action: "x"},
			} {
				e.At = start.Add(time.Duration(i/2) * time.Second) // two at a time
				if err := tx.AppendAudit(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
		read := func(q deskyard.AuditQuery) (got string, next string) {
			t.Helper()
			p, err := db.AuditEvents(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range p.Items {
				got += e.ID
			}
			return got, p.Next
		}
		for _, c := range []struct {
			q    deskyard.AuditQuery
			want string
		}{
			{deskyard.AuditQuery{}, "4321"},
			{deskyard.AuditQuery{Scope: id("%s/providers/ns/T/A", group)}, "21"},
			{deskyard.AuditQuery{Scope: id("%s", group)}, "321"},
			{deskyard.AuditQuery{Caller: "ANN@x"}, "31"},
			{deskyard.AuditQuery{Caller: "id-B"}, "2"},
			{deskyard.AuditQuery{Action: "ns/T/write"}, "31"},
			{deskyard.AuditQuery{Since: start.Add(time.Second)}, "43"},
			{deskyard.AuditQuery{Until: start.Add(time.Second)}, "21"},
			{deskyard.AuditQuery{Caller: "nobody"}, ""},
		} {
			if got, _ := read(c.q); got != c.want {
				t.Errorf("%+v: %q, want %q", c.q, got, c.want)
			}
		}
		var paged string
		q := deskyard.AuditQuery{Limit: 1}
		for {
			got, next := read(q)
			paged += got
			if q.After = next; next == "" {
				break
			}
		}
		if paged != "4321" {
			t.Errorf("page by page: %q", paged)
		}
		_, err := db.AuditEvents(t.Context(), deskyard.AuditQuery{After: "nonsense"})
		wantKind(t, err, arm.Invalid)
	})
}

func TestAnAuditEventGetsAnIDAndATimeWhenItHasNone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		write(t, db, func(ctx context.Context, tx deskyard.Tx) error {
			return tx.AppendAudit(ctx, deskyard.AuditEvent{Action: "a", Detail: "d"})
		})
		p, err := db.AuditEvents(t.Context(), deskyard.AuditQuery{})
		if err != nil || len(p.Items) != 1 || p.Items[0].ID == "" || !p.Items[0].At.Equal(start) || p.Items[0].Detail != "d" {
			t.Fatalf("%+v, %v", p.Items, err)
		}
	})
}
