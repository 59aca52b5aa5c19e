package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
)

func TestAHostPoolIsAnsweredAsTheServiceWasRecordedTo(t *testing.T) {
	d := newDesk(t)
	r := d.send("owner", "PUT", dv("hostPools/HP1"), `{"location":"centralus","properties":{"hostPoolType":"shared","LoadBalancerType":"breadthfirst",
		"preferredAppGroupType":"desktop","ring":0,"vmTemplate":"","ssoSecretType":"","personalDesktopAssignmentType":"Automatic","maxSessionLimit":"99999",
		"objectId":"11111111-2222-3333-4444-555555555555","cloudPcResource":true,"unknown":1}}`)
	if r.status != 201 {
		t.Fatalf("status %d: %s", r.status, r.raw)
	}
	id := subScope + "/resourcegroups/rg1/providers/Microsoft.DesktopVirtualization/hostpools/HP1"
	if r.doc["id"] != id || r.doc["type"] != "Microsoft.DesktopVirtualization/hostpools" || r.header.Get("Location") != "" {
		t.Errorf("id %v, type %v, Location %q", r.doc["id"], r.doc["type"], r.header.Get("Location"))
	}
	p := r.doc["properties"].(map[string]any)
	want := map[string]any{
		"hostPoolType": "Pooled", "loadBalancerType": "BreadthFirst", "preferredAppGroupType": "Desktop", "ring": 1.0, "vmTemplate": nil,
		"ssoSecretType": nil, "personalDesktopAssignmentType": nil, "maxSessionLimit": 99999.0, "customRdpProperty": deskyard.DefaultRDPProperties,
		"publicNetworkAccess": "Enabled", "validationEnvironment": false, "startVMOnConnect": false, "cloudPcResource": false, "agentUpdate": nil,
		"migrationRequest": nil, "privateEndpointConnections": nil, "applicationGroupReferences": []any{}, "appAttachPackageReferences": []any{},
		"managedPrivateUDP": "Default", "directUDP": "Default", "publicUDP": "Default", "relayUDP": "Default", "friendlyName": nil, "description": nil,
		"registrationInfo": map[string]any{"expirationTime": nil, "token": nil, "registrationTokenOperation": "None"},
	}
	for name, value := range want {
		if got, there := p[name]; !there || !reflect.DeepEqual(got, value) {
			t.Errorf("%s is %v (present %t), want %v", name, got, there, value)
		}
	}
	if p["objectId"] == "11111111-2222-3333-4444-555555555555" || p["objectId"] == "" {
		t.Errorf("objectId is %v: the caller's", p["objectId"])
	}
	got := d.must(200, "GET", dv("hostpools/hp1"), "")
	if !reflect.DeepEqual(got["privateEndpointConnections"], []any{}) || got["registrationInfo"] != nil {
		t.Errorf("GET has connections %v, registrationInfo %v", got["privateEndpointConnections"], got["registrationInfo"])
	}
}

func TestAzSendsBackWhatItGotAndNothingChanges(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	r := d.send("owner", "GET", dv("hostPools/hp1"), "")
	again := d.send("owner", "PUT", dv("hostPools/hp1"), string(r.raw))
	if again.status != 200 {
		t.Fatalf("PUT of GET's body: %d %s", again.status, again.raw)
	}
	after := d.send("owner", "GET", dv("hostPools/hp1"), "")
	if !reflect.DeepEqual(r.doc["properties"], after.doc["properties"]) {
		t.Errorf("properties changed\nfrom %s\n  to %s", r.raw, after.raw)
	}
}

