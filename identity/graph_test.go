package identity

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/directory"
)

var testUser = directory.User{ObjectID: "11111111-1111-1111-1111-111111111111", UPN: "ann@desk.test", DisplayName: "Ann O'Hara", CreatedAt: time.Unix(0, 0)}

// graph sends a request to the Graph door with a token of the bootstrap's client.
func (y *yard) graph(method, path, body string) answer {
	y.t.Helper()
	return y.send(method, path, body, http.Header{"Authorization": {"Bearer " + y.appToken()}, "Content-Type": {"application/json"}})
}

// must is graph with the expected status.
func (y *yard) must(status int, method, path, body string) answer {
	y.t.Helper()
	a := y.graph(method, path, body)
	if a.status != status {
		y.t.Fatalf("%s %s: got %d %s, want %d", method, path, a.status, a.text, status)
	}
	return a
}

// members gives one member of each object of an answer's list.
func (a answer) members(name string) []string {
	list, _ := a.json["value"].([]any)
	out := []string{}
	for _, o := range list {
		m, _ := o.(map[string]any)
		s, _ := m[name].(string)
		out = append(out, s)
	}
	return out
}

func filterBy(expression string) string { return "?$filter=" + url.QueryEscape(expression) }

func TestFilterUnderstandsWhatAzSends(t *testing.T) {
	of := userAttributes(testUser)
	for text, want := range map[string]bool{
		"userPrincipalName eq 'ANN@desk.test'":                    true,
		"userPrincipalName eq 'x' or mail eq 'ann@desk.test'":     true,
		"startswith(displayName,'ann o''')":                       true,
		"startswith(displayName,'bob')":                           false,
		"displayName eq 'Ann O''Hara' and accountEnabled eq true": true,
		"not(accountEnabled eq true)":                             false,
		"displayName ne 'x'":                                      true,
		"id in ('x', '11111111-1111-1111-1111-111111111111')":     true,
		"(id eq 'x' or id eq 'y') and userType eq 'Member'":       false,
		"mailNickname eq 'ann'":                                   true,
		"id eq 11111111-1111-1111-1111-111111111111":              true,
		"": true,
		"accountEnabled eq false or accountEnabled eq true and id eq 'nope'": false,
	} {
		f, err := parseFilter(text, of)
		if err != nil || f.matches(of) != want {
			t.Errorf("%s: matches %v, %v; want %v", text, f.matches(of), err, want)
		}
	}
	for _, bad := range []string{"displayName", "displayName eq", "displayName eq x", "password eq 'x'", "displayName gt 'x'", "id in ()", "id eq 'x' id", "(id eq 'x'",
		"id eq 'x", "endswith(id,'x')", strings.Repeat("(", 100), strings.Repeat("not ", 100) + "id eq 'x'", strings.Repeat("x", maxFilter+1)} {
		if _, err := parseFilter(bad, of); err == nil {
			t.Errorf("%.60q was accepted", bad)
		}
	}
}

