package armapi

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// walk calls operations and holds every answer to the description.
type walk struct {
	*desk
	t       *testing.T
	api     *description
	version string
	seen    map[string][]int // statuses by operation
}

// exampleSubscription stands in Microsoft's examples.
const exampleSubscription = "daefabc0-95b4-48b3-b645-8a753a63c4fa"

// call sends a request below the group ("/…") or at an absolute path, checks the
// status and the answer, and counts the operation.
func (w *walk) call(status int, method, path, body string) reply {
	w.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = rgScope + "/providers/" + desktopNamespace + "/" + path
	}
	bare, query, _ := strings.Cut(path, "?")
	o, err := w.api.find(method, bare)
	if err != nil {
		w.t.Fatal(err)
	}
	if query != "" {
		query += "&"
	}
	r := w.send("owner", method, bare+"?"+query+"api-version="+w.version, body)
	if r.status != status {
		w.t.Fatalf("%s: %s %s: status %d, want %d: %s", o.id, method, path, r.status, status, r.raw)
	}
	if err := w.api.check(o, r); err != nil {
		w.t.Errorf("%s: %s %s: %v\n%s", o.id, method, path, err, r.raw)
	}
	w.seen[o.id] = append(w.seen[o.id], r.status)
	return r
}

// body is an example's, moved to the test's subscription, group and time.
func (w *walk) body(name string) string { return w.bodyOf("2024-04-03", name) }

func (w *walk) bodyOf(version, name string) string {
	b := example(w.t, version, name)
	b = strings.NewReplacer(exampleSubscription, testSub, "resourceGroup1", "rg1").Replace(b)
	tomorrow := w.now().Add(24 * time.Hour).Format("2006-01-02T15:04:05.0000000Z")
	for _, past := range []string{"2020-10-01T14:01:54.957Z", "2020-10-01T15:01:54.957Z", "2020-10-01T14:01:54.9571247Z"} {
		b = strings.ReplaceAll(b, past, tomorrow)
	}
	return b
}

// refusing are the operations whose work no Linux session host can do: they answer an
// error, which is held to the description too.
var refusing = []string{"MSIXImages_Expand", "AppAttachPackageInfo_Import"}

func TestEveryOperationAnswersAsTheDescriptionSays(t *testing.T) {
	for _, version := range []string{stableVersion, "2024-04-03", "2022-09-09"} {
		t.Run(version, func(t *testing.T) {
			w := &walk{t: t, desk: newDesk(t), api: readDescription(t), version: version, seen: map[string][]int{}}
			late := version >= "2024-04-03" // types that 2022-09-09 did not have
			w.hostPools()
			w.groups()
			w.workspaces(late)
			w.plans(late)
			w.packages(late)
			w.sessionHosts()
			w.removals(late)
			w.call(200, "GET", "/providers/"+desktopNamespace+"/operations", "")
			if late {
				w.coverage()
			}
		})
	}
}

// coverage fails unless every operation answered, and answered well.
func (w *walk) coverage() {
	w.t.Helper()
	done := 0
	for _, o := range w.api.operations {
		statuses := w.seen[o.id]
		good := slices.ContainsFunc(statuses, func(s int) bool { return s < 300 })
		switch {
		case good, slices.Contains(refusing, o.id) && len(statuses) > 0:
			done++
		default:
			w.t.Errorf("operation %s was not exercised (statuses %v)", o.id, statuses)
		}
	}
	w.t.Logf("%d of %d operations of the description exercised", done, len(w.api.operations))
}

func (w *walk) hostPools() {
	w.call(201, "PUT", "hostPools/hostPool1", w.body("HostPool_Create"))
	w.call(200, "PUT", "hostPools/hostPool1", w.bodyOf(stableVersion, "HostPool_Create"))
	w.call(200, "PATCH", "hostPools/hostPool1", w.body("HostPool_Update"))
	w.call(200, "PATCH", "hostPools/hostPool1", "")
	w.call(200, "GET", "hostPools/hostPool1", "")
	w.call(404, "GET", "hostPools/nothing", "")
	w.call(200, "GET", "hostPools?pageSize=10&isDescending=true&initialSkip=0", "")
	w.call(200, "GET", subScope+"/providers/"+desktopNamespace+"/hostPools", "")
	w.call(200, "POST", "hostPools/hostPool1/retrieveRegistrationToken", "")
	w.call(200, "POST", "hostPools/hostPool1/listRegistrationTokens", "")
	w.call(200, "GET", "hostPools/hostPool1/privateLinkResources", "")
	w.call(409, "POST", "hostPools/hostPool1/expandMsixImage", w.body("MsixImage_Expand_Post"))
	w.call(409, "POST", "hostPools/hostPool1/importAppAttachPackageInfo", w.body("AppAttachPackageInfo_Import_Post"))
	w.call(400, "PUT", "hostPools/hostPool2", `{"location":"centralus","properties":{"hostPoolType":"Round","loadBalancerType":"Best"}}`)
}