// badPools are bodies of a host pool that are refused: what is sent and what the
// message must speak of.
var badPools = []struct{ properties, says string }{
	{`"loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"`, "hostPoolType"},
	{`"hostPoolType":"Pooled","preferredAppGroupType":"Desktop"`, "loadBalancerType"},
	{`"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst"`, "preferredAppGroupType"},
	{`"hostPoolType":"Round","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"`, "'Round'"},
	{`"hostPoolType":"Pooled","loadBalancerType":"Persistent","preferredAppGroupType":"Desktop"`, "BreadthFirst or DepthFirst"},
	{`"hostPoolType":"Personal","loadBalancerType":"DepthFirst","maxSessionLimit":2,"preferredAppGroupType":"Desktop"`, "Persistent"},
	{`"hostPoolType":"Pooled","loadBalancerType":"DepthFirst","preferredAppGroupType":"Desktop"`, "maxSessionLimit"},
	{`"hostPoolType":"BYODesktop","personalDesktopAssignmentType":"Automatic","loadBalancerType":"Persistent","preferredAppGroupType":"Desktop"`, "Direct"},
	{badPool(`"maxSessionLimit":1000000`), "999999"},
	{badPool(`"maxSessionLimit":0`), "between 1"},
	{badPool(`"maxSessionLimit":"many"`), "whole number"},
	{badPool(`"maxSessionLimit":1.5`), "whole number"},
	{badPool(`"maxSessionLimit":99999999999`), "whole number"},
	{badPool(`"ring":-1`), "ring"},
	{badPool(`"validationEnvironment":"perhaps"`), "validationEnvironment"},
	{badPool(`"publicNetworkAccess":"Sometimes"`), "publicNetworkAccess"},
	{badPool(`"ssoSecretType":"Whispered"`), "ssoSecretType"},
	{badPool(`"directUDP":"Maybe"`), "directUDP"},
	{badPool(`"customRdpProperty":"audiomode=0"`), "name:type:value"},
	{badPool(`"customRdpProperty":"audiomode:i:loud;"`), "name:type:value"},
	{badPool(`"customRdpProperty":"audiomode:i:0;audiomode:i:1;"`), "twice"},
	{badPool(`"customRdpProperty":"full address:s:elsewhere;"`), "set by the service"},
	{badPool(`"customRdpProperty":"audiomode:i:0\nfull address:s:elsewhere"`), "line break"},
	{badPool(`"agentUpdate":{"type":"Scheduled"}`), "maintenance windows"},
	{badPool(`"agentUpdate":{"type":"Scheduled","maintenanceWindows":[{"hour":7,"dayOfWeek":"Friday"}]}`), "maintenanceWindowTimeZone"},
	{badPool(`"agentUpdate":{"type":"Scheduled","useSessionHostLocalTime":true,"maintenanceWindows":[{"hour":24,"dayOfWeek":"Friday"}]}`), "between 0 and 23"},
	{badPool(`"agentUpdate":{"type":"Scheduled","useSessionHostLocalTime":true,"maintenanceWindows":[{"hour":2,"dayOfWeek":"Someday"}]}`), "Someday"},
	{badPool(`"agentUpdate":{"type":"Scheduled","useSessionHostLocalTime":true,"maintenanceWindows":[{"dayOfWeek":"Friday"}]}`), "hour"},
	{badPool(`"agentUpdate":{"type":"Scheduled","useSessionHostLocalTime":true,"maintenanceWindows":[{"hour":1,"dayOfWeek":"Friday"},{"hour":1,"dayOfWeek":"friday"}]}`), "twice"},
	{badPool(`"agentUpdate":{"type":"Scheduled","useSessionHostLocalTime":true,"maintenanceWindows":[{"hour":1,"dayOfWeek":"Friday"},{"hour":2,"dayOfWeek":"Friday"},{"hour":3,"dayOfWeek":"Friday"}]}`), "at most 2"},
	{badPool(`"agentUpdate":{"maintenanceWindowTimeZone":"America/Chicago"}`), "Central Standard Time"},
	{badPool(`"agentUpdate":{"type":"Whenever"}`), "Whenever"},
	{badPool(`"description":"` + strings.Repeat("x", 513) + `"`), "512"},
}

func badPool(extra string) string {
	return `"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop",` + extra
}

func TestBadHostPoolsAreRefusedByName(t *testing.T) {
	d := newDesk(t)
	for _, bad := range badPools {
		r := d.send("owner", "PUT", dv("hostPools/bad"), poolBody(bad.properties))
		e, _ := r.doc["error"].(map[string]any)
		if message, _ := e["message"].(string); r.status != 400 || !strings.Contains(message, bad.says) {
			t.Errorf("%s\n got %d %s\nwant 400 with %q", bad.properties, r.status, r.raw, bad.says)
		}
	}
	if got := d.send("owner", "GET", dv("hostPools/bad"), ""); got.status != 404 {
		t.Errorf("a refused body left a host pool: %s", got.raw)
	}
	for name, code := range map[string]string{"hp": "InvalidResourceName", strings.Repeat("x", 65): "InvalidResourceName", "hp%21%21": "InvalidResourceName"} {
		d.refused(400, code, "", "PUT", dv("hostPools/"+name), poolBody(""))
	}
}

