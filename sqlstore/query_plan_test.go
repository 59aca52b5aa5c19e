package sqlstore

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// planner notes the plan of each query that runs through it.
type planner struct {
	runner
	t     *testing.T
	plans []string // "TEXT: PLAN"
}

func (p *planner) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	rows, err := p.runner.query(ctx, `explain query plan `+text, args...)
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			p.t.Fatal(err)
		}
		p.plans = append(p.plans, text+": "+detail)
	}
	return p.runner.query(ctx, text, args...)
}

func TestNoReadWalksOverAWholeTable(t *testing.T) {
	ctx := t.Context()
	db, err := Open(ctx, Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "deskyard.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p := &planner{runner: db.run, t: t}
	db.run = p
	scope := arm.MustParseID("/subscriptions/s/resourceGroups/g")
	now := time.Now()
	for _, q := range []deskyard.ResourceQuery{
		{Type: "t"}, {Type: "t", Scope: scope}, {Type: "t", Scope: scope, Descending: true, After: "/x", Limit: 5, Skip: 5},
		{Scope: scope}, {TagName: "a"}, {TagName: "a", TagValue: "b", Type: "t", Scope: scope, Limit: 5},
	} {
		_, err := db.Resources(ctx, q)
		check(t, err)
	}
	for _, q := range []deskyard.HostQuery{{}, {Scope: scope}, {Pool: scope}, {Pool: scope, After: "/x", Limit: 5, Descending: true}} {
		_, err := db.SessionHosts(ctx, q)
		check(t, err)
	}
	for _, q := range []deskyard.AuditQuery{{Limit: 5}, {Scope: scope}, {Caller: "a", Limit: 5}, {Action: "a", Since: now, Until: now, After: "1_x"}} {
		_, err := db.AuditEvents(ctx, q)
		check(t, err)
	}
	for _, q := range []deskyard.SlotQuery{{Host: "h"}, {Pool: scope}, {DueBy: now}} {
		_, err := db.Slots(ctx, q)
		check(t, err)
	}
	for _, q := range []deskyard.ConnectionQuery{{User: "u", Limit: 5}, {Host: "h", After: "x", Limit: 5}, {Pool: scope, Since: now, Limit: 5}, {Since: now, Until: now, Limit: 5}} {
		_, err := db.Connections(ctx, q)
		check(t, err)
	}
	_, err = db.Referrers(ctx, "r", scope, scope, scope)
	check(t, err)
	_, err = db.CountSessionHosts(ctx, scope)
	check(t, err)
	_, err = db.RegistrationKeys(ctx, "p")
	check(t, err)
	_, err = db.GroupsOf(ctx, "o")
	check(t, err)
	_, err = db.Users(ctx, directory.Query{After: "a", Limit: 5})
	check(t, err)
	_, _ = db.SessionHostByObjectID(ctx, "o") // missing, as the rest of these
	_, _ = db.UserByName(ctx, "u")
	_, _ = db.DeviceGrant(ctx, "c")
	_, _ = db.Members(ctx, "g", directory.Query{})
	if len(p.plans) < 25 {
		t.Fatalf("%d steps seen", len(p.plans))
	}
	for _, plan := range p.plans {
		_, step, _ := strings.Cut(plan, ": ")
		// The audit log is read from its newest end in index order: a scan that the
		// limit ends. The recursive query's own rows have no index.
		allowed := strings.Contains(step, "audit_events USING INDEX audit_events_by_time") || step == "SCAN holding" || step == "SCAN h"
		if strings.HasPrefix(step, "SCAN") && !allowed || strings.Contains(step, "USE TEMP B-TREE") && !strings.Contains(plan, "audit_events") && !strings.Contains(plan, "holding") {
			t.Error(plan)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
