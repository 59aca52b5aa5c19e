package armapi

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const changesAt = "/subscriptions/" + testSub + "/providers/" + desktopNamespace + "/changes?api-version=" + stableVersion

// told are the ids of an answer of the feed, and its cursor.
func told(p map[string]any) (ids []string, cursor string) {
	for _, c := range p["changes"].([]any) {
		ids = append(ids, c.(map[string]any)["id"].(string))
	}
	return ids, p["cursor"].(string)
}

func TestWhoWaitsForChangesIsToldOfThoseThatTheyMayRead(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.pool("hp2", "")
	first := d.must(200, "GET", changesAt, "")
	if first["all"] != true {
		t.Fatalf("without a cursor: %v", first)
	}
	_, cursor := told(first)

	var wg sync.WaitGroup
	wg.Go(func() { // waits, unless the write comes first
		ids, _ := told(d.must(200, "GET", changesAt+"&since="+cursor, ""))
		if len(ids) == 0 || !strings.HasSuffix(ids[0], "/hostpools/hp1/sessionhosts/sh-0") {
			t.Errorf("told of %v", ids)
		}
	})
	d.host("hp1", "sh-0", true)
	wg.Wait()

	if ids, _ := told(d.must(200, "GET", dv("hostPools/hp1/changes")+"&since="+cursor, "")); len(ids) != 1 {
		t.Errorf("of the pool: %v", ids)
	}
	if r := d.send("guest", "GET", dv("hostPools/hp1/changes"), ""); r.status != 403 {
		t.Errorf("a stranger at the pool: %d", r.status)
	}
	d.server.HangUp() // nobody waits any more
	for who, path := range map[string]string{"guest": changesAt, "owner": dv("hostPools/hp2/changes")} {
		if r := d.send(who, "GET", path+"&since="+cursor, ""); r.status != 200 || len(r.doc["changes"].([]any)) != 0 || r.doc["all"] != false {
			t.Errorf("%s at %s: %d %s", who, path, r.status, r.raw)
		}
	}
	if p := d.must(200, "GET", changesAt+"&since=0badf00d.1", ""); p["all"] != true {
		t.Errorf("a cursor of another process: %v", p)
	}
}

func TestTheRevocationOfAKeyIsAChangeOfItsPool(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	pool := d.must(200, "GET", dv("hostPools/hp1"), "")["objectId"].(string)
	d.tx(func(ctx context.Context, tx deskyard.Tx) error {
		return tx.PutRegistrationKey(ctx, deskyard.RegistrationKey{ID: guid(50), PoolID: poolID("hp1"), Pool: pool, CreatedAt: d.now(), ExpiresAt: d.now().Add(time.Hour)})
	})
	_, cursor := told(d.must(200, "GET", changesAt, ""))
	d.must(200, "POST", dv("hostPools/hp1/revokeRegistrationKey"), fmt.Sprintf(`{"keyId":%q}`, guid(50)))
	if ids, _ := told(d.must(200, "GET", changesAt+"&since="+cursor, "")); len(ids) != 1 || !strings.HasSuffix(ids[0], "/hostpools/hp1") {
		t.Errorf("told of %v", ids)
	}
}

func TestTheFeedOfChangesForgetsTheOldest(t *testing.T) {
	f := newChangeFeed()
	pool := arm.MustParseID(rgScope).Provider(desktopNamespace, "hostPools", "hp1")
	for i := range changesKept + 10 {
		f.add([]arm.ResourceID{pool.Child("sessionHosts", fmt.Sprint("sh-", i))})
	}
	if len(f.ring) != changesKept {
		t.Errorf("%d are kept", len(f.ring))
	}
	if _, _, _, gone := f.since(9, pool.Key()); !gone {
		t.Error("what was forgotten is not told")
	}
	found, next, _, gone := f.since(10, pool.Key())
	if gone || len(found) != changesKept || found[0].id.Name() != "sh-10" || next != changesKept+10 {
		t.Errorf("%d found, gone %v", len(found), gone)
	}
	if found, _, _, _ := f.since(10, poolID("hp").Key()); len(found) != 0 {
		t.Error("a scope holds what only begins like it")
	}
	f.close()
	f.add([]arm.ResourceID{pool}) // after the end it is harmless
}

func FuzzCursor(f *testing.F) {
	feed := newChangeFeed()
	f.Add(feed.cursor(7))
	f.Add("x.99999999999999999999")
	f.Fuzz(func(t *testing.T, cursor string) {
		n, ok := feed.place(cursor)
		if ok {
			if again, still := feed.place(feed.cursor(n)); !still || again != n {
				t.Errorf("%q is read as %d, which is %d", cursor, n, again)
			}
		}
	})
}