func TestEveryFaultOfABodyIsToldAtOnce(t *testing.T) {
	d := newDesk(t)
	r := d.send("owner", "PUT", dv("hostPools/bad"), poolBody(`"hostPoolType":"Round","loadBalancerType":"Best","maxSessionLimit":-1`))
	details, _ := r.doc["error"].(map[string]any)["details"].([]any)
	if len(details) != 4 {
		t.Errorf("%d faults told, want 4 (type, balancer, group type, limit): %s", len(details), r.raw)
	}
}

func TestAHostPoolKeepsItsType(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.refused(400, "InvalidParameter", "cannot be changed", "PUT", dv("hostPools/hp1"), poolBody(personalPool))
	d.refused(400, "InvalidParameter", "cannot be changed", "PATCH", dv("hostPools/hp1"), `{"properties":{"hostPoolType":"Personal","loadBalancerType":"Persistent"}}`)
}

func TestTerraformsEmptyStringsAreNull(t *testing.T) {
	d := newDesk(t)
	p := d.pool("hp1", `"customRdpProperty":"","description":"","friendlyName":"","hostPoolType":"Pooled","loadBalancerType":"DepthFirst","maxSessionLimit":5,
		"personalDesktopAssignmentType":"","preferredAppGroupType":"Desktop","publicNetworkAccess":"","startVMOnConnect":false,"validationEnvironment":true,"vmTemplate":""`)
	if p["customRdpProperty"] != "" || p["personalDesktopAssignmentType"] != nil || p["vmTemplate"] != nil || p["publicNetworkAccess"] != "Enabled" {
		t.Errorf("answer %v", p)
	}
}

func TestAHostPoolGoesOnlyAfterItsGroupsAndWithForceTakesItsHosts(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	h := d.host("hp1", "sh-0", true, session(1, "ann@corp.example"))
	d.must(201, "PUT", dv("applicationGroups/dag"), appGroupBody("hp1", "Desktop"))
	d.refused(409, "HostPoolCannotBeRemovedHasApplicationGroups", "dag", "DELETE", dv("hostPools/hp1?force=true"), "")
	d.must(200, "DELETE", dv("applicationGroups/dag"), "")
	d.refused(409, "HostPoolCannotBeRemovedHasSessionHosts", "force=true", "DELETE", dv("hostPools/hp1"), "")
	r := d.send("owner", "DELETE", dv("hostPools/hp1?force=true"), "")
	if r.status != 200 || r.doc["name"] != "hp1" {
		t.Errorf("DELETE answered %d %s, want the pool", r.status, r.raw)
	}
	if !slices.Contains(d.fleet.dropped, h.ObjectID) {
		t.Error("the removed host's link was not closed")
	}
	if n, err := d.store.CountSessionHosts(t.Context(), poolID("hp1")); err != nil || n != 0 {
		t.Errorf("%d session hosts left (%v)", n, err)
	}
}