func TestGraphKeepsUsers(t *testing.T) {
	y := newYard(t)
	made := y.must(201, "POST", "/graph/v1.0/users", `{"userPrincipalName":"ann@desk.test","displayName":"Ann","accountEnabled":true,"mailNickname":"ann"}`)
	profile, _ := made.json["passwordProfile"].(map[string]any)
	password, _ := profile["password"].(string)
	id := made.string("id")
	if len(password) != 20 {
		t.Fatalf("no password in %s", made.text)
	}
	form := y.passwordForm()
	form.Set("username", "ann@desk.test")
	form.Set("password", password)
	if a := y.post("/adfs/oauth2/token", form); a.status != 200 {
		t.Errorf("the new user cannot sign in: %d %s", a.status, a.text)
	}
	for _, path := range []string{"/graph/v1.0/users/ann@desk.test", "/v1.0/users/" + strings.ToUpper(id), "/graph//v1.0//users/" + id} {
		if a := y.must(200, "GET", path, ""); a.string("id") != id || strings.Contains(a.text, "argon2") || strings.Contains(a.text, password) {
			t.Errorf("%s: %s", path, a.text)
		}
	}
	for _, expression := range []string{"userPrincipalName eq 'ann@desk.test'", "startswith(displayName,'an')", "userPrincipalName eq 'ann@desk.test' or mail eq 'ann@desk.test'"} {
		if a := y.must(200, "GET", "/graph/v1.0/users"+filterBy(expression), ""); !slices.Equal(a.members("id"), []string{id}) {
			t.Errorf("%s finds %s", expression, a.text)
		}
	}
	if a := y.must(200, "GET", "/graph/v1.0/users"+filterBy("userPrincipalName eq 'nobody@desk.test'"), ""); len(a.members("id")) != 0 {
		t.Errorf("nobody was found: %s", a.text)
	}
	y.must(204, "PATCH", "/graph/v1.0/users/"+id, `{"displayName":"Ann B","accountEnabled":false}`)
	if a := y.must(200, "GET", "/graph/v1.0/users/"+id+"?$select=displayName,accountEnabled", ""); a.json["accountEnabled"] != false || a.string("displayName") != "Ann B" || a.json["id"] != nil {
		t.Errorf("after the change: %s", a.text)
	}
	reset := y.must(200, "POST", "/graph/v1.0/users/"+id+"/resetPassword", `{}`)
	if len(reset.string("newPassword")) != 20 {
		t.Errorf("no password in %s", reset.text)
	}
	y.must(204, "PATCH", "/graph/v1.0/users/"+id, `{"passwordProfile":{"password":"chosen by the operator"}}`)
	y.must(204, "POST", "/graph/v1.0/users/"+id+"/unlock", "")
	y.must(200, "POST", "/graph/v1.0/users/"+id+"/revokeSignInSessions", "")
	y.must(204, "DELETE", "/graph/v1.0/users/"+id, "")
	if a := y.graph("GET", "/graph/v1.0/users/"+id, ""); a.status != 404 || !strings.Contains(a.text, "Request_ResourceNotFound") {
		t.Errorf("after the removal: %d %s", a.status, a.text)
	}
	if n := y.audited("Microsoft.Directory/users/write", ""); n != 5 {
		t.Errorf("%d writes were audited, want 5", n)
	}
	if y.audited("Microsoft.Directory/users/delete", "") != 1 || y.audited("Microsoft.Directory/users/read", "") != 0 {
		t.Error("the removal is not audited, or reads are")
	}
}

func TestGraphKeepsGroupsAndTheirMembers(t *testing.T) {
	y := newYard(t)
	g := y.must(201, "POST", "/graph/v1.0/groups", `{"displayName":"admins","mailEnabled":false,"securityEnabled":true,"mailNickname":"x"}`).string("id")
	reference := func(id string) string {
		return fmt.Sprintf(`{"@odata.id":"https://graph.microsoft.com/v1.0/directoryObjects/%s"}`, id)
	}
	members := "/graph/v1.0/groups/" + g + "/members"
	for _, id := range []string{y.creds.AdminID, y.creds.ClientObjectID} {
		y.must(204, "POST", members+"/$ref", reference(id))
	}
	if a := y.graph("POST", members+"/$ref", reference(y.creds.AdminID)); a.status != 400 {
		t.Errorf("adding twice: %d %s", a.status, a.text)
	}
	if a := y.graph("POST", members+"/$ref", reference("99999999-9999-9999-9999-999999999999")); a.status != 404 {
		t.Errorf("adding nobody: %d %s", a.status, a.text)
	}
	if a := y.graph("POST", members+"/$ref", reference(g)); a.status != 400 {
		t.Errorf("a group in itself: %d %s", a.status, a.text)
	}
	a := y.must(200, "GET", members, "")
	kinds := a.members("@odata.type")
	slices.Sort(kinds)
	if !slices.Equal(kinds, []string{"#microsoft.graph.servicePrincipal", "#microsoft.graph.user"}) {
		t.Errorf("members %s", a.text)
	}
	if a := y.must(200, "POST", "/graph/v1.0/users/"+y.creds.AdminUPN+"/getMemberGroups", `{"securityEnabledOnly":true}`); !strings.Contains(a.text, g) {
		t.Errorf("member groups %s", a.text)
	}
	if a := y.must(200, "GET", "/graph/v1.0/users/"+y.creds.AdminID+"/memberOf", ""); !slices.Equal(a.members("displayName"), []string{"admins"}) {
		t.Errorf("memberOf %s", a.text)
	}
	y.must(204, "DELETE", members+"/"+y.creds.AdminID+"/$ref", "")
	if a := y.must(200, "GET", members, ""); !slices.Equal(a.members("id"), []string{y.creds.ClientObjectID}) {
		t.Errorf("after the removal: %s", a.text)
	}
	y.must(204, "PATCH", "/graph/v1.0/groups/"+g, `{"displayName":"operators"}`)
	if a := y.must(200, "GET", "/graph/v1.0/groups"+filterBy("displayName eq 'operators'"), ""); len(a.members("id")) != 1 {
		t.Errorf("renamed group: %s", a.text)
	}
	y.must(204, "DELETE", "/graph/v1.0/groups/"+g, "")
	if groups, err := y.GroupsOf(t.Context(), y.creds.ClientObjectID); err != nil || len(groups) != 0 {
		t.Errorf("the membership outlived the group: %v, %v", groups, err)
	}
}

