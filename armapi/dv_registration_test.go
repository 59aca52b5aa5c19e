package armapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
)

// newKey has the pool generate a key and returns registrationInfo of the answer;
// extra goes into the request's registrationInfo.
func (d *desk) newKey(pool, extra string) map[string]any {
	d.t.Helper()
	p := d.must(200, "PATCH", dv("hostPools/"+pool), registrationBody(d.now().Add(24*time.Hour).Format(time.RFC3339), extra))
	return p["registrationInfo"].(map[string]any)
}

func registrationBody(expires, extra string) string {
	return fmt.Sprintf(`{"properties":{"registrationInfo":{"expirationTime":%q,"registrationTokenOperation":"Update"%s}}}`, expires, extra)
}

// verified checks a token as the agent door does: the key's id and the pool's.
func (d *desk) verified(text any) (keyID, poolObjectID string) {
	d.t.Helper()
	keyID, poolObjectID, err := d.minter.Verify(text.(string), d.now())
	if err != nil {
		d.t.Fatal(err)
	}
	return keyID, poolObjectID
}

func TestAKeyIsInTheAnswerToItsUpdateAndInNoGet(t *testing.T) {
	d := newDesk(t)
	pool := d.pool("hp1", "")
	info := d.newKey("hp1", "")
	if _, of := d.verified(info["token"]); info["registrationTokenOperation"] != "Update" || of != pool["objectId"] {
		t.Errorf("answer %v", info)
	}
	for _, path := range []string{dv("hostPools/hp1"), dv("hostPools")} {
		if r := d.send("owner", "GET", path, ""); strings.Contains(string(r.raw), info["token"].(string)) {
			t.Errorf("GET %s shows the token", path)
		}
	}
	later := d.must(200, "PATCH", dv("hostPools/hp1"), `{"properties":{"friendlyName":"one"}}`)["registrationInfo"].(map[string]any)
	if later["expirationTime"] != info["expirationTime"] || later["token"] != nil || later["registrationTokenOperation"] != "None" {
		t.Errorf("a later write answers %v", later)
	}
	for range 2 {
		got := d.must(200, "POST", dv("hostPools/hp1/retrieveRegistrationToken"), "")
		if got["token"] != info["token"] || got["registrationTokenOperation"] != "None" {
			t.Errorf("retrieved %v, want the same token", got)
		}
		if _, there := got["resetToken"]; there {
			t.Error("resetToken is of 2021-07-12 only")
		}
	}
	if got := d.must(200, "POST", dvAt("hostPools/hp1/retrieveRegistrationToken", "2021-07-12"), ""); got["resetToken"] != false {
		t.Errorf("resetToken is %v", got["resetToken"])
	}
	if n := d.audited("retrieveRegistrationToken"); n != 3 {
		t.Errorf("%d retrievals audited, want 3", n)
	}
}

func TestExpirationTimesAreReadAndAnsweredAsClientsExpect(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	day := d.now().Add(48 * time.Hour)
	for sent, want := range map[string]string{
		day.Format("2006-01-02T15:04:05Z"):                                     day.Format("2006-01-02T15:04:05Z"),
		day.Format("2006-01-02T15:04:05") + ".1234567Z":                        day.Format("2006-01-02T15:04:05") + ".1234567Z", // PowerShell
		day.Format("2006-01-02T15:04:05") + ",430022819+00:00":                 day.Format("2006-01-02T15:04:05") + ".4300228Z", // date --iso-8601=ns
		day.In(time.FixedZone("", 2*3600)).Format("2006-01-02T15:04:05-07:00"): day.Format("2006-01-02T15:04:05Z"),
	} {
		d.must(200, "PATCH", dv("hostPools/hp1"), registrationBody(sent, ""))
		got := d.must(200, "POST", dv("hostPools/hp1/retrieveRegistrationToken"), "")
		if got["expirationTime"] != want {
			t.Errorf("set %s, retrieved %v, want %s", sent, got["expirationTime"], want)
		}
	}
}