func TestAnApplicationGroupFitsItsHostPool(t *testing.T) {
	d := newDesk(t)
	d.pool("pooled", "")
	d.pool("personal", personalPool)
	group := dv("applicationGroups/grp1")
	d.refused(400, "HostPoolNotFound", "does not exist", "PUT", group, appGroupBody("nowhere", "Desktop"))
	d.refused(400, "InvalidApplicationGroupType", "Pooled host pools only", "PUT", group, appGroupBody("personal", "RemoteApp"))
	d.refused(400, "LocationMismatch", "ApplicationGroup must be in same location as associated HostPool", "PUT", group,
		strings.Replace(appGroupBody("pooled", "Desktop"), "centralus", "westus", 1))
	d.refused(400, "InvalidParameter", "not the resource id", "PUT", group, `{"location":"centralus","properties":{"hostPoolArmPath":"pooled","applicationGroupType":"Desktop"}}`)
	d.refused(400, "InvalidParameter", "'Web'", "PUT", group, appGroupBody("pooled", "Web"))
	r := d.send("owner", "PUT", group, appGroupBody("pooled", "desktop"))
	if r.status != 201 || r.doc["kind"] != "Desktop" {
		t.Fatalf("status %d, kind %v: %s", r.status, r.doc["kind"], r.raw)
	}
	d.must(200, "PUT", group, appGroupBody("pooled", "Desktop")) // itself is not a second one
	d.refused(409, "DesktopApplicationGroupExists", "grp1", "PUT", dv("applicationGroups/grp2"), appGroupBody("pooled", "Desktop"))
	d.refused(400, "InvalidParameter", "cannot be changed", "PUT", group, appGroupBody("personal", "Desktop"))
	d.must(201, "PUT", dv("applicationGroups/apps"), appGroupBody("pooled", "RemoteApp"))
	refs := d.must(200, "GET", dv("hostPools/pooled"), "")["applicationGroupReferences"].([]any)
	if len(refs) != 2 || !strings.HasSuffix(refs[0].(string), "/resourcegroups/rg1/providers/Microsoft.DesktopVirtualization/applicationgroups/apps") {
		t.Errorf("applicationGroupReferences %v", refs)
	}
}

func TestADesktopGroupHasItsDesktopAtOnce(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.must(201, "PUT", dv("applicationGroups/dag"), appGroupBody("hp1", "Desktop"))
	r := d.send("owner", "GET", dv("applicationGroups/dag/desktops/sessionDesktop"), "")
	p, _ := r.doc["properties"].(map[string]any)
	if r.status != 200 || r.doc["name"] != "dag/SessionDesktop" || p["description"] != "The default Session Desktop" || p["iconContent"] == "" || p["iconHash"] == "" {
		t.Errorf("status %d: %.300s", r.status, r.raw)
	}
	d.must(200, "PATCH", dv("applicationGroups/dag/desktops/sessionDesktop"), `{"properties":{"friendlyName":"Office"}}`)
	if got := d.must(200, "GET", dv("applicationGroups/dag/desktops/SessionDesktop"), ""); got["friendlyName"] != "Office" || got["objectId"] != p["objectId"] {
		t.Errorf("after PATCH: %v", got)
	}
	d.refused(405, "MethodNotAllowed", "", "DELETE", dv("applicationGroups/dag/desktops/SessionDesktop"), "")
	d.refused(400, "InvalidApplicationGroupType", "RemoteApp", "PUT", dv("applicationGroups/dag/applications/paint"),
		`{"properties":{"commandLineSetting":"Allow","filePath":"C:\\paint.exe"}}`)
}

func TestApplicationsAreRefusedByName(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.must(201, "PUT", dv("applicationGroups/apps"), appGroupBody("hp1", "RemoteApp"))
	app := dv("applicationGroups/apps/applications/paint")
	for properties, says := range map[string]string{
		`"filePath":"C:\\paint.exe"`:                                                      "commandLineSetting",
		`"commandLineSetting":"Sometimes","filePath":"a"`:                                 "Sometimes",
		`"commandLineSetting":"Allow"`:                                                    "filePath",
		`"commandLineSetting":"Allow","applicationType":"Web"`:                            "applicationType",
		`"commandLineSetting":"Allow","applicationType":"MsixApplication","filePath":"a"`: "msixPackageFamilyName",
	} {
		d.refused(400, first(d, "PUT", app, properties), says, "PUT", app, `{"properties":{`+properties+`}}`)
	}
	p := d.must(201, "PUT", app, `{"properties":{"commandLineSetting":"DoNotAllow","filePath":"C:\\paint.exe"}}`)
	if p["commandLineArguments"] != "" || p["applicationType"] != "InBuilt" {
		t.Errorf("answer %v", p)
	}
	d.refused(404, "ParentResourceNotFound", "", "PUT", dv("applicationGroups/none/applications/paint"), `{"properties":{"commandLineSetting":"Allow","filePath":"a"}}`)
}