func (w *walk) groups() {
	w.call(201, "PUT", "applicationGroups/applicationGroup1", w.body("ApplicationGroup_Create"))
	w.call(200, "PUT", "applicationGroups/applicationGroup1", w.body("ApplicationGroup_Create"))
	w.call(200, "PATCH", "applicationGroups/applicationGroup1", w.body("ApplicationGroup_Update"))
	w.call(201, "PUT", "applicationGroups/desktops", strings.Replace(w.body("ApplicationGroup_Create"), `"RemoteApp"`, `"Desktop"`, 1))
	w.call(200, "GET", "applicationGroups/applicationGroup1", "")
	w.call(200, "GET", "applicationGroups?$filter=applicationGroupType%20eq%20%27RemoteApp%27", "")
	w.call(200, "GET", subScope+"/providers/"+desktopNamespace+"/applicationGroups", "")
	w.call(200, "GET", "applicationGroups/applicationGroup1/startMenuItems", "")
	w.call(201, "PUT", "applicationGroups/applicationGroup1/applications/application1", w.body("Application_Create"))
	w.call(200, "PUT", "applicationGroups/applicationGroup1/applications/application1", w.body("Application_Create"))
	w.call(200, "PATCH", "applicationGroups/applicationGroup1/applications/application1", w.body("Application_Update"))
	w.call(200, "GET", "applicationGroups/applicationGroup1/applications/application1", "")
	w.call(200, "GET", "applicationGroups/applicationGroup1/applications", "")
	w.call(200, "GET", "applicationGroups/desktops/desktops/SessionDesktop", "")
	w.call(200, "PATCH", "applicationGroups/desktops/desktops/sessionDesktop", w.body("Desktop_Update"))
	w.call(200, "GET", "applicationGroups/desktops/desktops", "")
}

func (w *walk) workspaces(late bool) {
	w.call(201, "PUT", "workspaces/workspace1", w.body("Workspace_Create"))
	w.call(200, "PUT", "workspaces/workspace1", w.body("Workspace_Create"))
	w.call(200, "PATCH", "workspaces/workspace1", `{"properties":{"applicationGroupReferences":["`+rgScope+`/providers/`+desktopNamespace+`/applicationGroups/desktops"]}}`)
	w.call(200, "PATCH", "workspaces/workspace1", w.body("Workspace_Update"))
	w.call(200, "GET", "workspaces/workspace1", "")
	w.call(200, "GET", "workspaces", "")
	w.call(200, "GET", subScope+"/providers/"+desktopNamespace+"/workspaces", "")
	w.call(200, "GET", "workspaces/workspace1/privateLinkResources", "")
	if !late {
		return
	}
	for _, parent := range []string{"workspaces/workspace1", "hostPools/hostPool1"} {
		at, body := parent+"/privateEndpointConnections", w.body("PrivateEndpointConnection_UpdateByHostPool")
		w.call(200, "PUT", at+"/pe.1", body)
		w.call(200, "PUT", at+"/pe.1", strings.Replace(body, "Approved", "Rejected", 1))
		w.call(200, "GET", at+"/pe.1", "")
		w.call(200, "GET", at, "")
		w.call(200, "GET", parent, "")
		w.call(200, "DELETE", at+"/pe.1", "")
		w.call(204, "DELETE", at+"/pe.1", "")
	}
}

func (w *walk) plans(late bool) {
	w.call(201, "PUT", "scalingPlans/scalingPlan1", w.body("ScalingPlan_Create"))
	w.call(200, "PUT", "scalingPlans/scalingPlan1", w.body("ScalingPlan_Create"))
	w.call(200, "PATCH", "scalingPlans/scalingPlan1", "")
	w.call(200, "GET", "scalingPlans/scalingPlan1", "")
	w.call(200, "GET", "scalingPlans", "")
	w.call(200, "GET", subScope+"/providers/"+desktopNamespace+"/scalingPlans", "")
	w.call(200, "GET", "hostPools/hostPool1/scalingPlans", "")
	pooled := "scalingPlans/scalingPlan1/pooledSchedules"
	w.call(200, "DELETE", pooled+"/schedule1", "")
	w.call(200, "PUT", pooled+"/weekdays", w.body("ScalingPlanPooledSchedule_Create"))
	w.call(200, "PATCH", pooled+"/weekdays", w.body("ScalingPlanPooledSchedule_Update"))
	w.call(200, "GET", pooled+"/weekdays", "")
	w.call(200, "GET", pooled, "")
	w.call(200, "DELETE", pooled+"/weekdays", "")
	w.call(204, "DELETE", pooled+"/weekdays", "")
	if !late {
		return
	}
	w.call(201, "PUT", "scalingPlans/plan2", `{"location":"centralus","properties":{"timeZone":"Central Standard Time","hostPoolType":"Personal"}}`)
	personal := "scalingPlans/plan2/personalSchedules"
	w.call(200, "PUT", personal+"/weekdays", w.body("ScalingPlanPersonalSchedule_Create"))
	w.call(200, "PATCH", personal+"/weekdays", w.body("ScalingPlanPersonalSchedule_Update"))
	w.call(200, "GET", personal+"/weekdays", "")
	w.call(200, "GET", personal, "")
	w.call(200, "DELETE", personal+"/weekdays", "")
}