func TestKeysOfForbiddenLifeAreRefused(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	for _, life := range []time.Duration{-time.Hour, 0, 30 * time.Minute, 31 * 24 * time.Hour} {
		d.refused(400, "InvalidExpirationTime", "1 hour", "PATCH", dv("hostPools/hp1"), registrationBody(d.now().Add(life).Format(time.RFC3339), ""))
	}
	for _, life := range []time.Duration{time.Hour, 27 * 24 * time.Hour, 30 * 24 * time.Hour} {
		d.must(200, "PATCH", dv("hostPools/hp1"), registrationBody(d.now().Add(life).Format(time.RFC3339), ""))
	}
	d.refused(400, "InvalidRequestContent", "ISO 8601", "PATCH", dv("hostPools/hp1"), registrationBody("soon", ""))
	d.refused(400, "InvalidParameter", "expirationTime", "PATCH", dv("hostPools/hp1"), `{"properties":{"registrationInfo":{"registrationTokenOperation":"Update"}}}`)
	d.refused(400, "InvalidParameter", "Rotate", "PATCH", dv("hostPools/hp1"), `{"properties":{"registrationInfo":{"registrationTokenOperation":"Rotate"}}}`)
	d.refused(400, "InvalidRequestContent", "", "PATCH", dv("hostPools/hp1"), `{"properties":{"registrationInfo":"please"}}`)
	d.refused(400, "InvalidParameter", "sourceCidr", "PATCH", dv("hostPools/hp1"), registrationBody(d.now().Add(2*time.Hour).Format(time.RFC3339), `,"deskyard":{"sourceCidr":"home"}`))
}

// records lists a pool's keys by Deskyard's own action.
func (d *desk) records(pool string) []map[string]any {
	d.t.Helper()
	var out []map[string]any
	for _, v := range d.must(200, "POST", dv("hostPools/"+pool+"/listRegistrationKeys"), "")["value"].([]any) {
		out = append(out, v.(map[string]any))
	}
	return out
}

func TestANewKeyEndsTheOldOneUnlessAskedToKeepIt(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.newKey("hp1", "")
	d.pass(time.Minute)
	d.newKey("hp1", "")
	d.pass(time.Minute)
	d.newKey("hp1", `,"deskyardKeepPreviousKeys":true`)
	var states []string
	for _, r := range d.records("hp1") {
		states = append(states, r["state"].(string))
		if _, leaked := r["token"]; leaked {
			t.Error("a key's record holds its token")
		}
	}
	if want := []string{"Valid", "Valid", "Revoked"}; !slices.Equal(states, want) {
		t.Errorf("keys, newest first: %v, want %v", states, want)
	}
	if list := d.must(200, "POST", dv("hostPools/hp1/listRegistrationTokens"), "")["value"].([]any); len(list) != 2 {
		t.Errorf("%d tokens listed, want the 2 that are valid", len(list))
	}
	d.must(200, "PATCH", dv("hostPools/hp1"), `{"properties":{"registrationInfo":{"registrationTokenOperation":"Delete"}}}`)
	if got := d.must(200, "POST", dv("hostPools/hp1/retrieveRegistrationToken"), ""); got["token"] != nil || got["expirationTime"] != nil {
		t.Errorf("after Delete: %v", got)
	}
	d.newKey("hp1", "")
	d.pass(25 * time.Hour)
	if got := d.must(200, "POST", dv("hostPools/hp1/retrieveRegistrationToken"), ""); got["token"] != nil {
		t.Errorf("an expired key is handed out: %v", got)
	}
}

func TestKeysCanBeNarrowedByTagOrRequest(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.must(200, "PATCH", dv("hostPools/hp1"), `{"tags":{"Deskyard-Key-Max-Uses":"3","deskyard-key-source-cidr":"10.0.0.0/8","deskyard-key-name-pattern":"hp1-*"}}`)
	d.newKey("hp1", "")
	limits := d.records("hp1")[0]["limits"].(map[string]any)
	if limits["maxUses"] != 3.0 || limits["sourceCidr"] != "10.0.0.0/8" || limits["namePattern"] != "hp1-*" {
		t.Errorf("limits from tags: %v", limits)
	}
	d.pass(time.Minute)
	d.newKey("hp1", `,"deskyard":{"maxUses":1}`)
	if limits := d.records("hp1")[0]["limits"].(map[string]any); limits["maxUses"] != 1.0 || limits["sourceCidr"] != nil {
		t.Errorf("limits of the request do not win: %v", limits)
	}
	d.must(200, "PATCH", dv("hostPools/hp1"), `{"tags":{"deskyard-key-max-uses":"several"}}`)
	d.refused(400, "InvalidParameter", "whole number", "PATCH", dv("hostPools/hp1"), registrationBody(d.now().Add(2*time.Hour).Format(time.RFC3339), ""))
}

func TestReadersAndOperatorsCannotReadTheKey(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	info := d.newKey("hp1", "")
	for _, who := range []string{"reader", "operator"} {
		for _, action := range []string{"retrieveRegistrationToken", "listRegistrationTokens", "listRegistrationKeys", "revokeRegistrationKey"} {
			r := d.send(who, "POST", dv("hostPools/hp1/"+action), "")
			e, _ := r.doc["error"].(map[string]any)
			if r.status != 403 || e["code"] != "AuthorizationFailed" || !strings.Contains(e["message"].(string), action) || strings.Contains(string(r.raw), info["token"].(string)) {
				t.Errorf("%s on %s: %d %s", who, action, r.status, r.raw)
			}
		}
	}
}