func TestGraphCreatesServicePrincipalsTheWayAzDoes(t *testing.T) {
	y := newYard(t)
	app := y.must(201, "POST", "/graph/v1.0/applications", `{"displayName":"ci","signInAudience":"AzureADMyOrg","identifierUris":[],"web":{"redirectUris":["https://ci.test/cb"]}}`)
	sp := y.must(201, "POST", "/graph/v1.0/servicePrincipals", `{"appId":"`+app.string("appId")+`","accountEnabled":true}`)
	if sp.string("appId") != app.string("appId") || sp.string("id") == app.string("id") {
		t.Fatalf("application %s, service principal %s", app.text, sp.text)
	}
	key := y.must(200, "POST", "/graph/v1.0/applications/"+app.string("id")+"/addPassword", `{"passwordCredential":{"displayName":"rbac","endDateTime":"`+y.clock.now().Add(time.Hour).Format(time.RFC3339)+`"}}`)
	form := y.clientForm()
	form.Set("client_id", app.string("appId"))
	form.Set("client_secret", key.string("secretText"))
	if a := y.post("/adfs/oauth2/token", form); a.status != 200 {
		t.Fatalf("the secret got %d %s", a.status, a.text)
	}
	for _, expression := range []string{
		"servicePrincipalNames/any(c:c eq '" + app.string("appId") + "')", "appId eq '" + app.string("appId") + "'", "startswith(displayName,'ci')", "displayName eq 'ci'",
	} {
		a := y.must(200, "GET", "/graph/v1.0/servicePrincipals"+filterBy(expression), "")
		if !slices.Equal(a.members("id"), []string{sp.string("id")}) || strings.Contains(a.text, key.string("secretText")) {
			t.Errorf("%s finds %s", expression, a.text)
		}
	}
	objects := y.must(200, "POST", "/graph/v1.0/directoryObjects/getByIds", `{"ids":["`+sp.string("id")+`","`+y.creds.AdminID+`","99999999-9999-9999-9999-999999999999"],"types":["user","group","servicePrincipal","directoryObjectPartnerReference"]}`)
	if !slices.Equal(objects.members("@odata.type"), []string{"#microsoft.graph.servicePrincipal", "#microsoft.graph.user"}) {
		t.Errorf("objects %s", objects.text)
	}
	y.must(204, "POST", "/graph/v1.0/servicePrincipals/"+sp.string("id")+"/removePassword", `{"keyId":"`+key.string("keyId")+`"}`)
	failedWith(t, y.post("/adfs/oauth2/token", form), 401, "invalid_client", "7000215")
	y.must(204, "DELETE", "/graph/v1.0/applications/"+app.string("id"), "")
	failedWith(t, y.post("/adfs/oauth2/token", form), 400, "unauthorized_client", "700016")
}

func TestGraphRefusesWithoutTheAction(t *testing.T) {
	y := newYard(t)
	y.denied["Microsoft.Directory/users/write"] = true
	a := y.graph("POST", "/graph/v1.0/users", `{"userPrincipalName":"x@y"}`)
	if a.status != 403 || !strings.Contains(a.text, "Authorization_RequestDenied") || !strings.Contains(a.text, "Microsoft.Directory/users/write") {
		t.Errorf("got %d %s", a.status, a.text)
	}
	if y.audited("Microsoft.Directory/users/write", "Authorization_RequestDenied") != 1 {
		t.Error("the refused attempt is not audited")
	}
	y.denied["Microsoft.Directory/users/write"], y.denied["Microsoft.Directory/users/password/write"] = false, true
	if a := y.graph("PATCH", "/graph/v1.0/users/"+y.creds.AdminID, `{"passwordProfile":{"password":"a stolen administrator"}}`); a.status != 403 {
		t.Errorf("a password was set without its own action: %d %s", a.status, a.text)
	}
	y.denied["Microsoft.Directory/users/password/write"], y.denied[actionAssignRoles] = false, true
	if a := y.graph("POST", "/graph/v1.0/users/"+y.creds.AdminID+"/resetPassword", `{}`); a.status != 403 {
		t.Errorf("who may not give out roles took over the administrator's account: %d %s", a.status, a.text)
	}
	if a := y.graph("GET", "/graph/v1.0/users", ""); a.status != 200 {
		t.Errorf("reading needs the right to give out roles: %d %s", a.status, a.text)
	}
	a = y.send("GET", "/graph/v1.0/users", "", nil)
	if a.status != 401 || a.header.Get("WWW-Authenticate") == "" || !strings.Contains(a.text, `"innerError"`) {
		t.Errorf("without a token: %d %s", a.status, a.text)
	}
}