func (w *walk) packages(late bool) {
	w.call(201, "PUT", "hostPools/hostPool1/msixPackages/package1", w.body("MsixPackage_Create"))
	w.call(200, "PUT", "hostPools/hostPool1/msixPackages/package1", w.body("MsixPackage_Create"))
	w.call(200, "PATCH", "hostPools/hostPool1/msixPackages/package1", w.body("MsixPackage_Update"))
	w.call(200, "GET", "hostPools/hostPool1/msixPackages/package1", "")
	w.call(200, "GET", "hostPools/hostPool1/msixPackages", "")
	w.call(200, "DELETE", "hostPools/hostPool1/msixPackages/package1", "")
	if !late {
		return
	}
	w.call(201, "PUT", "appAttachPackages/package1", w.body("AppAttachPackage_Create"))
	w.call(200, "PUT", "appAttachPackages/package1", w.body("AppAttachPackage_Create"))
	w.call(200, "PATCH", "appAttachPackages/package1", `{"properties":{"hostPoolReferences":["`+poolID("hostPool1").String()+`"]}}`)
	w.call(200, "GET", "appAttachPackages/package1", "")
	w.call(200, "GET", "appAttachPackages?$filter=hostPool%20eq%20%27hostPool1%27", "")
	w.call(200, "GET", subScope+"/providers/"+desktopNamespace+"/appAttachPackages", "")
	w.call(200, "GET", "hostPools/hostPool1", "")
}

func (w *walk) sessionHosts() {
	w.host("hostPool1", "sessionHost1.microsoft.com", true, session(1, "user1@microsoft.com"), session(2, "user2@microsoft.com"))
	w.host("hostPool1", "sessionHost2", false)
	at := "hostPools/hostPool1/sessionHosts/sessionHost1.microsoft.com"
	w.call(200, "GET", "hostPools/hostPool1/sessionHosts?pageSize=1", "")
	w.call(200, "GET", at, "")
	w.call(200, "GET", "hostPools/hostPool1/sessionHosts/sessionHost2", "")
	w.call(404, "GET", "hostPools/hostPool1/sessionHosts/sessionHost3", "")
	w.call(200, "PATCH", at, `{"properties":{"allowNewSession":false,"friendlyName":"one"}}`)
	w.call(400, "PATCH", at+"?force=true", w.body("SessionHost_Update")) // a user of a pooled host
	w.call(200, "GET", "hostPools/hostPool1/userSessions?$filter=userPrincipalName%20eq%20%27user1@microsoft.com%27%20and%20state%20eq%20%27active%27", "")
	w.call(200, "GET", at+"/userSessions", "")
	w.call(200, "GET", at+"/userSessions/1", "")
	w.call(200, "POST", at+"/userSessions/1/sendMessage", w.body("UserSession_SendMessage_Post"))
	w.call(200, "POST", at+"/userSessions/1/disconnect", "")
	w.call(200, "DELETE", at+"/userSessions/1?force=true", "")
	w.call(204, "DELETE", at+"/userSessions/1", "")
	w.call(409, "POST", "hostPools/hostPool1/expandMsixImage", `{"uri":"\\\\share\\image.vhdx"}`)
	w.call(409, "DELETE", at, "")
	w.call(200, "DELETE", at+"?force=true", "")
	w.call(204, "DELETE", at, "")
}

func (w *walk) removals(late bool) {
	w.call(409, "DELETE", "hostPools/hostPool1?force=true", "")
	w.call(200, "DELETE", "applicationGroups/applicationGroup1/applications/application1", "")
	w.call(200, "DELETE", "applicationGroups/applicationGroup1", "")
	w.call(200, "DELETE", "applicationGroups/desktops", "")
	w.call(200, "DELETE", "workspaces/workspace1", "")
	w.call(409, "DELETE", "hostPools/hostPool1", "")
	w.call(200, "DELETE", "hostPools/hostPool1?force=true", "")
	w.call(204, "DELETE", "hostPools/hostPool1", "")
	plan := w.call(200, "GET", "scalingPlans/scalingPlan1", "")
	if refs := plan.doc["properties"].(map[string]any)["hostPoolReferences"].([]any); len(refs) != 0 {
		w.t.Errorf("the scaling plan still points at the deleted pool: %v", refs)
	}
	w.call(200, "DELETE", "scalingPlans/scalingPlan1", "")
	if late {
		w.call(200, "DELETE", "appAttachPackages/package1", "")
	}
	w.call(http.StatusNotFound, "GET", "hostPools/hostPool1", "")
}
