package armapi

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const overviewAt = "/subscriptions/" + testSub + "/providers/" + desktopNamespace + "/overview?api-version=" + stableVersion

// ofPool is a pool's own part of an overview.
func ofPool(overview map[string]any, pool string) string {
	all, _ := overview["perHostPool"].([]any)
	for _, one := range all {
		if p := one.(map[string]any); p["id"] == poolID(pool).String() {
			return fmt.Sprintf("sessionHosts %v, userSessions %v, registrationKeys %v", p["sessionHosts"], p["userSessions"], p["registrationKeys"])
		}
	}
	return "nothing"
}

func TestTheOverviewCountsWhatTheCallerMayRead(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.pool("hp2", "")
	d.host("hp1", "sh-0", true, session(1, "ann@corp.example"), session(2, "ben@corp.example"))
	ill := d.host("hp1", "sh-1", true)
	d.host("hp2", "sh-0", false)
	pool := d.must(200, "GET", dv("hostPools/hp1"), "")["objectId"].(string)
	d.tx(func(ctx context.Context, tx deskyard.Tx) error {
		ill.AllowNewSession, ill.Update.State = false, "Pending"
		if _, err := tx.PutSessionHost(ctx, ill); err != nil {
			return err
		}
		for i, left := range []time.Duration{2 * time.Hour, 3 * 24 * time.Hour, 20 * 24 * time.Hour, -time.Hour, -48 * time.Hour} {
			k := deskyard.RegistrationKey{ID: guid(50 + i), PoolID: poolID("hp1"), Pool: pool, CreatedAt: d.now(), ExpiresAt: d.now().Add(left)}
			if err := tx.PutRegistrationKey(ctx, k); err != nil {
				return err
			}
		}
		for name, p := range map[string]string{
			"under-way": `{"provisioningState":"Running"}`, "done": `{"provisioningState":"Succeeded"}`,
			"broken": fmt.Sprintf(`{"provisioningState":"Failed","timestamp":%q}`, d.now().Add(-time.Hour).Format(time.RFC3339)),
			"past":   fmt.Sprintf(`{"provisioningState":"Failed","timestamp":%q}`, d.now().Add(-25*time.Hour).Format(time.RFC3339)),
		} {
			id := arm.MustParseID(rgScope).Provider(resourcesNamespace, "deployments", name)
			if _, err := tx.PutResource(ctx, deskyard.Resource{ID: id, Properties: []byte(p)}); err != nil {
				return err
			}
		}
		return nil
	})
	d.fleet.mu.Lock()
	sick := d.fleet.reports[ill.ObjectID]
	sick.Checks = []deskyard.HealthCheck{{Name: deskyard.CheckSxSListener, Result: deskyard.CheckFailed, At: d.now()}}
	d.fleet.reports[ill.ObjectID] = sick
	d.fleet.mu.Unlock()

	for who, keys := range map[string]string{
		"owner":  "map[expiredWithinADay:1 expiringWithinADay:1 expiringWithinAWeek:2 valid:3]",
		"reader": "<nil>", // who may not list keys is not told that there are none
	} {
		p := d.send(who, "GET", overviewAt, "").doc
		hosts, _ := p["sessionHosts"].(map[string]any)
		none := keys // hp2 has no key
		if keys != "<nil>" {
			none = "map[expiredWithinADay:0 expiringWithinADay:0 expiringWithinAWeek:0 valid:0]"
		}
		for what, pair := range map[string][2]string{
			"pools":       {fmt.Sprint(p["hostPools"]), "2"},
			"hosts":       {fmt.Sprint(hosts), "map[byStatus:map[Available:1 Unavailable:2] drained:1 failingChecks:map[SxSStackListenerCheck:1] total:3 updatesWaiting:1]"},
			"sessions":    {fmt.Sprint(p["userSessions"]), "map[Active:2]"},
			"keys":        {fmt.Sprint(p["registrationKeys"]), keys},
			"deployments": {fmt.Sprint(p["deployments"]), "map[failedWithinADay:1 running:1]"},
			"hp1's part":  {fmt.Sprint(ofPool(p, "hp1")), "sessionHosts map[byStatus:map[Available:1 Unavailable:1] drained:1 failingChecks:map[SxSStackListenerCheck:1] total:2 updatesWaiting:1], userSessions map[Active:2], registrationKeys " + keys},
			"hp2's part":  {fmt.Sprint(ofPool(p, "hp2")), "sessionHosts map[byStatus:map[Unavailable:1] drained:0 failingChecks:map[] total:1 updatesWaiting:0], userSessions map[], registrationKeys " + none},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s to the %s: %s, not %s", what, who, pair[0], pair[1])
			}
		}
	}
	if r := d.send("guest", "GET", overviewAt, ""); r.status != 403 {
		t.Errorf("to a stranger: %d %s", r.status, r.raw)
	}
	d.host("hp2", "sh-1", true)
	if n := d.must(200, "GET", overviewAt, "")["sessionHosts"].(map[string]any)["total"]; n != 3.0 {
		t.Errorf("counted again within the two seconds: %v", n)
	}
	d.pass(overviewFor)
	if n := d.must(200, "GET", overviewAt, "")["sessionHosts"].(map[string]any)["total"]; n != 4.0 {
		t.Errorf("not counted again after the two seconds: %v", n)
	}
}

func TestTenThousandHostsAreCounted(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 10,000 session hosts")
	}
	d := newDesk(t)
	d.pool("hp1", "")
	first := d.host("hp1", "sh-00000", true, session(1, "ann@corp.example"))
	d.tx(func(ctx context.Context, tx deskyard.Tx) error {
		for i := 1; i < 10000; i++ {
			h := first
			h.ID, h.ObjectID, h.Version = poolID("hp1").Child("sessionHosts", fmt.Sprintf("sh-%05d", i)), newID(), 0
			if _, err := tx.PutSessionHost(ctx, h); err != nil {
				return err
			}
		}
		return nil
	})
	began := time.Now()
	p := d.must(200, "GET", overviewAt, "")
	counted := time.Since(began)
	if n := p["sessionHosts"].(map[string]any)["total"]; n != 10000.0 {
		t.Fatalf("%v are counted", n)
	}
	began = time.Now()
	d.must(200, "GET", overviewAt, "")
	shared := time.Since(began)
	t.Logf("overview of 10,000 session hosts: %v; shared: %v", counted, shared)
}