func TestNobodyLocksThemselvesOut(t *testing.T) {
	y := newYard(t)
	own := "/graph/v1.0/servicePrincipals/" + y.creds.ClientObjectID
	if a := y.graph("DELETE", own, ""); a.status != 400 {
		t.Errorf("removing the own account: %d %s", a.status, a.text)
	}
	if a := y.graph("PATCH", own, `{"accountEnabled":false}`); a.status != 400 {
		t.Errorf("disabling the own account: %d %s", a.status, a.text)
	}
	y.must(204, "PATCH", "/graph/v1.0/users/"+y.creds.AdminID, `{"accountEnabled":false}`)
}

func TestGraphAnswersBadRequestsInItsOwnForm(t *testing.T) {
	y := newYard(t)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/graph/v1.0/nothing", "", 404},
		{"PUT", "/graph/v1.0/users", "", 405},
		{"POST", "/graph/v1.0/users", "{", 400},
		{"POST", "/graph/v1.0/users", "{}", 400},
		{"POST", "/graph/v1.0/users", `{"userPrincipalName":7}`, 400},
		{"POST", "/graph/v1.0/users", strings.Repeat("x", maxForm+1), 413},
		{"GET", "/graph/v1.0/users?$top=0", "", 400},
		{"GET", "/graph/v1.0/users?$filter=x", "", 400},
		{"GET", "/graph/v1.0/groups/nope", "", 404},
		{"GET", "/graph/v1.0/me", "", 400}, // for an application
		{"POST", "/graph/v1.0/servicePrincipals", `{"appId":"nope"}`, 400},
		{"POST", "/graph/v1.0/groups/" + y.creds.AdminID + "/members/$ref", `{}`, 400},
	} {
		a := y.graph(c.method, c.path, c.body)
		problem, _ := a.json["error"].(map[string]any)
		if a.status != c.status || problem["code"] == nil || problem["message"] == nil {
			t.Errorf("%s %s: got %d %s, want %d", c.method, c.path, a.status, a.text, c.status)
		}
	}
}

func TestGraphPagesThroughALongList(t *testing.T) {
	y := newYard(t)
	want := []string{}
	for i := range 25 {
		g, err := y.CreateGroup(t.Context(), fmt.Sprintf("group %d", i), "")
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			want = append(want, g.DisplayName)
		}
	}
	var names []string
	for _, i := range want {
		names = append(names, "'"+i+"'")
	}
	path, got := "/graph/v1.0/groups?$top=4&$filter="+url.QueryEscape("displayName in ("+strings.Join(names, ",")+")"), []string{}
	for pages := 0; path != ""; pages++ {
		if pages > 20 {
			t.Fatal("the list does not end")
		}
		a := y.must(200, "GET", path, "")
		if len(a.members("id")) > 4 {
			t.Fatalf("a page of %d", len(a.members("id")))
		}
		got = append(got, a.members("displayName")...)
		path = strings.TrimPrefix(a.string("@odata.nextLink"), testBase)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMeIsTheSignedInUserWithATokenForTheDirectory(t *testing.T) {
	y := newYard(t)
	form := y.passwordForm()
	form.Set("scope", "https://graph.microsoft.com//.default")
	token := y.post("/adfs/oauth2/token", form).string("access_token")
	a := y.send("GET", "/graph/v1.0/me", "", http.Header{"Authorization": {"Bearer " + token}})
	if a.status != 200 || a.string("userPrincipalName") != y.creds.AdminUPN {
		t.Errorf("got %d %s", a.status, a.text)
	}
	_, err := y.withToken(token)
	refused(t, err, "InvalidAuthenticationTokenAudience")
}