// first is the code of a refusal: InvalidParameter for one fault, InvalidRequest for several.
func first(d *desk, method, path, properties string) string {
	r := d.send("owner", method, path, `{"properties":{`+properties+`}}`)
	e, _ := r.doc["error"].(map[string]any)
	code, _ := e["code"].(string)
	if code != "InvalidParameter" && code != "InvalidRequest" {
		d.t.Errorf("%s: code %q", properties, code)
	}
	return code
}

func TestAGroupIsInOneWorkspace(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.must(201, "PUT", dv("applicationGroups/dag"), appGroupBody("hp1", "Desktop"))
	ref := rgScope + "/providers/Microsoft.DesktopVirtualization/applicationgroups/DAG"
	body := func(refs ...string) string {
		list, err := json.Marshal(refs)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"location":"centralus","properties":{"applicationGroupReferences":%s}}`, list)
	}
	p := d.must(201, "PUT", dv("workspaces/ws1"), body(ref, strings.ToLower(ref)))
	if refs := p["applicationGroupReferences"].([]any); len(refs) != 1 {
		t.Errorf("the same group is in it %d times", len(refs))
	}
	d.refused(409, "ApplicationGroupInAnotherWorkspace", "ws1", "PUT", dv("workspaces/ws2"), body(ref))
	d.refused(400, "AppGroupNotFound", "does not exist", "PUT", dv("workspaces/ws2"), body(ref+"2"))
	d.refused(400, "InvalidParameter", "not the resource id", "PUT", dv("workspaces/ws2"), body(poolID("hp1").String()))
	at, _ := d.must(200, "GET", dv("applicationGroups/dag"), "")["workspaceArmPath"].(string)
	if !strings.HasSuffix(at, "/workspaces/ws1") {
		t.Errorf("workspaceArmPath %q", at)
	}
	d.must(200, "DELETE", dv("applicationGroups/dag"), "")
	if refs := d.must(200, "GET", dv("workspaces/ws1"), "")["applicationGroupReferences"].([]any); len(refs) != 0 {
		t.Errorf("the workspace still has %v", refs)
	}
}

func TestAnOldVersionShowsTheTokenToThoseWhoMayRetrieveIt(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.newKey("hp1", "")
	old := dvAt("hostPools/hp1", previewToken)
	info, _ := d.must(200, "GET", old, "")["registrationInfo"].(map[string]any)
	if info["token"] == nil {
		t.Error("reference('hp1').registrationInfo.token would be empty")
	}
	r := d.send("reader", "GET", old, "")
	if r.status != 200 || r.doc["properties"].(map[string]any)["registrationInfo"] != nil {
		t.Errorf("a Reader got %d %s", r.status, r.raw)
	}
	if got := d.must(200, "GET", dvAt("hostPools/hp1", "2021-07-12"), "")["registrationInfo"]; got != nil {
		t.Errorf("2021-07-12 shows %v", got)
	}
	if n := d.audited("retrieveRegistrationToken"); n != 1 {
		t.Errorf("%d audit events for one token shown", n)
	}
}

// audited counts the audit events of an action.
func (d *desk) audited(action string) int {
	d.t.Helper()
	page, err := d.store.AuditEvents(context.Background(), deskyard.AuditQuery{})
	if err != nil {
		d.t.Fatal(err)
	}
	n := 0
	for _, e := range page.Items {
		if strings.Contains(strings.ToLower(e.Action), strings.ToLower(action)) && e.Status < 300 {
			n++
		}
	}
	return n
}

func TestEveryVersionThatClientsSendIsAnswered(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	if !slices.IsSorted(desktopVersions) {
		t.Error("the versions are not in order, oldest first")
	}
	for _, version := range desktopVersions {
		d.must(200, "GET", dvAt("hostPools/hp1", version), "")
	}
	d.refused(400, "NoRegisteredProviderFound", stableVersion, "GET", dvAt("hostPools/hp1", "2018-01-01"), "")
	d.refused(400, "NoRegisteredProviderFound", "", "GET", dvAt("appAttachPackages", "2022-09-09"), "")
	d.refused(400, "InvalidApiVersionParameter", "", "GET", dvAt("hostPools/hp1", "newest"), "")
}