func TestRevokingAKeyTakesItsMachinesAlongWhenAsked(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.pool("hp2", "")
	d.newKey("hp1", "")
	key := d.records("hp1")[0]["id"].(string)
	mine, other := d.host("hp1", "sh-0", true), d.host("hp1", "sh-1", true)
	d.enrolledBy(mine, key)
	if hosts := d.records("hp1")[0]["sessionHosts"].([]any); len(hosts) != 1 || !strings.HasSuffix(hosts[0].(string), "/sessionhosts/sh-0") {
		t.Errorf("the record names %v", hosts)
	}
	body := fmt.Sprintf(`{"keyId":%q,"revokeHosts":true}`, key)
	d.refused(404, "RegistrationKeyNotFound", key, "POST", dv("hostPools/hp2/revokeRegistrationKey"), body)
	d.refused(400, "InvalidParameter", "keyId", "POST", dv("hostPools/hp1/revokeRegistrationKey"), "{}")
	got := d.must(200, "POST", dv("hostPools/hp1/revokeRegistrationKey"), body)
	if got["state"] != "Revoked" || len(got["revokedSessionHosts"].([]any)) != 1 {
		t.Errorf("answer %v", got)
	}
	if !slices.Contains(d.fleet.dropped, mine.ObjectID) || slices.Contains(d.fleet.dropped, other.ObjectID) {
		t.Errorf("links closed: %v", d.fleet.dropped)
	}
	p := d.must(200, "GET", dv("hostPools/hp1/sessionHosts/sh-0"), "")
	if p["status"] != "Unavailable" || !strings.Contains(p["statusReason"].(string), "Revoked") {
		t.Errorf("the revoked host is %v: %v", p["status"], p["statusReason"])
	}
	if p := d.must(200, "GET", dv("hostPools/hp1/sessionHosts/sh-1"), ""); p["status"] != "Available" {
		t.Errorf("the other host is %v", p["status"])
	}
}

func TestASingleHostTokenIsForThatHostOnly(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.newKey("hp1", "")
	at := func(version string) string {
		return dvAt("hostPools/hp1/sessionHosts/sh-7/listSingleSessionHostRegistrationTokens", version)
	}
	body := fmt.Sprintf(`{"expirationTimeInUtc":%q}`, d.now().Add(3*time.Hour).Format(time.RFC3339))
	list := d.must(200, "POST", at("2026-01-01-preview"), body)["value"].([]any)
	id, _ := d.verified(list[0].(map[string]any)["token"])
	key, err := d.store.RegistrationKey(t.Context(), id)
	if err != nil || key.Limits.SingleHost != "sh-7" {
		t.Errorf("key %+v, %v", key, err)
	}
	if tokens := d.must(200, "POST", dv("hostPools/hp1/listRegistrationTokens"), "")["value"].([]any); len(tokens) != 1 {
		t.Errorf("%d tokens of the pool, want its own one only", len(tokens))
	}
	d.refused(400, "InvalidParameter", "expirationTimeInUtc", "POST", at("2026-01-01-preview"), "{}")
	if r := d.send("owner", "POST", at(stableVersion), body); r.status != 400 {
		t.Errorf("the stable version knows the preview's action: %d", r.status)
	}
}

func TestTheKeyOfARunIsNotThePools(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	own, _ := d.verified(d.newKey("hp1", "")["token"])
	d.refused(400, "InvalidParameter", "addSessionHosts", "PATCH", dv("hostPools/hp1"), registrationBody(d.now().Add(2*time.Hour).Format(time.RFC3339), `,"deskyard":{"run":true}`))
	d.pass(time.Minute)
	key, err := d.store.RegistrationKey(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	key.ID, key.CreatedAt, key.Limits = "00000000-0000-4000-8000-0000000000aa", d.now(), deskyard.KeyLimits{MaxUses: 2, NamePattern: "sh-*", Run: true}
	if err := d.store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return tx.PutRegistrationKey(ctx, key) }); err != nil {
		t.Fatal(err)
	}
	if got, _ := d.verified(d.must(200, "POST", dv("hostPools/hp1/retrieveRegistrationToken"), "")["token"]); got != own {
		t.Error("the run's key is retrieved as the pool's")
	}
	d.must(200, "PATCH", dv("hostPools/hp1"), `{"properties":{"registrationInfo":{"registrationTokenOperation":"Delete"}}}`)
	for _, r := range d.records("hp1") {
		if want := map[bool]string{true: "Valid", false: "Revoked"}[r["id"] == key.ID]; r["state"] != want {
			t.Errorf("key %v is %v, want %s", r["id"], r["state"], want)
		}
	}
}
